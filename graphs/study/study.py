"""Studies: the cells of a study.toml, one after the other, in one process that holds one store.

A cell is an ordinary run. It is identified by the settings that its rows depend on, and by its data set: a study that
is started again, or with a changed file, goes on with the cells that are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from blindspot.agents.teachers.forecast import Forecast
from blindspot.agents.teachers.given import NOBODY, Given
from blindspot.graphs.study.cells import Chosen, LoadedCell, cells_left, choose_cells, inspect_cells
from blindspot.graphs.study.course import Callbacks, StudyRunner
from blindspot.graphs.study.remaining_time import Outlook, forecast_spend, look_ahead
from blindspot.storage.clock import now
from blindspot.storage.errors import Cancelled
from blindspot.storage.settings.study_cells import StudyPlan
from blindspot.storage.store.store import Store
from blindspot.storage.study_records import Study
from blindspot.storage.words import StudyStatus
from blindspot.storage.workspace import Workspace
from blindspot.tools.progress import ignore


@dataclass(frozen=True, slots=True)
class StudyEnd:
    """How a study ended."""

    study: Study
    done: int  # cells, those of earlier starts too
    failed: Mapping[str, str]  # cell -> why
    waiting: Mapping[str, str]  # cell -> what for
    left: int  # cells that were not asked for


def run_study(
    plan: StudyPlan, callbacks: Callbacks, *, chosen: Chosen = lambda _: True, teachers: Given = NOBODY
) -> StudyEnd:
    """Run every cell that is not done yet; one that fails is recorded and told, and the others go on.

    Args:
        chosen: which cells to run this time; the original model versions that they need run all the same.
        teachers: those that are objects; methods name each of them by its spec.
    Raises: OperatorError, before anything is written where the settings, the data, a model or a teacher are at fault.
        StoreError. Cancelled, when stopped: the same call goes on.
    """
    loaded_cells = inspect_cells(plan, teachers)
    if callbacks.cancelled():
        raise Cancelled("stopped before the study began")
    workspace = Workspace(plan.workspace.expanduser().resolve())
    with Store.open(workspace.folder) as store:
        study = begin_study(store, plan)
        runner = StudyRunner(store, study, loaded_cells, callbacks)
        runner.figures.resamples = plan.axes.resamples
        runner.rename()
        try:
            failed, waiting = runner.run(chosen)
        except Cancelled:
            runner.figures.write()
            close_study(store, study, "stopped")
            raise
        runner.figures.write()
        done = sum(runner.is_done(loaded) for loaded in loaded_cells)
        left = len(loaded_cells) - done - len(failed) - len(waiting)
        status: StudyStatus = "failed" if failed else "stopped" if left or waiting else "finished"
        return StudyEnd(close_study(store, study, status), done, failed, waiting, left)


def look_at_study(
    plan: StudyPlan, only: Iterable[str], teachers: Given = NOBODY
) -> tuple[list[LoadedCell], Outlook, Forecast | None]:
    """See which cells are left, and what they will take; nothing is written.

    Returns: the cells, in the order in which they will run; their time; and the bill of their teachers, None where
        nobody sends one.
    Raises: OperatorError, as `run_study`.
    """
    loaded_cells, chosen = inspect_cells(plan, teachers), choose_cells(only, plan)
    workspace = Workspace(plan.workspace.expanduser().resolve())
    if not workspace.store.exists():
        left = cells_left(loaded_cells, chosen)
        return left, look_ahead(left, ()), forecast_spend(left)
    with Store.open(workspace.folder) as store:
        study = store.one(Study, name=plan.axes.name) or Study("", plan.axes.name, "running", plan.table, now())
        runner = StudyRunner(store, study, loaded_cells, Callbacks(ignore, ignore, lambda: False))
        left = runner.left(chosen)
        return left, look_ahead(left, runner.ended()), forecast_spend(left)


def begin_study(store: Store, plan: StudyPlan) -> Study:
    """Note that a study begins or goes on: one name, one study, whatever has changed in its file."""
    known = store.one(Study, name=plan.axes.name)
    study = Study(
        study_id=known.study_id if known else f"{plan.axes.name}-1",
        name=plan.axes.name,
        status="running",
        settings=plan.table,
        started_at=known.started_at if known else now(),
    )
    store.put(study)
    return study


def close_study(store: Store, study: Study, status: StudyStatus) -> Study:
    """Note how a study ended, and publish."""
    ended = replace(study, status=status, finished_at=now())
    store.put(ended)
    store.publish()
    return ended
