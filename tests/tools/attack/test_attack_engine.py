"""The engine under the attacks: jobs side by side, answers in shared batches, random streams apart."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindspot.storage.errors import Cancelled
from blindspot.tools.attack.engine import PATIENCE, Oracle, OutOfTime, run_jobs


class Squares:
    """A model that squares, and notes what it was asked; it chokes on 13."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def __call__(self, numbers: list[int]) -> Any:
        self.calls.append(list(numbers))
        if 13 in numbers:
            raise ValueError("13 is bad luck")
        return np.array([[number**2] for number in numbers], dtype=np.float64)


def oracle_of(model: Squares, **options: int) -> Oracle[int]:
    return Oracle(model, size=lambda number: number, **options)


def walk(oracle: Oracle[int], seed: int, steps: int) -> Callable[[], list[float]]:
    """A job whose every step depends on both global generators and on the last answer."""

    def job() -> list[float]:
        random.seed(seed)
        np.random.seed(seed)
        seen = [0.0]
        for _ in range(steps):
            start = random.randrange(50) + int(np.random.randint(50)) + int(seen[-1]) % 7
            seen += [float(row[0]) for row in oracle.ask([start + 100, start + 101])]
        return seen

    return job


@settings(deadline=None, max_examples=40)
@given(
    jobs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=12),
    together=st.integers(1, 9),
    batch=st.integers(1, 8),
    remembered=st.integers(0, 10),
)
def test_jobs_return_the_same_at_any_concurrency(
    jobs: list[tuple[int, int]], together: int, batch: int, remembered: int
) -> None:
    alone = [walk(oracle_of(Squares()), seed, steps)() for seed, steps in jobs]
    oracle = oracle_of(Squares(), batch=batch, remembered=remembered)
    walks = [walk(oracle, seed, steps) for seed, steps in jobs]
    numbered = [lambda i=i, job=job: (i, job()) for i, job in enumerate(walks)]
    results = dict(result for result, _ in run_jobs(numbered, together=together))
    assert [results[i] for i in range(len(jobs))] == alone


def test_questions_of_many_jobs_are_answered_in_one_batch_and_each_once() -> None:
    model = Squares()
    oracle = oracle_of(model)
    jobs = [lambda i=i: oracle.ask([i, i + 1, 3]).tolist() for i in range(3)]
    assert sorted(result for result, _ in run_jobs(jobs, together=3)) == [
        [[i**2], [(i + 1) ** 2], [9]] for i in range(3)
    ]
    assert model.calls == [[0, 1, 2, 3]]


def test_an_error_reaches_only_the_job_that_caused_it() -> None:
    oracle = oracle_of(Squares())

    def job(number: int) -> str:
        try:
            return f"{oracle.ask([number])[0][0]:.0f}"
        except ValueError as error:
            return str(error)

    results = [result for result, _ in run_jobs([partial(job, i) for i in (12, 13, 14)], together=3)]
    assert sorted(results) == ["13 is bad luck", "144", "196"]


def test_jobs_are_taken_only_when_a_seat_is_free() -> None:
    oracle = oracle_of(Squares())
    started = 0

    def source() -> Iterator[Callable[[], Any]]:
        nonlocal started
        for i in range(100):
            started += 1
            yield partial(oracle.ask, [i])

    results = run_jobs(source(), together=4)
    next(results)
    assert started <= 8
    results.close()


def test_a_stop_ends_the_jobs_in_their_own_finally_blocks() -> None:
    oracle = oracle_of(Squares(), batch=2)
    left: list[int] = []

    def job(number: int) -> None:
        try:
            for step in range(1000):
                oracle.ask([number * 1000 + step])
        finally:
            left.append(number)

    polls = iter([False] * 5)
    with pytest.raises(Cancelled):
        list(run_jobs([partial(job, i) for i in range(6)], together=6, cancelled=lambda: next(polls, True)))
    assert sorted(left) == [0, 1, 2, 3, 4, 5]


def test_between_two_batches_there_is_time_for_other_work() -> None:
    model = Squares()
    oracle = oracle_of(model, batch=2)
    seen: list[tuple[int, int]] = []
    results: list[Any] = []

    def job(number: int) -> int:
        for step in range(number + 1):
            oracle.ask([10 * number + step])
        return number

    def look() -> None:
        seen.append((len(model.calls), len(results)))

    jobs = [lambda i=i: job(i) for i in range(4)]
    for result, _ in run_jobs(jobs, together=2, between=look, cancelled=lambda: len(seen) == 0):
        results.append(result)
    assert sorted({calls for calls, _ in seen}) == list(range(len(model.calls) + 1))
    assert seen[-1] == (len(model.calls), 4)  # what has ended was yielded before


def test_a_long_question_is_cut_into_batches_and_can_be_stopped_between_them() -> None:
    model = Squares()
    oracle = oracle_of(model, batch=10)
    with pytest.raises(Cancelled):
        list(run_jobs([lambda: oracle.ask(range(100, 200))], together=1, cancelled=lambda: len(model.calls) >= 3))
    assert [len(call) for call in model.calls] == [10, 10, 10]


def test_the_consumers_random_state_is_its_own() -> None:
    def draws() -> list[float]:
        return [random.random(), float(np.random.normal()), float(np.random.rand())]

    random.seed(5)
    np.random.seed(5)
    expected = [draws() for _ in range(4)]
    random.seed(5)
    np.random.seed(5)
    seen = [draws()]
    for _ in run_jobs([walk(oracle_of(Squares()), i, 3) for i in range(3)], together=2):
        seen.append(draws())
    assert seen == expected


def test_hubs_in_several_threads_do_not_mix_their_streams() -> None:
    oracle = oracle_of(Squares())
    alone = [walk(oracle_of(Squares()), seed, 40)() for seed in range(8)]
    found: dict[int, list[list[float]]] = {}

    def consume(name: int) -> None:
        jobs = [lambda i=i: (i, walk(oracle, i, 40)()) for i in range(8)]
        results = dict(result for result, _ in run_jobs(jobs, together=3))
        found[name] = [results[i] for i in range(8)]

    threads = [threading.Thread(target=consume, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), alone)


@settings(deadline=None, max_examples=40)
@given(
    steps=st.lists(st.integers(0, 6), max_size=14),
    together=st.integers(1, 9),
    ahead=st.integers(1, 20),
    batch=st.integers(1, 8),
)
def test_jobs_can_be_made_to_end_in_their_order(steps: list[int], together: int, ahead: int, batch: int) -> None:
    oracle = oracle_of(Squares(), batch=batch)
    begun = 0

    def job(number: int) -> list[float]:
        nonlocal begun
        begun += 1
        return [float(number), *walk(oracle, number, steps[number])()]

    jobs = [lambda i=i: job(i) for i in range(len(steps))]
    for done, (result, _) in enumerate(run_jobs(jobs, together=together, ahead=ahead)):
        assert result == [float(done), *walk(oracle_of(Squares()), done, steps[done])()]
        assert begun <= done + ahead
    assert begun == len(steps)


def test_a_job_that_has_used_up_its_time_gets_an_exception_in_place_of_an_answer() -> None:
    oracle = oracle_of(Squares())

    def job(number: int) -> str:
        try:
            for step in range(4):
                time.sleep(0.02 * number)
                oracle.ask([10 * number + step])
        except OutOfTime as late:
            return str(late)
        return "done"

    jobs = [lambda i=i: (i, job(i)) for i in (0, 9, 0, 9)]
    results = [result for result, _ in run_jobs(jobs, together=4, timeout_s=0.3)]
    assert sorted(results) == [(0, "done"), (0, "done")] + 2 * [(9, "timeout: more than 0.3 s")]


def test_few_questions_to_one_of_two_oracles_are_gathered() -> None:
    often, seldom = Squares(), Squares()
    oracles = oracle_of(often), oracle_of(seldom)

    def job(number: int) -> None:
        for step in range(60):
            oracles[0].ask([number * 1000 + step, -number * 1000 - step])
            if step == number:
                oracles[1].ask([number * 1000])

    list(run_jobs([partial(job, i) for i in range(1, 49)], together=48))
    assert sum(map(len, seldom.calls)) == 48
    assert len(seldom.calls) <= 48 / 4


def test_no_question_is_passed_over_for_ever() -> None:
    often, seldom = Squares(), Squares()
    oracles = oracle_of(often), oracle_of(seldom)
    answered_after: list[int] = []

    def crowd(number: int) -> None:
        for step in range(100):
            oracles[0].ask([number * 1000 + step])

    def loner() -> None:
        oracles[1].ask([7])
        answered_after.append(len(often.calls))

    list(run_jobs([loner, *(lambda i=i: crowd(i) for i in range(1, 9))], together=9))
    assert answered_after[0] <= PATIENCE


def test_what_an_oracle_remembers_is_answered_on_the_spot() -> None:
    oracle = oracle_of(Squares())
    polls = 0

    def never() -> bool:
        nonlocal polls
        polls += 1
        return False

    list(run_jobs([lambda: [oracle.ask([3]) for _ in range(100)]], together=1, cancelled=never))
    assert polls < 10


def test_answers_to_large_questions_are_forgotten_before_they_fill_the_memory() -> None:
    model = Squares()
    oracle = Oracle(model, size=lambda number: number, held=10)
    asked = [[3], [4], [3], [5], [4], [60], [3]]
    assert [oracle.ask(questions).tolist() for questions in asked] == [[[q * q] for q in each] for each in asked]
    assert sum(oracle.memory) == oracle.holds <= 10
    oracle.forget()
    assert (oracle.holds, len(oracle.memory)) == (0, 0)
