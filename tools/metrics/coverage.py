"""Matched coverage: the threshold at which a model is confident as often as the original model is at tau."""

from __future__ import annotations

import numpy as np
from scipy import special

from blindspot.tools.metrics.outcomes import Outcomes
from blindspot.tools.metrics.statistics import Floats
from blindspot.tools.uu import is_confident

SATURATED = 1e-12  # probabilities nearer to 0 or 1 than this have no finite log-odds


def matched_thresholds(
    original: Outcomes, model: Outcomes, original_weights: Floats, weights: Floats, tau: float
) -> Floats:
    """Find tau', at which a model is confident on the same share of the clean split as the original is at tau.

    With k rows of the original at or above tau, tau' lies above the model's (k+1)-th confidence and at most at its
    k-th. In that gap it stands where tau stands in the original's, by log-odds: temperature scaling in a binary task
    multiplies log-odds, so it moves tau' along and changes no UU; and the original's own tau' is tau.
    Where the k-th and (k+1)-th tie no threshold gives the share; tau' is the tied value, the larger share: a model
    with one confidence for everything is then confident on everything, and gains nothing.

    Args:
        original, model: outcomes of the same clean samples, each in an order of its own.
        original_weights, weights: resamples, columns as the rows of `original` and `model`, (b, n).
        tau: the original's threshold, in [0, 1].
    Returns: tau' in each resample, (b,).
    """
    floor = 1 / original.probabilities.shape[1]
    confident = original_weights @ is_confident(original.confidence, tau)  # k, (b,)
    below, above = neighbours(original, original_weights, confident, floor)
    low, high = neighbours(model, weights, confident, floor)
    width = log_odds(above) - log_odds(below)
    place = np.divide(log_odds(tau) - log_odds(below), width, out=np.ones_like(width), where=width > 0)
    inside = special.expit(log_odds(low) + np.clip(place, 0, 1) * (log_odds(high) - log_odds(low)))
    gap = low < high
    matched = np.where(gap, np.clip(inside, np.where(gap, np.nextafter(low, 2), high), high), high)
    # Exactly tau for the original itself, not off by the rounding of log-odds.
    exact: Floats = np.where((low == below) & (high == above), tau, matched)
    return exact


def neighbours(outcomes: Outcomes, weights: Floats, k: Floats, floor: float) -> tuple[Floats, Floats]:
    """Find the (k+1)-th and the k-th largest confidence in each resample, (b,); the floor or 1 where there is none."""
    order = np.argsort(-outcomes.confidence, kind="stable")
    falling = np.append(outcomes.confidence[order], floor)
    covered = np.take(weights, order, axis=1).cumsum(axis=1)
    kth = falling[np.minimum((covered < k[:, None]).sum(axis=1), len(outcomes))]
    return falling[(covered <= k[:, None]).sum(axis=1)], np.where(k > 0, kth, 1.0)


def log_odds(probability: float | Floats) -> Floats:
    """log(p / (1 - p)), kept finite."""
    odds: Floats = special.logit(np.clip(probability, SATURATED, 1 - SATURATED))
    return odds
