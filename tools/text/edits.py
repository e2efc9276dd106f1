"""What a perturbation changed: the words that differ between an original and a perturbed text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from blindspot.storage.records import Fields

WORD = re.compile(r"[^\W_](?:[\w'*@-]*[^\W_])?")


@dataclass(frozen=True, slots=True)
class Edit:
    """One changed word."""

    field: str
    position: int  # of the word in the original field, from 0; of an insertion: of the word that it stands before
    before: str  # "" for an insertion
    after: str  # "" for a deletion


def words_of(text: str) -> list[str]:
    """Split a text into words; apostrophes, hyphens, underscores, asterisks and at signs count inside of a word."""
    return WORD.findall(text)


def edits(original: Fields, perturbed: Fields) -> list[Edit]:
    """Find the changed words, in the order of fields and positions.

    Where both texts of a field have as many words, they are compared one by one, as TextAttack counts perturbed words;
    else by the fewest replacements, insertions and deletions of words.

    Args:
        original, perturbed: texts with the same field names; a field missing in one counts as empty.
    """
    found: list[Edit] = []
    for field in [*original, *(name for name in perturbed if name not in original)]:
        before, after = words_of(original.get(field, "")), words_of(perturbed.get(field, ""))
        if len(before) == len(after):
            pairs = list(zip(before, after, strict=True))
            found += [Edit(field, i, old, new) for i, (old, new) in enumerate(pairs) if old != new]
            continue
        for step in Levenshtein.editops(before, after):
            old = "" if step.tag == "insert" else before[step.src_pos]
            new = "" if step.tag == "delete" else after[step.dest_pos]
            found.append(Edit(field, step.src_pos, old, new))
    return found
