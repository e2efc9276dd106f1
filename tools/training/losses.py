"""What training makes small: cross-entropy, and how far apart the predictions of a sample and its twin are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: Tensor) -> Tensor:
    """Compute the cross-entropy of each sample against its label, of which a part is spread over all classes.

    Args:
        logits: (n, classes).
        labels: class indices, (n,).
        smoothing: the part of each sample's target that is spread evenly, (n,) in [0, 1).
    Returns: (n,) in nats.
    """
    log_p = logits.float().log_softmax(dim=-1)
    return torch.lerp(F.nll_loss(log_p, labels, reduction="none"), -log_p.mean(dim=-1), smoothing)


def divergence(logits: Tensor, twins: Tensor) -> Tensor:
    """Compute the symmetric Kullback-Leibler divergence between predictions: the mean of its two directions.

    Gradients flow into both: the twin is drawn to the sample and the sample to the twin.

    Args:
        logits: of samples, (n, classes).
        twins: of the samples' twins, (n, classes).
    Returns: (n,) in nats; 0 where both predict the same.
    """
    log_p, log_q = logits.float().log_softmax(dim=-1), twins.float().log_softmax(dim=-1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim=-1) / 2
