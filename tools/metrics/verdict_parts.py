"""What a verdict is made of: each part found among the evaluations, and told in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blindspot.storage.records import BlindSpot, Evaluation
from blindspot.storage.words import REPAIRED
from blindspot.tools.metrics.temperature import in_words

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
    """UUs of one sort that came and went: after - before = new + more_confident - fixed."""

    fixed: Evaluation  # of the old model, and none of the new one's
    new: Evaluation  # of the new model, where the old one was right
    less_confident: Evaluation | None = None  # of the fixed ones: wrong still, below tau; None: not measured
    more_confident: Evaluation | None = None  # of the new model, where the old one was wrong below tau

    def tell(self, name: str) -> str:
        """Say how many are gone and how many are new, each sort by its name, so that the sums add up."""
        fixed, new = round(self.fixed.value), round(self.new.value)
        if self.less_confident is None or self.more_confident is None:  # an older blindspot measured this
            return f"{name}: {fixed} fixed, {new} new where the old model was right"
        unsure, surer = round(self.less_confident.value), round(self.more_confident.value)
        return (
            f"{name}: {fixed} gone ({fixed - unsure} now right, {unsure} still wrong but below tau), "
            f"{new + surer} new ({new} right before, {surer} wrong before but below tau)"
        )


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
        summary = f"{self.name} {counts(self.at_tau)}"
        if self.at_tau.difference.value == 0:
            is_whole = self.at_tau.before == self.at_tau.after
            short = f"{self.name} {self.at_tau.before:.0f} -> {self.at_tau.after:.0f}"
            return f"{short if is_whole else summary}, no change"
        if self.at_tau.rose():
            return f"{summary}, more than before"
        if not self.at_tau.fell(self.level):
            return f"{summary}, {self.tell_undecided()}"
        if not self.matched.fell():
            return (
                f"{summary}, but at matched coverage {counts(self.matched)}: less confident, not shown to be less wrong"
            )
        if not self.matched_fell:
            assert self.calibrated_matched is not None
            beside = counts(self.calibrated_matched)
            return (
                f"{summary}, but at matched coverage, against the calibrated old model, {beside}: "
                "no more than calibration gives"
            )
        return f"{summary}, at matched coverage {counts(self.matched)}"

    def tell_undecided(self) -> str:
        """Say why a change at tau counts neither as a fall nor as a rise, by the test that decides."""
        row = self.at_tau.difference
        if end(row.low) <= 0 <= end(row.high):
            return "inside the noise: the interval includes 0"
        less = end(row.high) < 0
        level = self.level if less else SIGNIFICANT
        return (
            f"not shown to be {'fewer' if less else 'more'}: too few samples changed, the exact sign test has "
            f"p = {row.p_value:.2g} and needs p < {level:g}"
        )

    @property
    def beside_calibration(self) -> Change | None:
        """The old model calibrated and the new one, at matched coverage, where scaling alone gains nothing.

        At tau, where an older blindspot measured nothing else.
        """
        return self.calibrated_matched or self.calibrated

    def tell_calibrated(self) -> str:
        """Say how the new model stands beside the old one, were that calibrated and nothing else."""
        beside = self.beside_calibration
        assert beside is not None
        row = beside.difference
        if end(row.high) < 0:
            judged = "fewer than calibration alone gives"
        elif end(row.low) > 0:
            judged = "more than calibration alone gives"
        else:
            judged = "not shown to be fewer than calibration alone gives"
        interval = f"95 % interval {signed(end(row.low))} to {signed(end(row.high))}"
        return f"{beside.before:.0f} {self.name} (the new model: {signed(row.value)}, {interval}, {judged})"


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
    kept: Evaluation | None  # share of what earlier rounds repaired that is still right
    balanced: Change | None = None  # balanced accuracy; None: an older blindspot did not measure it
    majority: float | None = None  # share of the most frequent class

    @property
    def calibrated(self) -> tuple[Count, ...]:
        """The counts that were compared with calibration."""
        return tuple(count for count in self.counts if count.beside_calibration)

    def tell_more(self) -> list[str]:
        """Say what does not decide but belongs to the evidence, a clause each."""
        clauses = [tell_blind_spots(self.blind_spots)] if self.blind_spots else []
        clauses += [count.turnover.tell(count.name) for count in self.counts if count.turnover]
        if self.known_fixed:
            clauses.append(tell_known(self.known_fixed, self.known_left))
        if self.calibrated:
            how = "" if self.temperature is None else f" ({in_words(self.temperature)})"
            where = ", at matched coverage," if all(count.calibrated_matched for count in self.calibrated) else ""
            each = [count.tell_calibrated() for count in self.calibrated]
            clauses.append(f"temperature scaling alone{how} would leave{where} {', '.join(each)}")
        if self.kept:
            clauses.append(
                f"of {self.kept.n} texts that earlier rounds repaired, {self.kept.value * self.kept.n:.0f} are still "
                f"right (95 % interval {percent(end(self.kept.low))} to {percent(end(self.kept.high))})"
            )
        return clauses


def tell_blind_spots(spots: Sequence[BlindSpot]) -> str:
    """Say which closed, shrank, grew and opened; the largest ones by their words."""
    statuses = [status for status in ("closed", "shrunk", "grown", "opened") if any(s.status == status for s in spots)]
    total = f"{len(spots)} blind spot{'' if len(spots) == 1 else 's'}"
    if not statuses:
        return f"{total}, none closed or opened beyond chance"
    clauses = []
    for status in statuses:
        matching = [spot for spot in spots if spot.status == status]
        named = [
            f"{' '.join(spot.words[:WORDS_TOLD]) or f'number {spot.number}'} {spot.uus_before} -> {spot.uus_after}"
            for spot in matching[:SPOTS_TOLD]
        ]
        more = ", …" if len(matching) > SPOTS_TOLD else ""
        clauses.append(f"{len(matching)} {status} ({', '.join(named)}{more})")
    return f"{total}: {', '.join(clauses)}"


def tell_known(fixed: Evaluation, left: Evaluation | None) -> str:
    """Say what the new model makes of the texts that fooled the original model."""
    still = f" and {left.value * left.n:.0f} still UUs" if left else ""
    return f"of {fixed.n} texts that fooled the original under attack, {fixed.value * fixed.n:.0f} are now right{still}"


def find(evaluations: Sequence[Evaluation], owner: tuple[str, str | None], key: Key) -> Evaluation | None:
    """Find a figure, or a difference, the newest where there are several.

    Args:
        owner: the model version, and the one that it is compared with.
    """
    matching = [
        row
        for row in evaluations
        if (row.model_id, row.baseline_id) == owner and (row.metric, row.recipe, row.threshold) == key
    ]
    return max(matching, key=lambda row: row.round, default=None)


def find_change(evaluations: Sequence[Evaluation], pair: Pair, key: Key) -> Change:
    """Find a metric's figures of both model versions and their difference.

    Raises: ValueError, when one of the three is missing.
    """
    new_id, baseline_id = pair
    owners: tuple[tuple[str, str | None], ...] = ((baseline_id, None), (new_id, None), (new_id, baseline_id))
    before, after, difference = (find(evaluations, owner, key) for owner in owners)
    if before is None or after is None or difference is None:
        raise ValueError(f"no evaluation of {key} for {pair}: the verdict needs figures of both and their difference")
    return Change(before.value, after.value, difference)


def calibrated_change(evaluations: Sequence[Evaluation], pair: Pair, key: Key) -> Change | None:
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


def find_turnover(evaluations: Sequence[Evaluation], pair: Pair, recipe: str | None, tau: float) -> Turnover | None:
    """Find how many UUs came and went."""
    sorts = ("uus_fixed", "uus_new", "uus_less_confident", "uus_more_confident")
    fixed, new, less, more = (find(evaluations, pair, (metric, recipe, tau)) for metric in sorts)
    return Turnover(fixed, new, less, more) if fixed and new else None


def tell_classes(balanced: Change | None, majority: float | None) -> str:
    """Say what belongs beside an accuracy: ", balanced 50.0 % -> 55.2 %, majority class 86.6 %"."""
    balance = "" if balanced is None else f", balanced {percent(balanced.before)} -> {percent(balanced.after)}"
    return balance if majority is None else f"{balance}, majority class {percent(majority)}"


def change_if_measured(evaluations: Sequence[Evaluation], pair: Pair, key: Key) -> Change | None:
    """The same as `find_change`; None, where one of the three is missing."""
    return find_change(evaluations, pair, key) if find(evaluations, pair, key) else None


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
