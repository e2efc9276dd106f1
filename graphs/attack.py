"""attack: find UUs of the validation split, natural ones first, then adversarial ones from each recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from blindspot.graphs.state import Context, State
from blindspot.graphs.versions import load_version, predict_once
from blindspot.storage.records import Attack, Sample, Uu
from blindspot.tools.progress import Report

if TYPE_CHECKING:
    from blindspot.tools.classifier import Classifier

KEPT_EVERY = 20  # rows of finished attacks written together; a kill loses at most these


def attack(context: Context, state: State, report: Report) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Predict and attack validation samples; add the UUs."""
    from blindspot.tools.select import adversarial_uus, natural_uus

    run, number = context.settings.run, state["round"]
    samples = context.samples("validation")
    classifier = load_version(context, context.model(state["model_id"]))
    predictions = predict_once(context, classifier, samples, kind="sample", report=report)
    uus = natural_uus(context.run_id, number, classifier.model_id, samples, list(predictions.values()), run.tau)
    drawn = draw_samples(samples, context.settings.attack.samples, seed=run.seed)
    attacks = attack_once(context, classifier, drawn, report)
    uus += adversarial_uus(context.run_id, number, attacks, run.tau)
    context.store.add(uus)
    flipped = sum(row.status == "flipped" for row in attacks)
    kinds = [uu.kind for uu in uus]
    result = {
        "natural UUs": f"{kinds.count('natural')} of {len(samples)}",
        "attacked": len(attacks),
        "flipped": flipped,
        "adversarial UUs": kinds.count("adversarial"),
        "queries": sum(row.queries for row in attacks),
    }
    return {}, result


def attack_once(context: Context, classifier: Classifier, samples: Sequence[Sample], report: Report) -> list[Attack]:
    """Attack samples with each recipe of the settings, leaving out what the store already has.

    Returns: the attacks of all samples, ordered by recipe and sample.
    """
    from blindspot.tools.attack import AttackPlan, attack_samples
    from blindspot.tools.precision import fast_version

    settings = context.settings.attack
    searched = fast_version(classifier) if settings.precision == "fast" else classifier
    judge = classifier if searched is not classifier else None
    wanted = {sample.sample_id for sample in samples}
    total = len(samples) * len(settings.recipes)
    found: list[Attack] = []
    for recipe in settings.recipes:
        rows = context.store.rows(Attack, run_id=context.run_id, model_id=classifier.model_id, recipe=recipe)
        known = [row for row in rows if row.sample_id in wanted]
        done = {row.sample_id for row in known}
        missing = [sample for sample in samples if sample.sample_id not in done]
        plan = AttackPlan(
            run_id=context.run_id,
            model_id=classifier.model_id,
            recipe=recipe,
            seed=context.settings.run.seed,
            max_queries=settings.max_queries,
            together=settings.together,
            field_names=context.dataset.fields,
            labels=context.dataset.labels,
            confidence=context.settings.run.tau if settings.goal == "confident" else None,
        )
        kept: list[Attack] = []
        before = len(found) + len(known)
        try:
            for row in (
                attack_samples(searched, missing, plan, judge=judge, cancelled=context.cancelled) if missing else ()
            ):
                kept.append(row)
                known.append(row)
                report(before + len(known) - len(done), total)
                if len(kept) >= KEPT_EVERY:
                    context.store.add(kept)
                    kept = []
        finally:
            context.store.add(kept)
        found += sorted(known, key=lambda row: row.sample_id)
    return found


def draw_samples(samples: Sequence[Sample], count: int, *, seed: int) -> list[Sample]:
    """Draw so many samples at random, each class in its share; every model version meets the same ones."""
    from blindspot.tools.datasets import draw_rows

    if count == 0:
        return []
    rows = draw_rows([sample.label for sample in samples], count, seed=[seed, len(samples)])
    return [samples[row] for row in rows]


def uus_of(context: Context, round_number: int) -> list[Uu]:
    """The UUs that a round found."""
    return context.store.rows(Uu, run_id=context.run_id, round=round_number)
