"""Temperature scaling as a method: a model version with the weights of the current one, and a temperature."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from blindspot.graphs.context import Context
from blindspot.graphs.versions.identity import version_id
from blindspot.graphs.versions.outcomes import validation_outcomes
from blindspot.storage.clock import now
from blindspot.storage.records import ModelVersion
from blindspot.tools.metrics.temperature import bound_hit, in_words
from blindspot.tools.progress import Report

if TYPE_CHECKING:
    from blindspot.tools.metrics.outcomes import Outcomes


def calibrate_version(context: Context, round_number: int, current: ModelVersion, report: Report) -> ModelVersion:
    """Fit a temperature to the validation split as it is, and record the version that has it; nothing is trained.

    Source: Guo et al. (2017).
    """
    began = time.monotonic()
    outcomes = validation_outcomes(context, current.model_id, report)
    temperature = current.temperature * fit_on_validation(context, round_number, "retrain", current.model_id, outcomes)
    version = ModelVersion(
        model_id=version_id(context, round_number, "calibrated", current.model_id, temperature),
        run_id=context.run_id,
        round=round_number,
        parent_id=current.model_id,
        kind="calibrated",
        folder=current.folder,
        rows_train=current.rows_train,
        rows_synthetic=current.rows_synthetic,
        settings={},
        final_loss=None,
        seconds=time.monotonic() - began,
        created_at=now(),
        temperature=temperature,
    )
    context.store.add([version])
    return version


def fit_on_validation(context: Context, round_number: int, phase: str, model_id: str, outcomes: Outcomes) -> float:
    """Fit the temperature of a version, and say so where the fit ends at a bound: that is not a fit.

    Args:
        phase: the one that asks.
        outcomes: of the version, on the validation split.
    Returns: see `fit_temperature`.
    """
    from blindspot.tools.metrics.calibration import fit_temperature

    value = fit_temperature(outcomes.probabilities, outcomes.labels)
    if bound_hit(value):
        message = f"temperature scaling of {model_id} does not fit the {len(outcomes)} validation texts"
        context.tell(round_number, phase, f"{message}: {in_words(value)}", level="warning")
    return value
