"""What is measured, one definition each (design.md, section 7), and the figures and differences made of it.

A metric takes outcomes of n texts and weights, (b, n): how often each row is in each of b resamples. Its value is
the metric at weights 1. Each returns (b,) values. Shares are in [0, 1]; UUs are counts of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from blindspot.storage.records import Evaluation
from blindspot.storage.words import POOLED, RECALL
from blindspot.tools.metrics.coverage import matched_thresholds
from blindspot.tools.metrics.figure import Estimate, Key, Scope, bootstrap, evaluation
from blindspot.tools.metrics.outcomes import ModelOutcomes, Outcomes, by_recipe, columns_of, membership, paired, place
from blindspot.tools.metrics.statistics import Floats, Ints, Mask, mcnemar, sign_test
from blindspot.tools.uu import are_uus

ECE_BINS = 15


def recalls(outcomes: Outcomes, weights: Floats) -> Floats:
    """The share of each class's rows that are right, (b, classes); NaN where a resample has none of them."""
    classes = np.eye(outcomes.probabilities.shape[1])[outcomes.labels]
    rows = weights @ classes
    right = weights @ (classes * ~outcomes.wrong[:, None])
    return np.divide(right, rows, out=np.full_like(rows, np.nan), where=rows > 0)


def balanced_accuracy(outcomes: Outcomes, weights: Floats) -> Floats:
    """The mean of the classes' recalls, over those that a resample has rows of."""
    averages: Floats = np.nanmean(recalls(outcomes, weights), axis=1)
    return averages


def majority_share(outcomes: Outcomes, weights: Floats) -> Floats:
    """The share of rows of the most frequent class: the accuracy of a model that always names it."""
    is_of_it = outcomes.labels == np.bincount(outcomes.labels).argmax()
    share: Floats = weights @ is_of_it.astype(float) / weights.sum(axis=1)
    return share


def measure_classes(outcomes: Outcomes, weights: Floats, labels: Sequence[str]) -> dict[Key, Floats]:
    """Take the balanced accuracy, the majority class's share and the recall of each class that has rows.

    Args:
        labels: the classes' names, in the order of the probabilities' columns; empty: no recalls are taken.
    """
    own = recalls(outcomes, weights)
    values: dict[Key, Floats] = {
        ("balanced_accuracy", None, None): balanced_accuracy(outcomes, weights),
        ("majority_share", None, None): majority_share(outcomes, weights),
    }
    present = np.bincount(outcomes.labels, minlength=own.shape[1])
    return values | {
        (f"{RECALL}{label}", None, None): own[:, column] for column, label in enumerate(labels) if present[column]
    }


def rows_of_classes(labels: Ints, names: Sequence[str]) -> Mapping[str, int]:
    """The number of rows behind the recall of each class, by its metric."""
    return {f"{RECALL}{name}": int((labels == column).sum()) for column, name in enumerate(names)}


def uu_mask(outcomes: Outcomes, threshold: float) -> Mask:
    """Mark the unknown unknowns: wrong, and with confidence >= threshold, (n,)."""
    return are_uus(outcomes.wrong, outcomes.confidence, threshold)


def mean(values: Floats, weights: Floats) -> Floats:
    """The weighted mean of a row's values, (n,), in each resample."""
    averages: Floats = weights @ values / weights.sum(axis=1)
    return averages


def count_marked(rows: Mask, weights: Floats) -> Floats:
    """The number of marked rows, scaled to n rows; whole where a resample has n rows."""
    counts: Floats = len(rows) * (weights @ rows.astype(float)) / weights.sum(axis=1)
    return counts


def accuracy(outcomes: Outcomes, weights: Floats) -> Floats:
    """The share of rows that are right."""
    return mean((~outcomes.wrong).astype(float), weights)


def uus(outcomes: Outcomes, weights: Floats, threshold: float) -> Floats:
    """The number of rows that are wrong with confidence >= threshold, scaled to n rows.

    Source: IBS, section 2.1.
    """
    return count_marked(uu_mask(outcomes, threshold), weights)


def uus_natural(outcomes: Outcomes, weights: Floats, threshold: float) -> Floats:
    """The number of UUs among the rows that no attack changed."""
    return count_marked(uu_mask(outcomes, threshold) & ~outcomes.flipped, weights)


def uus_flipped(outcomes: Outcomes, weights: Floats, threshold: float) -> Floats:
    """The number of UUs among the perturbed rows."""
    return count_marked(uu_mask(outcomes, threshold) & outcomes.flipped, weights)


def uus_matched(outcomes: Outcomes, weights: Floats, thresholds: Floats) -> Floats:
    """The number of UUs at a threshold of each resample's own, (b,): see `matched_thresholds`."""
    wrong = np.flatnonzero(outcomes.wrong)
    rising = wrong[np.argsort(outcomes.confidence[wrong], kind="stable")]
    below = np.cumsum(np.take(weights, rising, axis=1), axis=1)
    below = np.concatenate([np.zeros((len(weights), 1)), below], axis=1)
    first = np.searchsorted(outcomes.confidence[rising], thresholds)  # the first row at or above the threshold
    counts: Floats = len(outcomes) * (below[:, -1] - below[np.arange(len(weights)), first]) / weights.sum(axis=1)
    return counts


def mean_confidence(outcomes: Outcomes, weights: Floats) -> Floats:
    """The mean confidence."""
    return mean(outcomes.confidence, weights)


def std_confidence(outcomes: Outcomes, weights: Floats) -> Floats:
    """The standard deviation of the confidence, over n (not n - 1)."""
    centred = outcomes.confidence - outcomes.confidence.mean()
    spread: Floats = np.sqrt(np.maximum(mean(centred**2, weights) - mean(centred, weights) ** 2, 0))
    return spread


def ece(outcomes: Outcomes, weights: Floats) -> Floats:
    """Expected calibration error over 15 equal-width bins of the confidence, each open below and closed above.

    Source: Naeini et al. (2015); Guo et al. (2017) for confidence in place of one class's probability.
    """
    edges = np.linspace(0, 1, ECE_BINS + 1)
    bins = np.clip(np.digitize(outcomes.confidence, edges, right=True) - 1, 0, ECE_BINS - 1)
    gaps = np.zeros((len(outcomes), ECE_BINS))
    gaps[np.arange(len(outcomes)), bins] = outcomes.confidence - ~outcomes.wrong
    errors: Floats = np.abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1)
    return errors


def brier(outcomes: Outcomes, weights: Floats) -> Floats:
    """The mean squared distance of the probabilities from the true class's one-hot row, summed over classes, in [0, 2].

    Source: Brier (1950).
    """
    truth = np.eye(outcomes.probabilities.shape[1])[outcomes.labels]
    return mean(((outcomes.probabilities - truth) ** 2).sum(axis=1), weights)


def aurc(outcomes: Outcomes, weights: Floats) -> Floats:
    """Area under the risk-coverage curve: the mean, over k = 1 … n, of the error among the k most confident rows.

    An error at place p raises the risk at each k >= p by 1 / k, so it adds H(n) - H(p - 1), H the harmonic numbers.
    Rows of equal confidence (a row drawn twice, too) count as if in random order: the mean over their places.
    Source: Geifman, Uziel, El-Yaniv (2019).
    """
    order = np.argsort(-outcomes.confidence, kind="stable")
    starts = np.flatnonzero(np.diff(-outcomes.confidence[order], prepend=-np.inf))
    ranked = np.take(weights, order, axis=1)
    failed = ranked * outcomes.wrong[order]
    if len(starts) < len(order):  # rows of equal confidence become one group
        ranked, failed = np.add.reduceat(ranked, starts, axis=1), np.add.reduceat(failed, starts, axis=1)
    ends = ranked.cumsum(axis=1)
    rows = ends[:, -1]
    groups = np.flatnonzero(failed.any(axis=0))
    size, last = np.take(ranked, groups, axis=1), np.take(ends, groups, axis=1)
    places = np.arange(1, rows.max() + 1)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / places)])
    sums = np.concatenate([[0.0], places * (harmonic[1:] - 1)])  # H(0) + … + H(p - 1), up to place p
    before = sums[last.astype(np.intp)] - sums[(last - size).astype(np.intp)]
    rate = np.divide(np.take(failed, groups, axis=1), size, out=np.zeros_like(size), where=size > 0)
    area: Floats = (rate * (size * harmonic[rows.astype(np.intp)][:, None] - before)).sum(axis=1) / rows
    return area


COUNTS = {"uus": uus, "uus_natural": uus_natural, "uus_flipped": uus_flipped}  # at each threshold
EVERYWHERE = {  # taken on the clean split and on each P, without a threshold
    "mean_confidence": mean_confidence,
    "std_confidence": std_confidence,
    "ece": ece,
    "brier": brier,
    "aurc": aurc,
}


def measure(model: ModelOutcomes, original: Outcomes, scope: Scope, weights: Floats) -> dict[Key, Floats]:
    """Take every metric of one model version in each resample.

    Args:
        original: the original model on the clean split; its share of confident rows is the one to match.
        weights: of the split's samples in the order of their ids, (b, samples).
    Returns: (b,) values of each.
    """
    columns = columns_of(model.clean.sample_ids)
    clean = own_weights(model.clean, weights, columns)
    matched = matched_thresholds(original, model.clean, own_weights(original, weights, columns), clean, scope.tau)
    values: dict[Key, Floats] = {("accuracy", None, None): accuracy(model.clean, clean)}
    values |= measure_classes(model.clean, clean, scope.labels)
    for recipe, outcomes in by_recipe(model.clean, model.perturbed).items():
        own = clean if recipe is None else own_weights(outcomes, weights, columns)
        for threshold in sorted({scope.tau, *scope.thresholds}):
            for name, counted in COUNTS.items():
                if recipe is not None or name == "uus":
                    values[name, recipe, threshold] = counted(outcomes, own, threshold)
        values["uus_matched", recipe, scope.tau] = uus_matched(outcomes, own, matched)
        for name, metric in EVERYWHERE.items():
            values[name, recipe, None] = metric(outcomes, own)
    return values


def figures(model: ModelOutcomes, original: Outcomes, scope: Scope) -> list[Evaluation]:
    """Measure one model version: on the clean split, on each recipe's P, and on all P together (recipe "all").

    UUs of the clean split are the natural ones among all its samples; a P has a row for each attacked sample only.

    Args:
        original: the original model on the clean split, for UUs at matched coverage.
    Returns: each figure with its 95 % bootstrap interval over samples. ECE has none: resampling pushes it up, so
        that the interval can miss the value.
    """
    estimates = bootstrap(lambda weights: measure(model, original, scope, weights), strata_of(model), scope)
    rows = {recipe: len(outcomes) for recipe, outcomes in by_recipe(model.clean, model.perturbed).items()}
    of_class = rows_of_classes(model.clean.labels, scope.labels)
    return [
        evaluation(
            scope,
            key,
            Estimate(estimate.value) if key[0] == "ece" else estimate,
            of_class.get(key[0], rows[key[1]]),
            model.model_id,
        )
        for key, estimate in estimates.items()
    ]


def differences(new: ModelOutcomes, baseline: ModelOutcomes, original: Outcomes, scope: Scope) -> list[Evaluation]:
    """Measure new minus baseline, paired by sample, for each figure of `figures`.

    A sample that only one of the two has in a recipe's P (the other's attack broke) is left out of that P.

    Returns: each difference with its 95 % paired bootstrap interval; accuracy with McNemar's exact p, and UUs with
        the p of the exact sign test on the samples that have more UUs, or fewer, than before.
    Raises: ValueError, when the clean splits are not the same samples.
    """
    new, baseline = paired(new, baseline)

    def change(weights: Floats) -> dict[Key, Floats]:
        before = measure(baseline, original, scope, weights)
        return {key: value - before[key] for key, value in measure(new, original, scope, weights).items()}

    after, before = (by_recipe(model.clean, model.perturbed) for model in (new, baseline))
    rows = []
    of_class = rows_of_classes(new.clean.labels, scope.labels)
    for key, estimate in bootstrap(change, strata_of(new), scope).items():
        metric, recipe, threshold = key
        if metric == "majority_share":
            continue  # the same texts, so the same share
        if metric == "accuracy":
            estimate = replace(estimate, p_value=mcnemar(~after[recipe].wrong, ~before[recipe].wrong))
        elif metric == "uus" and threshold is not None:
            columns = columns_of(new.clean.sample_ids)
            counts = [uus_by_sample(side[recipe], threshold, columns) for side in (after, before)]
            estimate = replace(estimate, p_value=sign_test(counts[0] - counts[1]))
        n = of_class.get(metric, len(after[recipe]))
        rows.append(evaluation(scope, key, estimate, n, new.model_id, baseline.model_id))
    return rows


def known_uus(known: Mapping[str, Outcomes], model_id: str, scope: Scope) -> list[Evaluation]:
    """Measure what became of the original model's adversarial UUs: the same texts, given to this model.

    Args:
        known: recipe -> this model's outcomes of those texts.
    Returns: the share that is right now ("known_uus_fixed") and the share that is still a UU at tau
        ("known_uus_left"), per recipe and for all (recipe "all"); nothing where there were none.
    """
    texts = {recipe: outcomes for recipe, outcomes in by_recipe(None, known).items() if recipe is not None}
    if not texts:
        return []
    columns = columns_of(texts[POOLED].sample_ids)

    def shares(weights: Floats) -> dict[Key, Floats]:
        values: dict[Key, Floats] = {}
        for recipe, outcomes in texts.items():
            own = own_weights(outcomes, weights, columns)
            values["known_uus_fixed", recipe, None] = accuracy(outcomes, own)
            values["known_uus_left", recipe, scope.tau] = uus(outcomes, own, scope.tau) / len(outcomes)
        return values

    estimates = bootstrap(shares, membership(columns, known), scope)
    return [evaluation(scope, key, estimate, len(texts[str(key[1])]), model_id) for key, estimate in estimates.items()]


def own_weights(outcomes: Outcomes, weights: Floats, columns: Mapping[str, int]) -> Floats:
    """Give each row the weight of its sample: from (b, samples) to (b, n)."""
    return np.take(weights, place(outcomes, columns), axis=1)


def uus_by_sample(outcomes: Outcomes, threshold: float, columns: Mapping[str, int]) -> Ints:
    """Count each sample's rows that are UUs, (samples,)."""
    rows = place(outcomes, columns)[uu_mask(outcomes, threshold)]
    return np.bincount(rows, minlength=len(columns)).astype(np.int64)


def strata_of(model: ModelOutcomes) -> Ints:
    """Part the split's samples by the recipes that attacked them, so that every resample keeps the size of each P."""
    return membership(columns_of(model.clean.sample_ids), model.perturbed)
