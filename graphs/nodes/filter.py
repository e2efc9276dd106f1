"""filter: the automatic quality checks on this round's synthetic samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from blindspot.graphs.context import Context, State
from blindspot.graphs.nodes.attack import draw_samples
from blindspot.graphs.shared.methods import FILTERED
from blindspot.storage.records import Sample, SyntheticSample
from blindspot.tools.progress import Report

if TYPE_CHECKING:
    from blindspot.tools.additions.filter import FilterContext

HELD_OUT = 200  # training samples that the BERTScore threshold is calibrated on


def filter_round(context: Context, state: State, report: Report) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Check what the teacher wrote against training samples, earlier accepted samples and each other.

    What a baseline took out of the data is right as it is, and may well be a copy.
    """
    from blindspot.tools.additions.filter import filter_samples

    rows = context.store.rows(SyntheticSample, run_id=context.run_id, round=state["round"])
    written = [row for row in rows if row.origin in FILTERED]
    if not written:
        return {}, {"accepted": f"{len(rows)} of {len(rows)}" + (", which no teacher wrote" if rows else "")}
    earlier = [sample for sample in accepted_samples(context) if sample.round < state["round"]]
    compared = replace(compared_with(context), accepted=earlier)
    checked = filter_samples(written, compared, report, context.cancelled)
    context.store.put_many(checked)
    reasons = Counter(str(sample.rejected_by) for sample in checked if not sample.accepted)
    return {}, {
        "accepted": f"{sum(bool(sample.accepted) for sample in checked)} of {len(checked)}",
        **{f"rejected by {reason}": count for reason, count in sorted(reasons.items())},
        "BERTScore threshold": round(compared.plan.bertscore, 3),
    }


def compared_with(context: Context) -> FilterContext:
    """The checks of the settings, their threshold calibrated, and the training samples that they compare with."""
    from blindspot.tools.additions.filter import FilterContext, FilterPlan
    from blindspot.tools.text.similarity import BertScorer, text_of

    settings = context.settings.filter
    training = context.samples("train")
    threshold = settings.bertscore
    held = min(HELD_OUT, settings.references) if threshold == "calibrated" else 0
    references, held_out = draw_references(context, training, held_out=held)
    scorer = BertScorer(settings.encoder, device=context.settings.classifier.device)
    if threshold == "calibrated":
        names = context.dataset.fields
        threshold = scorer.calibrate(
            [text_of(r.fields, names) for r in references], [text_of(r.fields, names) for r in held_out]
        )
    plan = FilterPlan(
        field_names=context.dataset.fields,
        labels=context.dataset.labels,
        min_characters=settings.min_characters,
        near_duplicate=settings.near_duplicate,
        near_training=settings.near_training,
        bertscore=threshold,
    )
    return FilterContext(plan, scorer, references, training)


def draw_references(
    context: Context, training: Sequence[Sample], *, held_out: int
) -> tuple[list[Sample], list[Sample]]:
    """Draw training samples to compare with, and others to calibrate the threshold on; no sample is in both.

    Where there are too few, each sort gets its share.
    """
    wanted, seed = context.settings.filter.references, context.settings.run.seed
    drawn = draw_samples(training, wanted + held_out, seed=seed)
    apart = draw_samples(drawn, round(len(drawn) * held_out / (wanted + held_out)), seed=seed)
    ids = {sample.sample_id for sample in apart}
    return [sample for sample in drawn if sample.sample_id not in ids], apart


def accepted_samples(context: Context) -> list[SyntheticSample]:
    """The synthetic samples of all rounds that passed the filter."""
    return context.store.rows(SyntheticSample, run_id=context.run_id, accepted=True)
