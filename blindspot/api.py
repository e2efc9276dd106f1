"""Runs and studies from Python: what `blindspot` exports, and what its commands call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blindspot.agents.teachers.forecast import Forecast
from blindspot.agents.teachers.given import NOBODY, Given, GivenTeacher, given
from blindspot.agents.teachers.teacher import Teacher
from blindspot.cli.show.summary import Summary, read_summary
from blindspot.cli.study.display import open_study_display
from blindspot.graphs.preflight.forecast import forecast_run
from blindspot.graphs.running.run import resume_run, start_run
from blindspot.graphs.study.cells import choose_cells
from blindspot.graphs.study.course import Callbacks, StudyProgress
from blindspot.graphs.study.study import StudyEnd, look_at_study, run_study
from blindspot.storage.analysts.results import Results, open_results
from blindspot.storage.errors import SettingsError
from blindspot.storage.records import Run
from blindspot.storage.settings.file import Overrides, Source, load_settings
from blindspot.storage.settings.sections import Settings
from blindspot.storage.settings.study_cells import StudyPlan, load_study
from blindspot.storage.words import RunKindName
from blindspot.tools.progress import IsCancelled, ignore, never
from blindspot.working import Shown, Stop, display_of, opened_display, work_in_thread


@dataclass(frozen=True, slots=True, repr=False)
class RunEnd:
    """A run as it ended, and where it lies."""

    run: Run  # its row in the store
    workspace: Path

    @property
    def run_id(self) -> str:
        """The name of the run, e.g. "mrpc-1": what `resume`, the commands and rows call it by."""
        return self.run.run_id

    @property
    def kind(self) -> str:
        """What it was: mitigation, attack or comparison."""
        return self.run.kind

    def results(self) -> Results:
        """Open the results of its workspace; see `open_results`."""
        return open_results(self.workspace)

    def summary(self) -> Summary:
        """What a mitigation changed: UUs, accuracy and calibration before and after, with intervals; and what it cost.

        `final_folder` has the weights of the model version that was kept.
        """
        with self.results() as results:
            return read_summary(results, self.run_id)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.run_id} in {self.workspace}: {self.run.status}, {self.run.stop_reason}>"


def run(
    settings: Source,
    *,
    overrides: Overrides = (),
    teacher: str | Teacher | None = None,
    agreed: bool | Forecast = False,
    show: Shown = "auto",
    cancelled: IsCancelled = never,
) -> RunEnd:
    """Find UUs, have them explained, retrain and measure, round by round, to the end.

    It works in a thread of its own, in the cell of a notebook too, and returns when the run has ended. An interrupt
    (Ctrl-C, "interrupt the kernel") stops it after the item in hand.

    Args:
        settings: a TOML file, a mapping of sections, or settings; see `load_settings`.
        overrides: single settings to change.
        teacher: in place of `teacher.spec`: another spec, or an object with the methods of `Teacher`.
        agreed: True: run, whatever the teacher may cost; a forecast: this one was agreed to; False: refuse where it
            may cost more than `teacher.confirm_usd`.
        show: a function that is called with each `Progress`, from several threads; or "live", "plain" or "none".
        cancelled: asked between two items whether to stop.
    Returns: the run as it ended.
    Raises: OperatorError, before anything is written where the settings, the data, a model or the teacher are at
        fault, or in the middle of the run. Cancelled, when stopped; Waiting, for answers in files. `resume` goes on.
    """
    table = load_settings(settings, overrides)
    specs, objects = told_apart([] if teacher is None else [teacher])
    if specs:
        table = load_settings(table, {"teacher.spec": specs[0]})
    return start(table, "mitigation", objects, agreed, show, cancelled)


def attack(
    settings: Source, *, overrides: Overrides = (), show: Shown = "auto", cancelled: IsCancelled = never
) -> RunEnd:
    """Run TextAttack's recipes against a classifier: nothing is taught, and no model is changed.

    Args:
        settings, overrides, show, cancelled: as for `run`. `attack.split` says which samples are attacked.
    Returns: the run as it ended; its rows are in the table `attacks`.
    Raises: as `run`.
    """
    return start(load_settings(settings, overrides), "attack", NOBODY, False, show, cancelled)


def compare(
    settings: Source,
    *,
    overrides: Overrides = (),
    teachers: Iterable[str | Teacher] = (),
    agreed: bool | Forecast = False,
    show: Shown = "auto",
    cancelled: IsCancelled = never,
) -> RunEnd:
    """Give the same UUs to several teachers, to see what each makes of them; no model is retrained.

    Args:
        settings, overrides, agreed, show, cancelled: as for `run`.
        teachers: two or more, specs or objects, in place of `compare.teachers`.
    Returns: the run as it ended; what became of each teacher is in the table `teacher_comparisons`.
    Raises: as `run`.
    """
    table = load_settings(settings, overrides)
    specs, objects = told_apart(teachers)
    if specs:
        table = load_settings(table, {"compare.teachers": specs})
    return start(table, "comparison", objects, agreed, show, cancelled)


def resume(
    workspace: str | Path,
    run_id: str | None = None,
    *,
    overrides: Overrides = (),
    teacher: Teacher | Sequence[Teacher] = (),
    skip_unanswered: bool = False,
    show: Shown = "auto",
    cancelled: IsCancelled = never,
) -> RunEnd:
    """Go on with a run that waits, or was stopped or killed, or failed; nothing that is done is done again.

    Args:
        workspace: the folder that `run.workspace` named.
        run_id: the run; None: the newest that is not finished.
        overrides: settings to change first; those that rows depend on already are refused.
        teacher: the object that the run was given as its teacher, again; all of them for a comparison.
        skip_unanswered: give up on questions that wait for answers in files.
        show, cancelled: as for `run`.
    Returns: the run as it ended.
    Raises: StoreError, where there is none to go on with. As `run`.
    """
    folder = Path(workspace).expanduser().resolve()
    teachers = given(teacher if isinstance(teacher, Sequence) else [teacher])

    def work(stop: Stop) -> Run:
        with opened_display(show, folder, stop.asked) as shown:
            return resume_run(
                folder,
                run_id,
                show=shown,
                cancelled=stop.asked,
                overrides=overrides,
                skip_unanswered=skip_unanswered,
                teachers=teachers,
            )

    return RunEnd(work_in_thread(work, cancelled), folder)


def study(
    plan: str | Path | Mapping[str, Any] | StudyPlan,
    *,
    overrides: Overrides = (),
    only: Iterable[str] = (),
    teachers: Iterable[Teacher] = (),
    agreed: bool = False,
    show: Shown = "auto",
    enter: Callable[[StudyProgress], None] | None = None,
    cancelled: IsCancelled = never,
) -> StudyEnd:
    """Run what is left of a study: data sets x classifiers x recipes x methods x seeds.

    Args:
        plan: a study.toml, a mapping of the same sections, or a plan that was loaded.
        overrides: single settings to change; none, where the plan was loaded already.
        only: the cells to run this time, as "axis=value".
        teachers: objects; a method of the study names each of them by its spec, as "object:NAME".
        agreed, show, cancelled: as for `run`.
        enter: called with the place of each cell that begins.
    Returns: how it ended: a cell that failed or waits is named there, and raises nothing. The tables `study_figures`
        and `studies` have its figures.
    Raises: OperatorError, before anything is written. StoreError. Cancelled, when stopped: the same call goes on.
    """
    read = plan if isinstance(plan, StudyPlan) else load_study(plan, overrides)
    objects, wanted = given(teachers), list(only)
    chosen = choose_cells(wanted, read)

    def work(stop: Stop) -> StudyEnd:
        if not agreed:
            refuse_spend_of(read, wanted, objects)
        if callable(show):
            return run_study(read, Callbacks(show, enter or ignore, stop.asked), chosen=chosen, teachers=objects)
        with open_study_display(display_of(show), read.workspace, stop.asked) as display:
            callbacks = Callbacks(display.show, enter or display.enter, stop.asked)
            return run_study(read, callbacks, chosen=chosen, teachers=objects)

    return work_in_thread(work, cancelled)


def told_apart(teachers: Iterable[str | Teacher]) -> tuple[list[str], Given]:
    """The specs of teachers, those of objects too, and the objects by their specs.

    Raises: SettingsError, as `given`.
    """
    specs: list[str] = []
    objects: dict[str, GivenTeacher] = {}
    for teacher in teachers:
        own = {} if isinstance(teacher, str) else given([teacher])
        specs += [teacher] if isinstance(teacher, str) else own
        objects |= own
    return specs, objects


def start(
    settings: Settings, kind: RunKindName, teachers: Given, agreed: bool | Forecast, show: Shown, cancelled: IsCancelled
) -> RunEnd:
    """Start a run of a kind, once what its teacher may cost is agreed to."""
    folder = Path(settings.run.workspace).expanduser().resolve()

    def work(stop: Stop) -> Run:
        forecast = agreed if isinstance(agreed, Forecast) else forecast_run(settings, kind, teachers)
        if not agreed:
            refuse(forecast, settings.teacher.confirm_usd)
        with opened_display(show, folder, stop.asked) as shown:
            return start_run(
                settings, show=shown, cancelled=stop.asked, kind=kind, forecast=forecast, teachers=teachers
            )

    return RunEnd(work_in_thread(work, cancelled), folder)


def refuse_spend_of(plan: StudyPlan, only: Iterable[str], teachers: Given) -> None:
    """Refuse a study whose teachers may cost more than the settings allow unasked.

    Raises: SettingsError.
    """
    teaching = [cell.settings.teacher for cell in plan.cells if cell.settings.method.name == "teacher"]
    if teaching:
        _, _, spend = look_at_study(plan, only, teachers)
        refuse(spend, min(teacher.confirm_usd for teacher in teaching))


def refuse(forecast: Forecast | None, confirm_usd: float) -> None:
    """Refuse to spend more than the settings allow unasked.

    Raises: SettingsError.
    """
    if forecast and forecast.may_pass(confirm_usd):
        raise SettingsError(
            f"the teacher may cost more than teacher.confirm_usd = {confirm_usd:g} ({forecast}): agreed=True goes on, "
            "teacher.max_usd caps what is spent"
        )
