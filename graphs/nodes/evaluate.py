"""evaluate: what a model version does on the test split, which nothing else reads."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blindspot.graphs.context import Context, PhaseResult, State
from blindspot.graphs.nodes.calibrate import fit_on_validation
from blindspot.graphs.shared.attacks import attack_once, flips_of
from blindspot.graphs.shared.draws import draw_samples
from blindspot.graphs.shared.fooling import predict_known, predict_repaired
from blindspot.graphs.shared.logged import fixed_in_words, untaught_fixed
from blindspot.graphs.versions.outcomes import outcomes_of, validation_outcomes
from blindspot.graphs.versions.versions import OnDemand, predict_once
from blindspot.storage.records import Attack, BlindSpot, Evaluation, Judgement
from blindspot.storage.words import POOLED, ProgramVerdict
from blindspot.tools.progress import Report

if TYPE_CHECKING:
    from blindspot.tools.metrics.figure import Scope
    from blindspot.tools.metrics.outcomes import ModelOutcomes
    from blindspot.tools.metrics.verdict_evidence import Temperature


def evaluate_original(context: Context, state: State, report: Report) -> PhaseResult:
    """Measure the original model version."""
    from blindspot.tools.metrics.evaluate import figures

    measured = measure_version(context, state["model_id"], report)
    scope = scope_of(context, 0)
    rows = [*figures(measured.outcomes, measured.outcomes.clean, scope), *statistics_of(measured.attacks, scope)]
    context.store.put_many(rows)  # a study may measure a version again, on more samples
    return PhaseResult({}, evaluation_summary(rows, context))


async def evaluate(context: Context, state: State, report: Report) -> PhaseResult:
    """Measure this round's model version, and have a second judge label a part of what attacks made of the test split.

    Raises: as `judge_flips`.
    """
    result = await asyncio.to_thread(measure_round, context, state, report)
    new_id = state["new_model_id"]
    if new_id is None or not context.settings.judge.spec:
        return result
    from blindspot.graphs.teaching.judging import judge_flips

    versions = (await asyncio.to_thread(context.original_id), new_id)
    flips = [row for version in versions for row in await asyncio.to_thread(flips_of, context, version, "test")]
    judgements = await judge_flips(context, state["round"], flips, report)
    rows = await asyncio.to_thread(validated_figures, context, state["round"], flips, judgements)
    await asyncio.to_thread(context.store.put_many, rows)
    agreed = sum(one.judged == one.label for one in judgements.values())
    return PhaseResult(result.changes, {**result.summary, "UUs judged": f"{len(judgements)}, {agreed} valid"})


def validated_figures(
    context: Context, number: int, flips: Sequence[Attack], judgements: Mapping[str, Judgement]
) -> list[Evaluation]:
    """How far the judge agrees with the attacks' labels, and what that leaves of the UUs, by version and recipe."""
    from blindspot.tools.metrics.agreement import agreement
    from blindspot.tools.metrics.validated import validated_uus

    scope = scope_of(context, number)
    measured = context.store.rows(Evaluation, run_id=context.run_id, baseline_id=None, split=scope.split)
    judged: dict[tuple[str, str], list[Judgement]] = {}
    for row in flips:
        if row.attack_id in judgements:
            judged.setdefault((row.model_id, row.recipe), []).append(judgements[row.attack_id])
    rows = []
    for (model_id, recipe), own in judged.items():
        shared = agreement([one.label for one in own], [one.judged for one in own], scope)
        rows += validated_uus(measured, shared, scope, model_id=model_id, recipe=recipe)
    return rows


def measure_round(context: Context, state: State, report: Report) -> PhaseResult:
    """Measure this round's model version, and its differences to the one it would replace and to the original.

    What a verdict weighs besides is measured here too: blind spots, UUs that came and went, calibration, forgetting.
    """
    from blindspot.graphs.programs.bench import retest
    from blindspot.tools.metrics.evaluate import differences, figures, known_uus
    from blindspot.tools.metrics.verdict_evidence import beside_calibration, repaired_kept, turnover

    new_id = state["new_model_id"]
    if new_id is None:
        return PhaseResult({}, {"evaluated": "nothing, there is no new model version"})
    original_id = context.original_id()
    measured = {
        model_id: measure_version(context, model_id, report) for model_id in (new_id, state["model_id"], original_id)
    }
    new, original = measured.pop(new_id), measured[original_id]
    scope = scope_of(context, state["round"])
    rows = figures(new.outcomes, original.outcomes.clean, scope) + statistics_of(new.attacks, scope)
    for baseline in measured.values():
        rows += differences(new.outcomes, baseline.outcomes, original.outcomes.clean, scope)
        rows += turnover(new.outcomes, baseline.outcomes, scope)
        temperature = temperature_of(context, baseline.outcomes.model_id, state["round"])
        rows += beside_calibration(new.outcomes, baseline.outcomes, original.outcomes.clean, temperature, scope)
    version = OnDemand(context, new_id)
    rows += known_uus(predict_known(context, version, original.attacks), new_id, scope)
    repaired = predict_repaired(context, version, state["round"])
    rows += repaired_kept(repaired, new_id, scope) if repaired else []
    logged = untaught_fixed(context, (original_id, state["model_id"], new_id), scope)
    spots = spots_of(context, new, measured[state["model_id"]], scope)
    retested = retest(context, state["round"], state["model_id"], new_id)
    context.store.put_many([*rows, *logged, *retested])
    context.store.renew(BlindSpot, spots, run_id=context.run_id, round=state["round"])
    verdicts = Counter(test.verdict for test in retested)
    return PhaseResult(
        {}, evaluation_summary(rows, context) | fixed_in_words(logged, new_id) | programs_in_words(verdicts)
    )


def programs_in_words(verdicts: Mapping[ProgramVerdict, int]) -> dict[str, Any]:
    """What became of the programs that were repaired, to tell in one line; nothing where there were none."""
    names: tuple[ProgramVerdict, ...] = ("closed", "half closed", "open")
    counts = [f"{verdicts[name]} {name}" for name in names if verdicts.get(name)]
    return {"programs": ", ".join(counts)} if counts else {}


@dataclass(frozen=True, slots=True)
class VersionResults:
    """A model version on the test split."""

    outcomes: ModelOutcomes
    attacks: list[Attack]


def measure_version(context: Context, model_id: str, report: Report) -> VersionResults:
    """Predict and attack the test split; what the store already has is not done again."""
    from blindspot.tools.metrics.outcomes import ModelOutcomes, perturbed_outcomes

    settings = context.settings
    samples = context.samples("test")
    version = OnDemand(context, model_id)
    clean = outcomes_of(context, samples, predict_once(context, version, samples, kind="sample", report=report))
    drawn = draw_samples(samples, settings.evaluate.samples, seed=settings.run.seed)
    attacks = attack_once(context, version, drawn, report)
    flipped = predict_once(context, version, [row for row in attacks if row.status == "flipped"], kind="attack")
    probabilities = {key: prediction.probabilities for key, prediction in flipped.items()}
    perturbed = {
        recipe: perturbed_outcomes(clean, [row for row in attacks if row.recipe == recipe], probabilities)
        for recipe in (settings.attack.recipes if drawn else ())
    }
    return VersionResults(ModelOutcomes(model_id, clean, perturbed), attacks)


def temperature_of(context: Context, model_id: str, round_number: int) -> Temperature:
    """Fit a version's temperature on the validation split."""
    from blindspot.tools.metrics.verdict_evidence import Temperature

    outcomes = validation_outcomes(context, model_id)
    return Temperature(fit_on_validation(context, round_number, "evaluate", model_id, outcomes), len(outcomes))


def spots_of(context: Context, new: VersionResults, baseline: VersionResults, scope: Scope) -> list[BlindSpot]:
    """Find the blind spots of two versions among their UUs of the test split."""
    from blindspot.tools.attack.sentence_encoder import sentence_oracle
    from blindspot.tools.metrics.blind_spots import find_blind_spots, uu_cases
    from blindspot.tools.text.similarity import text_of

    names = context.dataset.fields
    natural = {sample.sample_id: text_of(sample.fields, names) for sample in context.samples("test")}
    perturbed = {
        (row.model_id, row.recipe, row.sample_id): text_of(row.fields, names)
        for row in (*new.attacks, *baseline.attacks)
        if row.fields is not None
    }
    cases = uu_cases(new.outcomes, baseline.outcomes, natural, perturbed, scope.tau)
    avoided = {case.sample_id for case in cases}
    for clean in (new.outcomes.clean, baseline.outcomes.clean):
        avoided |= {sample_id for sample_id, wrong in zip(clean.sample_ids, clean.wrong, strict=True) if wrong}
    others = [text for sample_id, text in natural.items() if sample_id not in avoided]
    return find_blind_spots(cases, others, sentence_oracle().look_up, scope)


def statistics_of(attacks: Sequence[Attack], scope: Scope) -> list[Evaluation]:
    """Attack statistics of each recipe."""
    from blindspot.tools.metrics.attack_statistics import attack_statistics

    recipes = dict.fromkeys(row.recipe for row in attacks)
    return [
        figure
        for name in recipes
        for figure in attack_statistics([row for row in attacks if row.recipe == name], scope)
    ]


def scope_of(context: Context, round_number: int) -> Scope:
    from blindspot.tools.metrics.figure import Scope

    settings = context.settings
    return Scope(
        run_id=context.run_id,
        round=round_number,
        tau=settings.run.tau,
        thresholds=settings.evaluate.thresholds,
        resamples=settings.evaluate.resamples,
        seed=settings.run.seed,
        labels=tuple(context.dataset.labels),
    )


def evaluation_summary(rows: Sequence[Evaluation], context: Context) -> dict[str, Any]:
    """Accuracy and UUs at tau, to tell in one line."""
    figures = [row for row in rows if row.baseline_id is None]
    majority = next(row.value for row in figures if row.metric == "majority_share")
    summary: dict[str, Any] = {}
    for row in figures:
        if row.metric == "accuracy":
            summary["accuracy"] = f"{row.value:.1%} (majority class {majority:.1%})"
        if row.metric == "uus" and row.threshold == context.settings.run.tau and row.recipe != POOLED:
            summary[f"UUs {row.recipe or 'natural'}"] = f"{row.value:.0f} of {row.n}"
    return summary
