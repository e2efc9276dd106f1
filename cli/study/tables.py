"""The tables of a study, for a terminal or in Markdown: accuracy and UUs, what each method changed, how attacks went.

After IBS: table 2 is the first, tables 4 to 7 are the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blindspot.cli.study.read import FoundStudy, Place
from blindspot.cli.terminal import visible
from blindspot.storage.records import StudyFigure
from blindspot.storage.settings.study_axes import ORIGINAL
from blindspot.storage.settings.study_cells import dose_of

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


def reduction(found: FoundStudy, place: Place, method: str, metric: str, baseline: str) -> str:
    """By how much UUs fell, e.g. "24 (18 to 30)", marked where that is inside the noise."""
    row = found.get(place, method, f"{metric}_reduction", found.tau(place), baseline)
    return "–" if row is None else in_hundredths(row)


def points(found: FoundStudy, place: Place, method: str, metric: str, baseline: str) -> str:
    """By how many points a share changed."""
    row = found.get(place, method, metric, baseline=baseline)
    return "–" if row is None else in_hundredths(row)


def in_hundredths(row: StudyFigure) -> str:
    """A share and its interval, each times 100."""
    said = f"{100 * row.value:+.1f}"
    if row.low is None or row.high is None:
        return said
    return f"{said} ({100 * row.low:+.1f} to {100 * row.high:+.1f}){f', {NOISE}' if is_noise(row) else ''}"


def sentences(found: FoundStudy, place: Place) -> Iterator[str]:
    """Say of each method what it changed against the floor, and of the floor what it changed against the original."""
    methods = found.methods_at(place)
    attacked = found.get(place, ORIGINAL, "uus", found.tau(place)) is not None
    uus = "uus" if attacked else "uus_clean"
    for method in methods:
        if method == ORIGINAL:  # what the floor says of it, the other way round
            continue
        floor = FLOOR if FLOOR in methods and method != FLOOR else ORIGINAL
        at_tau = found.get(place, method, f"{uus}_reduction", found.tau(place), floor)
        matched = found.get(place, method, f"{uus}_matched_reduction", found.tau(place), floor)
        accuracy = found.get(place, method, "accuracy", baseline=floor)
        if at_tau and matched and accuracy:
            where = ", ".join(part for part in place if part)
            yield (
                f"{where}: {method} has {fewer(at_tau)} UUs than {floor} at {found.tau(place):g}, at matched coverage "
                f"{fewer(matched)}; accuracy {change_in_words(accuracy)}."
            )


def fewer(row: StudyFigure) -> str:
    """E.g. "24.0 % fewer (95 % interval 18.1 to 30.2 %)"."""
    assert row.low is not None
    assert row.high is not None
    sign = 1 if row.value >= 0 else -1
    low, high = sorted((100 * sign * row.low, 100 * sign * row.high))
    said = f"{100 * abs(row.value):.1f} % {'fewer' if sign > 0 else 'more'}"
    return f"{said} ({f'{NOISE}, ' if is_noise(row) else ''}95 % interval {low:.1f} to {high:.1f} %)"


def change_in_words(row: StudyFigure) -> str:
    """E.g. "-0.4 points (inside the noise)"."""
    assert row.low is not None
    assert row.high is not None
    said = f"{100 * row.value:+.1f} points"
    if is_noise(row):
        return f"{said} ({NOISE}, {100 * row.low:+.1f} to {100 * row.high:+.1f})"
    return f"{said} (95 % interval {100 * row.low:+.1f} to {100 * row.high:+.1f})"


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


def grids_of(found: FoundStudy) -> list[Grid]:
    """All tables that there are figures for."""
    grids = [headline(found, place) for place in found.places]
    for place in found.places:
        uus, matched, _ = uu_metrics(found, place)
        shared = () if is_part(found, place) else ("accuracy",)
        grids += [changes(found, place, metric) for metric in (uus, matched, *shared)]
        grids += [doses(found, place, metric) for metric in (uus, matched)]
    grids += [attack_grid(found, place) for place in found.places]
    return [grid for grid in grids if grid.rows]


def headline(found: FoundStudy, place: Place) -> Grid:
    """Accuracy and UUs of every method."""
    uus, matched, natural = uu_metrics(found, place)
    tau = found.tau(place)
    counts = [(uus, "UUs"), (matched, "at matched coverage"), *([(natural, "natural UUs")] if natural else [])]
    headings = ["method", "accuracy, %", *(f"{name}{of_rows(found, place, metric)}" for metric, name in counts)]
    rows = [
        (
            method,
            mean_std(found.get(place, method, "accuracy"), 100, 1),
            *(mean_std(found.get(place, method, metric, tau), 1, 1) for metric, _ in counts),
            *added(found, place, method),
        )
        for method in found.methods_at(place)
    ]
    title = titled(place, f"accuracy and UUs at {tau:g}")
    return Grid(title, (*headings, "rows added", "taken"), tuple(rows))


def titled(place: Place, what: str) -> str:
    return f"{', '.join(part for part in place if part)}: {what}"


def is_part(found: FoundStudy, place: Place) -> bool:
    """Whether a block is of one recipe among several of the same runs, whose clean split another block tells of."""
    return (*place[:2], place[2].partition(": ")[0]) in set(found.places) - {place}


def uu_metrics(found: FoundStudy, place: Place) -> tuple[str, str, str | None]:
    """The metrics of UUs: on P with the natural ones beside them, or the natural ones alone if nothing was attacked."""
    if found.get(place, ORIGINAL, "uus", found.tau(place)) is None:
        return "uus_clean", "uus_clean_matched", None
    return "uus", "uus_matched", "uus_clean"


def of_rows(found: FoundStudy, place: Place, metric: str) -> str:
    row = found.get(place, ORIGINAL, metric, found.tau(place))
    return f" of {row.n:,}" if row and not metric.endswith("matched") else ""


def added(found: FoundStudy, place: Place, method: str) -> tuple[str, str]:
    """Rows that a method added, and how often a verdict took its model version."""
    taken = found.get(place, method, "accepted")
    count = f"{taken.value * taken.seeds:.0f} of {taken.seeds}" if taken else "–"
    return mean_std(found.get(place, method, "rows_added"), 1, 0), count


def changes(found: FoundStudy, place: Place, metric: str) -> Grid:
    """What every method changed against each baseline, in one metric."""
    methods = found.methods_at(place)
    there = [name for name in BASELINES if name in {dose_of(method)[0] for method in methods}]
    show = points if metric == "accuracy" else reduction
    found_rows = [
        (method, *(show(found, place, method, metric, baseline) for baseline in there))
        for method in methods
        if method != ORIGINAL
    ]
    rows = tuple(row for row in found_rows if set(row[1:]) != {"–"})
    return Grid(titled(place, of_change(found, place, metric)), ("method", *(f"against {n}" for n in there)), rows)


def of_change(found: FoundStudy, place: Place, metric: str) -> str:
    """Name a change, e.g. "reduction of UUs at 0.65, in %"."""
    if metric == "accuracy":
        return "accuracy, difference in points"
    where = "matched coverage" if metric.endswith("matched") else f"{found.tau(place):g}"
    return f"reduction of UUs at {where}, in %"


def doses(found: FoundStudy, place: Place, metric: str) -> Grid:
    """How much fewer UUs each method leaves than `none`, by its dose."""
    dosed = [(name, share) for name, share in map(dose_of, found.methods_at(place)) if share]
    shares = sorted({share for _, share in dosed}, key=lambda share: float(share.rstrip("%")))
    rows = [
        (name, *(reduction(found, place, f"{name}@{share}", metric, "none") for share in shares))
        for name in dict.fromkeys(name for name, _ in dosed)
    ]
    title = titled(
        place, f"{of_change(found, place, metric)}, against none, by rows added as a share of the training rows"
    )
    return Grid(title, ("method", *shares), tuple(rows) if len(shares) > 1 else ())


def attack_grid(found: FoundStudy, place: Place) -> Grid:
    """How the attacks of a recipe went on every method's model version."""
    rows = [
        (method, *(mean_std(found.get(place, method, name), factor, places) for name, _, factor, places in STATISTICS))
        for method in found.methods_at(place)
        if found.get(place, method, "original_accuracy")
    ]
    headings = ("method", *(heading for _, heading, _, _ in STATISTICS))
    return Grid(titled(place, "attack statistics"), headings, tuple(rows))


def told_of(found: FoundStudy) -> Iterator[str]:
    """What each method changed, in words, for every block of the tables."""
    for place in found.places:
        yield from sentences(found, place)


def state_of(found: FoundStudy) -> str:
    """How far a study is."""
    runs = ", ".join(f"{count} {status}" for status, count in found.runs.items()) or "none begun"
    return (
        f"{found.study_id}: {found.status}; {found.cells} cells, runs: {runs}; seeds {', '.join(map(str, found.seeds))}"
    )


def in_markdown(found: FoundStudy) -> str:
    """All tables and sentences as Markdown."""
    parts = [f"# Study {in_cell(found.study_id)}", in_cell(state_of(found)), NOTE]
    for grid in grids_of(found):
        lines = (grid.headings, *grid.rows)
        written = [f"| {' | '.join(map(in_cell, line))} |" for line in lines]
        parts += [f"## {in_cell(grid.title)}", "\n".join([written[0], "|---" * len(grid.headings) + "|", *written[1:]])]
    parts += ["## In words", "\n".join(f"- {in_cell(sentence)}" for sentence in told_of(found)) or "Nothing yet."]
    parts += [f"{in_cell(run)} failed: {in_cell(reason)}" for run, reason in found.failures]
    return "\n\n".join(parts) + "\n"


def in_cell(text: str) -> str:
    """Text as it is, in a cell of a Markdown table or outside of one."""
    line = " ".join(visible(text).split())
    return "".join(f"\\{letter}" if letter in "\\|`*_<>[]#" else letter for letter in line)


def print_study(console: Console, found: FoundStudy) -> None:
    """Print how far the study is, all tables, and in words what each method changed."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console.print(Text(visible(state_of(found)), "bold"))
    for grid in grids_of(found):
        table = Table(title=Text(visible(grid.title)), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for column, heading in enumerate(grid.headings):
            table.add_column(Text(visible(heading)), justify="right" if column else "left", overflow="fold")
        for row in grid.rows:
            table.add_row(*(Text(visible(cell)) for cell in row))
        console.print(table)
    for sentence in told_of(found):
        console.print(Text(visible(sentence)), soft_wrap=True)
    for run, reason in found.failures:
        console.print(Text(visible(f"{run} failed: {reason}"), style="red"), soft_wrap=True)
    console.print(Text(NOTE, style="dim"), soft_wrap=True)
    console.print(Text("results  ", style="dim").append(str(found.results), style="default"), soft_wrap=True)
