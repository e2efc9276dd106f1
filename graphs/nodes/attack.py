"""attack: find UUs of the validation split, natural ones first, then adversarial ones from each recipe.

Where a deployed model's log is given, its errors take the place of the validation split's natural UUs. Training
samples are attacked as well where the settings want some, for methods and levers that learn of them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from blindspot.graphs.context import Context, State, knobs_of
from blindspot.graphs.shared.changed_words import add_changed_words
from blindspot.graphs.shared.logged import deployed_said, logged_samples, tell_agreement
from blindspot.graphs.versions.versions import OnDemand, predict_once
from blindspot.storage.records import Attack, Prediction, Sample, Uu, make_id
from blindspot.storage.settings.sections import AttackSection
from blindspot.tools.attack.plan import UNLIMITED, AttackPlan, Budget, SampleLimits
from blindspot.tools.progress import Report

if TYPE_CHECKING:
    from blindspot.tools.attack.attacker import Models
    from blindspot.tools.classifier.classifier import Classifier

KEPT_EVERY_S = 1.0  # adding rows takes some 15 ms, one or a hundred; a kill loses those of this time, and in flight


def attack(context: Context, state: State, report: Report) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Predict validation samples, or the log's, and attack validation samples; add the UUs."""
    samples, logged = context.samples("validation"), logged_samples(context)
    drawn = draw_samples(samples, context.settings.attack.samples, seed=context.settings.run.seed)
    if knobs_of(state, "attack") is not None:  # further attacks go on where the earlier ones ended
        drawn = fair_order(samples, seed=context.settings.run.seed)[: context.settings.attack.samples]
    said = deployed_said(context, state["model_id"])
    attacks, uus = find_uus(context, state, logged or samples, drawn, report, said)
    kinds = [uu.kind for uu in uus]
    result = {
        "natural UUs": f"{kinds.count('natural')} of {len(logged or samples)}{' logged' if logged else ''}",
        "attacked": f"{len(attacks)} of {len(drawn) * len(context.settings.attack.recipes)}",
        "flipped": sum(row.status == "flipped" for row in attacks),
        "adversarial UUs": kinds.count("adversarial"),
        "queries": sum(row.queries for row in attacks),
    }
    return {}, result | stops(context, attacks, len(drawn)) | attack_training(context, state, report)


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
    told = {
        "training samples attacked": f"{len(attacks)} of {len(samples) * len(context.settings.attack.recipes)}",
        "of them flipped": sum(row.status == "flipped" for row in attacks),
        "of them UUs": len(uus),
    }
    return told | {f"training, {who}": where for who, where in stops(context, attacks, len(samples)).items()}


def drawn_training(context: Context) -> list[Sample]:
    """The training samples that are attacked, of whatever model version."""
    settings = context.settings
    return draw_samples(context.samples("train"), settings.attack.train_samples, seed=settings.run.seed)


def find_uus(
    context: Context,
    state: State,
    predicted: Sequence[Sample],
    attacked: Sequence[Sample],
    report: Report,
    said: Sequence[Prediction] | None = None,
) -> tuple[list[Attack], list[Uu]]:
    """Predict some samples and attack some, within the budget of the settings; add the UUs that either shows.

    Args:
        said: predictions that count in the place of the model version's own, of the samples as they are.
    Returns: the attacks, and the UUs, natural ones first; both are in the store.
    """
    from blindspot.tools.additions.select import adversarial_uus, natural_uus

    number, tau = state["round"], context.settings.run.tau
    version = OnDemand(context, state["model_id"])
    predictions = predict_once(context, version, predicted, kind="sample", report=report)
    attacks = attack_once(context, version, attacked, report, budget_of(context.settings.attack))
    if said is not None:
        tell_agreement(context, number, predicted, predictions)
    natural = list(predictions.values()) if said is None else said
    uus = natural_uus(context.run_id, number, version.model_id, predicted, natural, tau)
    uus += adversarial_uus(context.run_id, number, attacks, tau)
    context.store.add(uus)
    return attacks, uus


def budget_of(settings: AttackSection) -> Budget:
    """Where the attacks of one recipe stop."""
    return Budget(settings.stop_uus, settings.stop_queries, settings.stop_s)


def stops(context: Context, attacks: Sequence[Attack], samples: int) -> dict[str, str]:
    """Tell of each recipe that stopped before its last sample where it did, and why.

    Args:
        attacks: what `attack_once` gave, with the budget of the settings.
        samples: how many each recipe was given.
    """
    told = {}
    budget = budget_of(context.settings.attack)
    for recipe in context.settings.attack.recipes:
        rows = [row for row in attacks if row.recipe == recipe]
        if len(rows) < samples:
            reason = budget.reached(rows, context.settings.run.tau)
            told[f"{recipe} stopped"] = f"at {reason}, after {len(rows)} of {samples} samples"
    return told


def attack_once(
    context: Context, version: OnDemand, samples: Sequence[Sample], report: Report, budget: Budget = UNLIMITED
) -> list[Attack]:
    """Attack samples with each recipe of the settings, leaving out what the store already has.

    Args:
        budget: what each recipe may find and cost; what the store already has of these samples counts first.
    Returns: the attacks, ordered by recipe and sample: of all samples, or of fewer where the budget is spent.
    """
    recipes = context.settings.attack.recipes
    if not samples or not recipes:
        return []
    in_order = fair_order(samples, seed=context.settings.run.seed)
    models = cache(lambda: models_of(context, version.classifier, in_order))
    found: list[Attack] = []
    for number, recipe in enumerate(recipes):

        def report_all(done: int, total: int, number: int = number) -> None:
            report(number * total + done, len(recipes) * total)

        plan = plan_of(context, version.model_id, recipe)
        found += attack_missing(context, models, in_order, plan, budget, report_all)
    add_changed_words(context.store, samples, found)
    return found


def models_of(context: Context, classifier: Classifier, samples: Sequence[Sample]) -> Models:
    """A classifier as it is searched and, where that is in lower precision, as it is judged.

    Args:
        samples: all that are to be attacked, those done before a kill too: the fast version hangs on the first ones.
    """
    from blindspot.tools.attack.attacker import Models, oracle_of
    from blindspot.tools.classifier.classifier import texts_of
    from blindspot.tools.classifier.precision import CALIBRATION, fast_version

    classes = len(context.dataset.labels)
    searched = classifier
    if context.settings.attack.precision == "fast":
        searched = fast_version(classifier, texts_of(samples[:CALIBRATION], context.dataset.fields))
    batch = classifier.texts_per_call
    judge = oracle_of(classifier, classes, batch=batch) if searched is not classifier else None
    return Models(oracle_of(searched, classes, batch=batch), judge)


def plan_of(context: Context, model_id: str, recipe: str) -> AttackPlan:
    run, settings = context.settings.run, context.settings.attack
    return AttackPlan(
        run_id=context.owner_of(model_id),
        model_id=model_id,
        recipe=recipe,
        seed=run.seed,
        limits=SampleLimits(settings.max_queries, settings.timeout_s),
        together=settings.together,
        field_names=context.dataset.fields,
        labels=context.dataset.labels,
        confidence=run.tau if settings.goal == "confident" else None,
        tau=run.tau,
        changeable=settings.fields,
        sentence_encoder=settings.sentence_encoder,
    )


def fair_order(samples: Sequence[Sample], *, seed: int) -> list[Sample]:
    """Put samples in a random order in which each class keeps its share from the first ones on.

    Attacks that stop early have then met a fair draw, in whatever order the data set lies.
    """
    classes: dict[str, list[tuple[str, Sample]]] = defaultdict(list)
    for sample in samples:
        classes[sample.label].append((make_id("order", seed, sample.sample_id), sample))
    ranked = [
        (place / len(members), key, sample)
        for members in classes.values()
        for place, (key, sample) in enumerate(sorted(members, key=lambda member: member[0]))
    ]
    return [sample for _, _, sample in sorted(ranked, key=lambda each: each[:2])]


def attack_missing(
    context: Context,
    models: Callable[[], Models],
    samples: Sequence[Sample],
    plan: AttackPlan,
    budget: Budget,
    report: Report,
) -> list[Attack]:
    """Attack the samples that have no row yet with one recipe, and write the rows between its batches of questions.

    Args:
        models: makes the version under attack ready; not asked where every sample has its row.
    Returns: all rows of these samples, those that were there among them, ordered by sample.
    """
    from blindspot.tools.attack.attacker import attack_samples

    wanted = {sample.sample_id for sample in samples}
    rows = context.store.rows(Attack, model_id=plan.model_id, recipe=plan.recipe)
    found = [row for row in rows if row.sample_id in wanted]
    known = {row.sample_id for row in found}
    missing = [sample for sample in samples if sample.sample_id not in known]
    left = budget.less(found, plan.tau)
    new: list[Attack] = []
    written = time.monotonic()

    def cancelled() -> bool:
        nonlocal written
        if new and time.monotonic() - written >= KEPT_EVERY_S:
            context.store.add(new)
            new.clear()
            written = time.monotonic()
        return context.cancelled()

    try:
        for row in attack_samples(models(), missing, plan, budget=left, cancelled=cancelled) if missing else ():
            found.append(row)
            new.append(row)
            report(len(found), len(samples))
    finally:
        context.store.add(new)
    return sorted(found, key=lambda row: row.sample_id)


def draw_samples(samples: Sequence[Sample], count: int, *, seed: int) -> list[Sample]:
    """Draw so many samples at random, each class in its share; every model version meets the same ones."""
    from blindspot.tools.data.datasets import draw_rows

    if count == 0:
        return []
    rows = draw_rows([sample.label for sample in samples], count, seed=[seed, len(samples)])
    return [samples[row] for row in rows]


def uus_of(context: Context, round_number: int) -> list[Uu]:
    """The UUs that a round found."""
    return context.store.rows(Uu, run_id=context.run_id, round=round_number)
