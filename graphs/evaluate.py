"""evaluate: what a model version does on the test split, which nothing else reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from blindspot.graphs.attack import attack_once, draw_samples
from blindspot.graphs.logged import fixed_in_words, logged_samples, untaught_fixed
from blindspot.graphs.state import Context, State
from blindspot.graphs.versions import load_version, predict_once
from blindspot.storage.records import POOLED, Attack, Evaluation, Uu
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

    new_id = state["new_model_id"]
    if new_id is None:
        return {}, {"evaluated": "nothing, no model version is new"}
    original_id = context.original_id()
    measured = {
        model_id: measure_version(context, model_id, report) for model_id in (new_id, state["model_id"], original_id)
    }
    new, original = measured.pop(new_id), measured[original_id]
    scope = scope_of(context, state["round"])
    rows = figures(new.outcomes, original.outcomes.clean, scope) + statistics_of(new.attacks, scope)
    for baseline in measured.values():
        rows += differences(new.outcomes, baseline.outcomes, original.outcomes.clean, scope)
    rows += known_uus(predict_known(context, new_id, original.attacks), new_id, scope)
    logged = untaught_fixed(context, (original_id, new_id), scope)
    context.store.add([*rows, *logged])
    return {}, headline(rows, context) | fixed_in_words(logged, new_id)


@dataclass(frozen=True, slots=True)
class Measured:
    """A model version on the test split."""

    outcomes: ModelOutcomes
    attacks: list[Attack]


def measure_version(context: Context, model_id: str, report: Report) -> Measured:
    """Predict and attack the test split; what the store already has is not done again."""
    from blindspot.tools.outcomes import ModelOutcomes, clean_outcomes, perturbed_outcomes

    settings = context.settings
    samples = context.samples("test")
    classifier = load_version(context, context.model(model_id))
    predictions = predict_once(context, classifier, samples, kind="sample", report=report)
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
    return Measured(ModelOutcomes(model_id, clean, perturbed), attacks)


def predict_known(context: Context, model_id: str, attacks: Sequence[Attack]) -> dict[str, Outcomes]:
    """See what a version makes of texts that fooled the original: its adversarial UUs of the test split, by recipe.

    The UUs that the teacher was shown are predicted along with them, for the lineage view.
    """
    from blindspot.tools.outcomes import clean_outcomes

    classifier = load_version(context, context.model(model_id))
    predict_taught(context, classifier)
    known = known_texts(context, attacks)
    predictions = predict_once(context, classifier, list(chain.from_iterable(known.values())), kind="attack")
    return {
        recipe: clean_outcomes(
            [row.sample_id for row in rows],
            [row.label for row in rows],
            [predictions[row.attack_id].probabilities for row in rows],
            context.dataset.labels,
        )
        for recipe, rows in known.items()
    }


def predict_taught(context: Context, classifier: Classifier) -> None:
    """See what a version makes of the UUs that the teacher was shown."""
    taught = context.store.rows(Uu, run_id=context.run_id, selected=True)
    natural = {uu.sample_id for uu in taught if uu.attack_id is None}
    adversarial = {uu.attack_id for uu in taught}
    samples = [row for row in (*context.samples("validation"), *logged_samples(context)) if row.sample_id in natural]
    attacks = [row for row in context.store.rows(Attack, run_id=context.run_id) if row.attack_id in adversarial]
    predict_once(context, classifier, samples, kind="sample")
    predict_once(context, classifier, attacks, kind="attack")


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
        if row.metric == "uus" and row.threshold == context.settings.run.tau and row.recipe != POOLED:
            told[f"UUs {row.recipe or 'natural'}"] = f"{row.value:.0f} of {row.n}"
    return told
