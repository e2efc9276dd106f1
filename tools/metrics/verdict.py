"""Whether a retrained model takes the old one's place, and why, in words and numbers.

UUs are counted twice: the natural ones of the whole clean split, and those of the P of all recipes together (recipe
"all": natural and flipped ones of the attacked samples). A repair may be of either sort, so the new model is taken when

1. at least one of the two counts fell, and not by chance: the 95 % interval of the difference ends below 0, and the
   exact sign test over samples has p < 0.05 / counts (the bootstrap knows no noise where only a handful of samples
   changed: 4 UUs fewer and none more has an interval of -8 to -1, and p = 0.125);
2. that count fell at matched coverage too, where a model that is only less sure of everything stays where it was; also
   beside the old model after temperature scaling (the same thing in a binary task: scaling keeps the order of
   confidences there, with more classes it does not);
3. neither count rose beyond chance;
4. accuracy on the clean split fell by no more than the settings allow. McNemar's p is told, and does not decide: a
   small split would excuse any drop, a large one forbid drops that the operator allows.

All else is told and does not decide: the blind spots that closed or opened, the UUs that came and went, what the new
model makes of the texts that fooled the original and of those that earlier rounds repaired, and whether it has fewer
UUs at tau than temperature scaling alone would leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blindspot.storage.records import BlindSpot, Evaluation
from blindspot.storage.words import POOLED
from blindspot.tools.metrics.verdict_parts import (
    SIGNIFICANT,
    Change,
    Count,
    Pair,
    Parts,
    calibrated_change,
    change_if_measured,
    find,
    find_change,
    find_kept,
    find_turnover,
    percent,
    tell_classes,
)

ROUNDING = 1e-9  # 0.81 - 0.80 is a little more than 0.01 in floating point


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, the sentence that tells it, and what it rests on."""

    accepted: bool
    text: str
    parts: Parts | None = None  # None: nothing was trained, so nothing was measured


def judge(
    evaluations: Sequence[Evaluation],
    *,
    model_id: str,
    baseline_id: str,
    tau: float,
    max_accuracy_drop: float,
    blind_spots: Sequence[BlindSpot] = (),
) -> Verdict:
    """Decide between a new model version and the one that it would replace.

    Args:
        evaluations: at least the figures of both model versions and their differences (`evaluate.py`); what else there
            is among them (`evidence.py`) is told too.
        tau: the run's confidence threshold.
        max_accuracy_drop: a share in [0, 1]; 0.01 is one point.
        blind_spots: of both versions together.
    Raises: ValueError, when a figure that the decision needs is not among the evaluations.
    """
    pair = (model_id, baseline_id)
    right = find_change(evaluations, pair, ("accuracy", None, None))
    drop = -right.difference.value
    parts = Parts(
        counts=find_counts(evaluations, pair, tau),
        accuracy=right,
        accuracy_held=drop <= max_accuracy_drop + ROUNDING,
        blind_spots=tuple(blind_spots),
        temperature=value_of(find(evaluations, (baseline_id, None), ("temperature", None, None))),
        known_fixed=find(evaluations, (model_id, None), ("known_uus_fixed", POOLED, None)),
        known_left=find(evaluations, (model_id, None), ("known_uus_left", POOLED, tau)),
        kept=find_kept(evaluations, model_id),
        balanced=change_if_measured(evaluations, pair, ("balanced_accuracy", None, None)),
        majority=value_of(find(evaluations, (model_id, None), ("majority_share", None, None))),
    )
    fell = any(count.is_repaired for count in parts.counts)
    accepted = fell and not any(count.at_tau.rose() for count in parts.counts) and parts.accuracy_held
    accuracy = f"accuracy {percent(right.before)} -> {percent(right.after)} ({mcnemar_p(right)})"
    if not parts.accuracy_held:
        accuracy += f", a fall of {100 * drop:.1f} points where {100 * max_accuracy_drop:.1f} are allowed"
    accuracy += tell_classes(parts.balanced, parts.majority)
    decision = "took the new model" if accepted else "kept the old model"
    clauses = [*(count.tell() for count in parts.counts), accuracy, *parts.tell_more()]
    if len(parts.counts) == 1 and any(row.recipe == POOLED and row.metric == "uus" for row in evaluations):
        clauses.insert(1, "UUs under attack are not compared: attacks broke on every sample, on one model or the other")
    return Verdict(accepted, f"{decision}: {'; '.join(clauses)}", parts)


def find_counts(evaluations: Sequence[Evaluation], pair: Pair, tau: float) -> tuple[Count, ...]:
    """Find the counts that decide: one, or two where samples were attacked.

    Raises: ValueError, when a figure of them is missing.
    """
    sorts: dict[str, str | None] = {"natural UUs": None}
    if find(
        evaluations, pair, ("uus", POOLED, tau)
    ):  # attacks may have broken on every sample, on one model or the other
        sorts["UUs under attack"] = POOLED
    return tuple(
        Count(
            name,
            at_tau=find_change(evaluations, pair, ("uus", recipe, tau)),
            matched=find_change(evaluations, pair, ("uus_matched", recipe, tau)),
            level=SIGNIFICANT / len(sorts),
            calibrated=calibrated_change(evaluations, pair, ("uus", recipe, tau)),
            calibrated_matched=calibrated_change(evaluations, pair, ("uus_matched", recipe, tau)),
            turnover=find_turnover(evaluations, pair, recipe, tau),
        )
        for name, recipe in sorts.items()
    )


def value_of(row: Evaluation | None) -> float | None:
    return row.value if row else None


def mcnemar_p(change: Change) -> str:
    return f"McNemar p = {change.difference.p_value:.2g}"
