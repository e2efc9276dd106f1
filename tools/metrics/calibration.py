"""Temperature scaling: one number that makes a classifier as sure as it is right, and no prediction another one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from blindspot.tools.metrics.statistics import Floats, Ints
from blindspot.tools.metrics.temperature import BOUNDS

LEAST_PROBABILITY = 1e-45  # the smallest of float32, as which a rarer class is stored as 0


def fit_temperature(probabilities: ArrayLike, labels: Ints) -> float:
    """Find the temperature at which the labels are most likely: by which logits are to be divided.

    Args:
        probabilities: of n >= 1 texts, (n, classes), rows sum to 1; logits are known from them up to a constant a row.
        labels: true class indices, (n,).
    Returns: the temperature, within BOUNDS; above 1 where the classifier is too sure of itself. One near a bound
        is not a fit: see `temperature.bound_hit`.
    Raises: ValueError, when there are not texts.
    Source: Guo et al. (2017), section 4.2.
    """
    logits = logits_of(probabilities)
    if not len(logits):
        raise ValueError("a temperature cannot be fitted to no predictions")
    rows = np.arange(len(logits))
    behind = logits - logits[rows, labels][:, None]  # (n, classes): how far each class is behind the true one
    behind[rows, labels] = -np.inf

    def loss(log_temperature: float) -> float:  # log_softmax would be 0 long before the lower bound
        others = special.logsumexp(behind / np.exp(log_temperature), axis=1)
        return float(np.logaddexp(0.0, others).mean())

    minimum = optimize.minimize_scalar(loss, bounds=np.log(BOUNDS), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(minimum.x))


def tempered(probabilities: ArrayLike, temperature: float) -> Floats:
    """Divide the logits behind probabilities, (n, classes), by a temperature above 0; no prediction changes."""
    softened: Floats = special.softmax(logits_of(probabilities) / temperature, axis=1)
    return softened


def logits_of(probabilities: ArrayLike) -> Floats:
    logits: Floats = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), LEAST_PROBABILITY))
    return logits
