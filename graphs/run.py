"""Starting and resuming runs: checks before anything is written, one checkpointed graph, an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from blindspot.agents.teacher import TeacherSpec
from blindspot.graphs.mitigation import build_mitigation
from blindspot.graphs.state import Context, Progress, State
from blindspot.graphs.teach import check_teacher
from blindspot.storage.errors import Cancelled, SettingsError, StoreError
from blindspot.storage.records import Dataset, Run, now
from blindspot.storage.settings import DataSection, Settings, check_settings
from blindspot.storage.store import Store
from blindspot.storage.workspace import Workspace
from blindspot.tools.datasets import DataSource, inspect
from blindspot.tools.progress import Cancelled as IsCancelled

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


def start_run(settings: Settings, *, show: Callable[[Progress], None], cancelled: IsCancelled) -> Run:
    """Check everything that can be checked, then run to the end.

    Returns: the run as it ended.
    Raises: OperatorError, before anything is written where the settings, the data, the model or the teacher are at
        fault. Cancelled, when stopped; `resume_run` goes on.
    """
    source = source_of(settings.data, name=settings.run.name, seed=settings.run.seed)
    check_teacher(settings.teacher)
    check_classifier(settings)
    dataset = inspect(source)
    check_recipes(settings)
    workspace = Workspace(Path(settings.run.workspace).expanduser().resolve())
    with Store.open(workspace.folder) as store:
        number = 1 + store.count(Run, name=settings.run.name)
        run = Run(
            run_id=f"{settings.run.name}-{number}",
            name=settings.run.name,
            status="running",
            settings=settings.model_dump(mode="json"),
            seed=settings.run.seed,
            teacher=str(TeacherSpec.parse(settings.teacher.spec)),
            dataset_id=dataset.dataset_id,
            tau=settings.run.tau,
            versions={package: version(package) for package in PACKAGES},
            started_at=now(),
        )
        store.add([dataset])
        store.add([run])
        store.publish()
        context = Context(run.run_id, settings, store, workspace, source, dataset, cancelled, show)
        return asyncio.run(go(context))


def resume_run(folder: Path, run_id: str | None, *, show: Callable[[Progress], None], cancelled: IsCancelled) -> Run:
    """Go on with a run that was stopped or killed: the one named, or the newest that is not finished.

    Raises: StoreError, when there is none. OperatorError, Cancelled, as `start_run`.
    """
    workspace = Workspace(folder.expanduser().resolve())
    if not workspace.store.exists():
        raise StoreError(f"{workspace.folder}: holds no store.duckdb, so there is no run to resume")
    with Store.open(workspace.folder) as store:
        run = find_unfinished(store, run_id, workspace)
        settings = check_settings(dict(run.settings), where=f"settings of {run.run_id}")
        source = source_of(settings.data, name=settings.run.name, seed=settings.run.seed)
        check_teacher(settings.teacher)
        dataset = store.one(Dataset, dataset_id=run.dataset_id)
        if dataset is None or inspect(source).dataset_id != run.dataset_id:
            raise SettingsError(f"{run.run_id}: its data set has changed since it began; start a new run")
        store.put(replace(run, status="running", stop_reason=None))
        context = Context(run.run_id, settings, store, workspace, source, dataset, cancelled, show)
        return asyncio.run(go(context))


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
    """Run the graph from where its checkpoint is, to the end."""
    config: RunnableConfig = {"configurable": {"thread_id": context.run_id}, "recursion_limit": 100_000}
    start = State(run_id=context.run_id, round=0, model_id="", new_model_id=None, stop=None)
    try:
        async with AsyncSqliteSaver.from_conn_string(str(context.workspace.checkpoints)) as saver:
            graph = build_mitigation().compile(checkpointer=saver)
            known = await saver.aget_tuple(config)  # an input would start again at START over the old values
            await graph.ainvoke(None if known else start, config, context=context, durability="sync")
    except Cancelled:
        close(context, status="stopped", reason="stopped by the operator")
        raise
    except Exception as error:
        close(context, status="failed", reason=f"{type(error).__name__}: {error}")
        raise
    close(context, status="finished", reason=None)
    return this_run(context)


def this_run(context: Context) -> Run:
    run = context.store.one(Run, run_id=context.run_id)
    assert run is not None
    return run


def close(context: Context, *, status: str, reason: str | None) -> None:
    """Note how a run ended, and publish."""
    run = this_run(context)
    if run.status != status:
        context.store.put(replace(run, status=status, stop_reason=reason or run.stop_reason, finished_at=now()))
    context.store.publish()


def source_of(data: DataSection, *, name: str, seed: int) -> DataSource:
    """Turn the settings of a data set into plain values."""
    files = {"train": data.train, "validation": data.validation, "test": data.test}
    return DataSource(
        name=name,
        path=data.path,
        files={split: file for split, file in files.items() if file},
        fields=data.fields,
        label=data.label,
        labels=data.labels,
        task=data.task,
        limits=data.limit.model_dump(),
        seed=seed,
    )


def check_recipes(settings: Settings) -> None:
    """See that every recipe can be built here.

    Raises: SettingsError.
    """
    from blindspot.tools.attack_recipes import Victim, build_attack

    for recipe in settings.attack.recipes:
        build_attack(recipe, Victim(ask_nothing))


def ask_nothing(texts: list[tuple[str, ...]]) -> NDArray[Any]:
    raise AssertionError(f"a recipe asked about {len(texts)} texts before any attack")


def check_classifier(settings: Settings) -> None:
    """See that the classifier's folder is one, before the data are read.

    Raises: ModelError.
    """
    from blindspot.tools.classifier import locate_model, pick_device

    locate_model(settings.classifier.model)
    pick_device(settings.classifier.device)
