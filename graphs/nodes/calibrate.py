"""Temperature scaling as a method: a model version with the weights of the current one, and a temperature."""

from __future__ import annotations

import time

from blindspot.graphs.context import Context
from blindspot.graphs.versions.identity import version_id
from blindspot.graphs.versions.outcomes import validation_outcomes
from blindspot.storage.records import ModelVersion, now
from blindspot.tools.progress import Report


def calibrate_version(context: Context, round_number: int, current: ModelVersion, report: Report) -> ModelVersion:
    """Fit a temperature to the validation split as it is, and record the version that has it; nothing is trained.

    Source: Guo et al. (2017).
    """
    from blindspot.tools.metrics.calibration import fit_temperature

    began = time.monotonic()
    outcomes = validation_outcomes(context, current.model_id, report)
    temperature = current.temperature * fit_temperature(outcomes.probabilities, outcomes.labels)
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
