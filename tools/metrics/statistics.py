"""Statistics of paired comparisons: the bootstrap over samples and the exact sign test.

A resample is written as weights, how often each sample is in it. A metric that takes weights then has one
definition for both its value (all weights 1) and its interval, and all metrics see the same resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

BLOCK_CELLS = 250_000  # weights held at once: 2 MB stay in the cache
LEVEL = 0.95


def resample(strata: ArrayLike, *, resamples: int, seed: Sequence[int]) -> Iterator[Floats]:
    """Draw bootstrap resamples with replacement, within each stratum.

    Args:
        strata: stratum of each sample, (n,); each resample keeps the strata's sizes.
        resamples: how many to draw in all.
        seed: of a generator used here only; the same seed and strata give the same resamples.
    Yields: weights, (b, n) whole numbers, until b adds up to `resamples`.
    Raises: ValueError, when there are no samples.
    """
    groups = np.unique(np.asarray(strata), return_inverse=True)[1]
    if not groups.size:
        raise ValueError("there are no samples to resample")
    members = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    generator = np.random.default_rng(list(seed))
    block = max(1, BLOCK_CELLS // groups.size)
    for start in range(0, resamples, block):
        weights = np.empty((min(block, resamples - start), groups.size))
        for columns in members:
            weights[:, columns] = drawn_counts(generator, len(weights), columns.size)
        yield weights


def drawn_counts(generator: np.random.Generator, rows: int, size: int) -> Ints:
    """Draw `size` of `size` things with replacement, `rows` times. Returns: counts, (rows, size)."""
    cells = generator.integers(0, size, size=(rows, size)) + size * np.arange(rows)[:, None]
    return np.bincount(cells.ravel(), minlength=rows * size).reshape(rows, size).astype(np.int64)


def interval(values: Floats) -> tuple[float, float]:
    """Take the 95 % percentile interval of a statistic's resampled values, (resamples,).

    The ends are values that were seen, the wider choice where a quantile lies between two: counts stay whole.
    """
    tail = (1 - LEVEL) / 2
    low = np.quantile(values, tail, method="lower")
    high = np.quantile(values, 1 - tail, method="higher")
    return float(low), float(high)


def share_interval(count: int, total: int) -> tuple[float, float]:
    """Give the 95 % interval of a share, `count` of `total` things, each of them independent of the others.

    Raises: ValueError, when there is nothing to take a share of.
    Source: Wilson (1927): it stays inside [0, 1], and is of use for few things and for shares of 0 and 1.
    """
    if not total:
        raise ValueError("there is nothing to take a share of")
    interval = stats.binomtest(count, total).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def sign_test(changes: ArrayLike) -> float:
    """Test exactly whether paired differences are as often up as down; ties are left out.

    On differences of correctness (-1, 0, 1) this is McNemar's exact test.

    Args:
        changes: new minus baseline for each sample, (n,).
    Returns: the two-sided p; 1.0 when nothing changed.
    """
    values = np.asarray(changes)
    up, down = int((values > 0).sum()), int((values < 0).sum())
    return float(stats.binomtest(up, up + down, 0.5).pvalue) if up + down else 1.0


def mcnemar(new_correct: ArrayLike, baseline_correct: ArrayLike) -> float:
    """Test exactly whether two models are right equally often on the same samples, (n,) booleans each.

    Returns: the two-sided p.
    Source: McNemar (1947), with the binomial distribution in place of its approximation.
    """
    return sign_test(np.asarray(new_correct, dtype=int) - np.asarray(baseline_correct, dtype=int))
