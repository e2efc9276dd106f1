"""A judge's agreement with given labels: worked by hand, and what is left of UUs by it."""

from __future__ import annotations

import pytest
from sklearn.metrics import cohen_kappa_score

from blindspot.storage.records import Evaluation
from blindspot.tools.metrics.agreement import agreement
from blindspot.tools.metrics.figure import Scope
from blindspot.tools.metrics.validated import validated_uus

SCOPE = Scope("run-1", 1, 0.65, (), 200, 0)


def test_kappa_and_share_are_as_worked_by_hand() -> None:
    labels = ["a"] * 25 + ["b"] * 25
    judged = ["a"] * 20 + ["b"] * 5 + ["a"] * 10 + ["b"] * 15  # the textbook's table: 20, 5, 10, 15
    shared = agreement(labels, judged, SCOPE)
    assert (shared.n, shared.agreed, shared.share.value) == (50, 35, 0.7)
    assert shared.kappa is not None
    assert shared.kappa.value == pytest.approx(0.4)  # (.7 - .5) / (1 - .5)
    assert shared.kappa.value == pytest.approx(cohen_kappa_score(labels, judged))
    assert shared.kappa.low is not None
    assert shared.kappa.high is not None
    assert shared.kappa.low < 0.4 < shared.kappa.high
    assert shared.share.low is not None
    assert shared.share.high is not None
    assert shared.share.low < 0.7 < shared.share.high
    assert shared == agreement(labels, judged, SCOPE)


def test_what_a_judge_cannot_tell_agrees_with_nothing() -> None:
    shared = agreement(["a", "b", "b", "a"], ["a", None, None, None], SCOPE)
    assert (shared.n, shared.agreed) == (4, 1)
    assert shared.kappa is not None
    assert shared.kappa.value == pytest.approx(cohen_kappa_score(["a", "b", "b", "a"], ["a", "-", "-", "-"]))


def test_kappa_is_not_defined_where_there_is_one_label_only() -> None:
    shared = agreement(["a"] * 6, ["a"] * 6, SCOPE)
    assert (shared.share.value, shared.kappa) == (1.0, None)


def counted(metric: str, value: float) -> Evaluation:
    return Evaluation("e", "run-1", 1, "mod-1", None, metric, value, None, None, None, "test", "deepwordbug", 0.65, 100)


def test_valid_uus_are_the_natural_ones_and_the_share_of_the_others_that_the_judge_confirms() -> None:
    shared = agreement(["a"] * 30 + ["b"] * 10, ["a"] * 30 + ["a"] * 10, SCOPE)
    measured = [counted("uus_natural", 10.0), counted("uus_flipped", 40.0)]
    rows = validated_uus(measured, shared, SCOPE, model_id="mod-1", recipe="deepwordbug")
    figures = {row.metric: row for row in rows}
    assert set(figures) == {"judge_agreement", "judge_kappa", "uus_validated"}
    valid = figures["uus_validated"]
    assert valid.value == pytest.approx(10 + 0.75 * 40)
    assert shared.share.low is not None
    assert valid.low == pytest.approx(10 + shared.share.low * 40)
    assert (valid.n, valid.threshold, valid.recipe) == (100, 0.65, "deepwordbug")
    assert figures["judge_agreement"].n == 40
    assert not [row for row in validated_uus([], shared, SCOPE, model_id="m", recipe="r") if row.metric[:3] == "uus"]
