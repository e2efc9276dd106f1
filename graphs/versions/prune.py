"""Weights that nobody takes: a model version that a round did not accept."""

from __future__ import annotations

from blindspot.graphs.context import Context
from blindspot.storage.records import ModelVersion


def remove_rejected(context: Context, round_number: int, model_id: str) -> None:
    """Remove the weights of a version that was not accepted, where the settings ask for it; its rows stay.

    Weights that another version has in common with it stay too.
    """
    if context.settings.accept.keep_rejected:
        return
    folder = context.workspace.weights(context.model(model_id).folder)
    shared = folder and any(
        context.workspace.weights(version.folder) == folder
        for version in context.store.rows(ModelVersion)
        if version.model_id != model_id
    )
    if folder is None or shared:
        return
    context.workspace.remove_weights(folder)
    context.tell(
        round_number,
        "close_round",
        f"the weights of {model_id} are removed, as it was not accepted (accept.keep_rejected = false)",
    )
