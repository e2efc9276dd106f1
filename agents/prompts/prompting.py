"""Prompts: Markdown files with `$name` placeholders, and how texts and schemas are written into them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from rapidfuzz.distance import Prefix

from blindspot.storage.records import Fields

SHOWN_CHARACTERS = 6_000  # of each field: some 1,500 tokens, more than small classifiers read

FOLDER = files("blindspot.agents.prompts")


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


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt file."""

    name: str
    text: str

    @property
    def placeholders(self) -> frozenset[str]:
        """The names that the text wants to be given."""
        template = Template(self.text)
        if not template.is_valid():
            raise ValueError(f"prompts/{self.name}.md: a $ that begins no placeholder; write $$ for a dollar sign")
        return frozenset(template.get_identifiers())

    @property
    def content_hash(self) -> str:
        """16 hex digits that change with any character of the file."""
        return content_hash(self.text)

    def fill(self, **values: str) -> str:
        """Put the values in the places of their names; a value's own `$` stays as it is.

        Raises: ValueError, when wanted and given names differ.
        """
        wanted, given = self.placeholders, frozenset(values)
        if wanted != given:
            raise ValueError(
                f"prompts/{self.name}.md: missing {sorted(wanted - given)}, not wanted {sorted(given - wanted)}"
            )
        return Template(self.text).substitute(values).strip()


def content_hash(*texts: str) -> str:
    """Hash texts in their order: 16 hex digits."""
    return hashlib.blake2b("\x1f".join(texts).encode(), digest_size=8).hexdigest()


@cache
def load_prompt(name: str) -> Prompt:
    """Read `prompts/<name>.md` out of the package."""
    return Prompt(name, (FOLDER / f"{name}.md").read_text(encoding="utf-8"))


def prompt_hashes() -> dict[str, str]:
    """Name every prompt file and its content hash, for the run's record."""
    return {
        name: load_prompt(name).content_hash
        for name in sorted(file.name.removesuffix(".md") for file in FOLDER.iterdir() if file.name.endswith(".md"))
    }


def quote(value: object, *, indent: int | None = 1) -> str:
    """Write a value as JSON that a model reads as it is, and that cannot close the delimiters it stands between.

    `<` is escaped, and so is every character that is not seen (control and format characters, unusual spaces, lone
    surrogates, the variation selectors and tags of plane 14): a text cannot hide words from people who read the log.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(letter if is_shown(letter) else json.dumps(letter)[1:-1] for letter in text.replace("<", "\\u003c"))


def is_shown(letter: str) -> bool:
    """Whether a character is left as it is: one that is seen, or that scripts and emoji are written with."""
    return (letter.isprintable() and letter < "\U000e0000") or letter in "\n\u200c\u200d\u3000"


def without_titles(schema: Any) -> Any:
    """Leave out the titles of a JSON schema: they repeat the names."""
    if isinstance(schema, dict):
        return {
            key: without_titles(part) for key, part in schema.items() if not (key == "title" and isinstance(part, str))
        }
    return [without_titles(part) for part in schema] if isinstance(schema, list) else schema
