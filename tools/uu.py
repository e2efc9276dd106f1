"""The unknown unknown, defined once: wrong, and with confidence >= tau. In SQL: `storage/schema/uu.py`.

Source: IBS, section 2.1; Lakkaraju et al. (2017).
"""

from __future__ import annotations

from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from blindspot.storage.records import Attack

Mask = NDArray[np.bool_]


@overload
def is_confident(confidence: float, tau: float) -> bool: ...
@overload
def is_confident(confidence: NDArray[np.floating[Any]], tau: float) -> Mask: ...
def is_confident(confidence: Any, tau: float) -> Any:
    """Whether a confidence, or each of an array's, is at least tau."""
    return confidence >= tau


def are_uus(wrong: Mask, confidence: NDArray[np.floating[Any]], tau: float) -> Mask:
    """Mark the UUs among n texts.

    Args:
        wrong: rows whose prediction is not the true class, (n,).
        confidence: the largest probability of each row, (n,).
        tau: confidence threshold in [0, 1].
    Returns: (n,) booleans.
    """
    mask: Mask = wrong & is_confident(confidence, tau)
    return mask


def is_uu(label: str, predicted: str | None, confidence: float | None, tau: float) -> bool:
    """Whether one prediction is a UU; None: nothing was predicted.

    Args:
        label: the true one.
    """
    return predicted is not None and confidence is not None and predicted != label and is_confident(confidence, tau)


def is_adversarial_uu(attack: Attack, tau: float) -> bool:
    """Whether an attack made its model version wrong with confidence >= tau."""
    return attack.status == "flipped" and is_uu(attack.label, attack.predicted, attack.confidence, tau)
