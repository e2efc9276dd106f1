"""Rewriting of labelled texts that keeps their label: slips of the pen, transplanted sentences, swapped words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Literal
from zlib import crc32

import numpy as np

from blindspot.storage.records import Fields
from blindspot.tools.text.edits import WORD, Edit
from blindspot.tools.text.vocabulary import split_sentences

SHARE = 0.08  # of a text's words; DeepWordBug changes 6.4 to 8.5 % of them. Source: IBS, table 5, the original models
SHORTEST = 3  # letters of a word that is misspelt; numbers and what has marks in it are left as they are

Slip = Literal["swap", "substitution", "deletion", "insertion"]
SLIPS: tuple[Slip, ...] = ("swap", "substitution", "deletion", "insertion")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def misspell_at_random(fields: Fields, rng: np.random.Generator, *, share: float = SHARE) -> Fields:
    """Misspell words drawn from all fields together, each by a slip of its own.

    Args:
        share: of the words, in [0, 1]; one word at least, as far as there are any to misspell.
    Source: Gao et al. (2018), section III for the four slips: swap, substitution, deletion, insertion of a letter.
    """
    words = [word for text in fields.values() for word in WORD.findall(text)]
    places = [place for place, word in enumerate(words) if word.isalpha() and len(word) >= SHORTEST]
    wanted = min(len(places), max(1, round(share * len(words))))
    chosen = {int(place) for place in rng.choice(places, size=wanted, replace=False)} if places else set()
    place = count()

    def slip(word: str) -> str:
        if next(place) not in chosen:
            return word
        slipped = misspell(word, SLIPS[int(rng.integers(len(SLIPS)))], rng)
        return slipped if slipped != word else misspell(word, "insertion", rng)  # nothing to swap in "aaa"

    return {name: replace_words(text, slip) for name, text in fields.items()}


def rng_of(seed: int, *causes: object) -> np.random.Generator:
    """A generator of one text's own: what is drawn for it depends on no other text."""
    return np.random.default_rng([seed, crc32(":".join(map(str, causes)).encode())])


def slip_of(edit: Edit) -> Slip | None:
    """Tell which slip of the pen turned one word into the other; None where it is another word, not a misspelling."""
    before, after = edit.before, edit.after
    if len(before) == len(after):
        different = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
        if sorted(before) == sorted(after) and len(different) == 2:
            return "swap"
        return "substitution" if len(different) == 1 else None
    longer, shorter = sorted((before, after), key=len, reverse=True)
    if len(longer) != len(shorter) + 1 or not any(longer[:i] + longer[i + 1 :] == shorter for i in range(len(longer))):
        return None
    return "deletion" if len(after) < len(before) else "insertion"


def misspell(word: str, slip: Slip, rng: np.random.Generator) -> str:
    """Misspell one word; the result differs from it unless all its letters are equal or it has a single one."""
    if len(word) < 2:
        return word
    at = int(rng.integers(len(word)))
    if slip == "swap":
        places = [i for i in range(len(word) - 1) if word[i] != word[i + 1]]
        if not places:
            return word
        at = places[int(rng.integers(len(places)))]
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if slip == "deletion":
        return word[:at] + word[at + 1 :]
    letter = LETTERS[int(rng.integers(len(LETTERS)))]
    if slip == "insertion":
        return word[:at] + letter + word[at:]
    other = letter if letter != word[at].lower() else LETTERS[(LETTERS.index(letter) + 1) % len(LETTERS)]
    return word[:at] + other + word[at + 1 :]


def replace_words(text: str, replacement: Callable[[str], str]) -> str:
    """Rewrite each word of a text, keeping everything between the words."""
    return WORD.sub(lambda match: replacement(match.group()), text)


def capitalise_like(pattern: str, word: str) -> str:
    """Give a word the pattern's first capital."""
    return word[:1].upper() + word[1:] if pattern[:1].isupper() and pattern[1:].islower() else word


def misspell_words(fields: Fields, words: Sequence[str], slips: Sequence[Slip], rng: np.random.Generator) -> Fields:
    """Misspell the given words (lower case) wherever they stand, with slips drawn for each place from those given."""
    wanted = set(words)

    def slip(word: str) -> str:
        return misspell(word, slips[int(rng.integers(len(slips)))], rng) if word.lower() in wanted else word

    return {name: replace_words(text, slip) for name, text in fields.items()}


def swap_words(fields: Fields, swaps: dict[str, str]) -> Fields:
    """Replace words (lower case -> new) in every field alike, so that what the fields share stays shared.

    A word keeps its capital.
    """

    def swap(word: str) -> str:
        return capitalise_like(word, swaps[word.lower()]) if word.lower() in swaps else word

    return {name: replace_words(text, swap) for name, text in fields.items()}


def transplant(text: str, sentence: str, *, out: int) -> str:
    """Put a sentence in place of a text's sentence number `out`; a text of one sentence gets it in front."""
    sentences = split_sentences(text)
    if len(sentences) < 2:
        return f"{end_sentence(sentence)} {text}"
    sentences[out] = end_sentence(sentence)
    return " ".join(sentences)


def end_sentence(sentence: str) -> str:
    """End a sentence with a mark."""
    return sentence if sentence.rstrip().endswith((".", "!", "?")) else sentence.rstrip() + "."
