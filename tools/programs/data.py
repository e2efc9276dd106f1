"""What programs are compiled against and applied to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol

import numpy as np

from blindspot.storage.records import Fields
from blindspot.tools.text.vocabulary import ENGLISH, Vocabulary, words_of

Neighbours = Callable[[str], Sequence[str]]
"""Gives the words that mean nearly the same as a lower-case word, the nearest first."""

FUNCTION_WORDS = frozenset(ENGLISH)


class Row(Protocol):
    """A labelled text; a `Sample` is one, and so is a `Uu`."""

    @property
    def sample_id(self) -> str: ...
    @property
    def fields(self) -> Fields: ...
    @property
    def label(self) -> str: ...


Ranking = Callable[[Row], Sequence[str]]
"""Ranks the words of a row, lower case, the most telling one first; words that it leaves out are not telling."""


@dataclass(frozen=True, slots=True)
class DataDescription:
    """What a program may speak of.

    Args:
        fields, labels: the data set's, as they are written there.
        vocabulary: of the training texts; without it no word is unseen, and none telling by default.
        clusters: name -> ids of the samples in it.
        telling: None: `rank_by_label` on the vocabulary.
        neighbours: None: no synonyms.
    """

    fields: tuple[str, ...]
    labels: tuple[str, ...]
    vocabulary: Vocabulary | None = None
    clusters: Mapping[str, frozenset[str]] = field(default_factory=dict)
    telling: Ranking | None = None
    neighbours: Neighbours | None = None


@dataclass(frozen=True, slots=True)
class Edited:
    """What a program made: a text with the label that is right for it."""

    fields: Fields
    label: str


def rank_by_label(vocabulary: Vocabulary) -> Ranking:
    """Rank a row's words by how much they speak for its label; in a pair, content words that both share come first."""
    weights: dict[tuple[str, str], float] = {}

    def weight(word: str, label: str) -> float:
        known = weights.get((word, label))
        if known is None:
            known = weights[word, label] = vocabulary.weight(word, label)
        return known

    def rank(row: Row) -> list[str]:
        fields = [set(words_of(text)) for text in row.fields.values()]
        words = set().union(*fields)
        shared = set.intersection(*fields) - FUNCTION_WORDS if len(fields) > 1 else set()
        return sorted(words, key=lambda word: (word not in shared, -weight(word, row.label), word))

    return rank


class Draw:
    """The random draws for one row after another; those for a row depend on nothing but what they are said to be for.

    One generator is set to a state made from its causes: making one for each row takes ten times as long.
    """

    __slots__ = ("causes", "generator", "is_set", "state")

    def __init__(self, *causes: object) -> None:
        self.generator = np.random.Generator(np.random.PCG64(0))
        self.state = self.generator.bit_generator.state
        self.begin(*causes)

    def begin(self, *causes: object) -> None:
        """Begin the draws for something else: a seed, and what identifies it."""
        self.causes = causes
        self.is_set = False

    @property
    def rng(self) -> np.random.Generator:
        if not self.is_set:
            text = "\x1f".join(map(str, self.causes))
            digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            self.state["state"]["state"] = int.from_bytes(digest, "little")
            self.generator.bit_generator.state = self.state
            self.is_set = True
        return self.generator

    def below(self, bound: int) -> int:
        """Draw a whole number from 0 to bound - 1."""
        return int(self.rng.random() * bound) if bound > 1 else 0

    def one_of(self, options: Sequence[str]) -> str:
        return options[self.below(len(options))]

    def places(self, count: int, wanted: int) -> set[int]:
        """Draw `wanted` of `count` places, none twice."""
        return set(self.rng.random(count).argsort()[:wanted].tolist())  # several times as fast as `choice`
