"""hypotheses: read what the teacher stated, also while a run is on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from blindspot.cli.terminal import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, print_json, result_console
from blindspot.storage.errors import StoreError

if TYPE_CHECKING:
    from blindspot.storage.analysts.results import Results


def hypotheses(
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="The run. Default: the newest.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    kind: Annotated[Literal["abstraction", "extrapolation"] | None, typer.Option(help="Show only this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the hypotheses: what fooled the classifier, how the teacher explains it, what it wrote after that.

    Hypotheses that say the same are shown once, with their number and UUs; --json has each of them.
    """
    from blindspot.cli.show.hypotheses import STATEMENT, print_hypotheses
    from blindspot.cli.show.summary import rows_of
    from blindspot.storage.analysts.results import Results

    with Results.open(workspace.expanduser()) as results:
        run_id = pick_taught(results, run_id)
        logged = rows_of(
            results,
            f"SELECT *, {STATEMENT} FROM hypothesis_log WHERE run_id = $1 AND kind = coalesce($2, kind) "
            "ORDER BY round, uu_id, teacher, kind",
            [run_id, kind],
        )
    rows = [row | {name: json.loads(row[name] or "null") for name in ("original", "perturbed")} for row in logged]
    if as_json:
        print_json(rows[:limit])
    else:
        print_hypotheses(result_console(), rows, run_id=run_id, limit=limit)


def pick_taught(results: Results, run_id: str | None) -> str:
    """Find the run that is meant, without a name the newest mitigation; an attack run has no hypotheses.

    Raises: StoreError, when there is none.
    """
    from blindspot.cli.show.summary import kind_of, rows_of

    rows = rows_of(results, "FROM runs ORDER BY started_at")
    if run_id in [row["run_id"] for row in rows if kind_of(row) == "attack"]:
        raise StoreError(f"{run_id} is an attack run: no teacher explained its UUs; `blindspot query uus` lists them")
    if run_id in [row["run_id"] for row in rows if kind_of(row) == "comparison"]:
        return str(run_id)
    names = [row["run_id"] for row in rows if kind_of(row) == "mitigation"]
    if names and run_id in (None, *names):
        return run_id or str(names[-1])
    if rows and run_id is None:
        raise StoreError(
            f"{results.path}: only attack runs, which have no hypotheses; start a run with `blindspot run`"
        )
    raise StoreError(f"{results.path}: no run {run_id or 'yet'}; there are: {', '.join(names) or 'none'}")
