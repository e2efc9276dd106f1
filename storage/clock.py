"""The time of day, in UTC, that never goes back while a process lives."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from threading import Lock


class Clock:
    """Follows the machine's clock; where that is set back, it goes on at the pace of seconds instead.

    Rows are ordered by their times, and durations are their differences: neither may depend on who sets the clock.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._latest = datetime.min
        self._read_at = time.monotonic()

    def now(self) -> datetime:
        """The time in UTC, without a zone: DuckDB's TIMESTAMP."""
        with self._lock:
            read_at = time.monotonic()
            expected = self._latest + timedelta(seconds=read_at - self._read_at)
            self._latest, self._read_at = max(datetime.now(UTC).replace(tzinfo=None), expected), read_at
            return self._latest


now = Clock().now
