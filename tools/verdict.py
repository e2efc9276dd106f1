"""Whether a retrained model takes the old one's place, and why, in words and numbers.

One statistic decides: the number of UUs at tau over the P of all recipes together (recipe "all"; a P holds natural UUs
and flipped ones), or, in a run without attacks, the natural UUs of the clean split. The new model is taken when

1. it fell, and not by chance: the 95 % interval of the difference ends below 0, and the exact sign test over samples
   has p < 0.05 (the bootstrap knows no noise where only a handful of samples changed: 4 UUs fewer and none more
   has an interval of -8 to -1, and p = 0.125);
2. it fell at matched coverage too, by its interval, where a model that is only less sure of everything stays where it
   was (in a simulation a fall of any size, as the only demand here, let 52 % of such models through; this lets 3 %);
3. natural UUs of the whole clean split did not rise beyond chance;
4. accuracy on the clean split fell by no more than the settings allow. McNemar's p is told, and does not decide: a
   small split would excuse any drop, a large one forbid drops that the operator allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blindspot.storage.records import Evaluation
from blindspot.tools.outcomes import POOLED

SIGNIFICANT = 0.05
ROUNDING = 1e-9  # 0.81 - 0.80 is a little more than 0.01 in floating point


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, and the sentence that tells it."""

    accepted: bool
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One metric before and after."""

    before: float
    after: float
    difference: Evaluation

    @property
    def fell(self) -> bool:
        p_value = self.difference.p_value
        return end(self.difference.high) < 0 and (p_value is None or p_value < SIGNIFICANT)

    @property
    def rose(self) -> bool:
        p_value = self.difference.p_value
        return end(self.difference.low) > 0 and (p_value is None or p_value < SIGNIFICANT)


def judge(
    evaluations: Sequence[Evaluation], *, model_id: str, baseline_id: str, tau: float, max_accuracy_drop: float
) -> Verdict:
    """Decide between a new model version and the one that it would replace.

    Args:
        evaluations: at least the figures of both model versions and their differences (`evaluate.py`), of one round.
        tau: the run's confidence threshold.
        max_accuracy_drop: a share in [0, 1]; 0.01 is one point.
    Raises: ValueError, when a figure that the decision needs is not among the evaluations.
    """
    pair = (model_id, baseline_id)
    recipe = POOLED if any(row.recipe == POOLED and row.metric == "uus" for row in evaluations) else None
    total = change(evaluations, pair, ("uus", recipe, tau))
    matched = change(evaluations, pair, ("uus_matched", recipe, tau))
    natural = change(evaluations, pair, ("uus", None, tau))
    right = change(evaluations, pair, ("accuracy", None, None))
    reasons = [
        *reasons_of_uus(total, matched),
        *([f"natural UUs of the whole split rose, {counts(natural)}"] if recipe and natural.rose else []),
        *reasons_of_accuracy(right, max_accuracy_drop),
    ]
    if reasons:
        return Verdict(False, f"kept the old model: UUs went {counts(total)}: {'; '.join(reasons)}")
    accuracy = f"accuracy {percent(right.before)} -> {percent(right.after)} ({mcnemar_p(right)})"
    return Verdict(
        True, f"took the new model: UUs went {counts(total)}; at matched coverage {counts(matched)}; {accuracy}"
    )


def change(
    evaluations: Sequence[Evaluation], pair: tuple[str, str], key: tuple[str, str | None, float | None]
) -> Change:
    """Find a metric's figures of both model versions and their difference.

    Raises: ValueError, when one of the three is missing.
    """
    new_id, baseline_id = pair
    wanted = {"after": (new_id, None), "before": (baseline_id, None), "difference": (new_id, baseline_id)}
    found = {}
    for name, owner in wanted.items():
        rows = [
            row
            for row in evaluations
            if (row.model_id, row.baseline_id) == owner and (row.metric, row.recipe, row.threshold) == key
        ]
        if not rows:
            raise ValueError(f"no evaluation of {key} for {owner}: the verdict needs figures of both and differences")
        found[name] = rows[-1]
    return Change(found["before"].value, found["after"].value, found["difference"])


def reasons_of_uus(total: Change, matched: Change) -> list[str]:
    """Say what speaks against the new model in its UUs; nothing does when they fell, also at matched coverage."""
    if total.difference.value == 0:
        return ["no change"]
    if total.rose:
        return ["more than before"]
    if not total.fell:
        p_value = total.difference.p_value
        few = end(total.difference.high) < 0 or end(total.difference.low) > 0
        return [f"inside the noise (too few samples changed, p = {p_value:.2g})" if few else "inside the noise"]
    if not matched.fell:
        return [f"not so at matched coverage, {counts(matched)}: it is less confident, not shown to be less wrong"]
    return []


def reasons_of_accuracy(right: Change, max_accuracy_drop: float) -> list[str]:
    """Say whether accuracy fell by more than is allowed."""
    drop = -right.difference.value
    if drop <= max_accuracy_drop + ROUNDING:
        return []
    went = f"{percent(right.before)} -> {percent(right.after)}"
    return [
        f"accuracy {went} fell by {100 * drop:.1f} points of {100 * max_accuracy_drop:.1f} allowed ({mcnemar_p(right)})"
    ]


def counts(change: Change) -> str:
    """E.g. "120 -> 112 (-8, 95 % interval -20 to +4)", with the rows where the pairs are not all of both figures."""
    row = change.difference
    unpaired = abs(change.after - change.before - row.value) > 0.5
    over = f" on the {row.n} rows that both have" if unpaired else ""
    interval = f"95 % interval {signed(end(row.low))} to {signed(end(row.high))}"
    return f"{change.before:.0f} -> {change.after:.0f} ({signed(row.value)}{over}, {interval})"


def signed(count: float) -> str:
    """A difference of counts with its sign, "0" without one."""
    return f"{count:+.0f}" if round(count) else "0"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def mcnemar_p(change: Change) -> str:
    return f"McNemar p = {change.difference.p_value:.2g}"


def end(value: float | None) -> float:
    """The end of an interval that a difference always has."""
    if value is None:
        raise ValueError("a difference without an interval cannot decide")
    return value
