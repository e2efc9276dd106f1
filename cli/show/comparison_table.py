"""What a comparison of teachers found: read from the published results, printed as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blindspot.cli.show.attack_table import in_parts
from blindspot.cli.terminal import print_run, visible, workspace_option

if TYPE_CHECKING:
    from rich.console import Console

    from blindspot.storage.analysts.results import Results

METRIC_COLUMNS, TEACHER_COLUMNS = 32, 22  # of the terminal, for the names of figures and for a teacher's own
FEW = 30  # samples: below, the interval of a share of them is some 30 points wide or more

Compared = dict[str, Any]
"""The figures of one teacher: a row of teacher_comparisons and what follows from it."""


def print_comparison(folder: Path, run_id: str, *, as_json: bool) -> None:
    """Print what a comparison found."""
    print_run(folder, run_id, read_comparison, print_comparison_results, as_json=as_json)


def read_comparison(results: Results, run_id: str) -> dict[str, Any]:
    """Read a comparison, as the JSON says it: its settings, the UUs, and the figures of each teacher."""
    from blindspot.cli.show.summary import rows_of

    (run,) = rows_of(
        results, "SELECT r.*, d.source FROM runs r JOIN datasets d USING (dataset_id) WHERE run_id = ?", [run_id]
    )
    settings = json.loads(run["settings"])
    (uus,) = rows_of(
        results,
        "SELECT count(*) AS found, count(*) FILTER (selected) AS shown, count(*) FILTER (selected AND kind = 'natural')"
        " AS natural FROM uus WHERE run_id = ?",
        [run_id],
    )
    rows = rows_of(results, "FROM teacher_comparisons WHERE run_id = ? ORDER BY teacher", [run_id])
    teaching = rows_of(results, "SELECT result FROM tool_calls WHERE run_id = ? AND tool = 'teach'", [run_id])
    ended: dict[str, str] = (
        json.loads(teaching[0]["result"]) if teaching else {}
    )  # teacher -> how its teaching went, in order
    return {
        "run_id": run_id,
        "status": run["status"],
        "stop_reason": run["stop_reason"],
        "model": settings["classifier"]["model"],
        "model_id": run["original_model_id"],
        "data": run["source"],
        "seed": run["seed"],
        "tau": run["tau"],
        "autonomy": settings["teacher"]["autonomy"],
        "uus": uus,
        "workspace": str(results.path.parent.resolve()),
        "results": str(results.path.resolve()),
        "teachers": [teacher_figures(row, ended[name]) for name in ended for row in rows if row["teacher"] == name],
    }


def teacher_figures(row: dict[str, Any], ended: str) -> Compared:
    """Lay out the figures of one teacher; those that nothing can be divided by are None.

    Args:
        ended: what was told of its teaching.
    """
    from blindspot.tools.metrics.statistics import share_interval
    from blindspot.tools.metrics.teacher_comparison import FAILED

    written, calls, uus = row["written"], row["calls"], row["uus"]
    low, high = share_interval(row["fooling"], written) if written else (None, None)
    return {name: value for name, value in row.items() if name != "run_id"} | {
        "accepted_per_call": row["accepted"] / calls if calls else None,
        "accepted_per_uu": row["accepted"] / uus if uus else None,
        "accepted_share": row["accepted"] / written if written else None,
        "fooling_share": row["fooling"] / written if written else None,
        "fooling_low": low,
        "fooling_high": high,
        "near_duplicate_share": row["near_duplicates"] / written if written else None,
        "failed": ended.removeprefix(FAILED) if ended.startswith(FAILED) else None,
    }


def print_comparison_results(console: Console, run: dict[str, Any]) -> None:
    """Print the figures, what to know of them, and where the rows are."""
    from rich.text import Text

    teachers: list[Compared] = run["teachers"]
    console.print(Text(f"{run['run_id']}: {run['status']}, {visible(run['stop_reason'] or 'under way')}", "bold"))
    for part in in_parts(teachers, max(1, (console.width - METRIC_COLUMNS) // TEACHER_COLUMNS)):
        print_teachers(console, part, run)
    for note in comparison_notes(teachers):
        console.print(Text(visible(note), style="yellow"))
    option = workspace_option(Path(run["workspace"]))
    where = f"WHERE run_id = '{run['run_id']}'"
    query = f'blindspot query{option} "FROM teacher_comparisons {where}"'
    for name, text in (
        ("model", run["model"]),
        ("data", f"{run['data']} (validation split)"),
        ("results", run["results"]),
        ("rows", query),
        ("texts", f"blindspot hypotheses {run['run_id']}{option}"),
    ):
        console.print(Text(f"{name:<9}", style="dim").append(visible(text), style="default"), soft_wrap=True)


def print_teachers(console: Console, teachers: Sequence[Compared], run: dict[str, Any]) -> None:
    """Print a column for each teacher."""
    from rich.table import Table
    from rich.text import Text

    uus = run["uus"]
    table = Table()
    table.add_column(f"{uus['shown']:,} of {uus['found']:,} UUs, {uus['natural']:,} natural")
    for row in teachers:
        table.add_column(Text(visible(row["teacher"])), justify="right", overflow="fold")
    for name, show in ROWS:
        table.add_row(name, *(Text(show(row)) for row in teachers), end_section=name in ENDS)
    console.print(table)


def number(name: str, form: str) -> Callable[[Compared], str]:
    """Show one figure, or a dash where there is none."""
    return lambda row: "–" if row[name] is None else format(row[name], form)


def of_written(name: str, share: str) -> Callable[[Compared], str]:
    """Show how many of the written samples, and which share of them."""
    return lambda row: f"{row[name]:,}" if row[share] is None else f"{row[name]:,} ({100 * row[share]:.0f} %)"


def interval_of(row: Compared) -> str:
    return "–" if row["fooling_low"] is None else f"{100 * row['fooling_low']:.0f} to {100 * row['fooling_high']:.0f} %"


def tokens_of(row: Compared) -> str:
    return f"{row['tokens_in']:,} / {row['tokens_out']:,}"


def cost_in_words(row: Compared) -> str:
    return "unknown" if row["cost_usd"] is None else f"${row['cost_usd']:.4f}"


ROWS: Sequence[tuple[str, Callable[[Compared], str]]] = (
    ("UUs left without a sample", number("uus_skipped", ",")),
    ("samples written", number("written", ",")),
    ("accepted", of_written("accepted", "accepted_share")),
    ("near-duplicates", of_written("near_duplicates", "near_duplicate_share")),
    ("UUs, by the teacher's labels", of_written("fooling", "fooling_share")),
    ("its 95 % interval", interval_of),
    ("calls", number("calls", ",")),
    ("accepted per call", number("accepted_per_call", ".2f")),
    ("accepted per UU", number("accepted_per_uu", ".2f")),
    ("tokens in / out", tokens_of),
    ("cost", cost_in_words),
    ("median latency, s", number("latency_s", ",.2f")),
)
ENDS = ("UUs left without a sample", "near-duplicates", "its 95 % interval", "accepted per UU")  # a line below each


def comparison_notes(teachers: Sequence[Compared]) -> list[str]:
    """What to know before one teacher is called better than another."""
    notes = [f"{row['teacher']} failed: {row['failed']}" for row in teachers if row["failed"]]
    few = [row for row in teachers if row["written"] < FEW]
    if few and any(row["uus"] for row in teachers):
        counts = ", ".join(f"{row['written']} of {row['teacher']}" for row in few)
        notes.append(f"few samples ({counts}): shares may differ by chance; raise select.share or attack.samples")
    if any(row["cost_usd"] is None for row in teachers):
        notes.append("cost unknown: set teacher.usd_per_million_in and teacher.usd_per_million_out for a model's price")
    return notes
