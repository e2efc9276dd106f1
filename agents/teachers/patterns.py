"""What a rule can see in a UU, and how it says it.

A UU shows one of three patterns, the first that applies:

    slips   an attack misspelt words
    words   it is worded as no training sample is
    cues    its words mostly speak for another label
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from blindspot.agents.teachers.teacher import Case, Explanation
from blindspot.storage.errors import MalformedAnswer
from blindspot.storage.records import Fields
from blindspot.tools.text.edits import edits
from blindspot.tools.text.rewrite import SLIPS, Slip, slip_of
from blindspot.tools.text.vocabulary import Vocabulary, overlap, words_of

MOST_CUES = 3
TELLING = 0.1  # mean log ratio above which misspelt words are said to speak for the label
SLIP_WORDS: dict[Slip, str] = {
    "swap": "two neighbouring letters swapped",
    "substitution": "a letter replaced",
    "deletion": "a letter dropped",
    "insertion": "a letter added",
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is special about a UU."""

    kind: Literal["slips", "words", "cues"]
    words: tuple[str, ...]  # lower case: the misspelt words, the unseen words or the cues
    slips: tuple[Slip, ...] = ()
    share: float = 0.0  # of the sample's words that are misspelt
    is_telling: bool = False  # the misspelt words speak for the true label

    @property
    def other_slips(self) -> tuple[Slip, ...]:
        """The slips that the UU does not show; all of them where it shows all."""
        return tuple(slip for slip in SLIPS if slip not in self.slips) or SLIPS


def read_pattern(case: Case, vocabulary: Vocabulary) -> Pattern:
    """Find what is special about a UU, given the words of the training samples.

    Raises: MalformedAnswer, when no rule applies.
    """
    changes = edits(case.original, case.perturbed) if case.perturbed else []
    slips = [(edit, slip) for edit in changes if (slip := slip_of(edit))]
    if slips:
        words = tuple(dict.fromkeys(edit.before.lower() for edit, _ in slips))
        kinds = tuple(slip for slip in SLIPS if any(slip == made for _, made in slips))
        weight = float(np.mean([vocabulary.weight(word, case.label) for word in words]))
        share = len(slips) / max(1, len(words_of(join(case.original))))
        return Pattern("slips", words, kinds, share, is_telling=weight > TELLING)
    text = join(case.perturbed or case.original)
    if unseen := vocabulary.unseen(text):
        return Pattern("words", tuple(unseen[:MOST_CUES]))
    cues = [word for word in vocabulary.telling(text, case.predicted) if vocabulary.weight(word, case.predicted) > 0]
    if not cues:
        raise MalformedAnswer(f"no rule applies: none of its words is new, or speaks for {case.predicted}")
    return Pattern("cues", tuple(cues[:MOST_CUES]))


def abstraction_of(case: Case, pattern: Pattern, *, rows: int) -> Explanation:
    """Say what is special about a UU (abstraction); `rows` is the number of training samples."""
    quoted = quote_words(pattern.words)
    if pattern.kind == "slips":
        part = f"the words that speak for {case.label}" if pattern.is_telling else "words of the content"
        text = (
            f"Misspelt words, with {name_slips(pattern.slips)}, here {quoted}: {part} no longer count, "
            f"and {case.label} is read as {case.predicted}."
        )
        reasoning = f"The attack misspelt {pattern.share:.0%} of the words and changed nothing else."
    elif pattern.kind == "words":
        text = (
            f"Samples that say {case.label} with words the classifier was never trained on, here {quoted}, "
            f"are read as {case.predicted}."
        )
        reasoning = f"None of the {rows:,} training samples contains {quoted}; the other words are known."
    else:
        text = (
            f"Samples labelled {case.label} that hold words which mostly come with {case.predicted}, "
            f"here {quoted}: the words outweigh the rest."
        )
        reasoning = f"All words are known; of them, these speak most for {case.predicted} in the training samples."
    return Explanation(text, reasoning, None)


def extrapolation_of(case: Case, pattern: Pattern) -> Explanation:
    """Say where else the pattern could fool the classifier (extrapolation)."""
    quoted = quote_words(pattern.words)
    if pattern.kind == "slips":
        others = ", ".join(label for label in case.labels if label != case.label)
        text = (
            f"Misspelling of other kinds, with {name_slips(pattern.other_slips)}, in samples labelled {others} "
            "may be misread as well."
        )
        reasoning = "The attack shows these slips on one label; the others are as new to the classifier."
    elif len(case.field_names) > 1:
        shared = overlap([(case.perturbed or case.original)[name] for name in case.field_names])
        text = (
            f"Samples labelled {case.label} whose texts share about {shared:.0%} of their words, about other names "
            f"and numbers, may be misread as {case.predicted} as well."
        )
        reasoning = "How much the texts share is noticed first, whatever they are about."
    elif pattern.kind == "cues":
        text = (
            f"Samples labelled {case.label} whose own telling words are misspelt may be misread as {case.predicted} "
            "as well: what speaks for the label is lost, as it is outweighed here."
        )
        reasoning = f"Here {quoted} outweighs the words that speak for {case.label}; without those, anything does."
    else:
        text = (
            f"Texts in which {quoted} replaces an ordinary word that speaks for {case.label}, whatever their wording "
            f"and subject, may be misread as {case.predicted} as well."
        )
        reasoning = "If the words themselves mislead the classifier, their surroundings matter little."
    return Explanation(text, reasoning, None)


def name_slips(slips: Sequence[Slip]) -> str:
    return " or ".join(SLIP_WORDS[slip] for slip in slips)


def quote_words(words: Sequence[str]) -> str:
    return ", ".join(f"“{word}”" for word in words)


def join(fields: Fields) -> str:
    return "\n".join(fields.values())
