"""Finding UUs: natural ones among predictions, adversarial ones among attacks."""

from __future__ import annotations

from collections.abc import Sequence

from blindspot.graphs.context import Context, State
from blindspot.graphs.shared.attacks import attack_once, budget_of
from blindspot.graphs.shared.logged import tell_agreement
from blindspot.graphs.versions.versions import OnDemand, predict_once
from blindspot.storage.records import Attack, Prediction, Sample, Uu
from blindspot.tools.progress import Report


def find_uus(
    context: Context,
    state: State,
    predicted: Sequence[Sample],
    attacked: Sequence[Sample],
    report: Report,
    deployed: Sequence[Prediction] | None = None,
) -> tuple[list[Attack], list[Uu]]:
    """Predict some samples and attack some, within the budget of the settings; add the UUs that either shows.

    Args:
        deployed: predictions that count in place of the model version's own, of the samples as they are.
    Returns: the attacks, and the UUs, natural ones first; both are in the store.
    """
    from blindspot.tools.additions.select import adversarial_uus, natural_uus

    number, tau = state["round"], context.settings.run.tau
    version = OnDemand(context, state["model_id"])
    predictions = predict_once(context, version, predicted, kind="sample", report=report)
    attacks = attack_once(context, version, attacked, report, budget_of(context.settings.attack))
    if deployed is not None:
        tell_agreement(context, number, predicted, predictions)
    natural = list(predictions.values()) if deployed is None else deployed
    uus = natural_uus(context.run_id, number, version.model_id, predicted, natural, tau)
    uus += adversarial_uus(context.run_id, number, attacks, tau)
    context.store.add(uus)
    return attacks, uus
