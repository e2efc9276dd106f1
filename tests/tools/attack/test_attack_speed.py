"""What stands in for TextAttack's functions gives what they give."""

from __future__ import annotations

import random
import tracemalloc
import warnings
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blindspot.tools.attack import goal as attack_goal
from blindspot.tools.attack import speed as attack_speed
from blindspot.tools.attack import speed_texts
from blindspot.tools.attack.goal import Victim, copy_attack
from blindspot.tools.attack.recipes import recipe_class
from blindspot.tools.attack.resources import stock_textattack
from blindspot.tools.attack.speed import replacements
from support.assets import needs_assets, use_assets

PLAIN = [
    "The old clock on the tower struck nine, and nobody in the market square looked up.",
    "She didn't say 'no'; she said well-meant things -- half of them, at 5:30 p.m., to a Ph.D. from the U.S.!",
    "A film so dull that a dull man in a dull town would call it dull, dull, DULL.",
]
ODD = [
    "",
    " ",
    "...!?",
    "one",
    "  spaced   out\ttext\nwith a tab ",
    "'quoted' -dashed- _under_ *star* @name a@b.c don't o'clock'",
    "café naïve Ünïcode straße İstanbul ﬁne ½ × ᴢoo 😀 smile",
    "price 1,234.50 in 1984 or 3rd 42nd 0x1F",
    "S P L I T and SPLIT or <SPLIT> split it",
    f"short {'long' * 30} tail",
    "我喜欢这部电影 and 中文 words",
    "a a a a A b a",
]
PAIRS = [
    ("The firm sold its stake on Monday.", "On Monday, the firm's stake was sold."),
    ("It rose 3.2%, to $14.50, in the U.S.", "IT is up: T-bills, S&P, L'Oreal, I."),
    ("", "Only the second says anything."),
    ("Only the first.", ""),
    ("!!!", "..."),
    ("a <SPLIT> b", "S c"),
]
TEXTS = [{"text": text} for text in PLAIN + ODD] + [{"premise": one, "hypothesis": two} for one, two in PAIRS]
TEXTS.append({"one": "I see", "two": "S.", "three": "T and I"})
WORDS = [
    "",
    "x",
    "clokc",
    "two words",
    "it's",
    "-",
    "...",
    "日本 语",
    "SPLIT",
    "a<SPLIT>b",
    "W" * 50,
    "S",
    "İ",
    " pad ",
]

TAGGED = [
    "the",
    "run",
    "runs",
    "saw",
    "her",
    "duck",
    "well-made",
    "1984",
    "12th",
    "That",
    "Time",
    "-x",
    "x-",
    "I",
    "like",
]

some_text = st.text(alphabet="abST<>PLI '-.,\n é1中", max_size=30)
some_fields = st.one_of(
    st.sampled_from(TEXTS),
    st.builds(lambda text: {"text": text}, some_text),
    st.builds(lambda one, two: {"sentence1": one, "sentence2": two}, some_text, some_text),
)


@pytest.fixture(autouse=True, scope="module")
def resources() -> Iterator[None]:
    """TextAttack with our functions in it, and its resources where they are there."""

    with pytest.MonkeyPatch.context() as patch:
        use_assets(patch)
        yield


def outcome(function: Callable[[], Any]) -> Any:
    """What a function returns or the kind of error that it raises."""
    try:
        return function()
    except (ValueError, LookupError, StopIteration) as error:
        return type(error)


def assert_same(function: Callable[[], Any]) -> Any:
    """Compare a function's outcome with ours and with TextAttack's own, and return it."""
    ours = outcome(function)
    with stock_textattack():
        stock = outcome(function)
    assert ours == stock
    return ours


def new_text(fields: dict[str, str]) -> Any:
    from textattack.shared import AttackedText

    return AttackedText(OrderedDict(fields))


def facts(text: Any) -> dict[str, Any]:
    """All that can be seen of a text."""
    names = ("newly_modified_indices", "modified_indices", "original_index_map")
    previous = text.attack_attrs.get("previous_attacked_text")  # forgotten when an attack ends
    return {
        "input": text.tokenizer_input,
        "fields": list(text._text_input.items()),
        "words": text.words,
        "per_input": text.words_per_input,
        "keys": list(text.attack_attrs),
        "attrs": [list(text.attack_attrs[name]) for name in names if name in text.attack_attrs],
        "previous": previous.text if previous else None,
        "hash": hash(text),
    }


@pytest.mark.parametrize("fields", TEXTS, ids=lambda fields: "|".join(fields.values())[:25])
def test_every_word_of_a_text_is_replaced_as_textattack_replaces_it(fields: dict[str, str]) -> None:
    count = len(new_text(fields).words)
    for index in range(-1, count + 2):
        for word in WORDS:
            assert_same(lambda: facts(new_text(fields).replace_word_at_index(index, word)))  # noqa: B023


@settings(deadline=None, max_examples=200)
@given(
    some_fields,
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from(WORDS) | some_text), max_size=5),
    st.sampled_from([0, speed_texts.LONG_TEXT]),
)
@example({"one": "I see", "two": "S.", "three": "T and I"}, [(2, "I"), (0, ""), (1, "S T")], 0)
@example({"one": "I see", "two": "S.", "three": "T and I"}, [(2, "I"), (0, ""), (1, "S T")], 100)
@example({"text": "a <SP x LIT> b"}, [(2, "")], 0)
@example({"text": "a <SPxLIT> b"}, [(1, "SPLIT")], 0)
def test_one_change_after_another_leaves_the_same_text_and_the_same_notes(
    fields: dict[str, str], changes: list[tuple[int, str]], long_text: int
) -> None:
    def change() -> list[Any]:
        text, seen = new_text(fields), []
        for index, word in changes:
            if text.words:
                text = text.replace_word_at_index(index % len(text.words), word)
                seen.append(facts(text))
        return seen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed_texts, "LONG_TEXT", long_text)
        assert_same(change)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(WORDS + ODD + PLAIN) | some_text | st.text(max_size=40))
def test_a_text_is_split_into_the_same_words(text: str) -> None:
    from textattack.shared import attacked_text

    assert_same(lambda: attacked_text.words_from_text(text))


@settings(deadline=None, max_examples=100)
@given(some_fields, st.lists(st.integers(0, 30), min_size=1, max_size=4), st.sampled_from([1, 2, 5, 15, float("inf")]))
def test_windows_around_words_are_the_same_in_any_order(fields: dict[str, str], places: list[int], size: float) -> None:
    def windows() -> list[str]:
        text = new_text(fields)
        return [text.text_window_around_index(place % max(1, len(text.words)), size) for place in places]

    assert_same(windows)


@settings(deadline=None, max_examples=150)
@given(some_text, some_text, st.integers(-1, 12))
@example(PLAIN[0] * 20, PLAIN[0] * 20 + "end", 2)
@example(PLAIN[0] * 20, PLAIN[1] * 20, 30)
def test_texts_are_within_the_same_limits_of_edits(one: str, two: str, limit: int) -> None:
    from textattack.constraints.overlap import LevenshteinEditDistance

    constraint = LevenshteinEditDistance(limit)
    assert_same(lambda: constraint._check_constraint(new_text({"text": one}), new_text({"text": two})))


@settings(deadline=None, max_examples=60)
@given(some_fields, st.lists(st.integers(0, 12), max_size=3), st.lists(st.integers(-1, 12), max_size=3))
def test_the_same_words_may_change_and_change_to_the_same(
    fields: dict[str, str], changed: list[int], wanted: list[int]
) -> None:
    from textattack.constraints.pre_transformation import (
        InputColumnModification,
        RepeatModification,
        StopwordModification,
    )

    recipe = built("deepwordbug")
    inputs = InputColumnModification(["premise", "hypothesis"], {"premise"})
    for constraints in ([], [RepeatModification(), StopwordModification()], [inputs, StopwordModification({"a", "T"})]):

        def transform(constraints: list[Any] = constraints) -> list[Any]:
            text = new_text(fields)
            for index in changed:
                if index < len(text.words):
                    text = text.replace_word_at_index(index, "changed")
            random.seed(1)
            np.random.seed(1)
            found = [recipe.transformation(text, constraints, [index]) for index in range(-1, len(text.words) + 1)]
            found.append(recipe.transformation(text, constraints, wanted))
            found.append(recipe.transformation(text, constraints))
            indices = recipe.transformation(text, constraints, return_indices=True)
            return [indices, *([facts(each) for each in texts] for texts in found)]

        assert_same(transform)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=4),
    st.integers(0, 3) | st.just(0.25),
    st.sampled_from([None, 0.3]),
)
@example([0.5, 0.5], 1, None)
@example([0.25, 0.375, 0.375], 1, None)
def test_goals_are_reached_by_the_same_rows_with_the_same_scores(
    row: list[float], truth: int | float, target: float | None
) -> None:
    goal = built("deepwordbug").goal_function
    goal.ground_truth_output, goal.target_max_score = truth, target

    def judge() -> tuple[Any, ...]:
        (output,) = goal._process_model_outputs([""], torch.tensor([row])) if len(row) == 1 else torch.tensor([row])
        score = goal._get_score(output, None)
        return bool(goal._is_goal_complete(output, None)), float(score), goal._get_displayed_output(output)

    assert_same(judge)


def test_word_vectors_pass_and_fail_alike_near_the_limit_and_far_from_it() -> None:
    from textattack.constraints.semantics import WordEmbeddingDistance
    from textattack.shared import WordEmbedding

    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(60, 50)).astype(np.float32)
    vectors[20:40] = vectors[:20] + rng.normal(size=(20, 50)) * np.linspace(0.1, 3, 20)[:, None]
    vectors[40:43] = 0
    vectors[43] = np.nan
    vectors[44:46, :] = 0
    vectors[44, 0], vectors[45, :2] = 1, (1, np.sqrt(3))  # 60 degrees
    words = {f"w{i}": i for i in range(60)}
    vectors_of = WordEmbedding(vectors, words, {i: word for word, i in words.items()})
    reference = new_text({"text": " ".join(words)})
    texts = [reference.replace_word_at_index(i, other) for i in range(60) for other in (*words, "unheard")]
    exact = [{"min_cos_sim": vectors_of.get_cos_sim(i, i + 20)} for i in range(8)]
    for limits in ({"min_cos_sim": 0.5}, {"min_cos_sim": 0.87}, {"max_mse_dist": 40.0}, *exact):
        constraint = WordEmbeddingDistance(embedding=vectors_of, **limits)
        passed = assert_same(lambda: [constraint._check_constraint(text, reference) for text in texts])  # noqa: B023
        assert {True, False} == set(passed)


class Letters:
    """Makes constraints on sentences encoded by their letters, that count what they encode."""

    @staticmethod
    def build(**settings: Any) -> Any:
        from textattack.constraints.semantics.sentence_encoders import SentenceEncoder

        class Encoder(SentenceEncoder):  # type: ignore[misc]
            encoded = 0

            def encode(self, sentences: list[str]) -> Any:
                self.encoded += len(sentences)
                rows = [[1 + sentence.count(letter) for letter in "aeiounst"] for sentence in sentences]
                return np.array(rows, dtype=np.float32)

        return Encoder(threshold=0.9, metric="angular", compare_against_original=False, **settings)


@pytest.mark.parametrize("window", [3, 9, 10, 15, None])
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("words", [("naught", "x"), ("naught", "two words")])
def test_short_texts_are_as_similar_without_being_encoded(window: int | None, skip: bool, words: Sequence[str]) -> None:
    constraint = Letters.build(window_size=window, skip_text_shorter_than_window=skip)

    def score() -> tuple[list[str], list[float]]:
        text = new_text({"text": "nine words are too few for a wide window"})
        changed = [text.replace_word_at_index(i, word) for i in range(4) for word in words]
        kept = constraint._check_constraint_many(changed, text)
        return [each.text for each in kept], [each.attack_attrs["similarity_score"] for each in changed]

    score()
    longest = 9 + ("two words" in words)
    assert (constraint.encoded > 0) == (not skip or longest >= (window or 100))
    kept, scores = assert_same(score)
    assert 0 < len(kept) <= len(scores)
    assert_same(lambda: list(constraint._check_constraint_many([], new_text({"text": "a"}))))


@needs_assets
@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.sampled_from(TAGGED) | st.text(alphabet="abcdefgiklnorsty", min_size=1, max_size=9),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 7),
)
def test_words_get_the_same_part_of_speech(words: list[str], place: int) -> None:
    from textattack.constraints.grammaticality import PartOfSpeech

    place %= len(words)
    for tagset in ("universal", None):

        def tag(tagset: str | None = tagset) -> Any:
            return PartOfSpeech(tagset=tagset)._get_pos(words[:place], words[place], words[place + 1 :])

        assert_same(tag)


class Crumbs:
    """A model for TextAttack: a linear one over pairs of letters with weights from a hash."""

    model = None

    def __call__(self, texts: Sequence[Any]) -> Any:
        rows = [("\n".join(text) if isinstance(text, tuple) else text) + "  " for text in texts]
        scores = [sum(zlib.crc32(row[i : i + 2].encode()) % 2001 - 1000 for i in range(len(row) - 1)) for row in rows]
        good = 1 / (1 + np.exp(-np.array(scores) / 10_000))
        return torch.from_numpy(np.stack([1 - good, good], axis=1).astype(np.float32))


def built(recipe: str) -> Any:
    """Build a recipe, with a sentence encoder that needs nothing."""
    from textattack.constraints.semantics.sentence_encoders import UniversalSentenceEncoder

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TextAttack warns of any model class that it does not know
        attack = recipe_class(recipe).build(Crumbs())
    attack.constraints = [
        Letters.build(window_size=15, skip_text_shorter_than_window=True)
        if isinstance(each, UniversalSentenceEncoder)
        else each
        for each in attack.constraints
    ]
    attack.goal_function._process_model_outputs = lambda _, rows: rows
    return attack


@pytest.mark.parametrize("long_text", [0, speed_texts.LONG_TEXT], ids=["long", "short"])
@pytest.mark.parametrize("recipe", ["deepwordbug", pytest.param("textfooler", marks=needs_assets)])
def test_attacks_end_with_the_same_texts_after_the_same_queries(
    recipe: str, long_text: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed_texts, "LONG_TEXT", long_text)
    attack = built(recipe)
    ends = set()
    for fields in [*TEXTS, {"text": PLAIN[0] + " " + PLAIN[2]}, {"text": " ".join(PLAIN)}]:
        for truth in (0, 1):

            def run(truth: int = truth, fields: dict[str, str] = fields) -> tuple[Any, ...]:
                attack.clear_cache()
                random.seed(5)
                np.random.seed(5)
                result = attack.attack(OrderedDict(fields), truth)
                end = result.perturbed_result
                return type(result).__name__, result.num_queries, facts(end.attacked_text), end.score, end.output

            ended = assert_same(run)
            ends.add(ended[0] if isinstance(ended, tuple) else ended.__name__)
    assert ends == {"SuccessfulAttackResult", "FailedAttackResult", "SkippedAttackResult", "ValueError"}


def test_the_words_of_a_long_text_are_ranked_in_portions_with_little_memory() -> None:
    asked: list[int] = []
    model = Crumbs()

    def ask(texts: list[tuple[str, ...]]) -> Any:
        asked.append(len(texts))
        return model([text[0][:200] for text in texts]).numpy()

    text = " ".join([f"{PLAIN[i % 3]} {i}" for i in range(40)])
    truth = int(model([text[:200]]).argmax())

    def run() -> tuple[Any, ...]:
        random.seed(5)
        np.random.seed(5)
        attack = copy_attack(recipe_class("deepwordbug").build(Victim(ask)))
        result = attack.attack(OrderedDict(text=text), truth)
        return type(result).__name__, result.num_queries, facts(result.perturbed_result.attacked_text)

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        whole = run()
        largest = max(asked)
        asked.clear()
        patch.setattr(attack_goal, "PORTION", 20 * len(text))
        patch.setattr(speed_texts, "LONG_TEXT", 0)
        assert run() == whole
    assert 1 < max(asked) <= 20 < largest
    tracemalloc.start()
    base = new_text({"text": "word " * 20_000})
    base.replace_word_at_index(0, "x")  # finds where words are, once
    before = tracemalloc.get_traced_memory()[0]
    changed = [base.replace_word_at_index(i, "other") for i in range(200)]
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert changed[7].text == "word " * 7 + "other" + " word" * 19_992 + " "
    assert grown < 200 * 4_000  # bytes; each has 100,000 characters


def test_stock_textattack_is_whole_and_ours_comes_back_whatever_happens() -> None:
    from textattack.shared import AttackedText, attacked_text, utils

    ours = AttackedText.replace_words_at_indices
    assert ours.__module__.startswith("blindspot.")
    with stock_textattack():
        assert attacked_text.words_from_text is utils.words_from_text
        with stock_textattack():
            pass
        stock = AttackedText.replace_words_at_indices
    assert stock.__module__.startswith("textattack.")
    with pytest.raises(ZeroDivisionError), stock_textattack():
        raise ZeroDivisionError
    assert AttackedText.replace_words_at_indices is ours


def test_beside_another_version_nothing_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with stock_textattack():
        names = {each.name for each in replacements()}
        monkeypatch.setattr(attack_speed, "NLTK", "0.1")
        assert {each.name for each in replacements()} == names - {"_get_pos"}
        monkeypatch.setattr(attack_speed, "TEXTATTACK", "0.1")
        assert replacements() == []
