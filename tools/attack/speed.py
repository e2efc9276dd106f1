"""Makes TextAttack's own Python cheaper, and changes none of its results.

An attack asks about hundreds of texts that differ from one another by a word. TextAttack splits, tags and compares
each of them as a whole; what stands in for it here looks at the word that changed. Each function takes TextAttack's,
says why it gives the same, and leaves to it the cases for which it was not made. They were written for one version of
TextAttack and of NLTK, and stay out beside others: those are slow, but right.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from importlib.metadata import version
from typing import Any

from blindspot.tools.attack import speed_checks as checks
from blindspot.tools.attack import speed_texts as texts
from blindspot.tools.process import Undo

TEXTATTACK, NLTK = "0.3.11", "3.10.4"
LABELS = "goal_functions.classification"
PLACES: dict[str, Callable[[Any], Any]] = {
    "shared.attacked_text:words_from_text": texts.split_by_chunks,
    "shared.attacked_text:AttackedText.replace_words_at_indices": texts.replace_in_place,
    "shared.attacked_text:AttackedText._text_index_of_word_index": texts.find_words_once,
    "transformations.transformation:Transformation.__call__": checks.look_at_one_word,
    "constraints.overlap.levenshtein_edit_distance:LevenshteinEditDistance._check_constraint": checks.count_few_edits,
    "constraints.grammaticality.part_of_speech:PartOfSpeech._get_pos": checks.tag_one_word,
    "constraints.semantics.word_embedding_distance:WordEmbeddingDistance.get_cos_sim": checks.compare_roughly,
    "constraints.semantics.sentence_encoders.sentence_encoder:SentenceEncoder._score_list": checks.skip_short_texts,
    f"{LABELS}.untargeted_classification:UntargetedClassification._is_goal_complete": checks.complete_by_numpy,
    f"{LABELS}.untargeted_classification:UntargetedClassification._get_score": checks.score_by_numpy,
    f"{LABELS}.classification_goal_function:ClassificationGoalFunction._get_displayed_output": checks.class_by_numpy,
}


@dataclass(frozen=True, slots=True)
class Replacement:
    """A function of TextAttack's and what stands in for it."""

    owner: Any  # a module or a class
    name: str
    stock: Any
    ours: Any


_made: list[Replacement] = []


def speed_up_textattack() -> Undo:
    """Put our functions in the places of TextAttack's; it must have been imported."""
    if not _made:
        _made.extend(replacements())
    for each in _made:
        setattr(each.owner, each.name, each.ours)

    def undo() -> None:
        for each in _made:
            setattr(each.owner, each.name, each.stock)

    return undo


@contextmanager
def without_replacements() -> Iterator[None]:
    """Put TextAttack's own functions back for a while; not while attacks run in another thread."""
    before = [vars(each.owner)[each.name] for each in _made]
    for each in _made:
        setattr(each.owner, each.name, each.stock)
    try:
        yield
    finally:
        for each, function in zip(_made, before, strict=True):
            setattr(each.owner, each.name, function)


def replacements() -> list[Replacement]:
    """Find TextAttack's functions and make ours; none of a package of another version."""
    if version("textattack") != TEXTATTACK:
        return []
    made = []
    for place, make in PLACES.items():
        module, _, path = place.partition(":")
        *classes, name = path.split(".")
        owner = reduce(getattr, classes, importlib.import_module(f"textattack.{module}"))
        if make is not checks.tag_one_word or version("nltk") == NLTK:
            stock = vars(owner)[name]
            made.append(Replacement(owner, name, stock, make(stock)))
    return made
