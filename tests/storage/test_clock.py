"""The clock of rows."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Self

import pytest

from blindspot.storage import clock


def test_time_goes_on_where_the_machines_clock_is_set_back_and_follows_it_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shift = timedelta()

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + shift

    monkeypatch.setattr(clock, "datetime", Shifted)
    now = clock.Clock().now
    begin = now()
    shift = -timedelta(days=400)
    later = now()
    assert begin <= later < begin + timedelta(minutes=5)
    shift = timedelta(days=400)
    assert now() >= later + timedelta(days=399)
    shift = timedelta()
    assert now() >= later + timedelta(days=399)
