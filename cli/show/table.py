"""What a run changed, printed: a table, the verdicts, where everything lies."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from blindspot.cli.show.change import MetricChange, difference, metric_name, value_in_words
from blindspot.cli.show.spend import by_phase, spend_in_words
from blindspot.cli.show.summary import RoundEnd, Summary, calibrated_alike, headline_changes
from blindspot.cli.terminal import visible, workspace_option
from blindspot.tools.metrics.temperature import bound_hit
from blindspot.tools.metrics.temperature import in_words as temperature_in_words


def print_summary(console: Console, summary: Summary) -> None:
    """Print before and after, the verdicts, where everything lies, and what to type next."""
    new = "after" if summary.accepted else "new model, not taken" if summary.new_model_id else "after"
    table = Table(
        title=f"{summary.run_id}: {summary.status}; UUs at confidence {summary.tau:g} or more",
        title_justify="left",
        title_style="bold",
    )
    for heading, side in (("test split", "left"), ("before", "right"), (new, "right"), ("difference (95 %)", "right")):
        table.add_column(heading, justify="right" if side == "right" else "left")
    shown = headline_changes(summary.changes)
    for change in shown:
        cells = (value_in_words(change.metric, side) for side in (change.before, change.after))
        table.add_row(metric_name(change), *cells, difference(change))
    console.print(table)
    for note in summary_notes(summary, shown):
        console.print(Text(note, style="dim"))
    for end in summary.rounds:
        if end.verdict:
            print_verdict(console, end, f"round {end.round}: " if len(summary.rounds) > 1 else "")
    for name, text in summary_lines(summary):  # paths stay in one piece, to be copied
        console.print(Text(f"{name:<9}", style="dim").append(visible(text), style="default"), soft_wrap=True)


def summary_notes(summary: Summary, shown: Sequence[MetricChange]) -> list[str]:
    """Say what a reader of the table must know to read it, each note where there is cause for it."""
    notes = []
    if any(change.metric == "uus_matched" for change in shown):
        notes.append(
            "At matched coverage, the threshold is moved until as many clean test texts reach it as reached "
            f"{summary.tau:g} with the original model. Counts at {summary.tau:g} also change when a model merely "
            "becomes more or less confident of everything; counts at matched coverage do not."
        )
    if calibrated_alike(summary.changes):
        notes.append(
            "Temperature scaling of the original would not change its counts at matched coverage: with two classes, "
            "scaling does not change which texts a model is most confident of."
        )
    if summary.temperature is not None and bound_hit(summary.temperature):
        temperature = temperature_in_words(summary.temperature)
        notes.append(f"Temperature scaling did not fit the original on the validation split ({temperature}).")
    return notes


def print_verdict(console: Console, end: RoundEnd, label: str) -> None:
    """Print what was decided, and each of several reasons as a point that keeps its indentation where it wraps."""
    decision, reasons = end.clauses
    style = "green" if end.accepted else "yellow"
    if len(reasons) < 2:
        console.print(Text(f"{label}{visible(end.verdict or '')}", style=style))
        return
    console.print(Text(f"{label}{visible(decision)}", style=style))
    points = Table.grid(padding=(0, 1))
    for reason in reasons:
        points.add_row(" -", Text(visible(reason)))
    console.print(points)


def summary_lines(summary: Summary) -> list[tuple[str, str]]:
    """Name and text of each line under the table."""
    option = workspace_option(summary.workspace)
    asked = ("teacher", f"{summary.teacher}, {spend_in_words(summary.spend)}")
    facts = [
        ("ended", summary.stop_reason or summary.status),
        asked if summary.method == "teacher" else ("method", f"{summary.method}, which asks no teacher"),
    ]
    if summary.cost_usd:
        facts.append(("spend", by_phase(summary.spend, summary.usd_per_uu_removed)))
    if summary.final_folder:
        kind = "retrained" if summary.accepted else "the original"
        facts.append(("model", f"{summary.final_folder} ({kind})"))
    facts.append(("results", str(summary.workspace / "results.duckdb")))
    facts.append(("next", f"blindspot {'hypotheses' if summary.method == 'teacher' else 'report'}{option}"))
    facts.append(("", f'blindspot query{option} "FROM uu_reduction"'))
    return facts
