"""Whether a retrained model takes the old one's place, and why, in words and numbers.

UUs are counted twice: the natural ones of the whole clean split, and those of the P of all recipes together (recipe
"all": natural and flipped ones of the attacked samples). A repair may be of either sort, so the new model is taken when

1. at least one of the two counts fell, and not by chance: the 95 % interval of the difference ends below 0, and the
   exact sign test over samples has p < 0.05 / counts (the bootstrap knows no noise where only a handful of samples
   changed: 4 UUs fewer and none more has an interval of -8 to -1, and p = 0.125);
2. that count fell at matched coverage too, where a model that is only less sure of everything stays where it was;
3. neither count rose beyond chance;
4. accuracy on the clean split fell by no more than the settings allow. McNemar's p is told, and does not decide: a
   small split would excuse any drop, a large one forbid drops that the operator allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blindspot.storage.records import POOLED, Evaluation

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

    def fell(self, level: float = SIGNIFICANT) -> bool:
        """Whether it fell beyond chance."""
        p_value = self.difference.p_value
        return end(self.difference.high) < 0 and (p_value is None or p_value < level)

    def rose(self, level: float = SIGNIFICANT) -> bool:
        """Whether it rose beyond chance."""
        p_value = self.difference.p_value
        return end(self.difference.low) > 0 and (p_value is None or p_value < level)


@dataclass(frozen=True, slots=True)
class Count:
    """UUs of one sort, at tau and at matched coverage."""

    name: str
    at_tau: Change
    matched: Change
    level: float  # of the sign test

    @property
    def is_repaired(self) -> bool:
        return self.at_tau.fell(self.level) and self.matched.fell()

    def tell(self) -> str:
        """Say what became of them, and whether it counts."""
        said = f"{self.name} {counts(self.at_tau)}"
        if self.at_tau.difference.value == 0:
            return f"{self.name} {self.at_tau.before:.0f} -> {self.at_tau.after:.0f}, no change"
        if self.at_tau.rose():
            return f"{said}, more than before"
        if not self.at_tau.fell(self.level):
            p_value = self.at_tau.difference.p_value
            few = end(self.at_tau.difference.high) < 0 or end(self.at_tau.difference.low) > 0
            return f"{said}, inside the noise" + (f" (too few samples changed, p = {p_value:.2g})" if few else "")
        if not self.matched.fell():
            return f"{said}, but at matched coverage {counts(self.matched)}: less confident, not shown to be less wrong"
        return f"{said}, at matched coverage {counts(self.matched)}"


def judge(
    evaluations: Sequence[Evaluation], *, model_id: str, baseline_id: str, tau: float, max_accuracy_drop: float
) -> Verdict:
    """Decide between a new model version and the one that it would replace.

    Args:
        evaluations: at least the figures of both model versions and their differences (`evaluate.py`).
        tau: the run's confidence threshold.
        max_accuracy_drop: a share in [0, 1]; 0.01 is one point.
    Raises: ValueError, when a figure that the decision needs is not among the evaluations.
    """
    pair = (model_id, baseline_id)
    sorts: dict[str, str | None] = {"natural UUs": None}
    if any(row.recipe == POOLED and row.metric == "uus" for row in evaluations):
        sorts["UUs under attack"] = POOLED
    found = [
        Count(
            name,
            change(evaluations, pair, ("uus", recipe, tau)),
            change(evaluations, pair, ("uus_matched", recipe, tau)),
            SIGNIFICANT / len(sorts),
        )
        for name, recipe in sorts.items()
    ]
    right = change(evaluations, pair, ("accuracy", None, None))
    drop = -right.difference.value
    held = drop <= max_accuracy_drop + ROUNDING
    accepted = any(count.is_repaired for count in found) and not any(count.at_tau.rose() for count in found) and held
    told = [count.tell() for count in found]
    accuracy = f"accuracy {percent(right.before)} -> {percent(right.after)} ({mcnemar_p(right)})"
    if not held:
        accuracy += f", which fell by {100 * drop:.1f} points of {100 * max_accuracy_drop:.1f} allowed"
    decision = "took the new model" if accepted else "kept the old model"
    return Verdict(accepted, f"{decision}: {'; '.join([*told, accuracy])}")


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
