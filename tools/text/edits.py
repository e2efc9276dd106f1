"""What a perturbation changed: the words that differ between two texts, with their part of speech."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from blindspot.storage.records import Attack, ChangedWord, Fields

WORD = re.compile(r"[^\W_](?:[\w'*@-]*[^\W_])?")

TOKEN = re.compile(rf"({WORD.pattern})|[^\w\s]")
"""A word as `split_words` finds it, in group 1, or one mark of punctuation: the tagger reads both."""

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


@dataclass(frozen=True, slots=True)
class Edit:
    """One changed word."""

    field: str
    position: int  # of the word in the original field, from 0; of an insertion: of the word that it stands before
    before: str  # "" for an insertion
    after: str  # "" for a deletion


def split_words(text: str) -> list[str]:
    """Split a text into words; apostrophes, hyphens, underscores, asterisks and at signs count inside of a word."""
    return WORD.findall(text)


def edits(original: Fields, perturbed: Fields) -> list[Edit]:
    """Find the changed words, in the order of fields and positions.

    Where both texts of a field have as many words, they are compared one by one, as TextAttack counts perturbed words;
    else by the fewest replacements, insertions and deletions of words.

    Args:
        original, perturbed: texts with the same field names; a field missing in one counts as empty.
    """
    changed: list[Edit] = []
    for field in [*original, *(name for name in perturbed if name not in original)]:
        before, after = split_words(original.get(field, "")), split_words(perturbed.get(field, ""))
        if len(before) == len(after):
            pairs = list(zip(before, after, strict=True))
            changed += [Edit(field, i, old, new) for i, (old, new) in enumerate(pairs) if old != new]
            continue
        for step in Levenshtein.editops(before, after):
            old = "" if step.tag == "insert" else before[step.src_pos]
            new = "" if step.tag == "delete" else after[step.dest_pos]
            changed.append(Edit(field, step.src_pos, old, new))
    return changed


def changed_words(attacks: Sequence[Attack], originals: Mapping[str, Fields]) -> list[ChangedWord]:
    """List what attacks changed, word by word; those that flipped no label have no changed word.

    Args:
        originals: the texts before any attack: sample_id -> fields.
    Returns: in the order of the attacks, and of the words in them.
    """
    changes = [
        (attack, number, edit)
        for attack in attacks
        if attack.fields is not None
        for number, edit in enumerate(edits(originals[attack.sample_id], attack.fields))
    ]
    touched = dict.fromkeys((attack.sample_id, edit.field) for attack, _, edit in changes if edit.before)
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
        for attack, number, edit in changes
    ]


def parts_of_speech(texts: Sequence[str]) -> list[list[str | None]]:
    """Tag English texts with NLTK's averaged perceptron.

    Returns: for each text one part of speech a word of `split_words`; None for each, where NLTK has no tagger.
    """
    import nltk

    tokens = [list(TOKEN.finditer(text)) for text in texts]
    try:
        tagged = nltk.pos_tag_sents([[token[0] for token in sentence] for sentence in tokens], tagset="universal")
    except LookupError:
        return [[None for token in sentence if token[1]] for sentence in tokens]
    return [
        [PARTS_OF_SPEECH[tag] for token, (_, tag) in zip(sentence, tags, strict=True) if token[1]]
        for sentence, tags in zip(tokens, tagged, strict=True)
    ]
