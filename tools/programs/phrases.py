"""Finding words and phrases in texts: whole words, in a time that hardly grows with their number."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

ATOM = re.compile(r"\s+|n['’]t\b|['’]|.", re.DOTALL)
TYPOGRAPHIC = str.maketrans("’", "'")
TOKENISED = re.compile(r"\s+(?=n't\b|')")
NO_WORD_BEFORE = r"(?<!\w)(?<!\w-)"
NO_WORD_AFTER = r"(?!\w|['’]t\b|-\w)"  # "don" is no word of "don't", but "film" is one of "film's"
ANY_ENDING = r"\w*"
Trie = dict[str, Any]


class Phrases:
    """A set of words and phrases, each of which may end with * for any ending of its last word.

    White space of any length agrees with white space, and both kinds of apostrophe with each other; "don't" is also
    found in "do n't", as some data sets write it. Of several phrases that begin at one place the longest is found.
    """

    def __init__(self, phrases: Sequence[str], *, case_sensitive: bool = False) -> None:
        self.case_sensitive = case_sensitive
        self.exact = {self.key(phrase): phrase for phrase in phrases if not phrase.endswith("*")}
        self.stems = {self.key(phrase[:-1]): phrase for phrase in phrases if phrase.endswith("*")}
        self.longest_stem = max(map(len, self.stems), default=0)
        words: Trie = {}
        marks: Trie = {}
        for phrase in phrases:
            is_word = phrase[0].isalnum() or phrase[0] == "_"
            grow(words if is_word else marks, phrase if case_sensitive else phrase.lower())
        choices = [NO_WORD_BEFORE + written(words)] if words else []
        choices += [written(marks)] if marks else []
        self.pattern = re.compile("|".join(choices), 0 if case_sensitive else re.IGNORECASE)

    def key(self, text: str) -> str:
        """Write alike what counts as the same."""
        plain = " ".join(text.translate(TYPOGRAPHIC).split())
        plain = TOKENISED.sub("", plain) if "'" in plain else plain
        return plain if self.case_sensitive else plain.lower()

    def in_text(self, text: str) -> bool:
        return self.pattern.search(text) is not None

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where phrases stand, from left to right, none within another."""
        return (match.span() for match in self.pattern.finditer(text))

    def phrase_of(self, text: str) -> str:
        """The phrase that was found as this text. Raises: KeyError, when it is none."""
        key = self.key(text)
        if key in self.exact:
            return self.exact[key]
        for end in range(self.longest_stem, 0, -1):
            if key[:end] in self.stems:
                return self.stems[key[:end]]
        # letters that only regular expressions take for one another, such as dotless i and i
        for phrase in (*self.exact.values(), *self.stems.values()):
            if Phrases([phrase], case_sensitive=self.case_sensitive).pattern.fullmatch(text):
                return phrase
        raise KeyError(text)


def grow(trie: Trie, phrase: str) -> None:
    """Put a phrase into a trie of pieces of regular expressions."""
    stem = phrase.removesuffix("*")
    node = trie
    for atom in ATOM.findall(stem):
        node = node.setdefault(expression(atom), {})
    is_word = stem[-1].isalnum() or stem[-1] == "_"
    node[ANY_ENDING if stem != phrase else NO_WORD_AFTER if is_word else ""] = {}


def expression(atom: str) -> str:
    if atom.isspace():
        return r"\s+"
    if atom.lower() in ("n't", "n’t"):
        return r"\s?n['’]t"
    return r"\s?['’]" if atom in "'’" else re.escape(atom)


ENDS = (NO_WORD_AFTER, "", ANY_ENDING)


def written(trie: Trie) -> str:
    """Write a trie as a regular expression: what goes on is tried before what ends here, a whole word before any."""
    going_on = [piece + written(rest) for piece, rest in trie.items() if piece not in ENDS]
    choices = going_on + [end for end in ENDS if end in trie]
    if not choices:
        return ""
    return choices[0] if len(choices) == 1 else f"(?:{'|'.join(choices)})"
