"""Which rows hold the same text, and how the rows of one file are divided so that copies stay on one side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from blindspot.storage.errors import DataError

MIN_GROUPS = 3  # texts that a label needs to be in each of three parts


def copy_key(text: tuple[str, ...]) -> bytes:
    """A hash that texts share which differ in case and white space at most."""
    words = "\x1f".join(" ".join(value.split()).casefold() for value in text)
    return hashlib.blake2b(words.encode(), digest_size=12).digest()


def divide(
    texts: Sequence[tuple[str, ...]], labels: Sequence[str], shares: Sequence[float], *, seed: int, source: str
) -> list[list[int]]:
    """Divide rows at random into parts: each label in its share, copies of a text in one part.

    A label with three texts or more is in every part. Copies count under the label of the first of them.

    Args:
        texts, labels: of n rows.
        shares: of the rows that each part is to have; they sum to 1.
        source: the file, for messages.
    Returns: the rows of each part, from 0, sorted.
    Raises: DataError, when a part would not have two labels.
    """
    groups: dict[bytes, list[int]] = {}
    for row, text in enumerate(texts):
        groups.setdefault(copy_key(text), []).append(row)
    by_label: dict[str, list[list[int]]] = {}
    for rows in groups.values():
        by_label.setdefault(labels[rows[0]], []).append(rows)
    parts: list[list[int]] = [[] for _ in shares]
    rng = np.random.default_rng([seed, len(labels)])
    for label in sorted(by_label):
        for part, rows in zip(parts, deal(by_label[label], shares, rng), strict=True):
            part.extend(rows)
    if any(len({labels[row] for row in part}) < 2 for part in parts):
        raise DataError(
            f"{source}: too few rows to divide into training, validation and test splits with two labels each; each "
            f"of two labels needs at least {MIN_GROUPS} different texts: add rows, or name a file for each split in "
            "data.train, data.validation and data.test"
        )
    return [sorted(part) for part in parts]


def deal(groups: Sequence[list[int]], shares: Sequence[float], rng: np.random.Generator) -> list[list[int]]:
    """Deal the groups of one label out, each to the part that lacks most rows; large groups first, they fit worst."""
    shuffled = [groups[index] for index in rng.permutation(len(groups))]
    ordered = sorted(shuffled, key=len, reverse=True)
    total = sum(map(len, groups))
    parts: list[list[int]] = [[] for _ in shares]
    if len(ordered) >= len(parts):  # the smallest ones see to it that every part has the label
        for part in parts[1:]:
            part.extend(ordered.pop())
    for group in ordered:
        lacks = [share * total - len(part) for share, part in zip(shares, parts, strict=True)]
        parts[int(np.argmax(lacks))].extend(group)
    return parts
