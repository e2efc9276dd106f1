"""prepare: have the original model version ready, fine-tuned here or brought along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from blindspot.graphs.state import Context, State
from blindspot.graphs.versions import bring_version, is_there, train_version, version_id
from blindspot.storage.records import ModelVersion, Run
from blindspot.tools.progress import Report


def prepare(context: Context, state: State, report: Report) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Fine-tune on the training samples where the settings ask for it; else record what was brought along."""
    version = context.store.one(ModelVersion, model_id=version_id(context, 0))
    if version is None or not is_there(context, version):
        if context.settings.classifier.fine_tune:
            version = train_version(context, 0, parent=None, synthetic=(), report=report)
        else:
            version = bring_version(context)
    run = context.store.one(Run, run_id=context.run_id)
    assert run is not None
    context.store.put(replace(run, original_model_id=version.model_id, final_model_id=version.model_id))
    trained = {"trained on": version.rows_train, "loss": rounded(version.final_loss)}
    return {"model_id": version.model_id}, trained if version.rows_train else {"brought along": version.folder}


def rounded(value: float | None) -> float | str:
    return "unknown" if value is None else round(value, 4)
