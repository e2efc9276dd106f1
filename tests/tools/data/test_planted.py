"""The planted blind spot is where it should be, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from blindspot.tools.data.datasets import DataSource, inspect
from blindspot.tools.data.planted import FAMILY, generate_reviews, is_planted, write_dataset
from blindspot.tools.data.review import Notice
from blindspot.tools.text.vocabulary import split_sentences, words_of


def test_no_training_review_holds_a_word_of_the_family() -> None:
    words = {
        word for review in generate_reviews(2_000, planted=0, seed=0, split="train") for word in words_of(review.text)
    }
    assert words.isdisjoint(FAMILY)


def test_planted_reviews_praise_and_blame_in_slang_and_are_counted() -> None:
    reviews = generate_reviews(400, planted=100, seed=3, split="test")
    planted = [review for review in reviews if review.is_planted]
    assert len(planted) == 100
    assert 30 <= sum(review.label == "positive" for review in planted) <= 70
    assert all(is_planted(review.text) == review.is_planted for review in reviews)


def test_a_word_of_slang_always_says_the_same() -> None:
    """ "no cap" insists on either."""
    labels: dict[str, set[str]] = {}
    for review in generate_reviews(2_000, planted=2_000, seed=0, split="test"):
        for word in set(words_of(review.text)) & set(FAMILY):
            labels.setdefault(word, set()).add(review.label)
    assert set(labels) == set(FAMILY)
    assert {word for word, found in labels.items() if len(found) > 1} == {"cap"}


def test_no_review_in_slang_says_the_same_of_two_things() -> None:
    for review in generate_reviews(500, planted=500, seed=4, split="test"):
        words = [sentence.split()[-1] for sentence in split_sentences(review.text)[1:3]]
        assert len(set(words)) == len(words), review.text


def test_apart_from_the_family_all_splits_share_their_words() -> None:
    train, test = (
        {
            word
            for review in generate_reviews(3_000, planted=planted, seed=1, split=split)
            for word in words_of(review.text)
        }
        for split, planted in (("train", 0), ("test", 900))
    )
    assert test - train == set(FAMILY)


def test_a_seed_gives_its_own_reviews_again() -> None:
    assert generate_reviews(50, planted=5, seed=2, split="test") == generate_reviews(
        50, planted=5, seed=2, split="test"
    )
    assert generate_reviews(50, planted=5, seed=2, split="test") != generate_reviews(
        50, planted=5, seed=3, split="test"
    )
    assert generate_reviews(50, planted=5, seed=2, split="test") != generate_reviews(
        50, planted=5, seed=2, split="validation"
    )


def test_the_files_hold_what_was_asked_for(tmp_path: Path) -> None:
    write_dataset(tmp_path, seed=0, rows={"train": 30, "validation": 20, "test": 10}, planted_share=0.5)
    counts = {
        path.stem: [is_planted(text) for text in pq.read_table(path)["text"].to_pylist()] for path in tmp_path.iterdir()
    }
    assert {name: (len(rows), sum(rows)) for name, rows in counts.items()} == {
        "train": (30, 0),
        "validation": (20, 10),
        "test": (10, 5),
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_review_stands_in_two_splits(tmp_path: Path, seed: int) -> None:
    """Seeds 0 and 2 write one twice where nothing looks for it."""
    rows = {"train": 1000, "validation": 300, "test": 500}
    write_dataset(tmp_path, seed=seed, rows=rows, planted_share=0.25)
    notices: list[Notice] = []
    dataset = inspect(DataSource("demo", str(tmp_path), {}, ("text",), "label", None, "", {}, 0), notices)
    assert dataset.rows == rows
    assert notices == []
