"""attack: find UUs of the validation split, natural ones first, then adversarial ones from each recipe.

Where a deployed model's log is given, its errors replace the validation split's natural UUs. Training
samples are attacked as well where the settings want some, for methods and levers that learn of them.
"""

from __future__ import annotations

from typing import Any

from blindspot.graphs.context import Context, PhaseResult, State, arguments_of
from blindspot.graphs.shared.attacks import attack_once, budget_of, stops
from blindspot.graphs.shared.draws import draw_samples, drawn_training, fair_order
from blindspot.graphs.shared.finding import find_uus
from blindspot.graphs.shared.logged import deployed_predictions, logged_samples
from blindspot.graphs.versions.versions import OnDemand
from blindspot.tools.progress import Report


def attack(context: Context, state: State, report: Report) -> PhaseResult:
    """Predict validation samples, or the log's, and attack validation samples; add the UUs."""
    samples, logged = context.samples("validation"), logged_samples(context)
    drawn = draw_samples(samples, context.settings.attack.samples, seed=context.settings.run.seed)
    if arguments_of(state, "attack") is not None:  # further attacks go on where the earlier ones ended
        drawn = fair_order(samples, seed=context.settings.run.seed)[: context.settings.attack.samples]
    deployed = deployed_predictions(context, state["model_id"])
    attacks, uus = find_uus(context, state, logged or samples, drawn, report, deployed)
    kinds = [uu.kind for uu in uus]
    result = {
        "natural UUs": f"{kinds.count('natural')} of {len(logged or samples)}{' logged' if logged else ''}",
        "attacked": f"{len(attacks)} of {len(drawn) * len(context.settings.attack.recipes)}",
        "flipped": sum(row.status == "flipped" for row in attacks),
        "adversarial UUs": kinds.count("adversarial"),
        "queries": sum(row.queries for row in attacks),
    }
    return PhaseResult({}, result | stops(context, attacks, len(drawn)) | attack_training(context, state, report))


def attack_training(context: Context, state: State, report: Report) -> dict[str, Any]:
    """Attack the training samples that the settings want attacked, within a budget of the same size; add the UUs.

    Returns: what to tell of it; nothing where there are none.
    """
    from blindspot.tools.additions.select import adversarial_uus

    samples = drawn_training(context)
    if not samples or not context.settings.attack.recipes:
        return {}
    attacks = attack_once(
        context, OnDemand(context, state["model_id"]), samples, report, budget_of(context.settings.attack)
    )
    uus = adversarial_uus(context.run_id, state["round"], attacks, context.settings.run.tau)
    context.store.add(uus)
    summary = {
        "training samples attacked": f"{len(attacks)} of {len(samples) * len(context.settings.attack.recipes)}",
        "of them flipped": sum(row.status == "flipped" for row in attacks),
        "of them UUs": len(uus),
    }
    return summary | {f"training, {who}": where for who, where in stops(context, attacks, len(samples)).items()}
