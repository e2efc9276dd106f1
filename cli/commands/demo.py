"""demo: the whole loop on reviews that are generated here, with a blind spot planted on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import blindspot
from blindspot.cli.commands.run import carry_out
from blindspot.cli.terminal import JsonOption, QuietOption, print_json, result_console, visible
from blindspot.storage.errors import StoreError

if TYPE_CHECKING:
    from rich.console import Console

    from blindspot.api import RunEnd
    from blindspot.cli.show.display import Show
    from blindspot.cli.show.summary import Summary
    from blindspot.storage.analysts.results import Results
    from blindspot.storage.settings.sections import Settings
    from blindspot.tools.metrics.planted_effect import PlantedEffect

ROWS = {"train": 1000, "validation": 300, "test": 500}
PLANTED_SHARE = 0.25
HYPOTHESES_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Named:
    """A hypothesis that names words of the planted family."""

    kind: str
    text: str


def demo(
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="Folder for the run.")] = Path("blindspot-demo"),
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Another seed makes other reviews and starts another run.")
    ] = 0,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Watch a planted blind spot being found, explained, closed and measured. No network, no key, no GPU."""
    from blindspot.storage.workspace import Workspace

    folder = workspace.expanduser().resolve()
    Workspace(folder).create()

    def work(show: Show, cancelled: Callable[[], bool]) -> RunEnd:
        from blindspot.tools.data.planted import write_dataset

        data = folder / "data" / f"seed-{seed}"
        try:
            write_dataset(data, seed=seed, rows=ROWS, planted_share=PLANTED_SHARE)
        except OSError as error:
            raise StoreError(
                f"{data}: the reviews cannot be written ({error.strerror}); choose another folder with --workspace"
            ) from None
        return blindspot.run(demo_settings(folder, data, seed), show=show, cancelled=cancelled)

    ended = carry_out(work, folder, quiet=quiet)
    report(folder, ended.run_id, seed=seed, as_json=as_json)


def demo_settings(folder: Path, data: Path, seed: int) -> Settings:
    """The settings of the demo: small, so that two cores do it in minutes."""
    from blindspot.storage.settings.sections import check_settings

    table: dict[str, Any] = {
        "run": {"name": "demo", "workspace": str(folder), "seed": seed},
        "data": {"path": str(data), "task": "sentiment of reviews, positive or negative"},
        "classifier": {"epochs": 2, "max_tokens": 96},
        "attack": {"samples": 60},
        "select": {"share": 0.05},
        "teacher": {"samples_per_hypothesis": 2},
        "retrain": {"epochs": 3},  # with 2, one seed of three had learned its 81 synthetic rows by half only
        "evaluate": {"samples": 80},
    }
    return check_settings(table, where="demo")


def report(folder: Path, run_id: str, *, seed: int, as_json: bool) -> None:
    """Print the planted blind spot, the hypotheses that named it, and what changed."""
    from blindspot.cli.show.summary import as_table, read_summary
    from blindspot.cli.show.table import print_summary
    from blindspot.storage.analysts.results import Results

    with Results.open(folder) as results:
        summary = read_summary(results, run_id)
        effect = read_effect(results, summary, seed=seed)
        named = read_named(results, run_id)
    if as_json:
        planted = asdict(effect) | {"reduction": effect.reduction, "hypotheses": [asdict(row) for row in named]}
        print_json(as_table(summary) | {"planted": planted})
        return
    console = result_console()
    print_planted(console, effect, named)
    print_summary(console, summary)


def read_effect(results: Results, summary: Summary, *, seed: int) -> PlantedEffect:
    """Read what both model versions say of the test reviews, and what the teacher was shown."""
    from blindspot.storage.schema.uu import is_uu
    from blindspot.tools.metrics.planted_effect import Judged, measure_planted

    new = summary.new_model_id or summary.original_model_id
    _, rows = results.query(
        f"""
        SELECT s.fields->>'text', {is_uu("o", "$1")}, {is_uu("n", "$1")}
        FROM samples s
        JOIN predictions o ON o.subject_id = s.sample_id AND o.model_id = $2
        JOIN predictions n ON n.subject_id = s.sample_id AND n.model_id = $3
        WHERE s.split = 'test' ORDER BY s.row
        """,
        [summary.tau, summary.original_model_id, new],
    )
    _, shown = results.query(
        "SELECT fields->>'text' FROM uus WHERE run_id = ? AND selected ORDER BY uu_id", [summary.run_id]
    )
    return measure_planted([Judged(*row) for row in rows], [text for (text,) in shown], seed=seed)


def read_named(results: Results, run_id: str) -> list[Named]:
    """Read the hypotheses about natural UUs that name a word of the planted family."""
    from blindspot.tools.metrics.planted_effect import planted_words

    _, rows = results.query(
        "SELECT kind, text FROM hypothesis_log WHERE run_id = ? AND uu_kind = 'natural' ORDER BY kind, text", [run_id]
    )
    return [Named(kind, text) for kind, text in dict.fromkeys(rows) if planted_words([text])]


def print_planted(console: Console, effect: PlantedEffect, named: list[Named]) -> None:
    """Print the planted blind spot and its end."""
    from rich.text import Text

    from blindspot.tools.data.planted import FAMILY
    from blindspot.tools.metrics.planted_effect import planted_words

    def line(name: str, text: str, style: str = "default") -> None:
        console.print(Text(f"{name:<11}", style="bold").append(visible(text), style=style))

    line("planted", f"praise in slang ({', '.join(FAMILY)}): in no training review, the teacher was not told")
    words = planted_words([row.text for row in named])
    line("named by", f"{len(named)} hypotheses, which name {len(words)} of the {len(FAMILY)} words; for example")
    for kind in ("abstraction", "extrapolation"):
        for row in [row for row in named if row.kind == kind][: HYPOTHESES_SHOWN // 2]:
            line("", f"{row.kind}: {row.text}", "cyan")
    line(
        "closed",
        f"UUs among the {effect.reviews} planted test reviews: {effect.before} -> {effect.after} "
        f"({-effect.reduction:+.0%}; difference {effect.after - effect.before:+d}, "
        f"95 % interval {effect.low:+.0f} to {effect.high:+.0f})",
        "green" if effect.high < 0 else "yellow",
    )
    if effect.unseen_reviews:
        line(
            "",
            f"of them, {effect.unseen_reviews} reviews are worded with words that the teacher never saw: "
            f"{effect.unseen_before} -> {effect.unseen_after}",
        )
    console.print()
