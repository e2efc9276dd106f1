"""The conditions of a program: which rows it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from blindspot.tools.programs.parts import ANY, MOST_WORDS, FieldOrAny, Name, Part, Pattern
from blindspot.tools.programs.phrases import Phrases
from blindspot.tools.programs.wordlists import DAYS, MONTHS
from blindspot.tools.text.vocabulary import AUXILIARIES, ENGLISH

Test = Callable[[str], bool]

WITHOUT_APOSTROPHE = tuple(
    sorted(
        {word.replace("'", "") for word in AUXILIARIES.split() if "'" in word} - {"its", "shes"}
        | {"im", "ive", "cant", "thats", "theres", "whats"}
    )
)
"""Contractions as they are written in haste, but for those that are words of their own."""

NAME = re.compile(r"(?<=[^\s.!?:;\"“”'’()\[\]-])\s+([A-Z][a-z]+(?:['’]?[A-Z]?[a-z]+)*)")
"""A capitalised word that begins no sentence, in group 1."""
NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,:]\d+)*(?!\d|st\b|nd\b|rd\b|th\b)")

NO_NAMES = frozenset(ENGLISH) | {word.lower() for word in (*DAYS, *MONTHS)}


def matches(pattern: str, flags: int = 0) -> Test:
    search = re.compile(pattern, flags).search
    return lambda text: search(text) is not None


def has_name(text: str) -> bool:
    return next(name_spans(text), None) is not None


def name_spans(text: str) -> Iterator[tuple[int, int]]:
    return (match.span(1) for match in NAME.finditer(text) if match[1].lower() not in NO_NAMES)


SURFACES: Mapping[Surface, Test] = {
    "digits": matches(r"\d"),
    "url": matches(r"https?://\S|\bwww\.\w|\b[\w-]{1,63}\.(?:com|org|net|co\.uk|info|io)\b", re.IGNORECASE),
    "email_address": matches(r"[\w.+-]@[\w-]+\.\w"),
    "question_mark": lambda text: "?" in text,
    "exclamation_mark": lambda text: "!" in text,
    "ellipsis": matches(r"\.{2,}|…"),
    "all_caps_word": matches(r"(?<!\w)[A-Z]{2,}(?!\w)"),
    "no_capitals": lambda text: text == text.lower(),
    "no_final_punctuation": matches(r"[^.!?…\"”')\s]\s*\Z"),
    "missing_apostrophe": Phrases(WITHOUT_APOSTROPHE).in_text,
    "quotation": matches(r"[\"“”«»]|``|(?<!\w)['‘]\w[^'’]*['’](?!\w)"),
    "parentheses": matches(r"[()\[\]]"),
    "money": matches(
        r"[$£€¥]\s?\d|\b\d[\d.,]{0,20}\s?(?:dollars?|pounds?|euros?|cents?|pence|usd|gbp|eur)\b", re.IGNORECASE
    ),
    "phone_number": matches(r"(?<!\w)\+?\d(?:[\s().-]?\d){6,13}(?!\w)"),
    "time_of_day": matches(r"\b\d{1,2}:\d\d\b|\b\d{1,2}\s?[ap]\.?m\b|\bo'clock\b", re.IGNORECASE),
    "repeated_letters": matches(r"([a-z])\1\1", re.IGNORECASE),
    "repeated_punctuation": matches(r"[!?]{2,}"),
    "emoticon": matches(r"[:;=]['-]?[()DPp/|](?!\w)|<3|[\U0001F300-\U0001FAFF\u2600-\u27BF]"),
    "non_ascii": lambda text: not text.isascii(),
    "negation": matches(r"\b(?:not|no|never|none|nothing|nobody|nor|cannot)\b|n['’]t\b", re.IGNORECASE),
    "name": has_name,
}
"""Each surface with its test, but for `unseen_word`, which takes a vocabulary."""


Surface = Literal[
    "digits",
    "url",
    "email_address",
    "question_mark",
    "exclamation_mark",
    "ellipsis",
    "all_caps_word",
    "no_capitals",
    "no_final_punctuation",
    "missing_apostrophe",
    "quotation",
    "parentheses",
    "money",
    "phone_number",
    "time_of_day",
    "repeated_letters",
    "repeated_punctuation",
    "emoticon",
    "non_ascii",
    "negation",
    "name",
    "unseen_word",
]


class LabelIs(Part):
    """The row's true label is one of these."""

    kind: Literal["label_is"]
    labels: Annotated[tuple[Name, ...], Field(min_length=1, max_length=50, description="Labels of the data set.")]


class Contains(Part):
    """The text contains words or phrases. Whole words are meant; not* also finds nothing and note."""

    kind: Literal["contains"]
    how: Annotated[
        Literal["any", "all", "none"], Field(description="any = one of them at least; all = every one; none = not one.")
    ] = "any"
    words: Annotated[
        tuple[Pattern, ...],
        Field(min_length=1, max_length=MOST_WORDS, description="Words or phrases; a trailing * for any ending."),
    ]
    case_sensitive: Annotated[bool, Field(description="Whether capitals must agree.")] = False
    field: FieldOrAny = ANY


class Shows(Part):
    """The text shows, or does not show, something of its surface."""

    kind: Literal["shows"]
    surface: Annotated[
        Surface,
        Field(
            description="What is looked for. no_capitals: no capital letter at all; all_caps_word: a word of two or "
            "more capitals; missing_apostrophe: dont, im, …; repeated_letters: sooo; name: a capitalised word inside "
            "of a sentence; unseen_word: a word that no training text has."
        ),
    ]
    present: Annotated[bool, Field(description="true = it shows it; false = it does not.")] = True
    field: FieldOrAny = ANY


class Length(Part):
    """The text has between so many words; with field = any, all fields together have."""

    kind: Literal["length"]
    at_least: Annotated[int, Field(ge=0, le=100_000, description="Fewest words.")] = 0
    at_most: Annotated[int | None, Field(ge=0, le=100_000, description="Most words; null: no limit.")] = None
    field: FieldOrAny = ANY

    @model_validator(mode="after")
    def check(self) -> Length:
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError(f"at_most {self.at_most} is less than at_least {self.at_least}")
        return self


class InCluster(Part):
    """The row belongs to a named cluster of rows."""

    kind: Literal["in_cluster"]
    cluster: Annotated[Name, Field(description="The cluster's name.")]


Condition = Annotated[LabelIs | Contains | Shows | Length | InCluster, Field(discriminator="kind")]
