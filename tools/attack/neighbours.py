"""The words that mean nearly the same as a word, from the word vectors that TextAttack's recipes read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from blindspot.tools.attack.resources import cache_folder, prepare_textattack

VECTORS = "word_embeddings/paragramcf"
NEAREST = 8  # words that are looked at
LEAST_COSINE = 0.8  # that two words mean nearly the same; below it, "three" and "two" do


def nearest_words() -> Callable[[str], Sequence[str]] | None:
    """Look up neighbours; the vectors are read when the first word is asked for. None, where there are no vectors."""
    return neighbours_of if (cache_folder() / VECTORS).is_dir() else None


@cache
def neighbours_of(word: str) -> tuple[str, ...]:
    """The nearest words of a lower-case word, the nearest first; none of an unknown word or of another form of it."""
    vectors = word_vectors()
    try:
        place = vectors.word2index(word)
    except KeyError:
        return ()
    near = [int(other) for other in vectors.nearest_neighbours(place, NEAREST)]
    alike = [vectors.index2word(other) for other in near if vectors.get_cos_sim(place, other) >= LEAST_COSINE]
    return tuple(other for other in alike if other[:4] != word[:4])


@cache
def word_vectors() -> Any:
    prepare_textattack()
    from textattack.shared import WordEmbedding

    return WordEmbedding.counterfitted_GLOVE_embedding()
