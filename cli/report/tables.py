"""The tables of a report: cells of text, read from the published results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blindspot.agents.calls.ledger import in_dollars
from blindspot.cli.report.content import Row, own_recipes
from blindspot.cli.show.attack_table import recipe_figures, rows_of_table
from blindspot.cli.show.change import difference, metric_name, value_in_words
from blindspot.cli.show.summary import Summary, headline_changes, rows_of

if TYPE_CHECKING:
    from blindspot.storage.analysts.results import Results

# `uus` is named so that the copy of an older blindspot, which lacks it, is refused in words.
STATISTICS = "SELECT * REPLACE (uus AS uus) FROM attack_statistics WHERE model_id IN (?, ?) ORDER BY recipe, split"


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Cells of text under headings; all but the first `left` columns are numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1


def changes_table(summary: Summary) -> ReportTable:
    """Lay out the table that `blindspot run` ends with."""
    rows = [
        (
            metric_name(change),
            value_in_words(change.metric, change.before),
            value_in_words(change.metric, change.after),
            difference(change).plain,
        )
        for change in headline_changes(summary.changes, recalls=None)
    ]
    return ReportTable(("test split", "original", "new", "difference (95 %)"), tuple(rows))


def statistics_table(results: Results, summary: Summary, run: Row) -> ReportTable | None:
    """Lay out the attack statistics, a column for each recipe and model version (IBS, tables 4 to 7)."""
    names = {summary.new_model_id: "new", summary.original_model_id: "original"}
    statistics = rows_of(results, STATISTICS, [summary.original_model_id, summary.new_model_id])
    rows = [row for row in own_recipes(statistics, run) if summary.kind == "attack" or row["split"] == "test"]
    rows.sort(key=lambda row: (row["recipe"], names[row["model_id"]] == "new"))
    if not rows:
        return None
    heads = [row["recipe"] + ("" if summary.kind == "attack" else f", {names[row['model_id']]}") for row in rows]
    figures = [recipe_figures(row, []) for row in rows]
    body = [
        (name, *("–" if row.get(key) is None else show(row[key]) for row in figures))
        for name, key, show in rows_of_table(summary.tau)
    ]
    return ReportTable(("attack statistics", *heads), tuple(body))


def teachers_table(results: Results, run_id: str) -> ReportTable | None:
    """Lay out what each of several teachers made of the same UUs."""
    if not rows_of(results, "SELECT 1 FROM duckdb_tables() WHERE table_name = 'teacher_comparisons'"):
        return None  # an older blindspot published this
    rows = rows_of(results, "FROM teacher_comparisons WHERE run_id = ? ORDER BY teacher", [run_id])
    columns = ("teacher", "UUs", "skipped", "calls", "written", "accepted", "fooling", "near-duplicates", "US dollars")
    keys = ("uus", "uus_skipped", "calls", "written", "accepted", "fooling", "near_duplicates")
    cells = [
        (row["teacher"], *(f"{row[key]:,}" for key in keys), dollars(row["cost_usd"])) for row in rows
    ]  # fmt: skip
    return ReportTable(columns, tuple(cells)) if cells else None


def spend_table(summary: Summary) -> ReportTable | None:
    """Lay out what the teacher was asked, phase by phase."""
    rows = [
        (phase.phase, f"{phase.calls:,}", f"{phase.tokens_in:,}", f"{phase.tokens_out:,}", dollars(phase.cost_usd))
        for phase in summary.spend
    ]
    return ReportTable(("phase", "calls", "tokens in", "tokens out", "cost"), tuple(rows)) if rows else None


def dollars(usd: float | None) -> str:
    return "unknown" if usd is None else in_dollars(usd)


def work_table(results: Results, run_id: str) -> ReportTable | None:
    """Lay out how long each step took, all rounds together."""
    rows = rows_of(
        results,
        "SELECT tool, count(*) AS times, sum(seconds) AS seconds FROM tool_calls "
        "WHERE run_id = ? AND caller = 'graph' GROUP BY tool ORDER BY min(created_at)",
        [run_id],
    )
    cells = tuple((row["tool"].replace("_", " "), f"{row['times']:,}", f"{row['seconds']:,.1f}") for row in rows)
    return ReportTable(("step", "times", "seconds"), cells) if cells else None


def models_table(results: Results, run_id: str) -> ReportTable:
    """Lay out the model versions that a run made."""
    rows = rows_of(results, "FROM model_versions WHERE run_id = ? ORDER BY round, model_id", [run_id])
    cells = [
        (row["model_id"], row["kind"], row["folder"], str(row["round"]), f"{row['rows_train']:,}",
         f"{row['rows_synthetic']:,}", "–" if row["final_loss"] is None else f"{row['final_loss']:.4f}",
         f"{row['seconds']:,.0f}")
        for row in rows
    ]  # fmt: skip
    heads = ("model version", "kind", "folder", "round", "training rows", "synthetic", "loss", "seconds")
    return ReportTable(heads, tuple(cells), left=3)


def settings_table(settings: Mapping[str, Any]) -> ReportTable:
    """Lay out the settings that have a value."""
    return ReportTable(("setting", "value"), tuple(flat(settings)), left=2)


def versions_table(versions: Mapping[str, str]) -> ReportTable:
    """Lay out the versions of the software."""
    return ReportTable(("package", "version"), tuple(sorted(versions.items())), left=2)


def flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """List settings that have a value under their full names, as TOML writes them."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        elif value is not None:
            yield f"{before}{name}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
