"""Attacks of a run: made once for each sample and recipe, written as they come, within a budget; what they flipped."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Literal

from blindspot.graphs.context import Context
from blindspot.graphs.shared.draws import draw_samples, drawn_training, fair_order
from blindspot.graphs.versions.versions import OnDemand
from blindspot.storage.records import Attack, ChangedWord, Round, Sample, Uu
from blindspot.storage.settings.sections import AttackSection
from blindspot.storage.store.store import Store
from blindspot.storage.words import Split
from blindspot.tools.attack.plan import UNLIMITED, AttackPlan, Budget, SampleLimits
from blindspot.tools.progress import Report

if TYPE_CHECKING:
    from blindspot.tools.attack.attacker import Models
    from blindspot.tools.classifier.classifier import Classifier

KEPT_EVERY_S = 1.0  # adding rows takes some 15 ms, one or a hundred; a kill loses those of this time, and in flight


def flips_of(context: Context, model_id: str, split: Split) -> list[Attack]:
    """The attacks that flipped a model version's label, with this run's recipes, on the samples that it draws.

    A version that several runs repair may have been attacked by each of them, on samples of its own.
    """
    if split == "train":
        samples = drawn_training(context)
    elif split == "test":
        most = context.settings.evaluate.samples
        samples = draw_samples(context.samples("test"), most, seed=context.settings.run.seed)
    else:
        samples = context.samples("validation")
        if context.settings.teacher.autonomy != "autonomous":  # there, the teacher chooses how many
            samples = draw_samples(samples, context.settings.attack.samples, seed=context.settings.run.seed)
    wanted = {sample.sample_id for sample in samples}
    rows = context.store.rows(Attack, model_id=model_id, split=split, status="flipped")
    return [row for row in rows if row.sample_id in wanted and row.recipe in context.settings.attack.recipes]


def flips_so_far(context: Context, round_number: int, split: Literal["validation", "train"]) -> list[list[Attack]]:
    """The same of each model version that a round up to this one began with, the newest version last."""
    rounds = [row for row in context.store.rows(Round, run_id=context.run_id) if row.round <= round_number]
    versions = dict.fromkeys(row.model_id for row in sorted(rounds, key=lambda row: row.round))
    return [flips_of(context, model_id, split) for model_id in versions]


def store_changed_words(store: Store, samples: Sequence[Sample], attacks: Sequence[Attack]) -> None:
    """Add the words that attacks changed, where the store has none of an attack yet.

    Args:
        samples: at least those that were attacked.
    """
    known = {
        attack_id
        for run_id in sorted({row.run_id for row in attacks})
        for attack_id in store.values(ChangedWord, "attack_id", run_id=run_id)
    }
    new = [row for row in attacks if row.status == "flipped" and row.attack_id not in known]
    if new:
        from blindspot.tools.text.edits import changed_words

        store.add(changed_words(new, {sample.sample_id: sample.fields for sample in samples}))


def budget_of(settings: AttackSection) -> Budget:
    """Where the attacks of one recipe stop."""
    return Budget(settings.stop_uus, settings.stop_queries, settings.stop_s)


def stops(context: Context, attacks: Sequence[Attack], samples: int) -> dict[str, str]:
    """Tell how many samples timed out, and of each recipe that stopped before its last sample where it did, and why.

    Args:
        attacks: what `attack_once` gave, with the budget of the settings.
        samples: how many each recipe was given.
    """
    reasons = timeouts(attacks, context.settings.attack)
    budget = budget_of(context.settings.attack)
    for recipe in context.settings.attack.recipes:
        rows = [row for row in attacks if row.recipe == recipe]
        if len(rows) < samples:
            reason = budget.reached(rows, context.settings.run.tau)
            reasons[f"{recipe} stopped"] = f"at {reason}, after {len(rows)} of {samples} samples"
    return reasons


def timeouts(attacks: Sequence[Attack], settings: AttackSection) -> dict[str, str]:
    """Tell how many attacks ended at the time limit of one sample; nothing where none did."""
    from blindspot.tools.attack.engine import TIMEOUT

    late = sum(row.status == "error" and (row.error or "").startswith(TIMEOUT) for row in attacks)
    return {"timed out": f"{late} of {len(attacks)}, after {settings.timeout_s:g} s (attack.timeout_s)"} if late else {}


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
    attacks: list[Attack] = []
    for number, recipe in enumerate(recipes):

        def report_all(done: int, total: int, number: int = number) -> None:
            report(number * total + done, len(recipes) * total)

        plan = plan_of(context, version.model_id, recipe)
        attacks += attack_missing(context, models, in_order, plan, budget, report_all)
    store_changed_words(context.store, samples, attacks)
    return attacks


def models_of(context: Context, classifier: Classifier, samples: Sequence[Sample]) -> Models:
    """A classifier as it is searched and, where that is in lower precision, as it is judged.

    Args:
        samples: all that are to be attacked, those done before a kill too: the fast version depends on the first ones.
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
    all_rows = [row for row in rows if row.sample_id in wanted]
    known = {row.sample_id for row in all_rows}
    missing = [sample for sample in samples if sample.sample_id not in known]
    left = budget.less(all_rows, plan.tau)
    new: list[Attack] = []
    written = time.monotonic()

    def keep() -> None:
        nonlocal written
        if new and time.monotonic() - written >= KEPT_EVERY_S:
            context.store.add(new)
            new.clear()
            written = time.monotonic()

    attacked = partial(attack_samples, budget=left, between=keep, cancelled=context.cancelled)
    try:
        for row in attacked(models(), missing, plan) if missing else ():
            all_rows.append(row)
            new.append(row)
            report(len(all_rows), len(samples))
    finally:
        context.store.add(new)
    return sorted(all_rows, key=lambda row: row.sample_id)


def uus_of(context: Context, round_number: int) -> list[Uu]:
    """The UUs that a round found."""
    return context.store.rows(Uu, run_id=context.run_id, round=round_number)
