"""What real texts the filter compares samples with, and the threshold and least length that they set."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from blindspot.storage.errors import Cancelled, ModelError
from blindspot.tools.additions.references import (
    Reference,
    ReferenceSource,
    calibrate,
    least_characters,
    least_like,
)
from blindspot.tools.classifier.classifier import FloatArray
from blindspot.tools.progress import IsCancelled, Report, never, silent
from blindspot.tools.text.similarity import BertScorer


class NumbersApart:
    """Scores two texts, which are numbers, by how near they are."""

    def f1(
        self,
        candidates: Sequence[str],
        references: Sequence[str],
        report: Report = silent,
        cancelled: IsCancelled = never,
    ) -> FloatArray:
        if cancelled():
            raise Cancelled("stopped")
        report(len(candidates), len(candidates))
        left, right = np.array(candidates, dtype=np.float32), np.array(references, dtype=np.float32)
        scores: FloatArray = 1 / (1 + np.abs(left[:, None] - right[None, :]))
        return scores


def numbers(source: ReferenceSource, values: Sequence[float]) -> list[Reference]:
    return [Reference(str(value), source, f"{source}-{value}") for value in values]


def test_a_reference_is_scored_against_the_others_and_not_against_itself() -> None:
    assert calibrate(NumbersApart(), numbers("training", range(60)), seed=0) == pytest.approx(1 / 2)


def test_the_threshold_is_that_of_the_source_whose_texts_are_least_alike() -> None:
    dense, sparse = numbers("training", range(60)), numbers("deployment", range(1000, 1300, 5))
    assert calibrate(NumbersApart(), dense, seed=0) == pytest.approx(1 / 2)
    assert calibrate(NumbersApart(), [*dense, *sparse], seed=0) == pytest.approx(1 / 6)


def test_one_odd_text_of_a_small_source_does_not_set_the_threshold() -> None:
    references = [*numbers("training", range(60)), *numbers("deployment", [5_000.0])]
    assert calibrate(NumbersApart(), references, seed=0) == pytest.approx(1 / 2)


def test_a_text_says_nothing_of_another_one_that_was_made_of_it() -> None:
    apart = numbers("training", range(0, 600, 10))
    made = [Reference(str(float(one.text) + 0.1), "uu", one.origin) for one in apart]
    assert calibrate(NumbersApart(), [*apart, *made], seed=0) == pytest.approx(1 / 10.9, rel=1e-3)


def test_texts_of_uus_are_compared_with_and_not_calibrated_on() -> None:
    references = numbers("training", range(60))
    odd = [Reference("9999", "uu", "attack")]
    assert calibrate(NumbersApart(), [*references, *odd], seed=0) == pytest.approx(1 / 2)
    for too_few in ([], references[:1], [references[0], *odd]):
        with pytest.raises(ModelError, match="fewer than two texts"):
            calibrate(NumbersApart(), too_few, seed=0)


def test_bertscore_calibrated_passes_nearly_all_real_texts_of_both_kinds_and_no_nonsense() -> None:
    rng = random.Random(0)
    verbs, things = ["paid", "cut", "raised", "announced"], ["a dividend", "its forecast", "all wages", "the price"]
    firms = ["The bank", "A brewery", "The airline", "One retailer"]
    formal = [f"{firm} {verb} {thing} last week." for firm in firms for verb in verbs for thing in things]
    wishes, places = ["wanna go", "r u free 2 go", "u comin", "lets head"], ["home", "to town", "2 the gym", "out"]
    whens = ["2nite", "later", "at 5", "now"]
    casual = [f"{wish} {place} {when}" for wish in wishes for place in places for when in whens]
    for texts in (formal, casual):
        rng.shuffle(texts)
    references = [Reference(text, "training", text) for text in formal[:52]]
    deployed = [Reference(text, "deployment", text) for text in casual[:52]]
    scorer, told = BertScorer(), list[tuple[int, int]]()
    both = [*references, *deployed]
    threshold = calibrate(scorer, both, seed=0, report=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1]
    texts = [reference.text for reference in both]
    assert (scorer.best_f1(formal[52:] + casual[52:], texts) >= threshold).mean() >= 0.9
    nonsense = ["asdf jkl qwer uiop zxcv bnm", "lorem ipsum dolor sit amet"]
    assert (scorer.best_f1(nonsense, texts) < threshold).all()
    alone = calibrate(scorer, references, seed=0)
    assert (scorer.best_f1(casual[52:], texts[:52]) < alone).mean() > 0.5  # what comparing with training alone refuses
    with pytest.raises(Cancelled):
        calibrate(scorer, both, seed=0, cancelled=lambda: True)


@pytest.mark.parametrize(
    ("sources", "least"),
    [
        ([[200] * 60], 40),  # long texts: never more than IBS asks for
        ([[200] * 60, [17] * 60], 17),  # the deployment's are shorter
        ([[200] * 60, []], 40),
        ([[0] * 60], 1),
        ([], 40),
        ([list(range(100, 200)), [3]], 40),  # one short text is no rule
    ],
)
def test_the_least_length_follows_the_shorter_of_both_sorts_of_text(sources: list[list[int]], least: int) -> None:
    assert least_characters(sources) == least


def test_a_short_uu_asks_for_half_its_length_and_a_long_one_for_no_more_than_the_data() -> None:
    assert least_like(40, {"a": "seventeen   letters", "b": ""}) == 8
    assert least_like(40, {"a": "x" * 500}) == 40
    assert least_like(40, {"a": "?"}) == 1
