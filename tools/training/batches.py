"""Which samples an optimiser step takes, in which batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from blindspot.tools.training.settings import Training

GROUP = 32  # batches whose samples are sorted by length together: little padding, still shuffled

Step = list[list[int]]
"""The batches of one optimiser step, each the indices of its samples."""


def plan_epochs(lengths: Sequence[int], training: Training) -> list[list[Step]]:
    """Draw the steps of all epochs from the seed.

    An epoch is shuffled, sorted by length within groups of batches (where the training groups by length), then
    shuffled by batch. Every step takes batch_size x accumulate samples but the last of an epoch, which takes what is
    left; no step reaches into another epoch. A last fractional epoch takes that share of its steps.

    Args:
        lengths: tokens of each sample.
    """
    rng = np.random.default_rng([training.seed, len(lengths), *([training.order] if training.order else [])])
    epochs = []
    for epoch in range(math.ceil(training.epochs)):
        steps = draw_steps(lengths, training, rng)
        share = min(1.0, training.epochs - epoch)
        epochs.append(steps[: math.ceil(share * len(steps))])
    return epochs


def draw_steps(lengths: Sequence[int], training: Training, rng: np.random.Generator) -> list[Step]:
    """Draw one epoch; its one short batch comes last."""
    size, order = training.batch_size, rng.permutation(len(lengths)).tolist()
    if training.group_by_length:
        groups = [order[start : start + size * GROUP] for start in range(0, len(order), size * GROUP)]
        order = [index for group in groups for index in sorted(group, key=lengths.__getitem__)]
    whole, short = len(order) // size, order[len(order) // size * size :]
    batches = [order[size * i : size * (i + 1)] for i in rng.permutation(whole)] + ([short] if short else [])
    return [batches[at : at + training.accumulate] for at in range(0, len(batches), training.accumulate)]


def split_batches(batches: Sequence[list[int]], most: int) -> Step:
    """Cut batches into ones of at most this many samples."""
    return [batch[at : at + most] for batch in batches for at in range(0, len(batch), most)]
