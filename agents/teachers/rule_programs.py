"""The patterns of the `rules` teacher as programs, in the vocabulary that every teacher states them in."""

from __future__ import annotations

from collections.abc import Sequence

from blindspot.agents.teachers.patterns import Pattern
from blindspot.agents.teachers.teacher import Case
from blindspot.storage.records import HypothesisKind
from blindspot.tools.programs.conditions import LabelIs
from blindspot.tools.programs.edit_types import AnyEdit, ChangeNames, Insert, Misspell, Replace, Swap
from blindspot.tools.programs.vocabulary import Program
from blindspot.tools.text.function_words import ENGLISH
from blindspot.tools.text.rewrite import SLIPS, Slip
from blindspot.tools.text.vocabulary import Vocabulary, split_sentences, words_of

LEAST_SHARE = 0.12  # of the words that can be misspelt
MOST_SWAPPED = 30  # telling words of a label that give way to the UU's
MOST_PLACES = 2  # of one text


def state_programs(case: Case, pattern: Pattern, vocabulary: Vocabulary) -> list[tuple[HypothesisKind, Program]]:
    """State a UU's pattern and its turn as programs.

    Returns: the kind of the hypothesis that each states, and the program.
    """
    others = tuple(label for label in case.labels if label != case.label)
    if pattern.kind == "slips":
        return [
            ("abstraction", program((case.label,), misspelt(pattern, pattern.slips))),
            ("extrapolation", program(others or case.labels, misspelt(pattern, pattern.other_slips))),
        ]
    if len(case.field_names) > 1:
        return [("extrapolation", program((case.label,), ChangeNames(kind="change_names", other_field="same_edit")))]
    swapped = swap_telling(case, pattern, vocabulary)
    stated: list[tuple[HypothesisKind, Program]] = []
    if swapped:
        stated.append(("extrapolation", program((case.label,), swapped)))
    (name,) = case.field_names
    text = (case.perturbed or case.original)[name]
    holding = [one for one in split_sentences(text) if not set(words_of(one)).isdisjoint(pattern.words)]
    phrases = tuple(one.strip()[:300] for one in holding if one.strip())
    if phrases and swapped:
        sentence = Insert(kind="insert", phrases=phrases[:20], at="end")
        stated.insert(0, ("abstraction", program((case.label,), swapped, sentence)))
    return stated


def program(labels: Sequence[str], *edits: AnyEdit) -> Program:
    """Edits of the samples of some labels, which keep their label."""
    return Program(where=(LabelIs(kind="label_is", labels=tuple(labels)),), edits=edits)


def misspelt(pattern: Pattern, slips: Sequence[Slip]) -> Misspell:
    """Slips as the UU shows them, in as large a share of words."""
    return Misspell(
        kind="misspell",
        slips=tuple(slips) or SLIPS,
        which="telling" if pattern.is_telling else "content",
        share=min(1.0, max(pattern.share, LEAST_SHARE)),
    )


def swap_telling(case: Case, pattern: Pattern, vocabulary: Vocabulary) -> Replace | None:
    """The UU's words in the place of the words that speak most for its label; None where no word does."""
    cues = tuple(dict.fromkeys(pattern.words))
    speaking = [word for word in vocabulary.words_for(case.label) if word not in cues and word not in ENGLISH]
    if not cues or not speaking:
        return None
    swaps = tuple(Swap(old=word, new=cues) for word in speaking[:MOST_SWAPPED])
    return Replace(kind="replace", swaps=swaps, at_most=MOST_PLACES)
