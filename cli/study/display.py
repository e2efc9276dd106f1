"""Progress of a study: the display of the run in hand, with the cell, and the time that is left, above it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from blindspot.cli.show.display import Kind, LiveDisplay, PlainDisplay, live_console, phase_name
from blindspot.cli.terminal import visible
from blindspot.tools.progress import ignore

if TYPE_CHECKING:
    from blindspot.graphs.context import Progress
    from blindspot.graphs.study.course import StudyProgress
    from blindspot.graphs.study.remaining_time import Outlook

TOLD_OF = (("original", "evaluate_original"), ("mitigation", "evaluate"))  # kinds of run and phases that leave a line


class StudyDisplay(Protocol):
    """What a study tells; both may be called from any thread."""

    def show(self, progress: Progress) -> None:
        """Of the run in hand."""

    def enter(self, place: StudyProgress) -> None:
        """A cell begins."""


@contextmanager
def open_study_display(kind: Kind, folder: Path, stopping: Callable[[], bool]) -> Iterator[StudyDisplay]:
    """Open a display, as `open_display` does for a run."""
    if kind == "live":
        display = LiveStudy(folder, stopping)
        with display.live:
            yield display
    else:
        yield PlainStudy() if kind == "plain" else SilentStudy()


class SilentStudy:
    """Shows nothing."""

    show = staticmethod(ignore)

    def enter(self, place: StudyProgress) -> None:
        """Show nothing."""


class At:
    """The cell in hand, and since when."""

    def __init__(self, place: StudyProgress) -> None:
        self.place = place
        self.since = time.monotonic()

    def __str__(self) -> str:
        return f"cell {self.place.number} of {self.place.cells}"

    def left(self) -> str:
        """The time that is left, in words."""
        return outlook_in_words(self.place.outlook, time.monotonic() - self.since)


class PlainStudy(PlainDisplay):
    """A line for each cell and each finished phase of it, and one every ten seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.cell: At | None = None

    def enter(self, place: StudyProgress) -> None:
        """Write which cell begins."""
        self.cell = At(place)
        self.say(f"{self.cell}, {visible(str(place.cell))}: {self.cell.left()}")

    def write(self, progress: Progress, text: str) -> None:
        where = f"round {progress.round} " if progress.round else ""
        left = "" if progress.message or self.cell is None else f"; {self.cell.left()}"
        self.say(f"{self.cell} {where}{phase_name(progress.phase)}: {text}{left}")

    def say(self, text: str) -> None:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
        sys.stderr.flush()


class LiveStudy(LiveDisplay):
    """How each cell ended above, a panel with the phase in hand below."""

    def __init__(self, folder: Path, stopping: Callable[[], bool]) -> None:
        self.cell: At | None = None  # the display draws itself as soon as it is there
        super().__init__(live_console(), folder, stopping)

    def enter(self, place: StudyProgress) -> None:
        """Leave a line with the cell that begins."""
        self.cell = At(place)
        self.begun, self.round = set(), 0
        self.console.print(f"{self.cell}: {visible(str(place.cell))}", style="bold")

    def print(self, progress: Progress) -> None:
        """Leave a line of what matters once a cell is done."""
        if (progress.kind, progress.phase) in TOLD_OF or progress.level != "info":
            super().print(progress)

    def title(self) -> str:
        if self.cell is None:
            return super().title()
        return f"{self.cell} · {visible(str(self.cell.place.cell))} · {self.cell.left()}"


def outlook_in_words(outlook: Outlook, elapsed_s: float) -> str:
    """Say how long a study will take from here, e.g. "about 48 min left"."""
    minutes = max(1, math.ceil(outlook.left_s(elapsed_s) / 60))
    time_left = f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    rough = ", a rough guess from sizes" if outlook.is_rough else ""
    return f"about {time_left} left{rough}"
