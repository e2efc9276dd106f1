"""export and import: a run's model, its synthetic samples, its teacher calls, or all its rows, to take elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blindspot.cli.terminal import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, print_json, result_console, visible
from blindspot.storage.errors import StoreError
from blindspot.storage.whole_files import write_whole

if TYPE_CHECKING:
    from blindspot.storage.transfer.incoming import Brought


BECAME = {"new": "imported", "newer": "updated", "known": "was here already"}


def export(
    calls: Annotated[
        Path | None,
        typer.Option("--calls", metavar="FILE", help="Write the teacher calls to this file; - is standard output."),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="The run. Default: the newest that has what you ask for. With --parquet, also a study."
        ),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="FOLDER", help="Write the model version that the run accepted to this folder."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="Write the synthetic samples to this folder, as Parquet."),
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option("--parquet", metavar="FOLDER", help="Write every row of the run to this folder, as Parquet."),
    ] = None,
    models: Annotated[bool, typer.Option("--models", help="With --parquet: include the weights.")] = False,
) -> None:
    """Export what a run made: its model and samples, each with a card; its teacher calls; or all its rows.

    The model loads with plain transformers, the samples with plain datasets. A run with `teacher.spec = "replay:FILE"`
    takes its answers from the calls. `blindspot import` imports all rows into another workspace.
    """
    if calls is None and model is None and data is None and parquet is None:
        raise typer.BadParameter("nothing to export: give --model, --data or --parquet FOLDER, or --calls FILE")
    if models and parquet is None:
        raise typer.BadParameter("--models needs --parquet FOLDER")
    if model or data:
        export_made(model, data, run_id, workspace)
    if parquet:
        export_rows(parquet, run_id, workspace, models=models)
    if calls:
        export_calls(calls, run_id, workspace)


def export_made(model: Path | None, data: Path | None, run_id: str | None, workspace: Path) -> None:
    """Write the model that a run took, and its synthetic samples."""
    from blindspot.cli.handover.handover import hand_over_data, hand_over_model
    from blindspot.storage.analysts.results import Results

    with Results.open(workspace.expanduser()) as results:
        for folder, hand_over in ((data, hand_over_data), (model, hand_over_model)):
            if folder:
                line = hand_over(results, run_id, folder.expanduser().resolve())
                result_console().print(visible(line), soft_wrap=True)


def export_calls(calls: Path, run_id: str | None, workspace: Path) -> None:
    """Write every call of a run to its teacher."""
    from blindspot.cli.query.formats import json_value
    from blindspot.cli.show.summary import rows_of
    from blindspot.storage.analysts.results import Results

    with Results.open(workspace.expanduser()) as results:
        runs = rows_of(
            results,
            "SELECT DISTINCT run_id, started_at FROM runs JOIN teacher_calls USING (run_id) ORDER BY started_at",
        )
        names = [row["run_id"] for row in runs]
        if not names or run_id not in (None, *names):
            asked = f"runs that asked a teacher: {', '.join(names) or 'none'}"
            raise StoreError(f"{results.path}: no calls of {run_id or 'any run'}; {asked}")
        chosen = run_id or str(names[-1])
        rows = rows_of(results, "FROM teacher_calls WHERE run_id = ? ORDER BY created_at, call_id", [chosen])
    lines = [row | {"tool_uses": json.loads(row.get("tool_uses") or "null")} for row in rows]
    text = "".join(f"{json.dumps(json_value(line), ensure_ascii=False)}\n" for line in lines)
    if str(calls) == "-":
        typer.echo(text, nl=False)
        return
    path = calls.expanduser().resolve()
    write_whole(path, text)
    result_console().print(visible(f"{path}: {len(lines)} calls of {chosen}"), soft_wrap=True)


def export_rows(folder: Path, wanted: str | None, workspace: Path, *, models: bool) -> None:
    """Write every row of a run, or of a study's runs, as Parquet, and tell of it."""
    from blindspot.storage.transfer.outgoing import export_runs
    from blindspot.storage.workspace import Workspace
    from blindspot.tools.classifier.handover import new_folder

    folder = folder.expanduser().resolve()
    with new_folder(folder) as partial:
        manifest = export_runs(Workspace(workspace.expanduser().resolve()), wanted, partial, models=models)
    rows = sum(table.rows for table in manifest.tables.values())
    weights = f", weights of {len(manifest.models)} model versions" if models else ""
    line = f"{folder}: {rows:,} rows of {', '.join(manifest.runs)} in {len(manifest.tables)} tables{weights}"
    result_console().print(visible(line), soft_wrap=True)


def import_runs(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A folder written by `blindspot export RUN --parquet`.")
    ],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    prefix: Annotated[
        str | None,
        typer.Option(
            "--prefix", metavar="NAME", help="Import RUN as NAME-RUN, with new keys, where the name RUN is taken."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Import runs of another workspace, with their keys. Runs that are here already stay as they are."""
    from blindspot.storage.store.store import Store
    from blindspot.storage.transfer.incoming import bring_in
    from blindspot.storage.transfer.manifest import read_manifest

    folder = folder.expanduser().resolve()
    manifest = read_manifest(folder)
    with Store.open(workspace.expanduser().resolve()) as store:
        brought = bring_in(store, folder, manifest, prefix)
        store.publish()
    if as_json:
        print_json([asdict(run) for run in brought])
    else:
        print_brought(brought)


def print_brought(brought: Sequence[Brought]) -> None:
    """Print a line for each run."""
    for run in brought:
        rows = "" if run.what == "known" else f", {run.rows:,} rows"
        result_console().print(visible(f"{run.run_id}: {BECAME[run.what]}{rows}"), soft_wrap=True)
