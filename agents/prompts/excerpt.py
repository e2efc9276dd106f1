"""Long texts in a prompt: how much of a sample a model is shown, and where."""

from __future__ import annotations

from dataclasses import dataclass

from rapidfuzz.distance import Prefix

from blindspot.storage.records import Fields

SHOWN_CHARACTERS = 6_000  # of each field: some 1,500 tokens, more than small classifiers read


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A case's texts as they are shown."""

    original: Fields
    perturbed: Fields | None
    shown: dict[str, str]  # field -> which part of it stands there; empty where all of it does


def excerpt(original: Fields, perturbed: Fields | None = None, *, limit: int = SHOWN_CHARACTERS) -> Excerpt:
    """Cut fields that are longer than `limit` characters, the original and the perturbed text at the same places.

    The beginning is shown, unless the two texts first differ beyond three quarters of it: then the part around that.
    """
    left: dict[str, str] = {}
    right = None if perturbed is None else dict[str, str]()
    shown: dict[str, str] = {}
    for name, text in original.items():
        other = text if perturbed is None else perturbed[name]
        longest = max(len(text), len(other))
        start = window_start(text, other, limit) if longest > limit else 0
        left[name] = text[start : start + limit]
        if right is not None:
            right[name] = other[start : start + limit]
        if longest > limit:
            shown[name] = f"characters {start + 1} to {min(start + limit, longest)} of {longest}"
    return Excerpt(left, right, shown)


def window_start(text: str, other: str, limit: int) -> int:
    """Where the shown part begins, from 0."""
    differs = Prefix.similarity(text, other)
    is_beyond = text != other and differs > limit * 3 // 4
    return differs - limit // 4 if is_beyond else 0
