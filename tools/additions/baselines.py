"""The rows that baselines add to the training samples: drawn from what is there already, no teacher asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from blindspot.storage.ids import make_id
from blindspot.storage.records import Attack, Fields, Sample, SyntheticSample, Uu
from blindspot.storage.words import Origin
from blindspot.tools.text.rewrite import misspell_at_random, rng_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Addition:
    """What a round adds."""

    run_id: str
    round: int
    rows: int  # as many as are wanted
    seed: int

    @property
    def rng(self) -> np.random.Generator:
        """The same draw in every run of the same seed, so that two baselines may draw the same samples."""
        return np.random.default_rng([self.seed, self.round])


@dataclass(frozen=True, slots=True)
class Taken:
    """A labelled text, and where it was taken from."""

    source_id: str
    fields: Fields
    label: str
    reasoning: str


def added(addition: Addition, origin: Origin, taken: Taken, copy: int = 0) -> SyntheticSample:
    """Make a row that is trained on as it is; copies of one source are told apart by their number, from 0."""
    return SyntheticSample(
        synthetic_id=make_id("syn", addition.run_id, addition.round, origin, taken.source_id, copy),
        run_id=addition.run_id,
        round=addition.round,
        hypothesis_id=None,
        position=copy,
        fields=taken.fields,
        label=taken.label,
        reasoning=taken.reasoning,
        call_id=None,
        accepted=True,
        origin=origin,
        source_id=taken.source_id,
    )


def training_again(samples: Sequence[Sample], addition: Addition) -> list[SyntheticSample]:
    """Draw training samples to be trained on once more: the floor of what any added row does (origin "random")."""
    return [
        added(addition, "random", Taken(sample.sample_id, sample.fields, sample.label, "The sample once more."), copy)
        for sample, copy in draw_copies(samples, addition)
    ]


def training_misspelt(samples: Sequence[Sample], addition: Addition) -> list[SyntheticSample]:
    """Misspell training samples at random, those that `training_again` draws; each copy in a way of its own."""
    rows = []
    for sample, copy in draw_copies(samples, addition):
        fields = misspell_at_random(sample.fields, rng_of(addition.seed, addition.round, sample.sample_id, copy))
        rows.append(added(addition, "typos", Taken(sample.sample_id, fields, sample.label, "Typos at random."), copy))
    return rows


def relabelled(uus: Sequence[Uu], addition: Addition) -> list[SyntheticSample]:
    """Take UUs with their true labels. Source: Han et al. (2021), as IBS, section 3.2, compares with it.

    Args:
        uus: those that were drawn; no more of them are taken than are wanted.
    """
    rows = []
    for uu in draw(sorted(uus, key=lambda uu: (uu.sample_id, uu.recipe or "", uu.uu_id)), addition):
        reasoning = f"A UU with its true label: it was predicted as {uu.predicted} with confidence {uu.confidence:.2f}."
        rows.append(added(addition, "relabel", Taken(uu.uu_id, uu.fields, uu.label, reasoning)))
    return rows


def perturbed(attacks: Sequence[Attack], addition: Addition) -> list[SyntheticSample]:
    """Draw texts that attacks changed until the label flipped, confident or not, with their true labels.

    Args:
        attacks: those that did not flip a label are passed over.
    Source: Goodfellow et al. (2015) for adversarial training; here on texts that were found before it begins.
    """
    flipped = [row for row in attacks if row.status == "flipped"]
    rows = []
    for row in draw(sorted(flipped, key=lambda row: (row.sample_id, row.recipe, row.attack_id)), addition):
        assert row.fields is not None, row
        reasoning = f"The text of {row.recipe} with its true label: it was predicted as {row.predicted}."
        rows.append(added(addition, "adversarial", Taken(row.attack_id, row.fields, row.label, reasoning)))
    return rows


def draw(items: Sequence[T], addition: Addition) -> list[T]:
    """Draw as many as are wanted, uniformly and none twice, in their order; all where there are no more."""
    if len(items) <= addition.rows:
        return list(items)
    places = addition.rng.choice(len(items), size=addition.rows, replace=False)
    return [items[place] for place in sorted(places)]


def draw_copies(samples: Sequence[Sample], addition: Addition) -> list[tuple[Sample, int]]:
    """Draw as many as are wanted, uniformly: where there are fewer, all of them that many times and the rest at random.

    Returns: each sample with the number of its copy, from 0.
    """
    ordered = sorted(samples, key=lambda sample: sample.sample_id)
    whole, rest = divmod(addition.rows, len(ordered))
    places = sorted(addition.rng.choice(len(ordered), size=rest, replace=False))
    return [(sample, copy) for copy in range(whole) for sample in ordered] + [
        (ordered[place], whole) for place in places
    ]
