"""How far a second judge agrees with given labels: the share of texts, and Cohen's kappa, both with intervals."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import cohen_kappa_score

from blindspot.tools.metrics.statistics import interval, share_interval

UNCLEAR = ""
"""Stands for a judge's label where it gave none: it agrees with no label."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many labels a judge confirmed; intervals are of 95 %."""

    n: int
    agreed: int
    low: float  # of the share that agreed, Wilson's
    high: float
    kappa: float | None  # None: not defined, as where all labels are one
    kappa_low: float | None
    kappa_high: float | None

    @property
    def share(self) -> float:
        """The share of labels that the judge gave too."""
        return self.agreed / self.n


def agreement(labels: Sequence[str], judged: Sequence[str | None], *, resamples: int, seed: Sequence[int]) -> Agreement:
    """Compare given labels with a judge's, text by text; None, where the judge could not tell, agrees with nothing.

    Args:
        labels, judged: of the same texts, (n,) each, n > 0.
        resamples, seed: of the bootstrap over texts that gives kappa its interval.
    Source: Cohen (1960).
    """
    given, other = np.asarray(labels, dtype=object), np.asarray([UNCLEAR if one is None else one for one in judged])
    agreed = int(np.sum(given == other))
    generator = np.random.default_rng(list(seed))
    places = generator.integers(0, len(given), size=(resamples, len(given)))
    drawn = np.array([kappa_of(given[row], other[row]) for row in places])
    defined = drawn[~np.isnan(drawn)]
    kappa = kappa_of(given, other)
    ends = interval(defined) if len(defined) and not np.isnan(kappa) else (None, None)
    return Agreement(len(given), agreed, *share_interval(agreed, len(given)), None if np.isnan(kappa) else kappa, *ends)


def kappa_of(labels: np.ndarray, judged: np.ndarray) -> float:
    """Cohen's kappa; NaN, where both name one and the same label only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the division that gives NaN
        return float(cohen_kappa_score(labels.astype(str), judged.astype(str)))
