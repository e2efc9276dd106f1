"""The quality checks on synthetic samples: what is kept or rejected, and whether one sort is refused far more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from scipy import stats

from blindspot.storage.records import Sample, SyntheticSample
from blindspot.tools.additions.references import characters_of
from blindspot.tools.classifier.classifier import FloatArray
from blindspot.tools.progress import IsCancelled, Report, never, silent
from blindspot.tools.text.similarity import nearest_ratios, normalise, text_of

P_BELOW = 0.01  # of one comparison, corrected for how many there are
FAR_MORE = 2.0  # times the others' share


@dataclass(frozen=True, slots=True)
class Refusals:
    """A group of samples that the filter refused far more than the other samples."""

    group: str  # e.g. "label ham"
    rejected: int
    samples: int
    others_rejected: int
    others: int
    check: str  # the one that refused most of the group
    by_check: int  # how many of the group it refused
    p: float

    def __str__(self) -> str:
        return (
            f"{self.group} {self.rejected} of {self.samples} ({self.rejected / self.samples:.0%}; {self.by_check} by "
            f"{self.check}) against {self.others_rejected} of {self.others} ({self.others_rejected / self.others:.0%}) "
            f"of the others, p {self.p:.1g}"
        )


def uneven_refusals(judged: Sequence[SyntheticSample], groupings: Sequence[Mapping[str, str]]) -> list[Refusals]:
    """Find the groups that were refused at least twice as often as the other samples, and beyond chance.

    p: Fisher's exact test, one-sided, times the number of groups compared (Bonferroni); below 0.01.

    Args:
        judged: by the filter.
        groupings: ways to divide the samples, each synthetic_id -> the name of its group; samples that a grouping
            leaves out do not count in it.
    Returns: in the order of the groupings, of a grouping the most refused first.
    """
    sorted_out = [members for grouping in groupings if len(members := by_group(judged, grouping)) > 1]
    compared = sum(len(members) for members in sorted_out)
    uneven: list[Refusals] = []
    for members in sorted_out:
        groups = [refusals for name in members if (refusals := compare_group(name, members, compared))]
        uneven += sorted(groups, key=lambda refusals: (-refusals.rejected / refusals.samples, refusals.group))
    return uneven


def by_group(judged: Sequence[SyntheticSample], grouping: Mapping[str, str]) -> dict[str, list[SyntheticSample]]:
    """The samples of each group of a grouping."""
    members: dict[str, list[SyntheticSample]] = {}
    for sample in judged:
        if sample.synthetic_id in grouping:
            members.setdefault(grouping[sample.synthetic_id], []).append(sample)
    return dict(sorted(members.items()))


def compare_group(name: str, members: Mapping[str, Sequence[SyntheticSample]], compared: int) -> Refusals | None:
    """Compare one group with all others of its grouping.

    Args:
        compared: how many such comparisons there are.
    Returns: None, where it is not refused far more.
    """
    own = [sample.rejected_by for sample in members[name] if sample.rejected_by]
    samples, others = len(members[name]), [one for key, rows in members.items() if key != name for one in rows]
    others_rejected = sum(one.rejected_by is not None for one in others)
    if not own or len(own) / samples < FAR_MORE * others_rejected / len(others):
        return None
    table = [[len(own), samples - len(own)], [others_rejected, len(others) - others_rejected]]
    p = min(1.0, float(stats.fisher_exact(table, alternative="greater").pvalue) * compared)
    if p >= P_BELOW:
        return None
    [(check, by_check)] = Counter(own).most_common(1)
    return Refusals(name, len(own), samples, others_rejected, len(others), check, by_check, p)


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
        result = judge_draft(draft, own_plan, scores, is_copy=text in copies or text in kept)
        if result.accepted:
            kept.append(text)
        judged.append(result)
    return judged


def judge_draft(
    draft: SyntheticSample, plan: FilterPlan, scores: dict[str, float], *, is_copy: bool
) -> SyntheticSample:
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
