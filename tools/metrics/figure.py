"""One figure: what it is about, its value with its interval, and the record that is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from blindspot.storage.ids import make_id
from blindspot.storage.records import Evaluation
from blindspot.tools.metrics.statistics import Floats, Ints, interval, resample

Key = tuple[str, str | None, float | None]
"""Metric, recipe (None: the clean split), threshold."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What figures are about, and how finely they are taken."""

    run_id: str
    round: int
    tau: float
    thresholds: tuple[float, ...]  # where UUs are counted; tau is added to them
    resamples: int
    seed: int
    split: str = "test"
    labels: tuple[str, ...] = ()  # the classes' names, in the order of the probabilities' columns: for their recalls


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval and, where it was tested, its p."""

    value: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


def bootstrap(take: Callable[[Floats], dict[Key, Floats]], strata: Ints, scope: Scope) -> dict[Key, Estimate]:
    """Take values as they are and in each resample of the samples.

    Returns: each value with its interval, over the resamples in which it is defined (not NaN); none, where it never is.
    """
    values = take(np.ones((1, len(strata))))
    blocks = [take(weights) for weights in resample(strata, resamples=scope.resamples, seed=[scope.seed, scope.round])]
    estimates = {}
    for key, value in values.items():
        drawn = np.concatenate([block[key] for block in blocks])
        defined = drawn[~np.isnan(drawn)]
        estimates[key] = Estimate(float(value[0]), *(interval(defined) if len(defined) else (None, None)))
    return estimates


def evaluation(
    scope: Scope, key: Key, estimate: Estimate, n: int, model_id: str, baseline_id: str | None = None
) -> Evaluation:
    """Make the record of one figure, or of one difference to a baseline."""
    metric, recipe, threshold = key
    return Evaluation(
        evaluation_id=make_id(
            "ev", scope.run_id, scope.round, model_id, baseline_id, metric, scope.split, recipe, threshold
        ),
        run_id=scope.run_id,
        round=scope.round,
        model_id=model_id,
        baseline_id=baseline_id,
        metric=metric,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        p_value=estimate.p_value,
        split=scope.split,
        recipe=recipe,
        threshold=threshold,
        n=n,
    )
