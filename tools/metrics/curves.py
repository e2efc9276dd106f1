"""Curves of one model version over labelled texts: how far its confidence can be trusted, drawn and not summed up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blindspot.tools.metrics.statistics import Floats, Mask


@dataclass(frozen=True, slots=True)
class Bin:
    """The texts whose confidence lies in one bin; at least one."""

    low: float
    high: float
    n: int
    confidence: float  # mean
    accuracy: float


@dataclass(frozen=True, slots=True)
class Point:
    """The most confident texts, down to one confidence."""

    coverage: float  # their share of all, in (0, 1]
    risk: float  # the share of them that is wrong
    confidence: float  # the least confident of them


def reliability(confidence: Floats, wrong: Mask, *, bins: int) -> list[Bin]:
    """Compare confidence with accuracy in equal-width bins, each open below and closed above, as `ece` has them.

    Args:
        confidence, wrong: of each text, (n,).
    Returns: the bins that hold texts, in rising order.
    """
    edges = np.linspace(0, 1, bins + 1)
    places = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, bins - 1)
    return [
        Bin(
            low=float(edges[place]),
            high=float(edges[place + 1]),
            n=int((places == place).sum()),
            confidence=float(confidence[places == place].mean()),
            accuracy=float(1 - wrong[places == place].mean()),
        )
        for place in np.unique(places)
    ]


def risk_coverage(confidence: Floats, wrong: Mask, *, most: int) -> list[Point]:
    """Follow the error among the most confident texts while more of them are taken in.

    Texts of equal confidence come in together: no threshold parts them.

    Args:
        confidence, wrong: of each text, (n,).
        most: points at most, spread evenly; at least 2.
    Returns: points in the order of rising coverage, the last one at coverage 1; none where n is 0.
    Source: Geifman, Uziel, El-Yaniv (2019).
    """
    if not len(confidence):
        return []
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    risk = wrong[order].cumsum() / np.arange(1, len(order) + 1)
    ends = np.flatnonzero(np.diff(falling, append=-np.inf))
    kept = ends[np.unique(np.linspace(0, len(ends) - 1, min(most, len(ends))).round().astype(np.int64))]
    return [Point(float((end + 1) / len(order)), float(risk[end]), float(falling[end])) for end in kept]
