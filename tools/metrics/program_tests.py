"""Whether programs raise the rate of UUs: each is tested, all of a round are corrected together, and tested again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from blindspot.tools.metrics.statistics import LEVEL, Floats, mcnemar, share_interval

Verdict = Literal["confirmed", "refuted", "not applicable"]
Outcome = Literal["closed", "half closed", "open"]
Correction = Literal["holm", "benjamini-hochberg"]

ALPHA = 0.05
LEAST_EFFECT = 0.05  # of the UU rate
LEAST_ROWS = 30
NORMAL_QUANTILE = float(stats.norm.ppf((1 + LEVEL) / 2))
CLOSED, OPEN = 0.25, 0.75  # shares of an effect that is left


@dataclass(frozen=True, slots=True)
class EditedOutcomes:
    """What a model made of rows without and with a program's edit."""

    program_id: str
    without: ArrayLike  # (n,) whether each row that the program edited is a UU as it was
    edited: ArrayLike  # (n,) and as it was edited
    rows: int  # of the split, edited or not


@dataclass(frozen=True, slots=True)
class TemplateOutcomes:
    """What a model made of a program's new texts, beside the split's own rows."""

    program_id: str
    made: ArrayLike  # (m,) whether each new text is a UU
    split: ArrayLike  # (n,) whether each row of the split is one


@dataclass(frozen=True, slots=True)
class JudgedProgram:
    """What the test of one program gave; rates and effects are shares of rows."""

    program_id: str
    n: int  # rows edited, or texts made
    coverage: float | None  # share of the split that the program edits; None for templates
    rate_without: float | None  # UUs among the rows as they were, or in the split; None where there are no rows
    rate_with: float | None
    effect: float | None
    low: float | None  # of the effect: the 95 % interval, not corrected
    high: float | None
    p_value: float | None
    adjusted_p: float | None  # None: not applicable
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Retest:
    """What is left of a confirmed program's effect on a later model version."""

    program_id: str
    share_left: float  # of the effect; below 0 where the edit helps by now
    adjusted_p: float | None
    outcome: Outcome


def judge_programs(
    outcomes: Sequence[EditedOutcomes | TemplateOutcomes],
    *,
    alpha: float = ALPHA,
    least_effect: float = LEAST_EFFECT,
    least_rows: int = LEAST_ROWS,
    correction: Correction = "holm",
) -> list[JudgedProgram]:
    """Test the programs of a round on one model version.

    Confirmed: significant after the correction, and the UU rate rises by `least_effect` at least. Programs with fewer
    than `least_rows` rows are not applicable and take no part in the correction. Each row counts as independent, so
    give one variant of a row.

    Args:
        alpha: of the family of tests ("holm"), or the share of false ones among those confirmed ("benjamini-hochberg").
    Returns: one test for each program, in their order.
    Raises: ValueError, where the outcomes of a program differ in length or alpha is outside (0, 1).
    Source: McNemar (1947), exact; Fisher (1935) for templates; Holm (1979); Benjamini and Hochberg (1995).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, which is not between 0 and 1")
    raw = [edit_test(each) if isinstance(each, EditedOutcomes) else template_test(each) for each in outcomes]
    tested = [place for place, test in enumerate(raw) if test.n >= max(1, least_rows) and test.p_value is not None]
    adjusted = adjust([raw[place].p_value or 0.0 for place in tested], correction)
    p_values = dict(zip(tested, adjusted, strict=True))
    return [judged(test, p_values.get(place), alpha, least_effect) for place, test in enumerate(raw)]


def judged(test: JudgedProgram, adjusted_p: float | None, alpha: float, least_effect: float) -> JudgedProgram:
    """Give a test its verdict."""
    verdict: Verdict = "not applicable"
    if adjusted_p is not None and test.effect is not None:
        verdict = "confirmed" if adjusted_p <= alpha and test.effect >= max(least_effect, 1e-12) else "refuted"
    return replace(test, adjusted_p=adjusted_p, verdict=verdict)


def edit_test(outcomes: EditedOutcomes) -> JudgedProgram:
    """Compare the same rows without and with an edit, before any correction."""
    without, edited = np.asarray(outcomes.without, dtype=bool), np.asarray(outcomes.edited, dtype=bool)
    if without.shape != edited.shape or without.ndim != 1:
        raise ValueError(f"{outcomes.program_id}: outcomes of shapes {without.shape} and {edited.shape} are no pairs")
    n = len(without)
    if n > outcomes.rows:
        raise ValueError(f"{outcomes.program_id}: {n} rows edited of {outcomes.rows} in the split")
    coverage = n / outcomes.rows if outcomes.rows else 0.0
    if not n:
        return untested(outcomes.program_id, 0, coverage)
    gained, lost = int((edited & ~without).sum()), int((without & ~edited).sum())
    low, high = paired_interval(gained, lost, n)
    return JudgedProgram(
        program_id=outcomes.program_id,
        n=n,
        coverage=coverage,
        rate_without=float(without.mean()),
        rate_with=float(edited.mean()),
        effect=(gained - lost) / n,
        low=low,
        high=high,
        p_value=mcnemar(edited, without),
        adjusted_p=None,
        verdict="not applicable",
    )


def template_test(outcomes: TemplateOutcomes) -> JudgedProgram:
    """Compare new texts with the split's own rows, before any correction."""
    made, split = np.asarray(outcomes.made, dtype=bool), np.asarray(outcomes.split, dtype=bool)
    if not made.size or not split.size:
        return untested(outcomes.program_id, made.size, None)
    uus, others = int(made.sum()), int(split.sum())
    table = [[uus, made.size - uus], [others, split.size - others]]
    low, high = unpaired_interval(uus, made.size, others, split.size)
    return JudgedProgram(
        program_id=outcomes.program_id,
        n=made.size,
        coverage=None,
        rate_without=float(split.mean()),
        rate_with=float(made.mean()),
        effect=float(made.mean() - split.mean()),
        low=low,
        high=high,
        p_value=float(stats.fisher_exact(table).pvalue),
        adjusted_p=None,
        verdict="not applicable",
    )


def untested(program_id: str, n: int, coverage: float | None) -> JudgedProgram:
    return JudgedProgram(program_id, n, coverage, None, None, None, None, None, None, None, "not applicable")


def paired_interval(gained: int, lost: int, n: int) -> tuple[float, float]:
    """Give the 95 % interval of a difference of paired shares: (gained - lost) / n.

    Args:
        gained, lost: pairs that are true only with, or only without, the edit.
    Source: Agresti and Min (2005), the Wald interval with half a pair added to each of the four cells.
    """
    more, less, total = gained + 0.5, lost + 0.5, n + 2
    difference = (more - less) / total
    spread = NORMAL_QUANTILE * math.sqrt(max(0.0, more + less - (more - less) ** 2 / total)) / total
    return max(-1.0, difference - spread), min(1.0, difference + spread)


def unpaired_interval(first: int, of_first: int, second: int, of_second: int) -> tuple[float, float]:
    """Give the 95 % interval of a difference of independent shares: first / of_first - second / of_second.

    Source: Newcombe (1998), method 10, from the two Wilson intervals.
    """
    p, q = first / of_first, second / of_second
    (p_low, p_high), (q_low, q_high) = share_interval(first, of_first), share_interval(second, of_second)
    return p - q - math.hypot(p - p_low, q_high - q), p - q + math.hypot(p_high - p, q - q_low)


def adjust(p_values: Sequence[float], correction: Correction) -> Floats:
    """Correct p-values for their number, (n,) each.

    Source: Holm (1979), any dependence; Benjamini and Hochberg (1995), for independent or positively dependent tests.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not values.size:
        return values
    if correction == "benjamini-hochberg":
        return np.asarray(stats.false_discovery_control(values, method="bh"), dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, steps)
    return adjusted


def compare_retests(
    before: Sequence[JudgedProgram],
    after: Sequence[JudgedProgram],
    *,
    alpha: float = ALPHA,
    closed_share: float = CLOSED,
    open_share: float = OPEN,
) -> list[Retest]:
    """Say what a later model version has left of confirmed programs' effects.

    Closed: no more than `closed_share` of the effect is left, and it is no longer significant. Open: `open_share` of it
    at least. Half closed: anything between.

    Args:
        before: confirmed programs.
        after: tests of the same programs on the later version, of the same rows; corrected together.
    Returns: in the order of `before`.
    Raises: ValueError, where a program was not confirmed, or was not tested again.
    """
    later = {test.program_id: test for test in after}
    return [
        retested(test, later.get(test.program_id), alpha=alpha, closed_share=closed_share, open_share=open_share)
        for test in before
    ]


def retested(
    before: JudgedProgram, after: JudgedProgram | None, *, alpha: float, closed_share: float, open_share: float
) -> Retest:
    if before.verdict != "confirmed" or not before.effect:
        raise ValueError(f"{before.program_id} was not confirmed, so there is no effect to close")
    if after is None or after.effect is None:
        raise ValueError(f"{before.program_id} was not tested again")
    share = round(after.effect / before.effect, 9)  # three quarters are three quarters
    is_significant = after.adjusted_p is not None and after.adjusted_p <= alpha and after.effect > 0
    outcome: Outcome = "half closed"
    if share >= open_share:
        outcome = "open"
    elif share <= closed_share and not is_significant:
        outcome = "closed"
    return Retest(before.program_id, share, after.adjusted_p, outcome)
