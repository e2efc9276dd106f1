"""Typos at random: the slips of the pen that DeepWordBug makes, with no classifier in mind."""

from __future__ import annotations

from itertools import count
from zlib import crc32

import numpy as np

from blindspot.storage.records import Fields
from blindspot.tools.text.edits import WORD
from blindspot.tools.text.rewrite import SLIPS, misspell, replace_words

SHARE = 0.08  # of a text's words; DeepWordBug changes 6.4 to 8.5 % of them. Source: IBS, table 5, the original models
SHORTEST = 3  # letters of a word that is misspelt; numbers and what has marks in it are left as they are


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
