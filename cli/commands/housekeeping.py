"""delete and vacuum: keep a workspace small."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from blindspot.cli.commands.runs import in_bytes
from blindspot.cli.terminal import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    print_json,
    result_console,
    visible,
    workspace_option,
)
from blindspot.storage.errors import Cancelled, SettingsError, StoreError

if TYPE_CHECKING:
    from blindspot.storage.transfer.delete import Deletion


def delete(
    run_ids: Annotated[list[str], typer.Argument(metavar="RUN…", help="The runs to delete.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete runs with their rows, checkpoints and weights. What other runs still need is kept."""
    from blindspot.graphs.housekeeping import delete_runs
    from blindspot.storage.store.store import Store
    from blindspot.storage.transfer.delete import plan_deletion
    from blindspot.storage.workspace import Workspace

    folder = workspace.expanduser().resolve()
    if not Workspace(folder).store.exists():
        raise StoreError(f"{folder}: has no store.duckdb, so there is no run to delete")
    with Store.open(folder) as store:  # held while the question is asked: nothing changes meanwhile
        deletion = plan_deletion(store, list(dict.fromkeys(run_ids)))
        if not yes:
            confirm(deletion)
        delete_runs(store, deletion)
    names = ", ".join(run.run_id for run in deletion.runs)
    again = f"`blindspot vacuum{workspace_option(folder)}` frees the space of its rows"
    result_console().print(visible(f"{names}: deleted, {deletion_in_words(deletion)}; {again}"), soft_wrap=True)


def deletion_in_words(deletion: Deletion) -> str:
    weights = f" and {in_bytes(deletion.weights_bytes)} of weights" if deletion.weights_bytes else ""
    return f"{deletion.rows:,} rows{weights}"


def confirm(deletion: Deletion) -> None:
    """Ask whether to delete.

    Raises: SettingsError, where nobody is there to answer. Cancelled, when the answer is no.
    """
    if not sys.stdin.isatty():
        raise SettingsError("delete: there is no terminal to confirm it on; add --yes")
    for run in deletion.runs:
        typer.echo(visible(f"{run.run_id}: {run.status}, begun {run.started_at:%Y-%m-%d %H:%M} UTC"), err=True)
    typer.echo(f"{deletion_in_words(deletion)} will be deleted.", err=True)
    if deletion.answers:
        typer.echo(
            f"{deletion.answers:,} answers of teachers could no longer be reused by later runs; "
            "`blindspot export RUN --calls FILE` keeps them.",
            err=True,
        )
    try:
        with redirect_stdout(sys.stderr):
            agreed = typer.confirm("Delete?")
    except typer.Abort:
        agreed = False
    if not agreed:
        raise Cancelled("nothing was deleted")


def vacuum(workspace: WorkspaceOption = DEFAULT_WORKSPACE, as_json: JsonOption = False) -> None:
    """Free the disk space of deleted rows and of finished runs' checkpoints. Also upgrades an old store."""
    from blindspot.graphs.housekeeping import vacuum as make_smaller

    changed = make_smaller(workspace.expanduser().resolve())
    if as_json:
        sizes = {name: {"before": before, "after": after} for name, (before, after) in changed.items()}
        print_json(sizes)
        return
    for name, (before, after) in changed.items():
        result_console().print(f"{name}: {before:,} -> {after:,} bytes")
