"""filter: the automatic quality checks on this round's synthetic samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from blindspot.graphs.context import Context, PhaseResult, State
from blindspot.graphs.shared.attacks import uus_of
from blindspot.graphs.shared.budgets import FILTERED
from blindspot.graphs.shared.references import (
    hypotheses_with_uus,
    least_for,
    least_of_all,
    references_of,
    shown_texts,
)
from blindspot.storage.records import SyntheticSample
from blindspot.tools.progress import Report, silent

if TYPE_CHECKING:
    from blindspot.tools.additions.filter import FilterContext

WORDS = {"training": "training samples", "deployment": "texts of the deployment", "uu": "UUs"}


def filter_round(context: Context, state: State, report: Report) -> PhaseResult:
    """Check what the teacher wrote against real texts, earlier accepted samples and each other.

    What a baseline took out of the data is right as it is, and may well be a copy.
    """
    from blindspot.tools.additions.filter import filter_samples

    number = state["round"]
    rows = context.store.rows(SyntheticSample, run_id=context.run_id, round=number)
    written = [row for row in rows if row.origin in FILTERED]
    if not written:
        untaught = ", which need no filter" if rows else ""
        return PhaseResult({}, {"accepted": f"{len(rows)} of {len(rows)}{untaught}"})
    earlier = [sample for sample in accepted_samples(context) if sample.round < number]
    compared, counts = compared_with(context, number, report)
    checked = filter_samples(written, replace(compared, accepted=earlier), report, context.cancelled)
    context.store.put_many(checked)
    tell_uneven(context, number, checked)
    reasons = Counter(str(sample.rejected_by) for sample in checked if not sample.accepted)
    return PhaseResult(
        {},
        {
            "accepted": f"{sum(bool(sample.accepted) for sample in checked)} of {len(checked)}",
            **{f"rejected by {reason}": count for reason, count in sorted(reasons.items())},
            "BERTScore threshold": round(compared.plan.bertscore, 3),
            "compared with": counts,
        },
    )


def compared_with(context: Context, round_number: int, report: Report = silent) -> tuple[FilterContext, str]:
    """The checks of the settings, their threshold calibrated, and what samples are compared with.

    Returns: that, and how many references there are of each source, in words.
    """
    from blindspot.tools.additions.filter import FilterContext, FilterPlan
    from blindspot.tools.additions.references import calibrate, count_sources
    from blindspot.tools.text.similarity import BertScorer

    settings, seed = context.settings.filter, context.settings.run.seed
    scorer = BertScorer(settings.encoder, device=context.settings.classifier.device)
    references = references_of(context, round_number)
    threshold = settings.bertscore
    if threshold == "calibrated":
        threshold = calibrate(scorer, references, seed=seed, report=report, cancelled=context.cancelled)
    least = least_of_all(context)
    plan = FilterPlan(
        field_names=context.dataset.fields,
        labels=context.dataset.labels,
        min_characters=least,
        near_duplicate=settings.near_duplicate,
        near_training=settings.near_training,
        bertscore=threshold,
    )
    explained = hypotheses_with_uus(context, round_number)
    checks = FilterContext(
        plan,
        scorer,
        [reference.text for reference in references],
        context.samples("train"),
        shown=shown_texts(context, uus_of(context, round_number)),
        least={row.hypothesis_id: least_for(context, least, uu) for row, uu in explained},
    )
    return checks, " + ".join(f"{count} {WORDS[source]}" for source, count in count_sources(references).items())


def tell_uneven(context: Context, round_number: int, judged: Sequence[SyntheticSample], who: str = "") -> None:
    """Warn, once, where one label or one group of hypotheses was refused far more than the others.

    Args:
        who: whose samples they are, where there are several teachers.
    """
    from blindspot.tools.additions.filter import uneven_refusals

    explained = {row.hypothesis_id: (row.kind, uu) for row, uu in hypotheses_with_uus(context, round_number)}
    after = {row.synthetic_id: explained[row.hypothesis_id] for row in judged if row.hypothesis_id in explained}
    groupings = [
        {row.synthetic_id: f'label "{row.label}"' for row in judged},
        {key: f"after {kind}s" for key, (kind, _) in after.items()},
        {key: f"about {uu.recipe or uu.kind} UUs" for key, (_, uu) in after.items()},
    ]
    if uneven := uneven_refusals(judged, groupings):
        message = f"{who}the filter rejects some samples far more often than others: {'; '.join(map(str, uneven))}"
        message += "; see `blindspot query rejected-samples` before you trust it"
        context.tell(round_number, "filter", message, level="warning")


def accepted_samples(context: Context) -> list[SyntheticSample]:
    """The synthetic samples of all rounds that passed the filter."""
    return context.store.rows(SyntheticSample, run_id=context.run_id, accepted=True)
