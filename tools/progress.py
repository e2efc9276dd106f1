"""How a long tool tells what it has done, and learns that it should stop."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[int, int], None]
"""Called with (done, total)."""

IsCancelled = Callable[[], bool]
"""True once a stop was asked for."""


def silent(done: int, total: int) -> None:
    """Report nothing."""


def never() -> bool:
    """Never ask to stop."""
    return False
