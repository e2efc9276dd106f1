"""Accuracy class by class: what one number hides where most texts are of one class.

As in `evaluate.py`, a metric takes outcomes of n texts and weights, (b, n), and returns (b,) values, shares in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from blindspot.storage.records import RECALL
from blindspot.tools.metrics.figure import Key
from blindspot.tools.metrics.outcomes import Outcomes
from blindspot.tools.metrics.statistics import Floats, Ints


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
