"""A study's figures in words: mean and spread, intervals, and what each method changed, said in a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from blindspot.cli.study.read import FoundStudy, Place
from blindspot.storage.records import StudyFigure
from blindspot.storage.settings.study_axes import ORIGINAL

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
