"""What a verdict weighs beside counts: which UUs came and went, what calibration alone gives, what was forgotten."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from blindspot.storage.records import Evaluation
from blindspot.storage.words import REPAIRED
from blindspot.tools.metrics.calibration import tempered
from blindspot.tools.metrics.coverage import matched_thresholds
from blindspot.tools.metrics.evaluate import (
    accuracy,
    count_marked,
    own_weights,
    strata_of,
    uu_mask,
    uus,
    uus_by_sample,
    uus_matched,
)
from blindspot.tools.metrics.figure import Estimate, Key, Scope, bootstrap, evaluation
from blindspot.tools.metrics.outcomes import ModelOutcomes, Outcomes, by_recipe, columns_of, paired
from blindspot.tools.metrics.statistics import Floats, Mask, sign_test


def turnover(new: ModelOutcomes, baseline: ModelOutcomes, scope: Scope) -> list[Evaluation]:
    """Count the UUs at tau that came and went, on the clean split and on each P, row by row.

    Returns: rows that are a UU of the baseline and none of the new model ("uus_fixed"), those of them that the new
        model gets wrong still ("uus_less_confident"), rows that are a UU of the new model and that the baseline got
        right ("uus_new"), and rows that are one and that the baseline got wrong below tau ("uus_more_confident"), each
        with its 95 % bootstrap interval. UUs of the new model - of the baseline = new + more_confident - fixed.
    Raises: ValueError, when the clean splits are not the same samples.
    """
    new, baseline = paired(new, baseline)
    sides = [by_recipe(model.clean, model.perturbed) for model in (new, baseline)]
    marked: dict[Key, tuple[Outcomes, Mask]] = {}
    for recipe, after in sides[0].items():
        before = sides[1][recipe]
        is_now, was = uu_mask(after, scope.tau), uu_mask(before, scope.tau)
        marked["uus_fixed", recipe, scope.tau] = after, was & ~is_now
        marked["uus_less_confident", recipe, scope.tau] = after, was & ~is_now & after.wrong
        marked["uus_new", recipe, scope.tau] = after, is_now & ~before.wrong
        marked["uus_more_confident", recipe, scope.tau] = after, is_now & before.wrong & ~was
    columns = columns_of(new.clean.sample_ids)

    def take(weights: Floats) -> dict[Key, Floats]:
        return {key: count_marked(rows, own_weights(where, weights, columns)) for key, (where, rows) in marked.items()}

    return [
        evaluation(scope, key, estimate, len(marked[key][0]), new.model_id, baseline.model_id)
        for key, estimate in bootstrap(take, strata_of(new), scope).items()
    ]


@dataclass(frozen=True, slots=True)
class Temperature:
    """How far a model version's confidence is off, as fitted on a split that is not measured on."""

    value: float  # logits are divided by it
    rows: int  # it was fitted on


def beside_calibration(
    new: ModelOutcomes, baseline: ModelOutcomes, original: Outcomes, temperature: Temperature, scope: Scope
) -> list[Evaluation]:
    """Compare a new model with what temperature scaling alone would make of the one that it would replace.

    The baseline's texts stay as they are: scaling changes no label, so an attack that stops where the label flips ends
    nearly where it did. In a binary task it moves no UU at matched coverage; with more classes it does, as it brings
    texts into another order of confidence, so both are compared there as well.

    Args:
        original: the original model on the clean split, for UUs at matched coverage.
    Returns: the calibrated baseline's UUs on the clean split and on each P, at tau ("uus_calibrated", of the baseline)
        and at matched coverage ("uus_calibrated_matched"), new minus each of them, paired by sample (the same metrics,
        with a baseline_id; at tau with the p of the sign test), and the temperature, of the split "validation".
    Raises: ValueError, when the clean splits are not the same samples.
    Source: Guo et al. (2017) for temperature scaling.
    """
    scaled = ModelOutcomes(
        baseline.model_id,
        calibrated(baseline.clean, temperature),
        {recipe: calibrated(outcomes, temperature) for recipe, outcomes in baseline.perturbed.items()},
    )
    fitted = evaluation(
        replace(scope, split="validation"), ("temperature", None, None), Estimate(temperature.value), temperature.rows,
        baseline.model_id,
    )  # fmt: skip
    figures = calibrated_figures(scaled, original, scope)
    return [fitted, *figures, *calibrated_differences(*paired(new, scaled), original, scope)]


def calibrated(outcomes: Outcomes, temperature: Temperature) -> Outcomes:
    """What the same model says of the same texts after temperature scaling."""
    probabilities = tempered(outcomes.probabilities, temperature.value)
    return Outcomes(outcomes.sample_ids, outcomes.labels, probabilities, outcomes.flipped)


def calibrated_figures(scaled: ModelOutcomes, original: Outcomes, scope: Scope) -> list[Evaluation]:
    """UUs of a model that was scaled, with their intervals."""
    estimates = bootstrap(
        lambda weights: uus_everywhere(scaled, original, weights, scope.tau), strata_of(scaled), scope
    )
    rows = {recipe: len(outcomes) for recipe, outcomes in by_recipe(scaled.clean, scaled.perturbed).items()}
    return [evaluation(scope, key, estimate, rows[key[1]], scaled.model_id) for key, estimate in estimates.items()]


def calibrated_differences(
    new: ModelOutcomes, scaled: ModelOutcomes, original: Outcomes, scope: Scope
) -> list[Evaluation]:
    """UUs of a new model minus those of one that was scaled; both `paired`."""
    after, before = (by_recipe(model.clean, model.perturbed) for model in (new, scaled))
    columns = columns_of(new.clean.sample_ids)

    def change(weights: Floats) -> dict[Key, Floats]:
        base = uus_everywhere(scaled, original, weights, scope.tau)
        return {key: value - base[key] for key, value in uus_everywhere(new, original, weights, scope.tau).items()}

    rows = []
    for key, estimate in bootstrap(change, strata_of(new), scope).items():
        if key[0] == "uus_calibrated":
            counts = [uus_by_sample(side[key[1]], scope.tau, columns) for side in (after, before)]
            estimate = replace(estimate, p_value=sign_test(counts[0] - counts[1]))
        rows.append(evaluation(scope, key, estimate, len(after[key[1]]), new.model_id, scaled.model_id))
    return rows


def uus_everywhere(model: ModelOutcomes, original: Outcomes, weights: Floats, tau: float) -> dict[Key, Floats]:
    """UUs on the clean split and on each P, at tau and at matched coverage, in each resample."""
    columns = columns_of(model.clean.sample_ids)
    places = by_recipe(model.clean, model.perturbed)
    own = {recipe: own_weights(outcomes, weights, columns) for recipe, outcomes in places.items()}
    matched = matched_thresholds(original, model.clean, own_weights(original, weights, columns), own[None], tau)
    values: dict[Key, Floats] = {}
    for recipe, outcomes in places.items():
        values["uus_calibrated", recipe, tau] = uus(outcomes, own[recipe], tau)
        values["uus_calibrated_matched", recipe, tau] = uus_matched(outcomes, own[recipe], matched)
    return values


def repaired_kept(texts: Outcomes, model_id: str, scope: Scope) -> list[Evaluation]:
    """Measure forgetting: the share of the texts that earlier rounds repaired which this model gets still right.

    Args:
        texts: this model's outcomes of them; their samples may be of any split.
    Returns: one figure ("repaired_kept", of the split "repaired") with its 95 % bootstrap interval over samples;
        nothing where there are not texts.
    """
    if not len(texts):
        return []
    columns = columns_of(texts.sample_ids)
    key: Key = ("repaired_kept", None, None)
    estimates = bootstrap(
        lambda weights: {key: accuracy(texts, own_weights(texts, weights, columns))},
        np.zeros(len(columns), dtype=np.int64),
        scope,
    )
    return [evaluation(replace(scope, split=REPAIRED), key, estimates[key], len(texts), model_id)]
