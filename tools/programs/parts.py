"""What every part of a program is made of: strict models, and texts of bounded length without hidden characters."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

MOST_WORDS = 200  # in one list of a program
ANY = "any"  # for a field: each of them


class Part(BaseModel):
    """A part of a program: unknown keys are refused, numbers are numbers, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def without_controls(text: str) -> str:
    """Refuse a text with characters that no reader sees. Raises: ValueError."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t":
            raise ValueError(f"contains the control character {character!r}; write plain text")
    return text


def findable(text: str) -> str:
    """Squeeze white space; refuse what cannot be looked for. Raises: ValueError."""
    text = " ".join(text.split())
    stem = text.removesuffix("*")
    if text.endswith("*") and not (len(stem) >= 2 and (stem[-1].isalnum() or stem[-1] == "_")):
        raise ValueError(f'"{text}" must have at least two characters, the last one a letter or digit, before the *')
    return text


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(without_controls)
]
"""A field, label or cluster of the data set."""

Phrase = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120), AfterValidator(without_controls)
]
"""A word, or a few words."""

Pattern = Annotated[Phrase, AfterValidator(findable)]
"""A phrase that is looked for; a trailing * stands for any ending of its last word."""

Replacement = Annotated[str, StringConstraints(strip_whitespace=True, max_length=120), AfterValidator(without_controls)]
"""What takes a phrase's place; empty, to leave nothing there."""

Sentence = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300), AfterValidator(without_controls)
]
"""A phrase or sentence that is put into a text."""

FieldOrAny = Annotated[
    Name, Field(description='Which field of the data set: its name, or "any" for each of its fields.')
]

Words = Literal["telling", "content", "any", "listed"]
WordsField = Annotated[
    Words,
    Field(
        description="Which words: telling = those that speak most for the label (in a pair of texts: those that both "
        "share come first); content = all but function words such as 'the'; any = every word; listed = those "
        "in `words`."
    ),
]
ListedWords = Annotated[
    tuple[Pattern, ...],
    Field(max_length=MOST_WORDS, description="With `which` = listed: the words meant. Otherwise leave it empty."),
]
