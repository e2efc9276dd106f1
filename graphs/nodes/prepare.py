"""prepare: have the original model version ready, fine-tuned here or brought along."""

from __future__ import annotations

from dataclasses import replace

from blindspot.graphs.context import Context, PhaseResult, State
from blindspot.graphs.versions.identity import recorded_version
from blindspot.graphs.versions.versions import bring_version, has_weights, train_version
from blindspot.storage.errors import ModelError
from blindspot.storage.records import ModelVersion, Run
from blindspot.tools.progress import Report


def prepare(context: Context, state: State, report: Report) -> PhaseResult:
    """Fine-tune on the training samples where the settings ask for it; else record what was brought along.

    A run that repairs the original model version of another takes it as it is.
    """
    run = context.store.one(Run, run_id=context.run_id)
    assert run is not None
    version = origin_version(context, run.origin_id) if run.origin_id else own_version(context, report)
    context.store.put(replace(run, original_model_id=version.model_id, final_model_id=version.model_id))
    trained = {"trained on": version.rows_train, "loss": rounded(version.final_loss)}
    summary = trained if version.rows_train else {"brought along": version.folder}
    return PhaseResult({"model_id": version.model_id}, summary)


def own_version(context: Context, report: Report) -> ModelVersion:
    """The run's own original model version, made if it is not there."""
    version = recorded_version(context, 0)
    if version is not None and has_weights(context, version):
        return version
    if context.settings.classifier.fine_tune:
        return train_version(context, 0, parent=None, synthetic=(), report=report)
    return bring_version(context)


def origin_version(context: Context, origin_id: str) -> ModelVersion:
    """The original model version of the run that trained it.

    Raises: ModelError, where it is not there (any more).
    """
    origin = context.store.one(Run, run_id=origin_id)
    version = context.store.one(ModelVersion, model_id=origin.original_model_id) if origin else None
    if version is None or not has_weights(context, version):
        raise ModelError(
            f"{context.run_id}: the original model version of {origin_id} is gone; `blindspot delete {origin_id}`, "
            "then go on with the study"
        )
    return version


def rounded(value: float | None) -> float | str:
    return "unknown" if value is None else round(value, 4)
