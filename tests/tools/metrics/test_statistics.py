"""The bootstrap over samples, its intervals and the exact sign test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from blindspot.tools.metrics.statistics import BLOCK_CELLS, interval, mcnemar, resample, sign_test


def drawn(strata: list[int], resamples: int = 40, seed: tuple[int, ...] = (0,)) -> np.ndarray:
    return np.concatenate(list(resample(strata, resamples=resamples, seed=seed)))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_every_resample_keeps_the_size_of_each_stratum(strata: list[int]) -> None:
    weights = drawn(strata)
    assert weights.shape == (40, len(strata))
    for stratum in set(strata):
        members = np.array(strata) == stratum
        assert (weights[:, members].sum(axis=1) == members.sum()).all()


def test_the_same_seed_gives_the_same_resamples_and_another_seed_others() -> None:
    assert (drawn([0] * 20) == drawn([0] * 20)).all()
    assert (drawn([0] * 20) != drawn([0] * 20, seed=(1,))).any()


def test_resampling_leaves_the_global_generator_alone() -> None:
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    drawn([0] * 20)
    assert np.random.random() == expected


def test_resamples_come_in_blocks_that_add_up() -> None:
    n = BLOCK_CELLS // 100
    blocks = list(resample(np.zeros(n), resamples=250, seed=[0]))
    assert [len(block) for block in blocks] == [100, 100, 50]


def test_nothing_can_be_resampled_from_no_samples() -> None:
    with pytest.raises(ValueError, match="no samples"):
        drawn([])


def test_the_interval_of_a_mean_agrees_with_scipy() -> None:
    values = np.random.default_rng(5).normal(size=200)
    ours = interval(drawn([0] * 200, resamples=5000) @ values / 200)
    other = stats.bootstrap((values,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(1))
    assert ours == pytest.approx(other.confidence_interval, abs=0.01)


def test_the_interval_of_a_mean_covers_the_truth_nineteen_times_in_twenty() -> None:
    generator = np.random.default_rng(7)
    weights = drawn([0] * 100, resamples=500) / 100
    ends = np.array([interval(weights @ generator.normal(size=100)) for _ in range(400)])
    assert ((ends[:, 0] < 0) & (ends[:, 1] > 0)).mean() == pytest.approx(0.95, abs=0.03)


def test_the_interval_of_a_count_is_whole() -> None:
    low, high = interval(drawn([0] * 50, resamples=333) @ (np.arange(50) < 20))
    assert low == int(low) < 20 < high == int(high)


def test_mcnemar_agrees_with_the_binomial_worked_by_hand() -> None:
    new = [True] * 1 + [False] * 6 + [True] * 10
    baseline = [False] * 1 + [True] * 6 + [True] * 10
    assert mcnemar(new, baseline) == pytest.approx(2 * (1 + 7) / 2**7)  # 1 of 7 discordant pairs, two-sided


def test_mcnemar_of_a_model_with_itself_is_one() -> None:
    assert mcnemar([True, False], [True, False]) == 1.0


@settings(max_examples=50)
@given(st.lists(st.integers(-3, 3), max_size=60))
def test_the_sign_test_is_a_probability_and_does_not_care_which_side_is_new(changes: list[int]) -> None:
    assert 0 <= sign_test(changes) <= 1
    assert sign_test(changes) == pytest.approx(sign_test([-change for change in changes]))
