"""Prompts: Markdown files with `$name` placeholders, and how a data set's text is quoted in them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template

FOLDER = files("blindspot.agents.prompts")


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
