"""The tables of a study, for a terminal or in Markdown: accuracy and UUs, what each method changed, how attacks went.

After IBS: table 2 is the first, tables 4 to 7 are the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blindspot.cli.study.read import Place, PublishedStudy
from blindspot.cli.terminal import visible
from blindspot.storage.settings.study_axes import ORIGINAL
from blindspot.storage.settings.study_cells import dose_of
from blindspot.storage.study_records import StudyFigure

if TYPE_CHECKING:
    from rich.console import Console


NOISE = "inside the noise"
FLOOR = "none"  # what a method is compared with in words; itself, and where it is not there: with the original


def mean_std(row: StudyFigure | None, factor: float, decimals: int) -> str:
    """E.g. "274.3 ± 5.1"."""
    if row is None:
        return "–"
    mean = f"{factor * row.value:,.{decimals}f}"
    return mean if row.std is None else f"{mean} ± {factor * row.std:,.{decimals}f}"


def is_noise(row: StudyFigure) -> bool:
    """Whether the interval of a difference holds 0."""
    return row.low is None or row.high is None or row.low <= 0 <= row.high


def reduction(study: PublishedStudy, place: Place, method: str, metric: str, baseline: str) -> str:
    """By how much UUs fell, e.g. "24 (18 to 30)", marked where that is inside the noise."""
    row = study.get(place, method, f"{metric}_reduction", study.tau(place), baseline)
    return "–" if row is None else in_hundredths(row)


def points(study: PublishedStudy, place: Place, method: str, metric: str, baseline: str) -> str:
    """By how many points a share changed."""
    row = study.get(place, method, metric, baseline=baseline)
    return "–" if row is None else in_hundredths(row)


def in_hundredths(row: StudyFigure) -> str:
    """A share and its interval, each times 100."""
    value = f"{100 * row.value:+.1f}"
    if row.low is None or row.high is None:
        return value
    return f"{value} ({100 * row.low:+.1f} to {100 * row.high:+.1f}){f', {NOISE}' if is_noise(row) else ''}"


def sentences(study: PublishedStudy, place: Place) -> Iterator[str]:
    """Say of each method what it changed against the floor, and of the floor what it changed against the original."""
    methods = study.methods_at(place)
    attacked = study.get(place, ORIGINAL, "uus", study.tau(place)) is not None
    uus = "uus" if attacked else "uus_clean"
    for method in methods:
        if method == ORIGINAL:  # what the floor says of it, the other way round
            continue
        floor = FLOOR if FLOOR in methods and method != FLOOR else ORIGINAL
        at_tau = study.get(place, method, f"{uus}_reduction", study.tau(place), floor)
        matched = study.get(place, method, f"{uus}_matched_reduction", study.tau(place), floor)
        accuracy = study.get(place, method, "accuracy", baseline=floor)
        if at_tau and matched and accuracy:
            where = ", ".join(part for part in place if part)
            yield (
                f"{where}: {method} has {reduction_in_words(at_tau)} UUs than {floor} at {study.tau(place):g}, "
                f"at matched coverage {reduction_in_words(matched)}; accuracy {change_in_words(accuracy)}."
            )


def reduction_in_words(row: StudyFigure) -> str:
    """E.g. "24.0 % fewer (95 % interval 18.1 to 30.2 %)"."""
    assert row.low is not None
    assert row.high is not None
    sign = 1 if row.value >= 0 else -1
    low, high = sorted((100 * sign * row.low, 100 * sign * row.high))
    change = f"{100 * abs(row.value):.1f} % {'fewer' if sign > 0 else 'more'}"
    return f"{change} ({f'{NOISE}, ' if is_noise(row) else ''}95 % interval {low:.1f} to {high:.1f} %)"


def change_in_words(row: StudyFigure) -> str:
    """E.g. "-0.4 points (inside the noise)"."""
    assert row.low is not None
    assert row.high is not None
    value = f"{100 * row.value:+.1f} points"
    if is_noise(row):
        return f"{value} ({NOISE}, {100 * row.low:+.1f} to {100 * row.high:+.1f})"
    return f"{value} (95 % interval {100 * row.low:+.1f} to {100 * row.high:+.1f})"


BASELINES = (ORIGINAL, "none", "relabel")
STATISTICS = (  # metric, heading, factor, decimals
    ("original_accuracy", "original accuracy, %", 100, 1),
    ("accuracy_under_attack", "accuracy under attack, %", 100, 1),
    ("attack_success_rate", "attack success, %", 100, 1),
    ("perturbed_words", "perturbed words, %", 100, 1),
    ("words_per_input", "words per input", 1, 1),
    ("queries_per_sample", "queries per sample", 1, 1),
)
NOTE = (
    "Mean ± standard deviation over seeds; 95 % intervals over test samples, paired, all seeds together. Matched "
    "coverage: UUs at the threshold at which a model is confident as often as its original is at tau; a model that is "
    "merely less confident gains nothing there. A method's model is the one that it trained last, accepted or not."
)


@dataclass(frozen=True, slots=True)
class Grid:
    """A table as text."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def grids_of(study: PublishedStudy) -> list[Grid]:
    """All tables that there are figures for."""
    grids = [headline_grid(study, place) for place in study.places]
    for place in study.places:
        uus, matched, _ = uu_metrics(study, place)
        shared = () if is_part(study, place) else ("accuracy",)
        grids += [changes_grid(study, place, metric) for metric in (uus, matched, *shared)]
        grids += [doses_grid(study, place, metric) for metric in (uus, matched)]
    grids += [attack_grid(study, place) for place in study.places]
    return [grid for grid in grids if grid.rows]


def headline_grid(study: PublishedStudy, place: Place) -> Grid:
    """Accuracy and UUs of every method."""
    uus, matched, natural = uu_metrics(study, place)
    tau = study.tau(place)
    counts = [(uus, "UUs"), (matched, "at matched coverage"), *([(natural, "natural UUs")] if natural else [])]
    headings = ["method", "accuracy, %", *(f"{name}{of_rows(study, place, metric)}" for metric, name in counts)]
    rows = [
        (
            method,
            mean_std(study.get(place, method, "accuracy"), 100, 1),
            *(mean_std(study.get(place, method, metric, tau), 1, 1) for metric, _ in counts),
            *rows_added(study, place, method),
        )
        for method in study.methods_at(place)
    ]
    title = titled(place, f"accuracy and UUs at {tau:g}")
    return Grid(title, (*headings, "rows added", "taken"), tuple(rows))


def titled(place: Place, what: str) -> str:
    return f"{', '.join(part for part in place if part)}: {what}"


def is_part(study: PublishedStudy, place: Place) -> bool:
    """Whether a block is of one recipe among several of the same runs, whose clean split another block tells of."""
    return (*place[:2], place[2].partition(": ")[0]) in set(study.places) - {place}


def uu_metrics(study: PublishedStudy, place: Place) -> tuple[str, str, str | None]:
    """The metrics of UUs: on P with the natural ones beside them, or the natural ones alone if nothing was attacked."""
    if study.get(place, ORIGINAL, "uus", study.tau(place)) is None:
        return "uus_clean", "uus_clean_matched", None
    return "uus", "uus_matched", "uus_clean"


def of_rows(study: PublishedStudy, place: Place, metric: str) -> str:
    row = study.get(place, ORIGINAL, metric, study.tau(place))
    return f" of {row.n:,}" if row and not metric.endswith("matched") else ""


def rows_added(study: PublishedStudy, place: Place, method: str) -> tuple[str, str]:
    """Rows that a method added, and how often a verdict took its model version."""
    taken = study.get(place, method, "accepted")
    count = f"{taken.value * taken.seeds:.0f} of {taken.seeds}" if taken else "–"
    return mean_std(study.get(place, method, "rows_added"), 1, 0), count


def changes_grid(study: PublishedStudy, place: Place, metric: str) -> Grid:
    """What every method changed against each baseline, in one metric."""
    methods = study.methods_at(place)
    there = [name for name in BASELINES if name in {dose_of(method)[0] for method in methods}]
    show = points if metric == "accuracy" else reduction
    all_rows = [
        (method, *(show(study, place, method, metric, baseline) for baseline in there))
        for method in methods
        if method != ORIGINAL
    ]
    rows = tuple(row for row in all_rows if set(row[1:]) != {"–"})
    return Grid(titled(place, of_change(study, place, metric)), ("method", *(f"against {n}" for n in there)), rows)


def of_change(study: PublishedStudy, place: Place, metric: str) -> str:
    """Name a change, e.g. "reduction of UUs at 0.65, in %"."""
    if metric == "accuracy":
        return "accuracy, difference in points"
    where = "matched coverage" if metric.endswith("matched") else f"{study.tau(place):g}"
    return f"reduction of UUs at {where}, in %"


def doses_grid(study: PublishedStudy, place: Place, metric: str) -> Grid:
    """How much fewer UUs each method leaves than `none`, by its dose."""
    dosed = [(name, share) for name, share in map(dose_of, study.methods_at(place)) if share]
    shares = sorted({share for _, share in dosed}, key=lambda share: float(share.rstrip("%")))
    rows = [
        (name, *(reduction(study, place, f"{name}@{share}", metric, "none") for share in shares))
        for name in dict.fromkeys(name for name, _ in dosed)
    ]
    title = titled(
        place, f"{of_change(study, place, metric)}, against none, by rows added as a share of the training rows"
    )
    return Grid(title, ("method", *shares), tuple(rows) if len(shares) > 1 else ())


def attack_grid(study: PublishedStudy, place: Place) -> Grid:
    """How the attacks of a recipe went on every method's model version."""
    rows = [
        (method, *(mean_std(study.get(place, method, name), factor, places) for name, _, factor, places in STATISTICS))
        for method in study.methods_at(place)
        if study.get(place, method, "original_accuracy")
    ]
    headings = ("method", *(heading for _, heading, _, _ in STATISTICS))
    return Grid(titled(place, "attack statistics"), headings, tuple(rows))


def all_sentences(study: PublishedStudy) -> Iterator[str]:
    """What each method changed, in words, for every block of the tables."""
    for place in study.places:
        yield from sentences(study, place)


def study_state(study: PublishedStudy) -> str:
    """How far a study is."""
    runs = ", ".join(f"{count} {status}" for status, count in study.runs.items()) or "none begun"
    return (
        f"{study.study_id}: {study.status}; {study.cells} cells, runs: {runs}; seeds {', '.join(map(str, study.seeds))}"
    )


def in_markdown(study: PublishedStudy) -> str:
    """All tables and sentences as Markdown."""
    parts = [f"# Study {in_cell(study.study_id)}", in_cell(study_state(study)), NOTE]
    for grid in grids_of(study):
        lines = (grid.headings, *grid.rows)
        written = [f"| {' | '.join(map(in_cell, line))} |" for line in lines]
        parts += [f"## {in_cell(grid.title)}", "\n".join([written[0], "|---" * len(grid.headings) + "|", *written[1:]])]
    parts += ["## In words", "\n".join(f"- {in_cell(sentence)}" for sentence in all_sentences(study)) or "Nothing yet."]
    parts += [f"{in_cell(run)} failed: {in_cell(reason)}" for run, reason in study.failures]
    return "\n\n".join(parts) + "\n"


def in_cell(text: str) -> str:
    """Text as it is, in a cell of a Markdown table or outside of one."""
    line = " ".join(visible(text).split())
    return "".join(f"\\{letter}" if letter in "\\|`*_<>[]#" else letter for letter in line)


def print_study(console: Console, study: PublishedStudy) -> None:
    """Print how far the study is, all tables, and in words what each method changed."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console.print(Text(visible(study_state(study)), "bold"))
    for grid in grids_of(study):
        table = Table(title=Text(visible(grid.title)), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for column, heading in enumerate(grid.headings):
            table.add_column(Text(visible(heading)), justify="right" if column else "left", overflow="fold")
        for row in grid.rows:
            table.add_row(*(Text(visible(cell)) for cell in row))
        console.print(table)
    for sentence in all_sentences(study):
        console.print(Text(visible(sentence)), soft_wrap=True)
    for run, reason in study.failures:
        console.print(Text(visible(f"{run} failed: {reason}"), style="red"), soft_wrap=True)
    console.print(Text(NOTE, style="dim"), soft_wrap=True)
    console.print(Text("results  ", style="dim").append(str(study.results), style="default"), soft_wrap=True)
