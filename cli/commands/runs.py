"""runs: what a workspace holds, with what each run takes of the disk."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blindspot.cli.commands.status import arrow, before_after, round_of
from blindspot.cli.terminal import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    print_json,
    result_console,
    visible,
    workspace_option,
)

if TYPE_CHECKING:
    from blindspot.storage.analysts.results import Results

KILO = 1000


def runs(workspace: WorkspaceOption = DEFAULT_WORKSPACE, as_json: JsonOption = False) -> None:
    """List the runs of a workspace: what each is, how long it took, what it changed, and its disk space."""
    from blindspot.storage.analysts.results import Results
    from blindspot.storage.workspace import Workspace, size_of

    place = Workspace(workspace.expanduser().resolve())
    with Results.open(place.folder) as results:
        rows = [laid_out(results, place.folder, name) for name in run_names(results)]
    files = (place.store, place.results, place.checkpoints, place.models)
    disk = {path.name: size_of(path) for path in files}
    if as_json:
        print_json({"runs": rows, "bytes": disk})
    else:
        print_runs(place.folder, rows, disk)


def run_names(results: Results) -> list[str]:
    return [str(name) for (name,) in results.query("SELECT run_id FROM runs ORDER BY started_at, run_id")[1]]


def laid_out(results: Results, folder: Path, run_id: str) -> dict[str, Any]:
    """Lay one run out: a row of the table, an object of the JSON."""
    from blindspot.cli.commands.status import attack_counts, comparison_counts, nothing_more, status_row
    from blindspot.cli.show.summary import read_summary, rows_of
    from blindspot.storage.workspace import Workspace, size_of

    summary = read_summary(results, run_id)
    silent_s = time.time() - results.path.stat().st_mtime
    own = {"attack": attack_counts, "comparison": comparison_counts}.get(summary.kind, nothing_more)
    facts = status_row(results, summary, silent_s) | {"uus": before_after(summary, "uus")} | own(results, run_id)
    (run,) = rows_of(results, "FROM runs WHERE run_id = ?", [run_id])
    own_weights = "SELECT folder FROM model_versions WHERE run_id = ? AND ends_with(folder, model_id)"
    versions = rows_of(results, own_weights, [run_id])
    weights = [path for row in versions if (path := Workspace(folder).weights(row["folder"]))]
    shown = ("status", "round", "rounds", "attacked", "compared", "uus", "accepted", "teacher")
    return {
        "run_id": run_id,
        "kind": summary.kind,
        "method": run.get("method"),
        "study_id": run.get("study_id"),
        **{name: facts[name] for name in shown if name in facts},
        "started_at": summary.started_at.isoformat(),
        "finished_at": summary.finished_at.isoformat() if summary.finished_at else None,
        "seconds": lasted(summary.started_at, summary.finished_at),
        "weights_bytes": sum(map(size_of, weights)),
    }


def lasted(start: datetime, end: datetime | None) -> float | None:
    """Seconds from the start to the last end, pauses included; None while a run goes on."""
    return round((end - start).total_seconds(), 1) if end else None


def print_runs(folder: Path, rows: list[dict[str, Any]], disk: dict[str, int]) -> None:
    """Print a line for each run, and below what the files take that they share."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from blindspot.cli.show.display import clock

    console = result_console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("run", "what", "state", "started (UTC)", "took", "round", "UUs", "weights"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("took", "weights") else "left")
    for row in rows:
        cells = (
            row["run_id"],
            visible(what_of(row)),
            row["status"],
            row["started_at"][:16].replace("T", " "),
            "–" if row["seconds"] is None else clock(row["seconds"]),
            round_of(row),
            arrow(row["uus"], lambda value: f"{value:,.0f}"),
            in_bytes(row["weights_bytes"]),
        )
        table.add_row(*map(Text, cells))
    console.print(table if rows else "no runs yet")
    console.print(Text(", ".join(f"{name} {in_bytes(size)}" for name, size in disk.items()), style="dim"))
    option = workspace_option(folder)
    console.print(
        Text(f"`blindspot delete RUN{option}` removes a run, `blindspot vacuum{option}` gives space back", style="dim"),
        soft_wrap=True,
    )


def what_of(row: dict[str, Any]) -> str:
    """Who taught, or the baseline in the teacher's place; of other runs their kind."""
    if row["kind"] != "mitigation":
        return str(row["kind"])
    return str(row["teacher"] if row["method"] in (None, "teacher") else row["method"])


def in_bytes(size: float) -> str:
    """A number of bytes for people."""
    if size == 0:
        return "–"
    for unit in ("B", "kB", "MB"):
        if size < KILO:
            return f"{size:.3g} {unit}"
        size /= KILO
    return f"{size:,.3g} GB"
