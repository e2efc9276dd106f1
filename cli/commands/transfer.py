"""Whole runs out of a workspace, and into another: `export --parquet` and `import`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blindspot.cli.terminal import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, print_json, result_console, visible

if TYPE_CHECKING:
    from blindspot.storage.transfer.incoming import Brought

BECAME = {"new": "imported", "newer": "updated", "known": "was here already"}


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
    said = f"{folder}: {rows:,} rows of {', '.join(manifest.runs)} in {len(manifest.tables)} tables{weights}"
    result_console().print(visible(said), soft_wrap=True)


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
