"""The unknown unknown as SQL text, defined once: wrong, and with confidence >= tau. In Python: `tools/uu.py`."""

from __future__ import annotations


def is_uu(row: str, tau: str, *, before: str = "") -> str:
    """Write the condition that a row of predictions, attacks or uus is a UU; NULL where nothing was predicted.

    Args:
        row: alias of the row; it has label, predicted and confidence.
        tau: an expression, e.g. "r.tau" or "$1".
        before: "original_", where the columns of the prediction before an attack are meant.
    """
    return f"({row}.{before}predicted <> {row}.label AND {row}.{before}confidence >= {tau})"


def is_adversarial_uu(row: str, tau: str) -> str:
    """Write the condition that a row of attacks ended in a UU."""
    return f"({row}.status = 'flipped' AND {is_uu(row, tau)})"
