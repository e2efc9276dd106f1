"""Tests of programs: intervals and p-values against known ones, and how often chance alone confirms a program."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from blindspot.tools.metrics.program_tests import (
    EditedOutcomes,
    JudgedProgram,
    TemplateOutcomes,
    adjust,
    compare_retests,
    judge_programs,
    paired_interval,
    unpaired_interval,
)


def pairs(name: str, both: int, gained: int, lost: int, neither: int, rows: int | None = None) -> EditedOutcomes:
    without = [True] * both + [False] * gained + [True] * lost + [False] * neither
    edited = [True] * both + [True] * gained + [False] * lost + [False] * neither
    return EditedOutcomes(name, without, edited, rows or len(without))


def only(outcomes: EditedOutcomes | TemplateOutcomes, **limits: float) -> JudgedProgram:
    (test,) = judge_programs([outcomes], **limits)  # type: ignore[arg-type]
    return test


def test_a_program_by_hand() -> None:
    test = only(pairs("p", both=5, gained=12, lost=2, neither=81, rows=400))
    assert (test.n, test.coverage, test.rate_without, test.rate_with) == (100, 0.25, 0.07, 0.17)
    assert test.effect == pytest.approx(0.10)
    # 14 pairs differ, 12 one way: 2 * (1 + 14 + 91) / 2**14
    assert test.p_value == pytest.approx(212 / 16384)
    assert test.adjusted_p == test.p_value
    # 12.5 and 2.5 of 102 pairs: 10 / 102 -+ 1.959964 * sqrt(15 - 100 / 102) / 102
    assert test.low == pytest.approx(0.026092, abs=1e-6)
    assert test.high == pytest.approx(0.169987, abs=1e-6)
    assert test.verdict == "confirmed"


def test_a_template_by_hand() -> None:
    test = only(TemplateOutcomes("t", [True] * 56 + [False] * 14, [True] * 48 + [False] * 32))
    assert (test.n, test.coverage) == (70, None)
    assert test.effect == pytest.approx(0.2)
    # Newcombe (1998), table II (a), method 10
    assert (test.low, test.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert test.p_value == stats.fisher_exact([[56, 14], [48, 32]]).pvalue
    assert test.verdict == "confirmed"


def test_the_paired_interval_covers_the_truth_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(3)
    for p, q, n in ((0.15, 0.05, 60), (0.30, 0.30, 40), (0.06, 0.02, 200)):
        drawn = rng.multinomial(n, [p, q, 1 - p - q], size=4_000)
        covered = [low <= p - q <= high for low, high in (paired_interval(a, b, n) for a, b, _ in drawn.tolist())]
        assert 0.935 <= np.mean(covered) <= 0.985


@given(st.integers(1, 60), st.data())
def test_intervals_hold_the_estimate_and_stay_in_range(n: int, data: st.DataObject) -> None:
    gained = data.draw(st.integers(0, n))
    lost = data.draw(st.integers(0, n - gained))
    low, high = paired_interval(gained, lost, n)
    assert -1 <= low < high <= 1
    mirrored = paired_interval(lost, gained, n)
    assert (low, high) == pytest.approx((-mirrored[1], -mirrored[0]))
    low, high = unpaired_interval(gained, n, lost, n)
    assert -1 - 1e-9 <= low <= (gained - lost) / n + 1e-9
    assert (gained - lost) / n - 1e-9 <= high <= 1 + 1e-9


def test_corrections_by_hand() -> None:
    values = [0.01, 0.04, 0.03, 0.005]
    assert adjust(values, "holm").tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust(values, "benjamini-hochberg").tolist() == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert adjust([], "holm").size == adjust([], "benjamini-hochberg").size == 0


def test_verdicts_need_rows_a_significant_test_and_an_effect_upwards() -> None:
    tests = judge_programs(
        [
            pairs("strong", 0, 20, 0, 80),
            pairs("small", 0, 40, 5, 2_000),
            pairs("down", 0, 0, 20, 80),
            pairs("weak", 0, 6, 2, 92),
            pairs("few", 0, 20, 0, 5),
            pairs("none", 0, 0, 0, 0, rows=10),
            TemplateOutcomes("texts", [True] * 20 + [False] * 20, [False] * 200),
            TemplateOutcomes("no texts", [], [False] * 200),
        ]
    )
    assert {test.program_id: test.verdict for test in tests} == {
        "strong": "confirmed",
        "small": "refuted",  # significant, but the rate rises by 1.7 points only
        "down": "refuted",
        "weak": "refuted",
        "few": "not applicable",
        "none": "not applicable",
        "texts": "confirmed",
        "no texts": "not applicable",
    }
    assert tests[4].effect == pytest.approx(0.8)
    assert tests[4].adjusted_p is None
    assert tests[5].effect is None
    assert tests[1].p_value is not None
    assert tests[1].adjusted_p == pytest.approx(tests[1].p_value * 4)  # the second of five that are applicable


def test_programs_that_change_nothing_are_confirmed_in_at_most_one_round_of_twenty() -> None:
    rng = np.random.default_rng(11)
    rounds, programs, n = 300, 10, 80
    wrong = 0
    for _ in range(rounds):
        base = rng.random((programs, n)) < 0.2
        other = np.where(rng.random((programs, n)) < 0.5, rng.random((programs, n)) < 0.2, base)
        outcomes = [EditedOutcomes(f"p{k}", base[k], other[k], n) for k in range(programs)]
        wrong += any(test.verdict == "confirmed" for test in judge_programs(outcomes, least_effect=0.0))
    assert wrong / rounds <= 0.05


def test_a_real_effect_among_many_that_are_none_is_found() -> None:
    rng = np.random.default_rng(12)
    base = rng.random((20, 300)) < 0.05
    edited = base.copy()
    edited[7] |= rng.random(300) < 0.2
    tests = judge_programs([EditedOutcomes(f"p{k}", base[k], edited[k], 300) for k in range(20)])
    assert [test.program_id for test in tests if test.verdict == "confirmed"] == ["p7"]


@pytest.mark.parametrize(
    ("gained", "lost", "outcome"),
    [
        (0, 0, "closed"),
        (3, 2, "closed"),
        (0, 9, "closed"),
        (14, 2, "half closed"),
        (7, 0, "half closed"),
        (31, 1, "open"),
    ],
)
def test_what_is_left_of_an_effect(gained: int, lost: int, outcome: str) -> None:
    before = judge_programs([pairs("p", 0, 42, 2, 156)])
    after = judge_programs([pairs("p", 0, gained, lost, 200 - gained - lost)])
    (retest,) = compare_retests(before, after)
    assert retest.share_left == pytest.approx((gained - lost) / 40)
    assert retest.outcome == outcome


def test_a_small_rest_that_is_still_significant_is_half_closed() -> None:
    before = judge_programs([pairs("p", 0, 800, 0, 200)])
    (retest,) = compare_retests(before, judge_programs([pairs("p", 0, 100, 0, 900)]))
    assert (retest.share_left, retest.outcome) == (0.125, "half closed")


def test_what_cannot_be_tested_says_so() -> None:
    with pytest.raises(ValueError, match=r"p: outcomes of shapes \(2,\) and \(3,\)"):
        judge_programs([EditedOutcomes("p", [True, False], [True, False, True], 9)])
    with pytest.raises(ValueError, match="3 rows edited of 2"):
        judge_programs([EditedOutcomes("p", [True] * 3, [True] * 3, 2)])
    with pytest.raises(ValueError, match="alpha is 5"):
        judge_programs([], alpha=5)
    refuted = judge_programs([pairs("p", 0, 1, 1, 98)])
    with pytest.raises(ValueError, match="p was not confirmed"):
        compare_retests(refuted, refuted)
    with pytest.raises(ValueError, match="p was not tested again"):
        compare_retests(judge_programs([pairs("p", 0, 50, 0, 50)]), [])
