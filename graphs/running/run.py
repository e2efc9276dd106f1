"""Starting and resuming runs: checks before anything is written, one checkpointed graph, an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from langchain_core.runnables import RunnableConfig

from blindspot.agents.teachers.forecast import Forecast
from blindspot.agents.teachers.given import NOBODY, Given
from blindspot.graphs.checkpoints import forget, is_known, open_checkpoints, thread_of
from blindspot.graphs.context import Context, Progress, State
from blindspot.graphs.kinds.kinds import KINDS
from blindspot.graphs.preflight.preflight import Checked, Preflight
from blindspot.graphs.running.mend import mend_settings
from blindspot.storage.clock import now
from blindspot.storage.errors import Cancelled, StoreError, Waiting
from blindspot.storage.records import Run, ToolCall
from blindspot.storage.settings.file import Overrides
from blindspot.storage.settings.sections import Settings, check_settings
from blindspot.storage.store.store import Store
from blindspot.storage.words import RunKindName, RunStatus
from blindspot.storage.workspace import Workspace
from blindspot.tools.data.review import Notice
from blindspot.tools.progress import IsCancelled

PACKAGES = (
    "blindspot",
    "torch",
    "transformers",
    "textattack",
    "bert-score",
    "langgraph",
    "duckdb",
    "openai",
    "anthropic",
)


def start_run(
    settings: Settings,
    *,
    show: Callable[[Progress], None],
    cancelled: IsCancelled,
    kind: RunKindName = "mitigation",
    forecast: Forecast | None = None,
    teachers: Given = NOBODY,
) -> Run:
    """Check everything that can be checked, then run to the end.

    Args:
        kind: "mitigation", "attack" for attacks and their statistics alone, "comparison" of teachers, or "original" for
            an original model version that others repair.
        forecast: what its teaching was forecast to take, to be told and recorded first.
        teachers: those that are objects; the settings name each of them by its spec.
    Returns: the run as it ended.
    Raises: OperatorError, before anything is written where the settings, the data, the model or the teacher are at
        fault. Cancelled, when stopped; Waiting, for answers in files; `resume_run` goes on.
    """
    preflight, of_kind = Preflight(teachers), KINDS[kind]
    preflight.check_asked(of_kind.teachers(settings))
    checked = preflight.check(settings, of_kind)
    if cancelled():
        raise Cancelled("stopped before the run began")
    workspace = Workspace(Path(settings.run.workspace).expanduser().resolve())
    with Store.open(workspace.folder) as store:
        run = new_run(store, checked)
        context = context_of(checked, run, store, show=show, cancelled=cancelled)
        beginning = [("data", notice) for notice in checked.notices]
        beginning += [("forecast", Notice(str(forecast), "info"))] if forecast else []
        events = [context.event(0, phase, notice.message, level=notice.level) for phase, notice in beginning]
        store.add([checked.dataset, run, *events])  # a kill leaves all of a run's beginning, or nothing
        store.publish()
        for phase, notice in beginning:
            context.tell(0, phase, notice.message, level=notice.level)
        return asyncio.run(go(context))


def resume_run(
    folder: Path,
    run_id: str | None,
    *,
    show: Callable[[Progress], None],
    cancelled: IsCancelled,
    overrides: Overrides = (),
    skip_unanswered: bool = False,
    teachers: Given = NOBODY,
) -> Run:
    """Go on with a run that waits, or was stopped or killed: the one named, or the newest that is not finished.

    Args:
        overrides: settings to change first, `section.key=value`; see `mend_settings` for which may.
        skip_unanswered: give up on questions that wait for answers in files.
        teachers: those that are objects, again.
    Raises: StoreError, when there is none. OperatorError, Cancelled, Waiting, as `start_run`.
    """
    workspace = Workspace(folder.expanduser().resolve())
    if not (workspace.store.exists() or workspace.results.exists()):  # a store that is gone begins with the results
        raise StoreError(f"{workspace.folder}: has no store.duckdb, so there is no run to resume")
    with Store.open(workspace.folder) as store:
        store.publish()  # a run may have ended where there was no room for that
        run, mended = mend_settings(store, find_unfinished(store, run_id, workspace), overrides)
        settings = check_settings(dict(run.settings), where=f"settings of {run.run_id}")
        preflight, kind = Preflight(teachers), KINDS[run.kind]
        preflight.check_asked(kind.teachers(settings))
        checked = preflight.check(settings, kind, resumed=run)
        store.add(mended)
        store.put(replace(run, status="running", stop_reason=None, finished_at=None))
        store.publish()
        context = context_of(checked, run, store, show=show, cancelled=cancelled, skip_unanswered=skip_unanswered)
        return asyncio.run(go(context))


def context_of(
    checked: Checked,
    run: Run,
    store: Store,
    *,
    show: Callable[[Progress], None],
    cancelled: IsCancelled,
    skip_unanswered: bool = False,
) -> Context:
    """What the nodes of a run work with.

    Args:
        skip_unanswered: as for `resume_run`.
    """
    return Context(
        run_id=run.run_id,
        settings=checked.settings,
        store=store,
        workspace=store.workspace,
        source=checked.source,
        dataset=checked.dataset,
        cancelled=cancelled,
        show=show,
        phases=checked.kind.phases_of(checked.settings),
        skip_unanswered=skip_unanswered,
        teachers=checked.teachers,
    )


def new_run(store: Store, checked: Checked) -> Run:
    """Make the row of a run that begins, with the next number of its name; it is not added."""
    settings = checked.settings
    earlier = [int(run.run_id.rpartition("-")[2]) for run in store.rows(Run, name=settings.run.name)]
    number = 1 + max(earlier, default=0)  # a count would give a number that is taken, where one was deleted
    return Run(
        run_id=f"{settings.run.name}-{number}",
        name=settings.run.name,
        status="running",
        settings=settings.model_dump(mode="json"),
        seed=settings.run.seed,
        teacher=checked.kind.teacher_of(settings),
        dataset_id=checked.dataset.dataset_id,
        tau=settings.run.tau,
        versions={package: version(package) for package in PACKAGES},
        started_at=now(),
        kind=checked.kind.name,
        method=settings.method.name,
    )


def find_unfinished(store: Store, run_id: str | None, workspace: Workspace) -> Run:
    """Find the run to resume."""
    runs = sorted(store.rows(Run), key=lambda run: run.started_at)
    if run_id:
        named = [run for run in runs if run.run_id == run_id]
        if not named:
            names = ", ".join(run.run_id for run in runs) or "none"
            raise StoreError(f"{workspace.folder}: no run {run_id}; there are: {names}")
        if named[0].status == "finished":
            raise StoreError(f"{run_id} is finished ({named[0].stop_reason}); there is nothing to resume")
        return named[0]
    unfinished = [run for run in runs if run.status != "finished"]
    if not unfinished:
        raise StoreError(f"{workspace.folder}: every run is finished; there is nothing to resume")
    return unfinished[-1]


async def go(context: Context) -> Run:
    """Run the graph from where its checkpoint is, to the end, and let go of the teachers that it was given."""
    try:
        return await go_on(context)
    finally:
        for teacher in context.teachers.values():
            await teacher.end()


async def go_on(context: Context) -> Run:
    """Run the graph from where its checkpoint is, to the end."""
    thread = thread_of(this_run(context))
    config: RunnableConfig = {"configurable": {"thread_id": thread}, "recursion_limit": 100_000}
    start = State(run_id=context.run_id, round=0, model_id="", new_model_id=None, stop=None)
    try:
        async with open_checkpoints(context.workspace.checkpoints) as saver:
            graph = KINDS[this_run(context).kind].build().compile(checkpointer=saver)
            known = await is_known(graph, config, start, context.workspace.checkpoints)
            if not known:
                go_on_from_rows(context)
            # an input would start again at START over the old values
            await graph.ainvoke(None if known else start, config, context=context, durability="sync")
            ended = await graph.aget_state(config)
    except Cancelled:
        close_run(context, status="stopped", reason="stopped by the operator")
        raise
    except Exception as error:
        with suppress(StoreError):  # of a store that is broken too, the first error is the one to tell
            close_run(context, status="failed", reason=f"{type(error).__name__}: {error}")
        raise
    if ended.interrupts:  # re-invoked without an input, the interrupted node begins again
        reason = "; ".join(str(waits.value) for waits in ended.interrupts)
        close_run(context, status="waiting", reason=reason)
        raise Waiting(reason)
    close_run(context, status="finished", reason=ended.values["stop"])
    await asyncio.to_thread(forget, context.workspace.checkpoints, [thread])  # nobody goes on from there any more
    return this_run(context)


def go_on_from_rows(context: Context) -> None:
    """Say so where a run has done phases but has no checkpoint any more: its rows spare it doing them again.

    Raises: StoreError, where a teacher has chosen phases: what it chose is lost with the checkpoint.
    """
    phases = context.store.values(ToolCall, "tool", run_id=context.run_id, caller="graph")
    path = context.workspace.checkpoints
    if "decide" in phases:
        raise StoreError(
            f"{path} holds no checkpoint of {context.run_id}, which cannot go on without it, because a teacher chooses "
            "its steps; put a copy of that file back, or start a new run: the rows of this one are kept"
        )
    if phases:
        message = f"{path.name} holds no checkpoint of this run: it goes on from its rows"
        context.show(Progress(context.run_id, 0, "resume", 0, 0, message, "warning", context.phases))


def this_run(context: Context) -> Run:
    run = context.store.one(Run, run_id=context.run_id)
    assert run is not None
    return run


def close_run(context: Context, *, status: RunStatus, reason: str) -> None:
    """Note how a run ended, and publish."""
    context.store.put(replace(this_run(context), status=status, stop_reason=reason, finished_at=now()))
    context.store.publish()
