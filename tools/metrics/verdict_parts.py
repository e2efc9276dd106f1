"""What a verdict is made of: each part found among the evaluations, and told in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blindspot.storage.records import REPAIRED, BlindSpot, Evaluation

SIGNIFICANT = 0.05
SPOTS_TOLD, WORDS_TOLD = 3, 3  # blind spots of one status, and words of one of them

Key = tuple[str, str | None, float | None]
"""Metric, recipe (None: the clean split), threshold."""

Pair = tuple[str, str]
"""The new model version and the one that it would replace."""


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
class Turnover:
    """UUs of one sort that came and went."""

    fixed: Evaluation  # of the old model, and none of the new one's
    new: Evaluation  # of the new model, where the old one was right


@dataclass(frozen=True, slots=True)
class Count:
    """UUs of one sort: at tau, at matched coverage, and beside what calibration alone would leave."""

    name: str
    at_tau: Change
    matched: Change
    level: float  # of the sign test
    calibrated: Change | None = None  # before: the old model after temperature scaling; None: not measured
    calibrated_matched: Change | None = None  # the same, both at matched coverage
    turnover: Turnover | None = None

    @property
    def is_repaired(self) -> bool:
        return self.at_tau.fell(self.level) and self.matched_fell

    @property
    def matched_fell(self) -> bool:
        """Whether they fell at matched coverage, beside the old model as it is and, where measured, calibrated."""
        return self.matched.fell() and (self.calibrated_matched is None or self.calibrated_matched.fell())

    def tell(self) -> str:
        """Say what became of them, and whether it counts."""
        said = f"{self.name} {counts(self.at_tau)}"
        if self.at_tau.difference.value == 0:
            is_whole = self.at_tau.before == self.at_tau.after
            short = f"{self.name} {self.at_tau.before:.0f} -> {self.at_tau.after:.0f}"
            return f"{short if is_whole else said}, no change"
        if self.at_tau.rose():
            return f"{said}, more than before"
        if not self.at_tau.fell(self.level):
            p_value = self.at_tau.difference.p_value
            few = end(self.at_tau.difference.high) < 0 or end(self.at_tau.difference.low) > 0
            return f"{said}, inside the noise" + (f" (too few samples changed, p = {p_value:.2g})" if few else "")
        if not self.matched.fell():
            return f"{said}, but at matched coverage {counts(self.matched)}: less confident, not shown to be less wrong"
        if not self.matched_fell:
            assert self.calibrated_matched is not None
            beside = counts(self.calibrated_matched)
            return (
                f"{said}, but at matched coverage, the old model calibrated, {beside}: not more than calibration gives"
            )
        return f"{said}, at matched coverage {counts(self.matched)}"

    def tell_calibrated(self) -> str:
        """Say how the new model stands beside the old one, were that calibrated and nothing else."""
        assert self.calibrated is not None
        row = self.calibrated.difference
        if end(row.high) < 0:
            judged = "fewer than calibration alone gives"
        elif end(row.low) > 0:
            judged = "calibration alone gives fewer"
        else:
            judged = "not shown to be fewer than calibration alone gives"
        interval = f"95 % interval {signed(end(row.low))} to {signed(end(row.high))}"
        return f"{self.name} {self.calibrated.before:.0f}, the new model {signed(row.value)} ({interval}): {judged}"


@dataclass(frozen=True, slots=True)
class Parts:
    """All that a verdict tells, to be laid out otherwise; what was not measured is None or empty."""

    counts: tuple[Count, ...]
    accuracy: Change
    accuracy_held: bool
    blind_spots: tuple[BlindSpot, ...]
    temperature: float | None  # of the old model, by temperature scaling
    known_fixed: Evaluation | None  # share of the original's adversarial UUs, texts fixed, that is right now
    known_left: Evaluation | None  # share of them that is a UU still
    kept: Evaluation | None  # share of what earlier rounds repaired that is right still

    @property
    def calibrated(self) -> tuple[Count, ...]:
        """The counts that were compared with calibration."""
        return tuple(count for count in self.counts if count.calibrated)

    def tell_more(self) -> list[str]:
        """Say what does not decide but belongs to the evidence, a clause each."""
        told = [tell_blind_spots(self.blind_spots)] if self.blind_spots else []
        turned = [(count.name, count.turnover) for count in self.counts if count.turnover]
        if turned:
            each = [f"{name} {turned.fixed.value:.0f} and {turned.new.value:.0f}" for name, turned in turned]
            told.append(f"fixed, and new where the old model was right: {', '.join(each)}")
        if self.known_fixed:
            told.append(tell_known(self.known_fixed, self.known_left))
        if self.calibrated:
            how = "" if self.temperature is None else f" (T = {self.temperature:.2f})"
            each = [count.tell_calibrated() for count in self.calibrated]
            told.append(f"temperature scaling alone{how} would leave {', '.join(each)}")
        if self.kept:
            told.append(
                f"of {self.kept.n} texts that earlier rounds repaired, {self.kept.value * self.kept.n:.0f} are right "
                f"still (95 % interval {percent(end(self.kept.low))} to {percent(end(self.kept.high))})"
            )
        return told


def tell_blind_spots(spots: Sequence[BlindSpot]) -> str:
    """Say which closed, shrank, grew and opened; the largest ones by their words."""
    statuses = [status for status in ("closed", "shrunk", "grown", "opened") if any(s.status == status for s in spots)]
    total = f"{len(spots)} blind spot{'' if len(spots) == 1 else 's'}"
    if not statuses:
        return f"{total}, none closed or opened beyond chance"
    told = []
    for status in statuses:
        found = [spot for spot in spots if spot.status == status]
        named = [
            f"{' '.join(spot.words[:WORDS_TOLD]) or f'number {spot.number}'} {spot.uus_before} -> {spot.uus_after}"
            for spot in found[:SPOTS_TOLD]
        ]
        more = ", …" if len(found) > SPOTS_TOLD else ""
        told.append(f"{len(found)} {status} ({', '.join(named)}{more})")
    return f"of {total} {', '.join(told)}"


def tell_known(fixed: Evaluation, left: Evaluation | None) -> str:
    """Say what the new model makes of the texts that fooled the original model."""
    still = f" and {left.value * left.n:.0f} UUs still" if left else ""
    return f"of {fixed.n} texts that fooled the original under attack, {fixed.value * fixed.n:.0f} are right now{still}"


def find(evaluations: Sequence[Evaluation], owner: tuple[str, str | None], key: Key) -> Evaluation | None:
    """Find a figure, or a difference, the newest where there are several.

    Args:
        owner: the model version, and the one that it is compared with.
    """
    found = [
        row
        for row in evaluations
        if (row.model_id, row.baseline_id) == owner and (row.metric, row.recipe, row.threshold) == key
    ]
    return max(found, key=lambda row: row.round, default=None)


def change(evaluations: Sequence[Evaluation], pair: Pair, key: Key) -> Change:
    """Find a metric's figures of both model versions and their difference.

    Raises: ValueError, when one of the three is missing.
    """
    new_id, baseline_id = pair
    owners: tuple[tuple[str, str | None], ...] = ((baseline_id, None), (new_id, None), (new_id, baseline_id))
    before, after, difference = (find(evaluations, owner, key) for owner in owners)
    if before is None or after is None or difference is None:
        raise ValueError(f"no evaluation of {key} for {pair}: the verdict needs figures of both and their difference")
    return Change(before.value, after.value, difference)


def calibrated(evaluations: Sequence[Evaluation], pair: Pair, key: Key) -> Change | None:
    """Find what calibration alone would leave of the old model's UUs, and the new model's beside it.

    Args:
        key: of the new model's figure, "uus" or "uus_matched".
    """
    metric, recipe, tau = key
    scaled = metric.replace("uus", "uus_calibrated"), recipe, tau
    before = find(evaluations, (pair[1], None), scaled)
    after = find(evaluations, (pair[0], None), key)
    difference = find(evaluations, pair, scaled)
    return Change(before.value, after.value, difference) if before and after and difference else None


def turnover(evaluations: Sequence[Evaluation], pair: Pair, recipe: str | None, tau: float) -> Turnover | None:
    """Find how many UUs came and went."""
    fixed, new = (find(evaluations, pair, (metric, recipe, tau)) for metric in ("uus_fixed", "uus_new"))
    return Turnover(fixed, new) if fixed and new else None


def find_kept(evaluations: Sequence[Evaluation], new_id: str) -> Evaluation | None:
    """Find what became of the texts that earlier rounds repaired."""
    row = find(evaluations, (new_id, None), ("repaired_kept", None, None))
    return row if row and row.split == REPAIRED else None


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


def end(value: float | None) -> float:
    """The end of an interval that a difference always has."""
    if value is None:
        raise ValueError("a difference without an interval cannot decide")
    return value
