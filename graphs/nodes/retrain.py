"""retrain: a new model version from the training samples and the accepted synthetic ones, or from a temperature."""

from __future__ import annotations

from typing import Any

from blindspot.graphs.context import Context, PhaseResult, State
from blindspot.graphs.nodes.calibrate import calibrate_version
from blindspot.graphs.nodes.filter import accepted_samples
from blindspot.graphs.nodes.prepare import rounded
from blindspot.graphs.shared.budgets import FILTERED
from blindspot.graphs.shared.levers import levers_of
from blindspot.graphs.versions.identity import recorded_version
from blindspot.graphs.versions.versions import has_weights, train_version
from blindspot.storage.records import ModelVersion, SyntheticSample
from blindspot.tools.metrics.temperature import bound_hit
from blindspot.tools.progress import Report


def retrain(context: Context, state: State, report: Report) -> PhaseResult:
    """Train on E = D + accepted samples, of all rounds so far or of this one.

    A round in which a teacher's samples were all rejected trains nothing; a baseline trains in any case, so that what
    training by itself does can be told apart from what added rows do.
    """
    number, method = state["round"], context.settings.method.name
    synthetic = kept_samples(context, number)
    if method in FILTERED and not any(sample.round == number for sample in synthetic):
        return PhaseResult({"new_model_id": None}, {"trained on": "nothing, no synthetic sample was accepted"})
    version = recorded_version(context, number)
    if version is None or not has_weights(context, version):
        version = make_version(context, state, synthetic, report)
    return PhaseResult({"new_model_id": version.model_id}, version_summary(version))


def make_version(context: Context, state: State, synthetic: list[SyntheticSample], report: Report) -> ModelVersion:
    """Make a round's model version, as its method does."""
    number, current = state["round"], context.model(state["model_id"])
    if context.settings.method.name == "temperature":
        return calibrate_version(context, number, current, report)
    parent = current if context.settings.retrain.start == "current" else None
    levers = levers_of(context, number)
    return train_version(context, number, parent=parent, synthetic=synthetic, report=report, levers=levers)


def kept_samples(context: Context, round_number: int) -> list[SyntheticSample]:
    """The accepted samples that a round trains on."""
    accepted = accepted_samples(context)
    if context.settings.retrain.keep == "all":
        return accepted
    return [sample for sample in accepted if sample.round == round_number]


def version_summary(version: ModelVersion) -> dict[str, Any]:
    """What to tell of a new model version."""
    if version.kind == "calibrated":
        bound = bound_hit(version.temperature)
        summary = {"trained on": "nothing", "temperature": round(version.temperature, 4)}
        return summary | ({"which is": bound} if bound else {})
    summary = {"trained on": f"{version.rows_train} + {version.rows_synthetic}", "loss": rounded(version.final_loss)}
    if "scores" in version.settings:
        uus = ", ".join(f"{score:g}" for score in version.settings["scores"])
        summary["epoch"] = f"{version.settings['epoch']} (UUs after each: {uus})"
    return summary
