"""evaluate: what a model version does on the test split, which nothing else reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blindspot.graphs.attack import attack_once, draw_samples
from blindspot.graphs.state import Context, State
from blindspot.graphs.versions import load_version, predict_once
from blindspot.storage.records import Attack, Evaluation, Uu
from blindspot.tools.progress import Report

if TYPE_CHECKING:
    from blindspot.tools.classifier import Classifier
    from blindspot.tools.figure import Scope
    from blindspot.tools.outcomes import ModelOutcomes, Outcomes


def evaluate_original(context: Context, state: State, report: Report) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Measure the original model version."""
    from blindspot.tools.evaluate import figures

    measured = measure_version(context, state["model_id"], report)
    scope = scope_of(context, 0)
    rows = [*figures(measured.outcomes, measured.outcomes.clean, scope), *statistics_of(measured.attacks, scope)]
    context.store.add(rows)
    return {}, headline(rows, context)


def evaluate(context: Context, state: State, report: Report) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Measure this round's model version, and its differences to the one it would replace and to the original."""
    from blindspot.tools.evaluate import differences, figures, known_uus
    from blindspot.tools.outcomes import clean_outcomes

    new_id = state["new_model_id"]
    if new_id is None:
        return {}, {"evaluated": "nothing, no model version is new"}
    original_id = context.original_id()
    new = measure_version(context, new_id, report)
    old = measure_version(context, state["model_id"], report)
    original = old if state["model_id"] == original_id else measure_version(context, original_id, report)
    scope = scope_of(context, state["round"])
    rows = figures(new.outcomes, original.outcomes.clean, scope) + statistics_of(new.attacks, scope)
    for baseline in {old.outcomes.model_id: old, original.outcomes.model_id: original}.values():
        rows += differences(new.outcomes, baseline.outcomes, original.outcomes.clean, scope)
    known = known_texts(context, original.attacks)
    predictions = predict_once(
        context, new.classifier, [row for rows_ in known.values() for row in rows_], kind="attack"
    )
    fixed: dict[str, Outcomes] = {
        recipe: clean_outcomes(
            [row.sample_id for row in attacks],
            [row.label for row in attacks],
            [predictions[row.attack_id].probabilities for row in attacks],
            context.dataset.labels,
        )
        for recipe, attacks in known.items()
    }
    rows += known_uus(fixed, new_id, scope)
    context.store.add(rows)
    predict_taught(context, new.classifier)
    return {}, headline(rows, context)


def predict_taught(context: Context, classifier: Classifier) -> None:
    """See what this version makes of the UUs that the teacher was shown; the lineage view asks for it."""
    taught = context.store.rows(Uu, run_id=context.run_id, selected=True)
    natural = {uu.sample_id for uu in taught if uu.attack_id is None}
    adversarial = {uu.attack_id for uu in taught}
    samples = [row for row in context.samples("validation") if row.sample_id in natural]
    attacks = [row for row in context.store.rows(Attack, run_id=context.run_id) if row.attack_id in adversarial]
    predict_once(context, classifier, samples, kind="sample")
    predict_once(context, classifier, attacks, kind="attack")


@dataclass(frozen=True, slots=True)
class Measured:
    """A model version on the test split."""

    classifier: Classifier
    outcomes: ModelOutcomes
    attacks: list[Attack]


def measure_version(context: Context, model_id: str, report: Report) -> Measured:
    """Predict and attack the test split; what the store already has is not done again."""
    from blindspot.tools.outcomes import ModelOutcomes, clean_outcomes, perturbed_outcomes

    settings = context.settings
    samples = context.samples("test")
    classifier = load_version(context, context.model(model_id))
    predictions = predict_once(context, classifier, samples, kind="sample")
    drawn = draw_samples(samples, settings.evaluate.samples, seed=settings.run.seed)
    attacks = attack_once(context, classifier, drawn, report)
    flipped = predict_once(context, classifier, [row for row in attacks if row.status == "flipped"], kind="attack")
    clean = clean_outcomes(
        [sample.sample_id for sample in samples],
        [sample.label for sample in samples],
        [predictions[sample.sample_id].probabilities for sample in samples],
        context.dataset.labels,
    )
    probabilities = {key: prediction.probabilities for key, prediction in flipped.items()}
    perturbed = {
        recipe: perturbed_outcomes(clean, [row for row in attacks if row.recipe == recipe], probabilities)
        for recipe in (settings.attack.recipes if drawn else ())
    }
    return Measured(classifier, ModelOutcomes(model_id, clean, perturbed), attacks)


def known_texts(context: Context, attacks: Sequence[Attack]) -> dict[str, list[Attack]]:
    """The original model's adversarial UUs of the test split, by recipe."""
    tau = context.settings.run.tau
    found: dict[str, list[Attack]] = {}
    for row in attacks:
        if row.status == "flipped" and row.confidence is not None and row.confidence >= tau:
            found.setdefault(row.recipe, []).append(row)
    return found


def statistics_of(attacks: Sequence[Attack], scope: Scope) -> list[Evaluation]:
    """Attack statistics of each recipe."""
    from blindspot.tools.attack_statistics import attack_statistics

    recipes = dict.fromkeys(row.recipe for row in attacks)
    return [
        figure
        for name in recipes
        for figure in attack_statistics([row for row in attacks if row.recipe == name], scope)
    ]


def scope_of(context: Context, round_number: int) -> Scope:
    from blindspot.tools.figure import Scope

    settings = context.settings
    return Scope(
        run_id=context.run_id,
        round=round_number,
        tau=settings.run.tau,
        thresholds=settings.evaluate.thresholds,
        resamples=settings.evaluate.resamples,
        seed=settings.run.seed,
    )


def headline(rows: Sequence[Evaluation], context: Context) -> dict[str, Any]:
    """Accuracy and UUs at tau, to tell in one line."""
    figures = [row for row in rows if row.baseline_id is None]
    told: dict[str, Any] = {}
    for row in figures:
        if row.metric == "accuracy":
            told["accuracy"] = f"{row.value:.1%}"
        if row.metric == "uus" and row.threshold == context.settings.run.tau and row.recipe != "all":
            told[f"UUs {row.recipe or 'natural'}"] = f"{row.value:.0f} of {row.n}"
    return told
