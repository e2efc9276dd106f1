"""How a long tool tells what it has done, and learns that it should stop."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[int, int], None]
"""Called with (done, total)."""

Between = Callable[[], None]
"""Called between two parts of the work, to do what should not wait for its end."""

IsCancelled = Callable[[], bool]
"""True once a stop was asked for."""


def silent(done: int, total: int) -> None:
    """Report nothing."""


def ignore(_: object) -> None:
    """Show nothing of what is told."""


def nothing() -> None:
    """Do nothing."""


def never() -> bool:
    """Never ask to stop."""
    return False
