"""What one of several teachers made of the same UUs, counted."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from blindspot.storage.records import Hypothesis, Prediction, SyntheticSample, TeacherCall, TeacherComparison, Uu
from blindspot.tools.uu import is_uu

FAILED = "failed: "  # begins what the phase `teach` tells of a teacher that could not be used


@dataclass(frozen=True, slots=True)
class Taught:
    """What there is of one teacher's work in a run."""

    run_id: str
    teacher: str  # a spec
    uus: Sequence[Uu]  # shown to every teacher
    hypotheses: Sequence[Hypothesis]  # this teacher's
    samples: Sequence[SyntheticSample]  # written after them, and filtered
    calls: Sequence[TeacherCall]  # this teacher's in all runs, since an answer may come from an earlier one's


def count_taught(taught: Taught, predictions: Mapping[str, Prediction], *, tau: float) -> TeacherComparison:
    """Count what a teacher wrote, what of it was accepted and fools the classifier, and what it took.

    Args:
        predictions: what the model version under test says of the samples: synthetic_id -> prediction. Their labels
            are the teacher's.
        tau: confidence threshold in [0, 1].
    """
    samples = taught.samples
    bought = bought_for(taught.calls, taught.run_id)
    answers = [call for call in bought if call.reply is not None]
    about = {hypothesis.hypothesis_id: hypothesis.uu_id for hypothesis in taught.hypotheses}
    served = {about[key] for sample in samples if (key := sample.hypothesis_id) is not None}
    predicted = [predictions[sample.synthetic_id] for sample in samples]
    is_priced = all(call.cost_usd is not None for call in answers)
    return TeacherComparison(
        run_id=taught.run_id,
        teacher=taught.teacher,
        uus=len(taught.uus),
        uus_skipped=sum(uu.uu_id not in served for uu in taught.uus),
        calls=len(answers),
        written=len(samples),
        accepted=sum(bool(sample.accepted) for sample in samples),
        fooling=sum(is_uu(row.label, row.predicted, row.confidence, tau) for row in predicted),
        near_duplicates=sum(not (sample.verdicts or {}).get("near_duplicate", True) for sample in samples),
        tokens_in=sum(call.tokens_in for call in answers),
        tokens_out=sum(call.tokens_out for call in answers),
        cost_usd=math.fsum(call.cost_usd or 0.0 for call in bought) if is_priced else None,
        latency_s=median(call.latency_s for call in answers) if answers else None,
    )


def bought_for(calls: Sequence[TeacherCall], run_id: str) -> list[TeacherCall]:
    """The calls behind one teacher's questions of a run, as they were bought: those that failed are among them.

    A question that the cache knew counts with what it took in the run whose answer it got, the newest: else a teacher
    would look fast and free because somebody had asked it before.
    """
    bought = [call for call in calls if not call.cache_hit]
    buyers: dict[str, list[str]] = defaultdict(list)  # cache key -> runs that got a usable answer, oldest first
    for call in sorted(bought, key=lambda call: (call.created_at, call.call_id)):
        if call.reply is not None and call.error is None:
            buyers[call.cache_key].append(call.run_id)
    asked = {call.cache_key for call in calls if call.run_id == run_id}
    counted = {key: run_id if run_id in buyers[key] else next(reversed(buyers[key]), run_id) for key in asked}
    return [call for call in bought if counted.get(call.cache_key) == call.run_id]
