"""Blind spots: UUs clustered by what they say, and which clusters closed or opened between two model versions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from blindspot.storage.records import BlindSpot
from blindspot.tools.metrics.blind_spots import Case, find_blind_spots, status_of, uu_cases
from blindspot.tools.metrics.evaluate import figures
from blindspot.tools.metrics.figure import Scope
from blindspot.tools.metrics.outcomes import ModelOutcomes
from blindspot.tools.text.vocabulary import words_of
from support.rows import outcomes

SCOPE = Scope(run_id="run-1", round=2, tau=0.65, thresholds=(), resamples=100, seed=3)
TOPICS = ("lens tripod zoom", "oven dough yeast", "saddle pedal chain", "violin bow string")


def encode(texts: list[str]) -> np.ndarray:
    """A sentence encoder that knows four topics by their words; what else a text says moves it a little."""
    topics = [[len(set(topic.split()) & set(words_of(text))) for topic in TOPICS] for text in texts]
    rest = [np.random.default_rng(list(text.encode())).normal(scale=0.2, size=12) for text in texts]
    vectors = np.concatenate([np.array(topics, dtype=np.float64), np.array(rest)], axis=1)
    normed: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normed


def about(topic: int, count: int, *, was: bool, now: bool, right: bool = False, first: int = 0) -> list[Case]:
    words = TOPICS[topic].split()
    return [
        Case(
            f"s{topic}{first + n:03d}",
            None,
            f"the {words[n % 3]} and {words[(n + 1) % 3]} was fine {first + n}",
            was,
            right,
            now,
        )
        for n in range(count)
    ]


def found(cases: list[Case], others: tuple[str, ...] = ("the shop was fine",) * 200) -> list[BlindSpot]:
    return find_blind_spots(cases, others, encode, SCOPE)


MIXED = [
    *about(0, 30, was=True, now=False),
    *about(1, 24, was=True, now=True),
    *about(2, 20, was=False, now=True, right=True),
    *about(3, 12, was=True, now=False),
    *about(3, 6, was=True, now=True, first=12),
]


def test_a_blind_spot_that_closed_and_one_that_opened_are_told_by_their_words() -> None:
    spots = found(MIXED)
    assert [(set(spot.words[:3]), spot.status) for spot in spots] == [
        ({"oven", "dough", "yeast"}, "open"),
        ({"lens", "tripod", "zoom"}, "closed"),
        ({"violin", "bow", "string"}, "shrunk"),
        ({"saddle", "pedal", "chain"}, "opened"),
    ]
    assert [spot.number for spot in spots] == [1, 2, 3, 4]
    assert {(spot.run_id, spot.round) for spot in spots} == {("run-1", 2)}
    closed, opened = spots[1], spots[3]
    assert (closed.uus_before, closed.uus_after, closed.fixed, closed.new) == (30, 0, 30, 0)
    assert (opened.uus_before, opened.uus_after, opened.fixed, opened.new) == (0, 20, 0, 20)


def test_a_place_that_was_wrong_but_unsure_before_is_no_new_uu() -> None:
    (spot,) = found(about(2, 12, was=False, now=True, right=False))
    assert (spot.uus_after, spot.new, spot.status) == (12, 0, "opened")


def test_a_fall_that_chance_explains_leaves_a_blind_spot_open() -> None:
    (spot,) = found([*about(0, 4, was=True, now=False), *about(0, 12, was=True, now=True, first=4)])
    assert (spot.uus_before, spot.uus_after, spot.status) == (16, 12, "open")
    assert spot.p_value == pytest.approx(0.125)


def test_several_texts_of_one_sample_are_one_change_of_that_sample() -> None:
    thrice = [replace(case, recipe=recipe) for case in about(0, 4, was=True, now=False) for recipe in (None, "a", "b")]
    (spot,) = found(thrice)
    assert (spot.uus_before, spot.uus_after) == (12, 0)
    assert spot.p_value == pytest.approx(0.125)  # four samples, not twelve
    assert spot.status == "open"


@settings(max_examples=5, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_cases_changes_nothing(shuffler: object) -> None:
    mixed = list(MIXED)
    shuffler.shuffle(mixed)  # type: ignore[attr-defined]
    assert found(mixed) == found(MIXED)


def test_the_two_versions_in_each_others_place_close_what_the_other_opened() -> None:
    mirrored = {"closed": "opened", "shrunk": "grown", "open": "open", "grown": "shrunk", "opened": "closed"}
    swapped = found([replace(case, was_uu=case.is_uu, is_uu=case.was_uu) for case in MIXED])
    for spot, other in zip(found(MIXED), swapped, strict=True):
        assert (spot.uus_before, spot.uus_after, spot.p_value) == (other.uus_after, other.uus_before, other.p_value)
        assert mirrored[spot.status] == other.status


def test_where_nothing_changed_but_by_chance_hardly_any_blind_spot_is_called_changed() -> None:
    generator, called, total = np.random.default_rng(5), 0, 0
    for _ in range(30):
        cases = [case for topic in range(4) for case in about(topic, 20, was=True, now=True)]
        sides = generator.integers(0, 3, len(cases))  # a UU of both, or of either
        mixed = [
            replace(case, was_uu=bool(side != 1), is_uu=bool(side != 2))
            for case, side in zip(cases, sides, strict=True)
        ]
        statuses = [spot.status for spot in found(mixed)]
        called, total = called + sum(status != "open" for status in statuses), total + len(statuses)
    assert total >= 100
    assert called <= 0.05 * total


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [(30, 3, "closed"), (30, 4, "shrunk"), (4, 30, "grown"), (3, 30, "opened"), (0, 9, "opened"), (9, 9, "open")],
)
def test_a_tenth_of_its_uus_is_what_a_closed_blind_spot_may_keep(before: int, after: int, status: str) -> None:
    assert status_of(before, after) == status


def test_few_cases_equal_texts_and_texts_without_words_are_clustered_too() -> None:
    assert found([]) == []
    (spot,) = found(about(0, 1, was=True, now=False), others=())
    assert (spot.uus_before, spot.status) == (1, "open")
    same = [Case(f"s{n:02d}", None, "?!", True, False, False) for n in range(40)]
    (spot,) = found(same)
    assert (spot.words, spot.status) == ((), "closed")


# --- where the UUs stand ---


def test_a_natural_uu_counts_once_and_a_perturbed_one_in_each_recipe() -> None:
    old = ModelOutcomes(
        "old",
        outcomes("abcd", [0.1, 0.9, 0.8, 0.45]),
        {"x": outcomes("abc", [0.1, 0.2, 0.8], "b"), "y": outcomes("bc", [0.3, 0.4], "bc")},
    )
    new = ModelOutcomes(
        "new",
        outcomes("abcd", [0.9, 0.9, 0.1, 0.2]),
        {"x": outcomes("abc", [0.1, 0.9, 0.1], "a"), "y": outcomes("bc", [0.3, 0.1], "b")},
    )
    natural = {name: f"natural {name}" for name in "abcd"}
    perturbed = {
        (model, recipe, name): f"{model} {recipe} {name}"
        for model in ("old", "new")
        for recipe in "xy"
        for name in "abc"
    }
    cases = uu_cases(new, old, natural, perturbed, 0.65)
    assert [(case.sample_id, case.recipe, case.text, case.was_uu, case.was_right, case.is_uu) for case in cases] == [
        ("a", None, "natural a", True, False, False),
        ("c", None, "natural c", False, True, True),
        ("d", None, "natural d", False, False, True),  # it was wrong, but unsure
        ("a", "x", "new x a", False, False, True),  # the sample itself fooled the old version
        ("b", "x", "old x b", True, False, False),
        ("b", "y", "old y b", True, False, True),
    ]
    for model, side in ((old, "was_uu"), (new, "is_uu")):
        rows = {(row.metric, row.recipe): row.value for row in figures(model, old.clean, SCOPE)}
        total = rows["uus", None] + rows["uus_flipped", "x"] + rows["uus_flipped", "y"]
        assert total == sum(getattr(case, side) for case in cases)


def test_the_sentence_encoder_parts_what_means_different_things() -> None:
    from blindspot.tools.attack.sentence_encoder import sentence_oracle

    films = ["The film was dull and far too long.", "A boring movie, two hours of nothing.", "The plot of it drags."]
    ovens = ["The oven broke after a week of use.", "This kettle leaks on the kitchen floor.", "The pan sticks badly."]
    cases = [
        Case(f"s{number:02d}{kind}", None, f"{text} {number}", kind == 0, False, kind == 1)
        for number in range(12)
        for kind, texts in enumerate((films, ovens))
        for text in [texts[number % 3]]
    ]
    closed, opened = find_blind_spots(cases, (), sentence_oracle().look_up, SCOPE)
    assert {closed.status, opened.status} == {"closed", "opened"}
    by_status = {spot.status: set(spot.words) for spot in (closed, opened)}
    assert by_status["closed"] & {"film", "movie", "plot"}
    assert by_status["opened"] & {"oven", "kettle", "pan"}


@pytest.mark.parametrize("seed", range(5))
def test_the_planted_slang_names_blind_spots_and_their_topics_do_not(seed: int) -> None:
    """Of a classifier that is wrong about four reviews in slang of five, and about a few others."""
    from blindspot.tools.attack.sentence_encoder import sentence_oracle
    from blindspot.tools.data.planted import FAMILY, generate_reviews

    reviews = generate_reviews(500, planted=125, seed=seed, split="test")
    fooled = np.random.default_rng(seed).random(500) < np.where([review.is_planted for review in reviews], 0.8, 0.02)
    cases = [
        Case(f"s{row:03d}", None, review.text, True, False, False)
        for row, (review, wrong) in enumerate(zip(reviews, fooled, strict=True))
        if wrong
    ]
    others = [review.text for review, wrong in zip(reviews, fooled, strict=True) if not wrong]
    spots = find_blind_spots(cases, others, sentence_oracle().look_up, SCOPE)
    assert len({word for spot in spots for word in spot.words} & set(FAMILY)) >= 6
    for spot in spots:
        assert spot.words or spot.uus_before < 5
        assert set(spot.words) <= {*FAMILY, "different"}, spot.words  # "hits different"
