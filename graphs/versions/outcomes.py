"""What model versions say of samples and perturbed texts, as the columns that metrics are taken of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from blindspot.graphs.context import Context
from blindspot.graphs.versions.versions import OnDemand, id_of, predict_once
from blindspot.storage.records import Attack, Prediction, Sample
from blindspot.tools.progress import Report, silent

if TYPE_CHECKING:
    from blindspot.tools.metrics.outcomes import Outcomes


def outcomes_of(context: Context, texts: Sequence[Sample | Attack], predictions: Mapping[str, Prediction]) -> Outcomes:
    """Make the outcomes of texts, in their order.

    Args:
        predictions: one model version's, by sample_id or attack_id.
    """
    from blindspot.tools.metrics.outcomes import clean_outcomes

    return clean_outcomes(
        [text.sample_id for text in texts],
        [text.label for text in texts],
        [predictions[id_of(text)].probabilities for text in texts],
        context.dataset.labels,
    )


def validation_outcomes(context: Context, model_id: str, report: Report = silent) -> Outcomes:
    """Predict the validation split, where the store does not know yet; rows in the order of the split."""
    samples = context.samples("validation")
    predictions = predict_once(context, OnDemand(context, model_id), samples, kind="sample", report=report)
    return outcomes_of(context, samples, predictions)
