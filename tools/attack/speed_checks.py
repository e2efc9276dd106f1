"""What stands in for TextAttack's checks of a text: which words may change, constraints, and the goal.

Used by `speed.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

ROUGHLY = 1e-3  # more than single precision can err in the cosine of two word vectors, by far


def look_at_one_word(stock: Any) -> Any:
    """In place of `Transformation.__call__`: ask whether the one wanted word may change, not which of all words may."""
    from textattack.constraints.pre_transformation import RepeatModification, StopwordModification
    from textattack.transformations import WordSwap

    def may_change(constraint: Any, text: Any, index: int) -> bool:
        if type(constraint) is RepeatModification:
            return index not in text.attack_attrs["modified_indices"]
        return text.words[index] not in constraint.stopwords

    def call(
        self: Any,
        current_text: Any,
        pre_transformation_constraints: Sequence[Any] = (),
        indices_to_modify: Any = None,
        **options: bool,
    ) -> Any:
        left = pre_transformation_constraints
        one = isinstance(indices_to_modify, list) and len(indices_to_modify) == 1
        if one and isinstance(self, WordSwap) and not options:
            (index,) = indices_to_modify
            if 0 <= index < len(current_text.words):
                known = [each for each in left if type(each) in (RepeatModification, StopwordModification)]
                left = [each for each in left if each not in known]
                if not all(may_change(each, current_text, index) for each in known):
                    indices_to_modify = []
        return stock(self, current_text, left, indices_to_modify, **options)

    return call


def count_few_edits(stock: Any) -> Any:  # noqa: ARG001, every one of these takes what it stands in for
    """In place of `LevenshteinEditDistance._check_constraint`: count edits up to the limit, where the texts differ.

    TextAttack's library counts them all, in a time that grows with the square of the length.
    """

    def check(self: Any, transformed_text: Any, reference_text: Any) -> bool:
        most: int = self.max_edit_distance
        if most < 0:
            return False
        return bool(Levenshtein.distance(reference_text.text, transformed_text.text, score_cutoff=most) <= most)

    return check


def tag_one_word(stock: Any) -> Any:
    """In place of `PartOfSpeech._get_pos`: tag up to the wanted word, and remember what neighbours share.

    NLTK's tagger goes from left to right: a tag depends on two words to each side and on two tags before.
    """

    def get_pos(self: Any, before_ctx: list[str], word: str, after_ctx: list[str]) -> Any:
        if self.tagger_type != "nltk" or self.language_nltk != "eng" or not self.tagset:
            return stock(self, before_ctx, word, after_ctx)
        from nltk.tag import map_tag

        words = (*before_ctx, word, *after_ctx)
        return map_tag("en-ptb", self.tagset, tag_at(words, words.index(word)))

    return get_pos


@lru_cache(maxsize=50_000)
def tag_at(words: tuple[str, ...], position: int) -> str:
    """The Penn Treebank tag that NLTK gives to the word at a position.

    Raises: LookupError, when NLTK has no tagger.
    """
    tagger, guess = load_tagger()
    context = (*tagger.START, *map(tagger.normalize, words), *tagger.END)
    before, tag = tagger.START[1], tagger.START[0]
    for i, word in enumerate(words[: position + 1]):
        before, tag = tag, tagger.tagdict.get(word) or guess(word, context[i : i + 5], tag, before)
    return str(tag)


@cache
def load_tagger() -> tuple[Any, Callable[[str, tuple[str, ...], str, str], str]]:
    """NLTK's English tagger, and its guess at the tag of a word from the words around it and two tags before it.

    The guess adds up the same weights in the same order, for all tags at once.
    """
    from nltk import tag as nltk_tag

    tagger = nltk_tag._get_tagger("eng")
    weights, tags = tagger.model.weights, sorted(tagger.classes, reverse=True)  # among equals the last one wins
    columns = {name: column for column, name in enumerate(tags)}

    @lru_cache(maxsize=20_000)
    def row_of(feature: str) -> NDArray[np.float64]:
        row = np.zeros(len(tags))
        for name, weight in weights[feature].items():
            row[columns[name]] = weight
        return row

    @lru_cache(maxsize=50_000)
    def guess(word: str, around: tuple[str, ...], tag: str, before: str) -> str:
        scores = np.zeros(len(tags))
        for feature in tagger._get_features(0, word, around, tag, before):
            if feature in weights:
                scores += row_of(feature)
        return str(tags[scores.argmax()])

    return tagger, guess


def compare_roughly(stock: Any) -> Any:
    """In place of `WordEmbeddingDistance.get_cos_sim`: compute it with NumPy, near the limit as TextAttack does.

    It is only held against the limit.
    """
    from textattack.shared import WordEmbedding

    def get_cos_sim(self: Any, a: int, b: int) -> Any:
        if type(self.embedding) is WordEmbedding and self.min_cos_sim:
            first, second = self.embedding.embedding_matrix[a], self.embedding.embedding_matrix[b]
            lengths = math.sqrt(float(first @ first) * float(second @ second))
            if lengths > ROUGHLY:
                cosine = float(first @ second) / lengths
                if abs(cosine - self.min_cos_sim) > ROUGHLY:
                    return cosine
        return stock(self, a, b)

    return get_cos_sim


def skip_short_texts(stock: Any) -> Any:
    """In place of `SentenceEncoder._score_list`: encode nothing where texts are too short to be compared.

    TextAttack encodes them, and then gives them the score 1.
    """
    import torch

    def score_list(self: Any, starting_text: Any, transformed_texts: Sequence[Any]) -> Any:
        if self.skip_text_shorter_than_window and all(
            0 < len(text.words) < self.window_size and text.attack_attrs["newly_modified_indices"]
            for text in transformed_texts
        ):
            return torch.ones(len(transformed_texts))
        return stock(self, starting_text, transformed_texts)

    return score_list


def complete_by_numpy(stock: Any) -> Any:
    """In place of `UntargetedClassification._is_goal_complete`: a call of NumPy costs a fraction of PyTorch's."""

    def is_goal_complete(self: Any, model_output: Any, text: Any) -> Any:
        if self.target_max_score or isinstance(self.ground_truth_output, float):
            return stock(self, model_output, text)
        return bool(model_output.numpy().argmax() != self.ground_truth_output)

    return is_goal_complete


def score_by_numpy(stock: Any) -> Any:
    """In place of `UntargetedClassification._get_score`: subtract in the precision of the model's row, by NumPy."""

    def get_score(self: Any, model_output: Any, text: Any) -> Any:
        if isinstance(self.ground_truth_output, float):
            return stock(self, model_output, text)
        return float(1 - model_output.numpy()[self.ground_truth_output])

    return get_score


def class_by_numpy(stock: Any) -> Any:  # noqa: ARG001
    """In place of `ClassificationGoalFunction._get_displayed_output`; among equals the first one, as in PyTorch."""
    return lambda self, raw_output: int(raw_output.numpy().argmax())  # noqa: ARG005
