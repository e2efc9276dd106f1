"""Progress of a run on standard error: live on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from blindspot.cli.show.notebook import NotebookLive, in_notebook, notebook_console
from blindspot.cli.stop import STOPPING
from blindspot.cli.terminal import progress_console, visible
from blindspot.storage.errors import StoreError
from blindspot.tools.progress import ignore

if TYPE_CHECKING:
    from blindspot.graphs.context import PhasesName, Progress

Show = Callable[["Progress"], None]
Kind = Literal["live", "plain", "none"]

LINE_EVERY_S = 9.0  # of plain progress: with a phase that shows itself every second, never 10 s of silence
RATE_OVER_S = 300.0  # a step of training may take half a minute
LOOK_EVERY_S = 5.0  # at the counts in the results
LEVEL_STYLES = {"info": "default", "warning": "yellow", "error": "red"}


def display_kind(*, quiet: bool) -> Kind:
    """Choose a display: live needs a notebook, or a terminal that can move its cursor."""
    if quiet:
        return "none"
    is_live = in_notebook() or (sys.stderr.isatty() and not progress_console().is_dumb_terminal)
    return "live" if is_live else "plain"


@contextmanager
def open_display(kind: Kind, folder: Path, stopping: Callable[[], bool]) -> Iterator[Show]:
    """Open a display. `show` may be called from any thread.

    Args:
        folder: the run's workspace.
        stopping: whether a stop was asked for.
    """
    if kind == "live":
        display = LiveDisplay(live_console(), folder, stopping)
        with display.live:
            yield display.show
    else:
        yield PlainDisplay().show if kind == "plain" else ignore


def live_console() -> Console:
    """The console of a live display."""
    return notebook_console() if in_notebook() else progress_console()


def phase_name(phase: str, kind: PhasesName = "mitigation") -> str:
    """A phase for people; where nobody teaches, rows are added in the teacher's place."""
    return "add rows" if (phase, kind) == ("teach", "baseline") else phase.replace("_", " ")


def message_of(progress: Progress) -> str:
    """A message, safe to print, with its level where that is not mere information."""
    level = "" if progress.level == "info" else f"{progress.level}: "
    return level + visible(progress.message)


class PlainDisplay:
    """A line for each finished phase, and at least one in ten seconds within it."""

    def __init__(self) -> None:
        self.at: tuple[int, str, int] | None = None  # round, phase, total
        self.began_at = 0.0  # the phase in hand, whatever it has counted since
        self.first: tuple[int, float] = (0, 0.0)  # items done, and when, where the rate is counted from
        self.last = 0  # items done
        self.line_at = 0.0

    def show(self, progress: Progress) -> None:
        if progress.message:
            self.write(progress, message_of(progress))
            return
        now, at = time.monotonic(), (progress.round, progress.phase, progress.total)
        if self.at is None or at[:2] != self.at[:2]:
            self.began_at = self.line_at = now
        if at != self.at or progress.done < self.last:
            self.at, self.first = at, (progress.done, now)
        self.last = progress.done
        if now - self.line_at >= LINE_EVERY_S:
            self.line_at = now
            self.write(progress, self.how_far(progress, now))

    def how_far(self, progress: Progress, now: float) -> str:
        """Say what is done and left, or only how long the phase has been at work where that is not known."""
        if progress.done >= progress.total:  # nothing counted yet, or a part without a count after one that is through
            return f"at work, {clock(now - self.began_at)}"
        rate = (progress.done - self.first[0]) / max(now - self.first[1], 1e-9)
        left = f", {pace(rate)}, {clock((progress.total - progress.done) / rate)} left" if rate else ""
        return f"{progress.done} of {progress.total}{left}"

    def write(self, progress: Progress, text: str) -> None:
        where = f"round {progress.round} " if progress.round else ""
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {where}{phase_name(progress.phase, progress.kind)}: {text}\n")
        sys.stderr.flush()


class LiveDisplay:
    """Finished phases above, a panel with the phase in hand below them."""

    def __init__(self, console: Console, folder: Path, stopping: Callable[[], bool]) -> None:
        self.console, self.folder, self.stopping = console, folder, stopping
        self.lock = Lock()  # between the bar that goes and the one that comes
        self.progress: Progress | None = None  # of the phase in hand
        self.begun: set[str] = set()  # phases of the round in hand
        self.round = 0  # of the last line above
        self.counts = ""
        self.looked_at = self.began_at = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(None), Done(), TimeRemainingColumn())
        self.bars = Bars(*columns, console=console, expand=True, speed_estimate_period=RATE_OVER_S)
        self.bar = self.bars.add_task("loading", total=None)
        self.live: AbstractContextManager[object] = (
            NotebookLive(console, self.render)
            if in_notebook()
            else Live(console=console, get_renderable=self.render, refresh_per_second=5, transient=True)
        )

    def show(self, progress: Progress) -> None:
        if progress.message:
            self.print(progress)
            return
        with self.lock:
            self.advance(progress)

    def advance(self, progress: Progress) -> None:
        """Move the bar, or begin a new one."""
        before, self.progress = self.progress, progress
        self.begun = ({*self.begun} if before and before.round == progress.round else set()) | {progress.phase}
        where = (progress.round, progress.phase, progress.total)
        if before is None or where != (before.round, before.phase, before.total) or progress.done < before.done:
            self.bars.remove_task(self.bar)  # `reset` cannot make a total unknown
            name = phase_name(progress.phase, progress.kind)
            self.bar = self.bars.add_task(name, total=progress.total or None, completed=progress.done)
        else:
            self.bars.update(self.bar, completed=progress.done)

    def print(self, progress: Progress) -> None:
        """Leave a line for good."""
        if progress.round > self.round:
            self.round = progress.round
            self.console.print(f"round {progress.round}", style="bold")
        line = Table.grid(padding=(0, 2))
        line.add_column(width=17, style="cyan")
        line.add_row(
            phase_name(progress.phase, progress.kind), Text(message_of(progress), style=LEVEL_STYLES[progress.level])
        )
        self.console.print(line)

    def render(self) -> Panel:
        """Draw the panel; called by the refreshing thread."""
        self.look()
        bottom = " · ".join(part for part in (self.counts, clock(time.monotonic() - self.began_at)) if part)
        lines = [self.phases(), self.bars.get_renderable(), Text(bottom, style="dim")]
        if self.stopping():
            lines.append(Text(STOPPING, style="yellow"))
        width = self.console.width - 4  # the terminal writes ^C behind the last line; it must not wrap
        return Panel(Group(*lines), title=self.title(), title_align="left", border_style="dim", width=width)

    def title(self) -> str:
        if self.progress is None:
            return "blindspot"
        return f"{self.progress.run_id} · round {self.progress.round}" if self.progress.round else self.progress.run_id

    def phases(self) -> Text:
        """All phases, those behind us ticked, the one in hand marked."""
        if self.progress is None:
            return Text("loading…")
        from blindspot.graphs.kinds.kinds import PHASES
        from blindspot.graphs.kinds.mitigation import BEFORE_CHOICES

        all_phases = PHASES[self.progress.kind]
        at = all_phases.index(self.progress.phase) if self.progress.phase in all_phases else 0
        behind = set(all_phases[:at])
        if self.progress.kind == "autonomous" and self.progress.round:  # any phase may come next, or come again
            behind = self.begun | set(BEFORE_CHOICES)
        kind = self.progress.kind
        parts = [
            Text(phase_name(name, kind), style="bold cyan reverse")
            if name == self.progress.phase
            else Text(f"✓ {phase_name(name, kind)}", style="green")
            if name in behind
            else Text(phase_name(name, kind), style="dim")
            for name in all_phases
        ]
        return Text("  ").join(parts)

    def look(self) -> None:
        """Read the counts that are published, every few seconds."""
        if self.progress is None or time.monotonic() - self.looked_at < LOOK_EVERY_S:
            return
        from blindspot.cli.show.summary import count_so_far
        from blindspot.storage.analysts.results import Results

        try:
            with Results.open(self.folder) as results:
                self.counts = count_so_far(results, self.progress.run_id)
        except StoreError:  # what cannot be read now is read next time; the run itself is not touched
            self.counts = ""
        self.looked_at = time.monotonic()


class Done(ProgressColumn):
    """Items done, of how many, and how many a second."""

    def render(self, task: Task) -> Text:
        if not task.total:
            return Text()
        rate = f"  {pace(task.speed)}" if task.speed else ""
        return Text(f"{task.completed:.0f} of {task.total:.0f}{rate}")


def pace(rate: float) -> str:
    """Items a second, or a minute where that would be a small fraction."""
    return f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.1f}/min"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, e.g. "0:03:21"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
