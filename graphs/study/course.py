"""A study under way: which of its cells are done, which comes next, and what becomes of one that fails."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from blindspot.graphs.context import Context, Progress
from blindspot.graphs.running.run import context_of, go, new_run
from blindspot.graphs.study.cells import Chosen, LoadedCell, cells_left, identity
from blindspot.graphs.study.figures import FigureWriter
from blindspot.graphs.study.remaining_time import Ended, Outlook, look_ahead, seconds_spent
from blindspot.storage.clock import now
from blindspot.storage.errors import BlindspotError, Cancelled, SettingsError, StoreError, Waiting
from blindspot.storage.ids import make_id
from blindspot.storage.records import Event, Run
from blindspot.storage.settings.sections import Settings, check_settings
from blindspot.storage.settings.study_cells import Cell
from blindspot.storage.store.store import Store
from blindspot.storage.study_records import Study
from blindspot.tools.data.review import Notice
from blindspot.tools.progress import IsCancelled


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """Where a study is, for a display."""

    number: int  # of the cell that begins, from 1
    cells: int
    cell: Cell
    outlook: Outlook


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Whom a study tells what."""

    show: Callable[[Progress], None]  # of the run in hand
    enter: Callable[[StudyProgress], None]  # a cell begins
    cancelled: IsCancelled


class StudyRunner:
    """A study under way: what there is of each cell, and what comes next."""

    def __init__(self, store: Store, study: Study, loaded_cells: Sequence[LoadedCell], callbacks: Callbacks) -> None:
        self.store, self.study, self.loaded_cells, self.callbacks = store, study, loaded_cells, callbacks
        self.runs = runs_by_identity(store, study.study_id)
        self.noticed: set[Notice] = set()  # of data sets, shown already
        self.figures = FigureWriter(store, study, loaded_cells, self.run_of)
        self.origins = {loaded.cell.origin: loaded for loaded in loaded_cells if loaded.cell.kind == "original"}

    def run_of(self, loaded: LoadedCell) -> Run | None:
        """The run that there is of a cell."""
        return self.runs.get(loaded.identity)

    def rename(self) -> None:
        """Call the runs that there are what the file calls their methods by now."""
        named = {
            loaded.identity: replace(run, method=loaded.cell.arm)
            for loaded in self.loaded_cells
            if (run := self.run_of(loaded))
        }
        self.store.put_many([run for key, run in named.items() if run != self.runs[key]])
        self.runs |= named

    def is_done(self, loaded: LoadedCell) -> bool:
        run = self.run_of(loaded)
        return run is not None and run.status == "finished" and covers(run, loaded)

    def run(self, chosen: Chosen) -> tuple[dict[str, str], dict[str, str]]:
        """Run what is left. Returns: what failed and what waits, each with its reason."""
        failed: dict[str, str] = {}
        waiting: dict[str, str] = {}
        left = self.left(chosen)
        done = sum(map(self.is_done, self.loaded_cells))
        for place, loaded in enumerate(left):
            cell = loaded.cell
            if cell.kind != "original" and not self.is_done(self.origins[cell.origin]):
                failed[str(cell)] = "its original model version is missing"
                continue
            outlook = look_ahead(left[place:], self.ended())
            self.callbacks.enter(StudyProgress(done + place + 1, done + len(left), cell, outlook))
            try:
                self.run_cell(loaded)
            except (Cancelled, StoreError):
                raise
            except Waiting as error:
                waiting[str(cell)] = str(error)
            except Exception as error:  # one cell of many: recorded, told and counted
                failed[str(cell)] = self.record_failure(loaded, error)
            self.figures.write_if_due()
        return failed, waiting

    def left(self, chosen: Chosen) -> list[LoadedCell]:
        """The cells to run, in the order of the plan, but for those that failed the last time, which come last."""
        wanted = cells_left([loaded for loaded in self.loaded_cells if not self.is_done(loaded)], chosen)
        return sorted(
            wanted, key=lambda loaded: self.has_failed(loaded) or self.has_failed(self.origins[loaded.cell.origin])
        )

    def has_failed(self, loaded: LoadedCell) -> bool:
        run = self.run_of(loaded)
        return run is not None and run.status == "failed"

    def ended(self) -> list[Ended]:
        """How long the cells took that are done."""
        done = [(loaded, run) for loaded in self.loaded_cells if self.is_done(loaded) and (run := self.run_of(loaded))]
        return [Ended(loaded.cell, seconds_spent(self.store, run.run_id)) for loaded, run in done]

    def run_cell(self, loaded: LoadedCell) -> None:
        """Begin the run of a cell, or go on with it, and see it to its end."""
        run = self.begun(loaded)
        self.runs[loaded.identity] = run
        self.store.add([loaded.dataset])
        self.store.put(run)
        context = context_of(
            loaded.checked, run, self.store, show=self.callbacks.show, cancelled=self.callbacks.cancelled
        )
        if loaded.cell.kind == "original":
            self.tell_data(context, loaded)
        self.store.publish()
        try:
            asyncio.run(go(context))
        finally:
            self.runs[loaded.identity] = self.store.one(Run, run_id=run.run_id) or run

    def tell_data(self, context: Context, loaded: LoadedCell) -> None:
        """Record what is worth knowing about a cell's data set, and show it once for all cells that have it."""
        for notice in loaded.notices:
            if notice in self.noticed:
                self.store.add([context.event(0, "data", notice.message, level=notice.level)])
            else:
                context.tell(0, "data", notice.message, level=notice.level)
        self.noticed |= set(loaded.notices)

    def begun(self, loaded: LoadedCell) -> Run:
        """The row of a cell's run as it begins or goes on.

        A run that lacks recipes or samples which the file has by now goes through its phases again, from the first;
        what each of them finds done it does not do again.
        """
        cell, known = loaded.cell, self.run_of(loaded)
        origin = self.run_of(self.origins[cell.origin]) if cell.kind != "original" else None
        run = known or new_run(self.store, loaded.checked)
        return replace(
            run,
            status="running",
            stop_reason=None,
            finished_at=None,
            settings=cell.settings.model_dump(mode="json"),
            started_at=now() if known and not covers(known, loaded) else run.started_at,
            method=cell.arm,
            study_id=self.study.study_id,
            origin_id=origin.run_id if origin else None,
        )

    def record_failure(self, loaded: LoadedCell, error: Exception) -> str:
        """Record why a cell failed, a bug with its traceback, and tell."""
        reason = str(error) if isinstance(error, BlindspotError) else f"{type(error).__name__}: {error}"
        run = self.run_of(loaded)
        assert run is not None
        if not isinstance(error, BlindspotError):
            trace = "".join(traceback.format_exception(error))
            event_id = make_id("evt", run.run_id, "failed", now())
            self.store.add([Event(event_id, run.run_id, 0, now(), "study", "error", trace)])
        self.callbacks.show(
            Progress(run.run_id, 0, "study", 0, 0, f"{loaded.cell} failed: {reason}", "error", loaded.cell.kind)
        )
        return reason


def runs_by_identity(store: Store, study_id: str) -> dict[str, Run]:
    """The runs that a study has; of two with one identity the newer one counts."""
    runs: dict[str, Run] = {}
    for run in sorted(store.rows(Run, study_id=study_id), key=lambda run: run.started_at):
        try:
            settings = check_settings(dict(run.settings), where=run.run_id)
        except SettingsError:  # an older blindspot's: no cell of today has them
            continue
        runs[identity(settings, run.dataset_id, run.kind)] = run
    return runs


def is_taught_autonomously(settings: Settings) -> bool:
    return settings.method.name == "teacher" and settings.teacher.autonomy == "autonomous"


def covers(run: Run, loaded: LoadedCell) -> bool:
    """Whether a run has all the recipes of a cell, and attacks as many test samples.

    A run whose teacher chose the steps has all that it will ever have: its teacher would have to choose them again.
    """
    attack, evaluate = run.settings["attack"], run.settings["evaluate"]
    settings = loaded.cell.settings
    if loaded.cell.kind != "original" and is_taught_autonomously(settings):
        return True
    return set(settings.attack.recipes) <= set(attack["recipes"]) and settings.evaluate.samples <= evaluate["samples"]
