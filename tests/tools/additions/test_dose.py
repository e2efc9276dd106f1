"""Rows are divided among programs by what these do, within what they can give."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.tools.additions.dose import BanditArm, Dose, bandit, bandit_round, proportional, updated

DOSES = st.lists(
    st.builds(
        Dose,
        program_id=st.uuids().map(str),
        effect=st.floats(-0.5, 1) | st.just(0.25),
        coverage=st.floats(0, 1) | st.just(0.5),
        capacity=st.integers(0, 400),
    ),
    max_size=12,
    unique_by=lambda dose: dose.program_id,
)


def test_rows_are_in_proportion_to_effect_times_coverage() -> None:
    doses = [Dose("a", 0.5, 0.2, 1000), Dose("b", 0.1, 1.0, 1000), Dose("c", 0.4, 0.5, 1000)]
    assert proportional(doses, 400) == {"a": 100, "b": 100, "c": 200}


def test_what_a_program_cannot_take_goes_to_the_others() -> None:
    doses = [Dose("a", 0.6, 1.0, 50), Dose("b", 0.3, 1.0, 1000), Dose("c", 0.1, 1.0, 1000)]
    assert proportional(doses, 450) == {"a": 50, "b": 300, "c": 100}
    assert proportional(doses, 450, cap=250) == {"a": 50, "b": 250, "c": 150}
    assert proportional(doses, 5000, cap=200) == {"a": 50, "b": 200, "c": 200}


def test_every_program_gets_the_floor_as_far_as_it_goes() -> None:
    doses = [Dose("a", 0.9, 1.0, 1000), Dose("b", 0.001, 1.0, 1000), Dose("c", -0.1, 1.0, 5), Dose("d", 0.2, 1.0, 1000)]
    assert proportional(doses, 100, floor=10) == {"a": 70, "b": 10, "c": 5, "d": 15}
    assert proportional(doses, 25, floor=10) == {"a": 10, "b": 5, "c": 0, "d": 10}
    assert proportional([], 100) == {}
    assert proportional([Dose("a", 0.0, 1.0, 9)], 100, floor=3) == {"a": 3}


def test_remainders_go_to_the_largest_and_ties_to_the_first_id() -> None:
    same = [Dose(name, 0.3, 0.5, 100) for name in "cab"]
    assert proportional(same, 11) == {"c": 3, "a": 4, "b": 4}


@given(doses=DOSES, budget=st.integers(0, 2_000), floor=st.integers(0, 40), cap=st.none() | st.integers(40, 500))
def test_the_budget_is_spent_within_every_bound(doses: list[Dose], budget: int, floor: int, cap: int | None) -> None:
    rows = proportional(doses, budget, floor=floor, cap=cap)
    assert list(rows) == [dose.program_id for dose in doses]
    assert rows == proportional(doses[::-1], budget, floor=floor, cap=cap)
    limit = {dose.program_id: min(dose.capacity, budget if cap is None else cap) for dose in doses}
    assert all(0 <= rows[name] <= limit[name] for name in rows)
    able = sum(limit[d.program_id] if d.weight > 0 else min(floor, limit[d.program_id]) for d in doses)
    assert sum(rows.values()) == min(budget, able)
    if sum(min(floor, each) for each in limit.values()) <= budget:
        assert all(rows[name] >= min(floor, limit[name]) for name in rows)
    for a in doses:
        for b in doses:
            if a.weight > b.weight and rows[a.program_id] < limit[a.program_id]:
                assert rows[a.program_id] >= min(rows[b.program_id], limit[a.program_id]) - 1


def test_bounds_that_contradict_one_another_are_refused() -> None:
    for bounds in ({"floor": -1}, {"floor": 5, "cap": 4}):
        with pytest.raises(ValueError, match="do not go together"):
            proportional([], 10, **bounds)
    with pytest.raises(ValueError, match="do not go together"):
        proportional([], -1)


def test_a_bandit_gives_most_rows_to_the_program_with_most_uus_left() -> None:
    rates = {"dry": 0.02, "rich": 0.5, "middle": 0.2}
    arms = [BanditArm(name, 10_000, uus=rate * 50, tested=50) for name, rate in rates.items()]
    given_rows = bandit_round(arms, 300, seed=0, small_round=0)
    assert sum(given_rows.values()) == 300
    assert given_rows["rich"] > 280
    assert given_rows == bandit_round(arms[::-1], 300, seed=0, small_round=0)
    unknown = [BanditArm("a", 100), BanditArm("b", 100)]
    assert len({str(bandit_round(unknown, 50, seed=seed, small_round=0)) for seed in range(5)}) > 1


def test_an_unknown_program_is_tried_and_an_empty_one_is_not() -> None:
    arms = [
        BanditArm("known", 1000, uus=15, tested=50),
        BanditArm("unknown", 1000),
        BanditArm("empty", 0, uus=50, tested=50),
    ]
    given_rows = bandit_round(arms, 200, seed=0, small_round=0)
    assert given_rows["unknown"] > 50
    assert given_rows["empty"] == 0
    assert bandit_round([BanditArm("a", 3), BanditArm("b", 4)], 200, seed=0, small_round=0) == {"a": 3, "b": 4}
    assert bandit_round([], 5, seed=0, small_round=0) == {}


def test_a_bandit_moves_on_once_a_program_is_repaired() -> None:
    rates = {"first": 0.6, "second": 0.3}
    history: list[Mapping[str, int]] = []

    def observe(rows: Mapping[str, int]) -> Mapping[str, tuple[int, int]]:
        history.append(rows)
        for name, count in rows.items():
            rates[name] *= 0.985**count  # each row repairs a little
        return {name: (round(100 * rate), 100) for name, rate in rates.items()}

    arms = [BanditArm("first", 500, uus=60, tested=100), BanditArm("second", 500, uus=30, tested=100)]
    total = bandit(arms, 200, observe, rounds=10, seed=0)
    assert sum(total.values()) == 200
    assert [sum(rows.values()) for rows in history] == [20] * 9
    assert history[0] == {"first": 20, "second": 0}
    assert total["second"] > 40
    assert abs(rates["first"] - rates["second"]) < 0.1


def test_older_observations_count_less() -> None:
    arm = updated(BanditArm("a", 10, uus=40, tested=100), 4, (5, 50))
    assert (arm.capacity, arm.uus, arm.tested) == (6, 25, 100)
    with pytest.raises(ValueError, match="6 UUs of 5 texts"):
        updated(arm, 0, (6, 5))
    with pytest.raises(ValueError, match="over 0 rounds"):
        bandit([], 5, lambda _: {}, rounds=0, seed=0)
