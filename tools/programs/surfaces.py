"""The surface of a text: what a reader sees before reading, as patterns of a closed list."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from blindspot.tools.programs.conditions import Surface
from blindspot.tools.programs.phrases import Phrases
from blindspot.tools.programs.wordlists import DAYS, MONTHS
from blindspot.tools.text.function_words import AUXILIARIES, ENGLISH

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
