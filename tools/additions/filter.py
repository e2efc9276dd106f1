"""The quality checks on synthetic samples: what a teacher wrote is kept or rejected, never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from blindspot.storage.records import Sample, SyntheticSample
from blindspot.tools.additions.references import characters_of
from blindspot.tools.classifier.classifier import FloatArray
from blindspot.tools.progress import IsCancelled, Report, never, silent
from blindspot.tools.text.similarity import nearest_ratios, normalise, text_of

CHECKS = ("fields", "label", "length", "exact_duplicate", "near_duplicate", "bertscore")


class Scorer(Protocol):
    def best_f1(
        self, candidates: Sequence[str], references: Sequence[str], report: Report, cancelled: IsCancelled
    ) -> FloatArray: ...


@dataclass(frozen=True, slots=True)
class FilterPlan:
    """What a synthetic sample has to be like."""

    field_names: tuple[str, ...]
    labels: tuple[str, ...]
    min_characters: int  # of all fields together, white space squeezed
    near_duplicate: float  # rejected at or above this share of characters in common
    bertscore: float  # rejected below this F1 against the nearest reference
    near_training: float | None = None  # the same against training samples; None: near_duplicate


@dataclass(frozen=True, slots=True)
class FilterContext:
    """What synthetic samples are compared with."""

    plan: FilterPlan
    scorer: Scorer
    references: Sequence[str]  # texts for BERTScore, as `text_of` joins them
    training: Sequence[Sample]  # for duplicates
    shown: Sequence[str] = ()  # texts of UUs that the teacher was shown: a copy of one is a duplicate
    least: Mapping[str, int] = field(default_factory=dict)  # hypothesis_id -> min_characters of samples after it
    accepted: Sequence[SyntheticSample] = ()  # synthetic samples of earlier rounds


def filter_samples(
    drafts: Sequence[SyntheticSample],
    context: FilterContext,
    report: Report = silent,
    cancelled: IsCancelled = never,
) -> list[SyntheticSample]:
    """Judge each draft by every check, also by those after the first that it fails.

    Of two drafts that are alike the one with the lower id is kept, if it passes everything else.

    Returns: the drafts by id, with `accepted`, `rejected_by`, `verdicts` and `scores` filled in.
    Raises: Cancelled.
    Source: IBS, section 3.3, for the length and BERTScore.
    """
    plan = context.plan
    ordered = sorted(drafts, key=lambda draft: draft.synthetic_id)
    texts = [text_of(draft.fields, plan.field_names) for draft in ordered]
    plain = [normalise(text) for text in texts]
    training = [normalise(text_of(sample.fields, plan.field_names)) for sample in context.training]
    copies = {*training, *map(normalise, context.shown)}
    near_training = nearest_ratios(plain, training, report, cancelled)
    meaning = context.scorer.best_f1(texts, context.references, report, cancelled)
    own = {draft.synthetic_id for draft in ordered}
    kept = [
        normalise(text_of(sample.fields, plan.field_names))
        for sample in sorted(context.accepted, key=lambda sample: sample.synthetic_id)
        if sample.synthetic_id not in own  # a round that is filtered again
    ]
    judged: list[SyntheticSample] = []
    for index, draft in enumerate(ordered):
        text = plain[index]
        scores = {
            "characters": float(characters_of(draft.fields)),
            "nearest_training": round(float(near_training[index]), 6),
            "nearest_synthetic": round(float(nearest_ratios([text], kept)[0]), 6),
            "bertscore": round(float(meaning[index]), 6),
        }
        least = context.least.get(draft.hypothesis_id or "", plan.min_characters)
        own_plan = replace(plan, min_characters=least)
        result = judge(draft, own_plan, scores, is_copy=text in copies or text in kept)
        if result.accepted:
            kept.append(text)
        judged.append(result)
    return judged


def judge(draft: SyntheticSample, plan: FilterPlan, scores: dict[str, float], *, is_copy: bool) -> SyntheticSample:
    """Turn a draft's scores into verdicts, in the order of CHECKS."""
    near_training = plan.near_duplicate if plan.near_training is None else plan.near_training
    verdicts = {
        "fields": set(draft.fields) == set(plan.field_names) and all(value.strip() for value in draft.fields.values()),
        "label": draft.label in plan.labels,
        "length": scores["characters"] >= plan.min_characters,
        "exact_duplicate": not is_copy,
        "near_duplicate": scores["nearest_training"] < near_training
        and scores["nearest_synthetic"] < plan.near_duplicate,
        "bertscore": scores["bertscore"] >= plan.bertscore,
    }
    failed = [check for check in CHECKS if not verdicts[check]]
    return replace(
        draft,
        accepted=not failed,
        rejected_by=failed[0] if failed else None,
        verdicts=verdicts,
        scores=scores,
    )
