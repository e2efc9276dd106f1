"""retrain: a new model version from the training samples and the accepted synthetic ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blindspot.graphs.filter import accepted_samples
from blindspot.graphs.prepare import rounded
from blindspot.graphs.state import Context, State
from blindspot.graphs.versions import is_there, train_version, version_id
from blindspot.storage.records import ModelVersion
from blindspot.tools.progress import Report


def retrain(context: Context, state: State, report: Report) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Train on E = D + the accepted samples of all rounds so far; a round that added none trains nothing."""
    number = state["round"]
    synthetic = accepted_samples(context)
    if not any(sample.round == number for sample in synthetic):
        return {"new_model_id": None}, {"trained on": "nothing, no synthetic sample was accepted"}
    version = context.store.one(ModelVersion, model_id=version_id(context, number))
    if version is None or not is_there(context, version):
        current = context.model(state["model_id"])
        parent = current if context.settings.retrain.start == "current" else None
        version = train_version(context, number, parent=parent, synthetic=synthetic, report=report)
    told = {"trained on": f"{version.rows_train} + {version.rows_synthetic}", "loss": rounded(version.final_loss)}
    return {"new_model_id": version.model_id}, told
