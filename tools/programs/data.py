"""What programs are compiled against and applied to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from blindspot.storage.records import Fields
from blindspot.tools.text.function_words import ENGLISH
from blindspot.tools.text.typos import rng_of
from blindspot.tools.text.vocabulary import Vocabulary, words_of


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

Neighbours = Callable[[str], Sequence[str]]
"""Gives the words that mean nearly the same as a lower-case word, the nearest first."""

FUNCTION_WORDS = frozenset(ENGLISH)


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
    """The random draws for one row: a generator of its own, made when something is drawn first."""

    __slots__ = ("causes", "generator")

    def __init__(self, *causes: Any) -> None:
        self.causes = causes  # the seed, then what the draws are for
        self.generator: np.random.Generator | None = None

    @property
    def rng(self) -> np.random.Generator:
        if self.generator is None:
            self.generator = rng_of(*self.causes)
        return self.generator

    def below(self, bound: int) -> int:
        """Draw a whole number from 0 to bound - 1."""
        return int(self.rng.integers(bound)) if bound > 1 else 0

    def one_of(self, options: Sequence[str]) -> str:
        return options[self.below(len(options))]

    def places(self, count: int, wanted: int) -> set[int]:
        """Draw `wanted` of `count` places, none twice."""
        return set(self.rng.random(count).argsort()[:wanted].tolist())  # several times as fast as `choice`
