"""Which samples are attacked, and in which order: random draws that every model version meets alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from blindspot.graphs.context import Context
from blindspot.storage.ids import make_id
from blindspot.storage.records import Sample

T = TypeVar("T")


def drawn_training(context: Context) -> list[Sample]:
    """The training samples that are attacked, of whatever model version."""
    settings = context.settings
    return draw_samples(context.samples("train"), settings.attack.train_samples, seed=settings.run.seed)


def shuffled(items: Sequence[T], *, seed: int) -> list[T]:
    """Put items in a random order, the same for as many items and the same seed."""
    return [items[place] for place in np.random.default_rng([seed, len(items)]).permutation(len(items))]


def fair_order(samples: Sequence[Sample], *, seed: int) -> list[Sample]:
    """Put samples in a random order in which each class keeps its share from the first ones on.

    Attacks that stop early have then met a fair draw, in whatever order the data set lies.
    """
    classes: dict[str, list[tuple[str, Sample]]] = defaultdict(list)
    for sample in samples:
        classes[sample.label].append((make_id("order", seed, sample.sample_id), sample))
    ranked = [
        (place / len(members), key, sample)
        for members in classes.values()
        for place, (key, sample) in enumerate(sorted(members, key=lambda member: member[0]))
    ]
    return [sample for _, _, sample in sorted(ranked, key=lambda each: each[:2])]


def draw_samples(samples: Sequence[Sample], count: int, *, seed: int) -> list[Sample]:
    """Draw this many samples at random, each class in its share; every model version meets the same ones."""
    from blindspot.tools.data.datasets import draw_rows

    if count == 0:
        return []
    rows = draw_rows([sample.label for sample in samples], count, seed=[seed, len(samples)])
    return [samples[row] for row in rows]
