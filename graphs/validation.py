"""What a model version says of the validation split as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blindspot.graphs.state import Context
from blindspot.graphs.versions import load_version, predict_once
from blindspot.storage.records import ModelVersion
from blindspot.tools.progress import Report, silent

if TYPE_CHECKING:
    from blindspot.tools.outcomes import Outcomes


def validation_outcomes(context: Context, version: ModelVersion, report: Report = silent) -> Outcomes:
    """Predict the validation split, where the store does not know yet; rows in the order of the split."""
    from blindspot.tools.outcomes import clean_outcomes

    samples = context.samples("validation")
    said = predict_once(context, load_version(context, version), samples, kind="sample", report=report)
    return clean_outcomes(
        [sample.sample_id for sample in samples],
        [sample.label for sample in samples],
        [said[sample.sample_id].probabilities for sample in samples],
        context.dataset.labels,
    )
