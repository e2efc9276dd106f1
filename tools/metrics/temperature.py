"""The temperature of temperature scaling: where its fit ends, and how it is told."""

from __future__ import annotations

BOUNDS = (0.02, 50.0)  # of the fit; where all is right none is low enough, where all is wrong none high enough
NEAR = 1.01  # a fit that ends at a bound comes this near to it


def bound_hit(temperature: float) -> str | None:
    """Say which bound of the fit a temperature ended at, and what that means; None, where it lies between them."""
    if temperature <= BOUNDS[0] * NEAR:
        return "the lower bound of its fit, where every confidence is near 1"
    if temperature >= BOUNDS[1] / NEAR:
        return "the upper bound of its fit, where hardly any confidence is left"
    return None


def in_words(temperature: float) -> str:
    """E.g. "T = 1.83", with a word where it is a bound of the fit."""
    bound = bound_hit(temperature)
    return f"T = {temperature:.2f}" + (f", {bound}" if bound else "")
