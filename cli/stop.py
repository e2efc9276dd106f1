"""Ctrl-C, SIGTERM and SIGHUP while a run is on: the first asks it to stop, the second ends the process.

A terminal that is closed may send SIGHUP several times: it never counts as the second. `nohup` is respected.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

SAME_S = 0.3  # a wrapper that passes the terminal's Ctrl-C on makes two of one
SHOW_CURSOR = "\x1b[?25h"
STOPPING = "stopping after the current item… (ask again to end at once)"


class StopSignals:
    """A context in which signals set a flag; use it in the main thread.

    asyncio.run leaves a handler of SIGINT alone that is not Python's own. The handler writes to the file descriptor:
    the main thread may be in the middle of a write to sys.stderr.

    Args:
        announce: say on standard error that the stop was heard; a live display does that itself.
        outlook: completes "ended at once" with what is kept and how to go on.
    """

    def __init__(self, *, announce: bool, outlook: Callable[[], str]) -> None:
        self._announce = announce
        self._outlook = outlook
        self._asked_at: float | None = None  # monotonic seconds
        self._before: dict[signal.Signals, Any] = {}

    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return self._asked_at is not None

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002, signal's signature
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            if self._announce:
                write_stderr(f"blindspot: {STOPPING}\n")
        elif number != signal.SIGHUP and time.monotonic() - self._asked_at > SAME_S:
            cursor = SHOW_CURSOR if sys.stderr.isatty() else ""
            write_stderr(f"{cursor}\nblindspot: ended at once{self._outlook()}\n")
            # Neither the threads of a run nor asyncio's own end would let the process go before the item is done.
            os._exit(128 + number)


def write_stderr(text: str) -> None:
    """Write to standard error without its buffer, if it can be written."""
    with suppress(OSError):
        os.write(2, text.encode())
