"""The words that attacks changed, each with its part of speech where it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from blindspot.storage.records import Attack, ChangedWord, Fields
from blindspot.tools.text.edits import WORD, edits

TOKEN = re.compile(rf"({WORD.pattern})|[^\w\s]")
"""A word as `words_of` finds it, in group 1, or one mark of punctuation: the tagger reads both."""

PARTS_OF_SPEECH: Mapping[str, str] = {
    "ADJ": "adjective",
    "ADP": "adposition",
    "ADV": "adverb",
    "CONJ": "conjunction",
    "DET": "determiner",
    "NOUN": "noun",
    "NUM": "numeral",
    "PRON": "pronoun",
    "PRT": "particle",
    "VERB": "verb",
    ".": "punctuation",
    "X": "other",
}
"""The universal tag set (Petrov, Das and McDonald, 2012) in plain words."""


def changed_words(attacks: Sequence[Attack], originals: Mapping[str, Fields]) -> list[ChangedWord]:
    """List what attacks changed, word by word; those that flipped no label have no changed word.

    Args:
        originals: the texts before any attack: sample_id -> fields.
    Returns: in the order of the attacks, and of the words in them.
    """
    found = [
        (attack, number, edit)
        for attack in attacks
        if attack.fields is not None
        for number, edit in enumerate(edits(originals[attack.sample_id], attack.fields))
    ]
    touched = dict.fromkeys((attack.sample_id, edit.field) for attack, _, edit in found if edit.before)
    parts = parts_of_speech([originals[sample_id][field] for sample_id, field in touched])
    tagged = dict(zip(touched, parts, strict=True))
    return [
        ChangedWord(
            attack_id=attack.attack_id,
            number=number,
            run_id=attack.run_id,
            field=edit.field,
            position=edit.position,
            before=edit.before,
            after=edit.after,
            part_of_speech=tagged[attack.sample_id, edit.field][edit.position] if edit.before else None,
        )
        for attack, number, edit in found
    ]


def parts_of_speech(texts: Sequence[str]) -> list[list[str | None]]:
    """Tag English texts with NLTK's averaged perceptron.

    Returns: for each text one part of speech a word of `words_of`; None for each, where NLTK has no tagger.
    """
    import nltk

    tokens = [list(TOKEN.finditer(text)) for text in texts]
    try:
        tagged = nltk.pos_tag_sents([[token[0] for token in some] for some in tokens], tagset="universal")
    except LookupError:
        return [[None for token in some if token[1]] for some in tokens]
    return [
        [PARTS_OF_SPEECH[tag] for token, (_, tag) in zip(some, tags, strict=True) if token[1]]
        for some, tags in zip(tokens, tagged, strict=True)
    ]
