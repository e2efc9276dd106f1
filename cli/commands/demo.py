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
class NamedSlang:
    """What hypotheses about natural UUs say alike, naming words of the planted slang."""

    kind: str
    text: str  # of the first of them
    hypotheses: int
    uus: int
    words: tuple[str, ...]  # planted ones that they name


@dataclass(frozen=True, slots=True)
class TestedProgram:
    """A hypothesis as a program, and what its test showed on the same reviews without it and with it."""

    verdict: str
    text: str
    applied: int  # reviews that it changes
    uus_without: int
    uus_with: int


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
    print_demo(folder, ended.run_id, seed=seed, as_json=as_json)


def demo_settings(folder: Path, data: Path, seed: int) -> Settings:
    """The settings of the demo: small, so that two cores do it in minutes."""
    from blindspot.storage.settings.sections import check_settings

    table: dict[str, Any] = {
        "run": {"name": "demo", "workspace": str(folder), "seed": seed},
        "data": {"path": str(data), "task": "sentiment of reviews, positive or negative"},
        "classifier": {"epochs": 2, "max_tokens": 96},
        "attack": {"samples": 60},
        "select": {"share": 0.05},
        "teacher": {"samples_per_hypothesis": 2, "writes": "both"},
        "hypotheses": {"test_samples": 150, "test_train_samples": 0},
        "retrain": {"epochs": 4},
        "evaluate": {"samples": 80},
    }
    return check_settings(table, where="demo")


def print_demo(folder: Path, run_id: str, *, seed: int, as_json: bool) -> None:
    """Print the planted blind spot, the hypotheses that named it, and what changed."""
    from blindspot.cli.show.summary import read_summary, summary_as_json
    from blindspot.cli.show.table import print_summary
    from blindspot.storage.analysts.results import Results

    with Results.open(folder) as results:
        summary = read_summary(results, run_id)
        effect = read_effect(results, summary, seed=seed)
        named = read_named(results, run_id)
        tested = read_tested(results, run_id)
    if as_json:
        planted = asdict(effect) | {"reduction": effect.reduction, "hypotheses": [asdict(row) for row in named]}
        planted["programs"] = [asdict(row) for row in tested]
        print_json(summary_as_json(summary) | {"planted": planted})
        return
    console = result_console()
    print_planted(console, effect, named, tested)
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


def read_named(results: Results, run_id: str) -> list[NamedSlang]:
    """Read what hypotheses about natural UUs say, once where they say the same, if they name the planted slang."""
    from blindspot.cli.show.hypotheses import STATEMENT, merge_alike
    from blindspot.cli.show.summary import rows_of
    from blindspot.tools.metrics.planted_effect import planted_words

    rows = rows_of(
        results,
        f"SELECT *, {STATEMENT} FROM hypothesis_log WHERE run_id = ? AND uu_kind = 'natural' ORDER BY uu_id, kind",
        [run_id],
    )
    naming = [row for row in rows if planted_words([row["text"]])]
    return [
        NamedSlang(
            one.kind,
            one.text,
            len(one.rows),
            len({row["uu_id"] for row in one.rows}),
            tuple(sorted(planted_words([row["text"] for row in one.rows]))),
        )
        for group in merge_alike(naming)
        for one in group.stated
    ]


def read_tested(results: Results, run_id: str) -> list[TestedProgram]:
    """Read the tests of hypotheses that were stated as programs, those with the largest effect first."""
    _, rows = results.query(
        "SELECT verdict, text, applied, uus_without, uus_with FROM program_log "  # those that do the same once
        "WHERE run_id = ? AND verdict IS NOT NULL GROUP BY ALL ORDER BY any_value(effect) DESC, text",
        [run_id],
    )
    return [TestedProgram(*row) for row in rows]


def print_tested(line: Callable[[str, str, str], None], tested: list[TestedProgram]) -> None:
    """Print how many programs were confirmed, and the clearest of both verdicts."""
    confirmed = [row for row in tested if row.verdict == "confirmed"]
    refuted = [row for row in tested if row.verdict == "refuted"]
    if not tested:
        return
    line(
        "tested",
        f"{len(tested)} programs that state them, on validation reviews: {len(confirmed)} confirmed, "
        f"{len(refuted)} refuted",
        "default",
    )
    for row in (*confirmed[:1], *refuted[-1:]):
        line("", f"{row.verdict}, UUs {row.uus_without} -> {row.uus_with} of {row.applied}: {row.text}", "cyan")


def print_planted(
    console: Console, effect: PlantedEffect, named: list[NamedSlang], tested: list[TestedProgram]
) -> None:
    """Print the planted blind spot and its end."""
    from rich.table import Table
    from rich.text import Text

    from blindspot.tools.data.planted import FAMILY

    def line(name: str, text: str, style: str = "default") -> None:
        row = Table.grid()
        row.add_column(width=11)
        row.add_row(Text(name, style="bold"), Text(visible(text), style=style))
        console.print(row)

    line("planted", f"slang ({', '.join(FAMILY)}): in no training review, and the teacher was not told")
    words = {word for row in named for word in row.words}
    line(
        "named by",
        f"{sum(row.hypotheses for row in named)} hypotheses, {len(named)} different ones; "
        f"they name {len(words)} of the {len(FAMILY)} words",
    )
    for row in named[:HYPOTHESES_SHOWN]:
        line("", f"{row.kind} of {row.uus} UUs: {row.text}", "cyan")
    print_tested(line, tested)
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
            f"{effect.unseen_reviews} of these reviews use words that the teacher never saw: "
            f"{effect.unseen_before} -> {effect.unseen_after}",
        )
    console.print()
