"""An original text and its perturbed twin, cut into pieces so that a page can mark the words that differ."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from blindspot.storage.records import Fields
from blindspot.tools.text.edits import WORD, edits

AROUND = 12  # words shown on either side of a change in a long text
LONG = 60  # words of a text that is shown in part


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text."""

    text: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Marked:
    """One field of a sample, before and after an attack."""

    field: str
    original: tuple[Piece, ...]
    perturbed: tuple[Piece, ...] | None  # None: the attack left this field as it was, or there was none


def mark_pair(original: Fields, perturbed: Fields | None, *, whole: bool = False) -> tuple[Marked, ...]:
    """Mark the words of every field that the other text does not have in their place.

    Args:
        whole: show long texts in full, and not only what stands near a change.
    """
    other = perturbed or {}
    gone, come = changed_words(original, other), changed_words(other, original)
    return tuple(
        Marked(
            field,
            cut(original.get(field, ""), gone.get(field, frozenset()), whole=whole),
            cut(other[field], come.get(field, frozenset()), whole=whole)
            if field in other and other[field] != original.get(field)
            else None,
        )
        for field in [*original, *(name for name in other if name not in original)]
    )


def changed_words(text: Fields, other: Fields) -> dict[str, Set[int]]:
    """Find the words of a text, by field and position, that another text lacks or has something else for."""
    found: dict[str, set[int]] = {}
    for edit in edits(text, other) if other else ():
        if edit.before:
            found.setdefault(edit.field, set()).add(edit.position)
    return dict(found)


def cut(text: str, changed: Set[int], *, whole: bool) -> tuple[Piece, ...]:
    """Cut a text at its changed words; of a long one keep what stands near them, or its beginning."""
    words = list(WORD.finditer(text))
    near = {place for word in changed or {0} for place in range(word - AROUND, word + AROUND + 1)}
    pieces: list[Piece] = []
    plain, end = "", 0
    for index, word in enumerate(words):
        before, end = text[end : word.start()], word.end()
        if not whole and len(words) > LONG and index not in near:
            plain = plain if plain.endswith("… ") else f"{plain} … " if plain or pieces else "… "
            continue
        plain += "" if plain.endswith("… ") else before
        if index not in changed:
            plain += word.group()
            continue
        pieces += [Piece(plain, changed=False)] if plain else []
        pieces.append(Piece(word.group(), changed=True))
        plain = ""
    plain += "" if plain.endswith("… ") else text[end:]
    return (*pieces, *([Piece(plain, changed=False)] if plain else []))
