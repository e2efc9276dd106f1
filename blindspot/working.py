"""How a run is worked at from Python: in a thread of its own, under a display, until it ends or somebody stops it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from threading import Event, Thread
from typing import Literal, TypeVar

from blindspot.cli.show.display import Kind, Show, display_kind, open_display
from blindspot.storage.errors import SettingsError
from blindspot.tools.process import process_restored
from blindspot.tools.progress import IsCancelled

T = TypeVar("T")

Shown = Show | Literal["auto", "live", "plain", "none"]
"""Progress: a function that takes each `Progress`, or a display by its name; "auto": live where that can be."""

KINDS: tuple[Kind, ...] = ("live", "plain", "none")
STOPPING = "blindspot: stopping after the item in hand… (a second interrupt returns at once, and the work ends later)\n"


class Stop:
    """Whether a stop was asked for: by the caller's own function, or by an interrupt."""

    def __init__(self, cancelled: IsCancelled) -> None:
        self._cancelled = cancelled
        self.interrupted = Event()

    def asked(self) -> bool:
        """Whether to stop."""
        return self.interrupted.is_set() or self._cancelled()


def work_in_thread(work: Callable[[Stop], T], cancelled: IsCancelled) -> T:
    """Do work in a thread of its own: the caller's may have an event loop that runs, as every cell of a notebook has.

    Raises: whatever the work raises. KeyboardInterrupt, at a second one.
    """
    stop = Stop(cancelled)
    ended: Future[T] = Future()
    context = copy_context()

    def target() -> None:
        try:
            with process_restored():
                result = context.run(work, stop)
        except BaseException as error:
            ended.set_exception(error)
        else:
            ended.set_result(result)

    Thread(target=target, name="blindspot", daemon=True).start()
    try:
        return ended.result()
    except KeyboardInterrupt:
        if ended.done():
            raise
    stop.interrupted.set()
    sys.stderr.write(STOPPING)
    return ended.result()


@contextmanager
def opened_display(show: Shown, folder: Path, stopping: IsCancelled) -> Iterator[Show]:
    """Open the display of a run, where no function takes its place.

    Args:
        folder: the run's workspace.
        stopping: whether a stop was asked for.
    Raises: SettingsError, when there is no such display.
    """
    if callable(show):
        yield show
        return
    with open_display(display_of(show), folder, stopping) as display:
        yield display


def display_of(show: object) -> Kind:
    """Choose a display by its name.

    Raises: SettingsError.
    """
    if show == "auto":
        return display_kind(quiet=False)
    for kind in KINDS:
        if show == kind:
            return kind
    raise SettingsError(f'show: {show!r}: give a function, or one of "auto", "live", "plain" and "none"')
