"""What a study measured: each method's figures over seeds, and how far it is from the original and the baselines.

Every method of a seed repairs the same model and meets the same test samples, so differences are paired. A resample
draws samples, and one that several seeds have is drawn for all of them alike: their errors on it are not independent.
An interval tells what other samples could have said of these models; the spread over seeds is told beside it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from blindspot.storage.study_records import StudyFigure
from blindspot.tools.metrics.coverage import matched_thresholds
from blindspot.tools.metrics.evaluate import EVERYWHERE, accuracy, own_weights, uus, uus_matched
from blindspot.tools.metrics.outcomes import Outcomes, columns_of, in_id_order, membership
from blindspot.tools.metrics.statistics import Floats, interval, resample

ORIGINAL = "original"  # the method of the model versions before any
BASELINES = (ORIGINAL, "none", "relabel")  # what every method is compared with
NO_THRESHOLD = -1.0

Key = tuple[str, float]
"""Metric, threshold."""

Seeds = Mapping[int, "Measured"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A method's model version of one seed."""

    clean: Outcomes  # the clean test split
    perturbed: Outcomes | None  # its P; None where nothing was attacked
    others: Mapping[str, float]  # figures that need no interval: metric -> value


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared: methods on one data set, with one classifier, under one set of recipes."""

    study_id: str
    dataset: str
    classifier: str
    recipe: str
    methods: Mapping[str, Seeds]  # the original among them, of every seed that another has
    baselines: Mapping[str, Mapping[str, str]]  # method -> name of a baseline -> the method that stands for it
    tau: float
    thresholds: tuple[float, ...]  # where UUs are counted; tau is added to them
    resamples: int
    seed: int  # of the bootstrap


def compare_methods(comparison: Comparison) -> list[StudyFigure]:
    """Measure every method, and its differences to the baselines.

    A difference is the method minus the baseline, over the seeds that both have. "uus_reduction" and its like are the
    share of the baseline's UUs that the method's are fewer, all seeds together; resamples in which the baseline has
    none are left out of its interval.

    Returns: figures with their mean over seeds, standard deviation and 95 % interval. Those of the clean split stand
        under the recipe too: a method that learns of attacks trains a model of its own for each.
    """
    kept = replace(comparison, methods=with_common_rows(comparison.methods))
    values, drawn = estimate(kept)
    rows: list[StudyFigure] = []
    for method, seeds in kept.methods.items():
        rows += own_figures(kept, method, values, drawn)
        rows += other_figures(kept, method)
        for name, baseline in kept.baselines.get(method, {}).items():
            shared = [seed for seed in seeds if seed in kept.methods.get(baseline, {})]
            if baseline != method and shared:
                rows += method_differences(kept, (method, baseline, name), shared, values, drawn)
    return rows


def with_common_rows(methods: Mapping[str, Seeds]) -> dict[str, dict[int, Measured]]:
    """Keep, of each seed, the samples that every method has all rows of: an attack that broke leaves its sample out.

    A sample has a row for each recipe that is counted.
    """
    counts: defaultdict[int, list[Counter[str]]] = defaultdict(list)
    for seeds in methods.values():
        for seed, measured in seeds.items():
            if measured.perturbed is not None:
                counts[seed].append(Counter(measured.perturbed.sample_ids))
    common: dict[int, set[str]] = {}
    for seed, per_method in counts.items():
        most = max((count for one in per_method for count in one.values()), default=0)
        whole = [{sample_id for sample_id, count in one.items() if count == most} for one in per_method]
        common[seed] = set.intersection(*whole)
    return {
        method: {
            seed: replace(
                measured,
                clean=in_id_order(measured.clean, set(measured.clean.sample_ids)),
                perturbed=in_id_order(measured.perturbed, common[seed]) if measured.perturbed is not None else None,
            )
            for seed, measured in seeds.items()
        }
        for method, seeds in methods.items()
    }


Estimates = dict[tuple[str, int], dict[Key, Floats]]
"""(method, seed) -> (metric, threshold) -> values, (resamples,)."""


def estimate(comparison: Comparison) -> tuple[Estimates, Estimates]:
    """Take the figures of every method and seed, as they are and in each resample of the samples."""
    parts: dict[str, Outcomes] = {}
    for seed, measured in comparison.methods[ORIGINAL].items():
        parts[f"clean {seed}"] = measured.clean
        if measured.perturbed is not None:
            parts[f"perturbed {seed}"] = measured.perturbed
    columns = columns_of(sample_id for part in parts.values() for sample_id in part.sample_ids)
    strata = membership(columns, parts)

    def take(weights: Floats) -> Estimates:
        return {
            (method, seed): figures_of(measured, comparison.methods[ORIGINAL][seed].clean, comparison, columns, weights)
            for method, seeds in comparison.methods.items()
            for seed, measured in seeds.items()
        }

    values = take(np.ones((1, len(strata))))
    blocks = [take(some) for some in resample(strata, resamples=comparison.resamples, seed=[comparison.seed])]
    drawn = {
        place: {key: np.concatenate([block[place][key] for block in blocks]) for key in found}
        for place, found in values.items()
    }
    return values, drawn


def figures_of(
    measured: Measured, original: Outcomes, comparison: Comparison, columns: Mapping[str, int], weights: Floats
) -> dict[Key, Floats]:
    """Take the figures of one model version that have intervals, in each resample."""
    tau, clean, perturbed = comparison.tau, measured.clean, measured.perturbed
    own = own_weights(clean, weights, columns)
    matched = matched_thresholds(original, clean, own_weights(original, weights, columns), own, tau)
    values: dict[Key, Floats] = {
        ("accuracy", NO_THRESHOLD): accuracy(clean, own),
        ("uus_clean", tau): uus(clean, own, tau),
        ("uus_clean_matched", tau): uus_matched(clean, own, matched),
    }
    if perturbed:
        own = own_weights(perturbed, weights, columns)
        values |= {("uus", at): uus(perturbed, own, at) for at in sorted({tau, *comparison.thresholds})}
        values["uus_matched", tau] = uus_matched(perturbed, own, matched)
    return values


def own_figures(comparison: Comparison, method: str, values: Estimates, drawn: Estimates) -> list[StudyFigure]:
    """The figures of one method by itself."""
    seeds = list(comparison.methods[method])
    rows = []
    for key in shared_keys(values, [(method, seed) for seed in seeds]):
        each = np.array([values[method, seed][key][0] for seed in seeds])
        spread = np.mean([drawn[method, seed][key] for seed in seeds], axis=0)
        rows.append(figure(comparison, method, key, "", each, spread))
    return rows


def other_figures(comparison: Comparison, method: str) -> list[StudyFigure]:
    """The figures of one method that have no interval: calibration on P, attack statistics, rows added."""
    by_name: dict[str, list[float]] = {}
    for measured in comparison.methods[method].values():
        outcomes = measured.perturbed if measured.perturbed else measured.clean  # an empty P is false
        one = np.ones((1, len(outcomes)))
        calibration = {name: float(metric(outcomes, one)[0]) for name, metric in EVERYWHERE.items()}
        for name, value in (calibration | dict(measured.others)).items():
            by_name.setdefault(name, []).append(value)
    return [figure(comparison, method, (name, NO_THRESHOLD), "", np.array(each)) for name, each in by_name.items()]


def method_differences(
    comparison: Comparison, pair: tuple[str, str, str], seeds: Sequence[int], values: Estimates, drawn: Estimates
) -> list[StudyFigure]:
    """The differences of a method to a baseline, and the share of its UUs that it has fewer.

    Args:
        pair: the method, the method that stands for the baseline, and the baseline's name.
        seeds: those that both have.
    """
    method, baseline, name = pair
    rows = []
    for key in shared_keys(values, [(who, seed) for who in (method, baseline) for seed in seeds]):
        new, old = (np.array([values[who, seed][key][0] for seed in seeds]) for who in (method, baseline))
        drawn_new, drawn_old = (np.array([drawn[who, seed][key] for seed in seeds]) for who in (method, baseline))
        rows.append(figure(comparison, method, key, name, new - old, (drawn_new - drawn_old).mean(axis=0)))
        metric, threshold = key
        if metric.startswith("uus") and old.sum() > 0:
            spread = fewer(drawn_new.sum(axis=0), drawn_old.sum(axis=0))
            reduction = figure(comparison, method, (reduction_of(metric), threshold), name, fewer(new, old), spread)
            rows.append(replace(reduction, value=float(1 - new.sum() / old.sum()), seeds=len(seeds)))
    return rows


def shared_keys(values: Estimates, places: Sequence[tuple[str, int]]) -> list[Key]:
    """The figures that were taken in all of some places: none of a P of which every attack broke."""
    return [key for key in values[places[0]] if all(key in values[place] for place in places)]


def reduction_of(metric: str) -> str:
    """The metric that tells by which share another fell."""
    return f"{metric}_reduction"


def fewer(new: Floats, old: Floats) -> Floats:
    """The share by which counts fell, where there is something to fall."""
    there = old > 0
    shares: Floats = 1 - new[there] / old[there]
    return shares


def figure(
    comparison: Comparison, method: str, key: Key, baseline: str, each: Floats, spread: Floats | None = None
) -> StudyFigure:
    """Make the record of one figure.

    Args:
        each: its value in each seed.
        spread: its mean over the seeds in each resample; None: it has no interval.
    """
    metric, threshold = key
    low, high = interval(spread) if spread is not None and len(spread) else (None, None)
    return StudyFigure(
        study_id=comparison.study_id,
        dataset=comparison.dataset,
        classifier=comparison.classifier,
        recipe=comparison.recipe,
        method=method,
        metric=metric,
        threshold=threshold,
        baseline=baseline,
        value=float(each.mean()),
        std=float(each.std(ddof=1)) if len(each) > 1 else None,
        low=low,
        high=high,
        seeds=len(each),
        n=rows_of(comparison, method, metric),
    )


def rows_of(comparison: Comparison, method: str, metric: str) -> int:
    """How many rows of one seed a figure was measured on."""
    measured = next(iter(comparison.methods[method].values()))
    on_clean = metric == "accuracy" or metric.startswith("uus_clean")
    return len(measured.clean if on_clean or not measured.perturbed else measured.perturbed)
