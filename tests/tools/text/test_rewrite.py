"""Rewriting: slips are what they are called, and nothing but the words asked for changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.tools.text.edits import Edit, split_words
from blindspot.tools.text.rewrite import (
    SLIPS,
    Slip,
    misspell,
    misspell_words,
    replace_words,
    slip_of,
    swap_words,
    transplant,
)
from blindspot.tools.text.vocabulary import Vocabulary, overlap, split_sentences

WORDS = st.text("abcdefghij", min_size=2, max_size=12)
TEXTS = st.text("ab c.,!?'-\nXÄ1", max_size=60)


@given(word=WORDS, slip=st.sampled_from(SLIPS), seed=st.integers(0, 999))
def test_a_misspelling_is_recognised_as_the_slip_it_was(word: str, slip: Slip, seed: int) -> None:
    wrong = misspell(word, slip, np.random.default_rng(seed))
    if wrong == word:
        assert slip == "swap"
        assert len(set(word)) == 1
    else:
        assert slip_of(Edit("text", 0, word, wrong)) == slip


def test_another_word_is_no_slip() -> None:
    assert slip_of(Edit("text", 0, "story", "narrative")) is None
    assert slip_of(Edit("text", 0, "cart", "race")) is None


@given(text=TEXTS)
def test_replacing_each_word_by_itself_changes_nothing(text: str) -> None:
    assert replace_words(text, lambda word: word) == text


@given(text=TEXTS)
def test_what_stands_between_words_is_kept(text: str) -> None:
    replaced = replace_words(text, lambda _: "w")
    assert len(split_words(replaced)) == len(split_words(text))
    assert replaced.count(" ") == text.count(" ")


def test_only_the_given_words_are_misspelt() -> None:
    fields = {"text": "The soup was lovely and the pool was lovely too."}
    changed = misspell_words(fields, ["lovely"], ("deletion",), np.random.default_rng(0))["text"]
    kept = [word for word in split_words(changed) if len(word) != 5 or word in ("lovel",)]
    assert "lovely" not in split_words(changed)
    assert {"The", "soup", "was", "and", "the", "pool", "too"} <= set(kept)


def test_a_swap_reaches_every_field_and_keeps_capitals() -> None:
    swapped = swap_words({"a": "Bank rates rose.", "b": "The bank, again."}, {"bank": "museum"})
    assert swapped == {"a": "Museum rates rose.", "b": "The museum, again."}


@pytest.mark.parametrize(
    ("text", "out", "expected"),
    [
        ("One. Two. Three.", 1, "One. New. Three."),
        ("Only one.", 0, "New. Only one."),
        ("One! Two?", 0, "New. Two?"),
    ],
)
def test_a_transplant_takes_a_sentences_place(text: str, out: int, expected: str) -> None:
    assert transplant(text, "New", out=out) == expected


def test_a_word_weighs_for_the_label_it_comes_with() -> None:
    vocabulary = Vocabulary(
        [("good", "lovely soup"), ("good", "lovely pool"), ("bad", "dull soup"), ("bad", "dull pool")]
    )
    assert vocabulary.weight("lovely", "good") > 0 > vocabulary.weight("lovely", "bad")
    assert vocabulary.weight("soup", "good") == 0
    assert vocabulary.telling("a lovely soup", "good")[0] == "lovely"
    assert vocabulary.unseen("Lovely weather, lovely view") == ["weather", "view"]


def test_sentences_end_at_their_marks() -> None:
    assert split_sentences(" One. Two!  Three? four ") == ["One.", "Two!", "Three?", "four"]


def test_overlap_is_the_share_of_common_words() -> None:
    assert overlap(["a b c", "b c d"]) == 0.5
    assert overlap(["alone"]) == 0
