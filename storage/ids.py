"""Ids of rows: made from what caused a row, so that the same causes always give the same id."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

FieldsKey = tuple[tuple[str, str], ...]
"""What tells a text from others: its fields' names and texts, sorted."""


def make_id(prefix: str, *causes: object) -> str:
    """Make a short id out of what caused a row: the same causes always give the same id.

    Args:
        prefix: what kind of thing it is, e.g. "atk".
        causes: anything whose `str` identifies it.
    Returns: e.g. "atk-3f9a0c1d2e4b5a69" (64 bits).
    """
    text = "\x1f".join(str(cause) for cause in causes)
    return f"{prefix}-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def fields_key(fields: Mapping[str, str]) -> FieldsKey:
    """What tells a text from others, whatever the order of its fields."""
    return tuple(sorted(fields.items()))
