"""What an attack run found: read from the published results, printed as a table with examples, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blindspot.cli.terminal import print_run, visible, workspace_option
from blindspot.storage.schema.uu import is_adversarial_uu

if TYPE_CHECKING:
    from rich.console import Console

    from blindspot.storage.analysts.results import Results

EXAMPLES = 5
METRIC_COLUMNS, RECIPE_COLUMNS = 30, 16  # of the terminal, for the names of figures and for a recipe's own
SETTINGS = (
    "recipes", "goal", "precision", "samples", "split", "fields", "sentence_encoder", "max_queries", "timeout_s",
    "stop_uus", "stop_queries", "stop_s",
)  # fmt: skip

Recipe = dict[str, Any]
"""The figures of one recipe: a row of attack_statistics and what follows from it."""


def print_attacks(folder: Path, run_id: str, *, as_json: bool) -> None:
    """Print what an attack run found."""
    print_run(folder, run_id, read_attacks, print_attack_results, as_json=as_json)


def read_attacks(results: Results, run_id: str) -> dict[str, Any]:
    """Read an attack run, as the JSON says it: its settings, the figures of each recipe, a row for each attack."""
    from blindspot.cli.show.summary import rows_of

    (run,) = rows_of(
        results, "SELECT r.*, d.source FROM runs r JOIN datasets d USING (dataset_id) WHERE run_id = ?", [run_id]
    )
    settings = json.loads(run["settings"])
    order = {recipe: place for place, recipe in enumerate(settings["attack"]["recipes"])}
    statistics = rows_of(results, "FROM attack_statistics WHERE run_id = ?", [run_id])
    reasons = rows_of(
        results,
        "SELECT recipe, status, error, count(*) AS attacks FROM attacks WHERE run_id = ? AND error IS NOT NULL "
        "GROUP BY ALL ORDER BY attacks DESC, error",
        [run_id],
    )
    recipes = [
        recipe_figures(row, [reason for reason in reasons if reason["recipe"] == row["recipe"]])
        for row in sorted(statistics, key=lambda row: order[row["recipe"]])
    ]
    attacks = rows_of(
        results,
        "SELECT attack_id, sample_id, a.recipe, a.status, s.fields AS original, a.fields AS perturbed, a.label, "
        "original_predicted, original_confidence, predicted, confidence, "
        f"{is_adversarial_uu('a', '$2')} AS is_uu, queries, words, perturbed_words, error, seconds "
        "FROM attacks a JOIN samples s USING (sample_id) WHERE run_id = $1 ORDER BY a.recipe, sample_id",
        [run_id, run["tau"]],
    )
    return {
        "run_id": run_id,
        "status": run["status"],
        "stop_reason": run["stop_reason"],
        "model": settings["classifier"]["model"],
        "model_id": run["original_model_id"],
        "data": run["source"],
        "seed": run["seed"],
        "tau": run["tau"],
        **{name: settings["attack"].get(name) for name in SETTINGS},
        "workspace": str(results.path.parent.resolve()),
        "results": str(results.path.resolve()),
        "statistics": recipes,
        "attacks": [
            row | {name: json.loads(row[name] or "null") for name in ("original", "perturbed")} for row in attacks
        ],
    }


def recipe_figures(row: dict[str, Any], reasons: Sequence[dict[str, Any]]) -> Recipe:
    """Lay out the figures of one recipe; those that nothing can be divided by are None."""
    return {name: value for name, value in row.items() if name not in ("run_id", "model_id", "split")} | {
        "uus_per_1000_queries": 1000 * row["uus"] / row["queries"] if row["queries"] else None,
        "queries_per_s": row["queries"] / row["seconds"] if row["seconds"] else None,
        "reasons": [{name: reason[name] for name in ("status", "error", "attacks")} for reason in reasons],
    }


def print_attack_results(console: Console, run: dict[str, Any]) -> None:
    """Print the figures, why attacks broke or were given up, some UUs, and where the rows are."""
    from rich.text import Text

    recipes: list[Recipe] = run["statistics"]
    console.print(Text(f"{run['run_id']}: {run['status']}, {visible(run['stop_reason'] or 'under way')}", "bold"))
    for part in in_parts(recipes, max(1, (console.width - METRIC_COLUMNS) // RECIPE_COLUMNS)):
        print_recipes(console, part, run)
    for recipe in recipes:
        for status, what in (("error", "broken"), ("failed", "of the failed")):
            print_reasons(console, recipe, status, what)
    print_examples(console, [row for row in run["attacks"] if row["is_uu"]])
    option = workspace_option(Path(run["workspace"]))
    query = f"blindspot query{option} \"FROM attacks WHERE run_id = '{run['run_id']}'\""
    data = f"{run['data']} ({run['split']} split)"
    for name, text in (("model", run["model"]), ("data", data), ("results", run["results"]), ("rows", query)):
        console.print(Text(f"{name:<9}", style="dim").append(visible(text), style="default"), soft_wrap=True)


def in_parts(rows: Sequence[Recipe], size: int) -> Iterator[list[Recipe]]:
    """Cut rows into parts of at most this many."""
    left = iter(rows)
    while part := list(islice(left, size)):
        yield part


def print_recipes(console: Console, recipes: Sequence[Recipe], run: dict[str, Any]) -> None:
    """Print a column for each recipe."""
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column(f"goal {run['goal']}, {run['precision']}")
    for recipe in recipes:
        table.add_column(Text(visible(recipe["recipe"])), justify="right", overflow="fold")
    for name, key, show in rows_of_table(run["tau"]):
        style = "bold" if key == "uus" else ""
        cells = ("–" if recipe[key] is None else show(recipe[key]) for recipe in recipes)
        table.add_row(Text(name, style), *(Text(cell, style) for cell in cells), end_section=key in ENDS)
    console.print(table)


ENDS = ("errors", "natural_uus", "words_per_input")  # figures under which a line is drawn


def rows_of_table(tau: float) -> list[tuple[str, str, Callable[[Any], str]]]:
    """Name, key and unit of each figure, in the order of the table."""

    def count(value: int) -> str:
        return f"{value:,}"

    def percent(value: float) -> str:
        return f"{100 * value:.1f} %"

    def one_digit(value: float) -> str:
        return f"{value:,.1f}"

    return [
        ("attacked", "samples", count),
        ("skipped (wrong already)", "skipped", count),
        ("flipped", "flipped", count),
        ("failed", "failed", count),
        ("broken", "errors", count),
        (f"UUs (flipped at {tau:g} or more)", "uus", count),
        ("natural UUs among those skipped", "natural_uus", count),
        ("attack success rate", "attack_success_rate", percent),
        ("accuracy before", "original_accuracy", percent),
        ("accuracy under attack", "accuracy_under_attack", percent),
        ("changed words, if flipped", "perturbed_words", percent),
        ("words per input", "words_per_input", one_digit),
        ("queries per sample", "queries_per_sample", one_digit),
        ("UUs per 1,000 queries", "uus_per_1000_queries", one_digit),
        ("queries/s", "queries_per_s", one_digit),
        ("seconds", "seconds", one_digit),
    ]


def print_reasons(console: Console, recipe: Recipe, status: str, what: str) -> None:
    """Say why attacks of a recipe ended so, the commonest reason first."""
    from rich.text import Text

    reasons = [reason for reason in recipe["reasons"] if reason["status"] == status]
    if not reasons:
        return
    total, first = sum(reason["attacks"] for reason in reasons), reasons[0]
    often = "" if len(reasons) == 1 else f", most often ({first['attacks']:,})"
    why = visible(" ".join(first["error"].split()))
    console.print(Text(f"{visible(recipe['recipe'])}: {total:,} {what}{often}: {why}", style="yellow"))


def print_examples(console: Console, uus: Sequence[dict[str, Any]]) -> None:
    """Print the most confident UUs, their changed words marked."""
    from rich.text import Text

    from blindspot.cli.show.hypotheses import print_texts

    if not uus:
        return
    shown = sorted(uus, key=lambda row: (-row["confidence"], row["attack_id"]))[:EXAMPLES]
    of = f"{len(shown)} of {len(uus):,} UUs" if len(shown) < len(uus) else f"{len(uus)} UU{'s' * (len(uus) > 1)}"
    console.print(Text(f"\n{of}, the most confident first", style="bold"))
    for row in shown:
        head = Text(f"{visible(row['label'])} -> {visible(row['predicted'])} ({row['confidence']:.2f})", style="bold")
        console.print(head.append(f"  {visible(row['recipe'])}, {row['queries']:,} queries", style="dim"))
        print_texts(console, row["original"], row["perturbed"])
    console.print()
