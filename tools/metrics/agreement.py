"""How far a second judge agrees with given labels: the share of texts, and Cohen's kappa, both with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blindspot.tools.metrics.figure import Estimate, Key, Scope, bootstrap
from blindspot.tools.metrics.statistics import Floats, Mask, share_interval

KAPPA: Key = ("judge_kappa", None, None)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many labels a judge confirmed."""

    n: int
    agreed: int
    share: Estimate  # of the labels, those that the judge gave too; Wilson's interval
    kappa: Estimate | None  # None: not defined, as where all labels are one


def agreement(labels: Sequence[str], judged: Sequence[str | None], scope: Scope) -> Agreement:
    """Compare given labels with a judge's, text by text; None, where the judge could not tell, agrees with nothing.

    Args:
        labels, judged: of the same texts, (n,) each, n > 0.
        scope: the resamples and seed of kappa's bootstrap over texts.
    """
    names = sorted({*labels, *(label for label in judged if label is not None)})
    given = np.array([[label == name for name in names] for label in labels])
    other = np.array([[label == name for name in names] for label in judged])
    other = np.column_stack([other, ~other.any(axis=1)])  # a class for what the judge could not tell
    given = np.column_stack([given, np.zeros(len(given), dtype=np.bool_)])
    agreed = int((given & other).any(axis=1).sum())
    strata = np.zeros(len(given), dtype=np.int64)
    kappa = bootstrap(lambda weights: {KAPPA: cohens_kappa(given, other, weights)}, strata, scope)[KAPPA]
    low, high = share_interval(agreed, len(given))
    return Agreement(
        len(given), agreed, Estimate(agreed / len(given), low, high), None if np.isnan(kappa.value) else kappa
    )


def cohens_kappa(given: Mask, other: Mask, weights: Floats) -> Floats:
    """Cohen's kappa in each resample; NaN, where both name one and the same class only.

    Args:
        given, other: which class each of the two names, one true in a row, (n, classes).
        weights: (b, n).
    Source: Cohen (1960).
    """
    rows = weights.sum(axis=1)
    observed = weights @ (given & other).any(axis=1) / rows
    expected = ((weights @ given) * (weights @ other)).sum(axis=1) / rows**2
    with np.errstate(invalid="ignore"):
        kappa: Floats = (observed - expected) / (1 - expected)
    return kappa
