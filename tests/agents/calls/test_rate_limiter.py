"""The rate limiter: windows of requests and tokens, slots in flight, pauses for all, and rates that give way."""

from __future__ import annotations

import asyncio
import functools
import math
import selectors
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import asyncio_throttle.throttler
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindspot.agents.calls.admission import admit
from blindspot.agents.calls.ledger import Ledger
from blindspot.agents.calls.rate_limiter import (
    CUT,
    ENOUGH,
    LEAST,
    Load,
    Passage,
    RateLimiter,
    Rates,
    TokenGuess,
    TokenWindow,
    backoff_s,
    rate_limiter_of,
)
from blindspot.agents.chat import Unavailable
from blindspot.storage.errors import Unanswered

RATES = Rates(
    requests_per_minute=10_000,
    requests_per_second=1_000,
    tokens_per_minute=10**9,
    concurrency=50,
    longest_pause_s=60,
    backoff_s=0.01,
)


class Clock(selectors.DefaultSelector):
    """A clock that stands still while anything runs, and jumps to where the event loop would wake up."""

    now = 1.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


def on_a_clock_of_its_own(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in virtual time: it takes none, and a busy machine cannot make it late."""

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        clock = Clock()
        loop = asyncio.SelectorEventLoop(clock)
        loop.time = lambda: clock.now  # type: ignore[method-assign]
        real = asyncio_throttle.throttler.time
        asyncio_throttle.throttler.time = SimpleNamespace(monotonic=loop.time)
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(test(**arguments))
        finally:
            asyncio_throttle.throttler.time = real

    return run


def now() -> float:
    return asyncio.get_running_loop().time()


def load(tokens: int = 3) -> Load:
    """A request that is guessed at so many tokens."""
    return Load("abstract", 0, tokens)


async def pass_times(
    limiter: RateLimiter, callers: int, stay_s: float = 0.0, tokens: list[int] | None = None
) -> list[tuple[float, int]]:
    """Send callers through; the seconds after which each of them got in, and its tokens, in order."""
    started = now()
    times: list[tuple[float, int]] = []

    async def caller(spent: int) -> None:
        async with limiter.slots:
            await limiter.enter(load(spent))
            times.append((now() - started, spent))
            await asyncio.sleep(stay_s)

    await asyncio.gather(*(caller(spent) for spent in tokens or [1] * callers))
    return sorted(times)


def most_within(times: list[tuple[float, int]], window_s: float) -> int:
    """The most tokens, or requests of one token each, that lie in a window."""
    return max(sum(spent for time, spent in times if start <= time < start + window_s) for start, _ in times)


@on_a_clock_of_its_own
async def test_no_short_window_holds_more_than_its_limit() -> None:
    times = await pass_times(RateLimiter(replace(RATES, requests_per_second=4, second_s=0.3)), 12)
    assert most_within(times, 0.3) == 4
    assert 0.6 <= times[-1][0] < 0.9


@on_a_clock_of_its_own
async def test_no_long_window_holds_more_than_its_limit() -> None:
    times = await pass_times(RateLimiter(replace(RATES, requests_per_minute=5, minute_s=0.4, second_s=0.01)), 10)
    assert most_within(times, 0.4) == 5
    assert 0.4 <= times[-1][0] < 0.6


@settings(deadline=None)
@given(
    per_minute=st.integers(1, 12),
    per_second=st.integers(1, 12),
    tokens=st.lists(st.integers(1, 40), min_size=1, max_size=25),
)
def test_whatever_is_asked_no_window_holds_more_requests_or_tokens_than_allowed(
    per_minute: int, per_second: int, tokens: list[int]
) -> None:
    rates = replace(
        RATES,
        requests_per_minute=per_minute,
        requests_per_second=per_second,
        tokens_per_minute=50,
        minute_s=0.06,
        second_s=0.01,
    )
    times: list[tuple[float, int]] = []

    @on_a_clock_of_its_own
    async def pass_all() -> None:
        times.extend(await pass_times(RateLimiter(rates), 0, tokens=tokens))

    pass_all()
    assert len(times) == len(tokens)
    assert most_within(times, 0.06) <= 50
    ones = [(time, 1) for time, _ in times]
    assert most_within(ones, 0.06) <= per_minute
    assert most_within(ones, 0.01) <= per_second


@given(
    limit=st.integers(1, 100),
    steps=st.lists(st.tuples(st.floats(0, 2), st.integers(0, 150), st.integers(0, 150)), max_size=30),
)
def test_tokens_fit_or_wait_for_an_empty_window_and_corrections_count(
    limit: int, steps: list[tuple[float, int, int]]
) -> None:
    window, now = TokenWindow(limit, 1.0), 0.0
    passed: list[tuple[float, int]] = []
    for delay_s, guessed, really in steps:
        now += delay_s
        while (wait_s := window.wait_s(guessed, now)) > 0:
            now += wait_s
        within = sum(tokens for at, tokens in passed if now - at <= 1.0)
        assert within + guessed <= limit or within == 0
        window.correct(window.add(guessed, now), really)
        passed.append((now, really))


@on_a_clock_of_its_own
async def test_a_request_larger_than_the_limit_passes_alone() -> None:
    limiter = RateLimiter(replace(RATES, tokens_per_minute=10, minute_s=0.2))
    times = await pass_times(limiter, 0, tokens=[5, 25, 5])
    assert [spent for _, spent in times] == [5, 25, 5]
    assert times[1][0] >= 0.2
    assert times[2][0] >= 0.4


@on_a_clock_of_its_own
async def test_tokens_that_were_not_needed_are_there_for_others() -> None:
    limiter = RateLimiter(replace(RATES, tokens_per_minute=20, minute_s=5))
    started = now()
    for _ in range(5):
        passage = await limiter.enter(load(8))
        limiter.answered(passage, 1, 1)
    assert now() - started < 0.1


def test_a_guess_is_the_worst_case_until_answers_are_known_then_near_to_them() -> None:
    guess = TokenGuess()
    for n in range(ENOUGH):
        assert guess.tokens(300, 1500) == 1600
        guess.learn(300, 75, 100 + n % 2 * 20)
    assert 185 <= guess.tokens(300, 1500) <= 205
    assert guess.tokens(3000, 1500) > 700
    assert guess.tokens(300, 50) < 150


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 5000), st.integers(0, 2000)), max_size=40))
def test_a_guess_is_never_below_nothing_and_its_answer_never_beyond_what_is_allowed(
    answers: list[tuple[int, int, int]],
) -> None:
    guess = TokenGuess()
    for most_in, tokens_in, tokens_out in answers:
        assert 0 <= guess.tokens(0, 2000) <= 2000
        guess.learn(most_in, tokens_in, tokens_out)


async def test_requests_that_were_held_up_after_passing_count_from_when_they_left() -> None:
    limiter = RateLimiter(replace(RATES, requests_per_minute=4, tokens_per_minute=40, minute_s=0.5))
    started = time.monotonic()
    for _ in range(4):
        await limiter.enter(load(10))
    time.sleep(0.3)  # the event loop stands still: none of them has left
    await asyncio.sleep(0.01)
    await limiter.enter(load(10))
    assert time.monotonic() - started >= 0.8


@on_a_clock_of_its_own
async def test_no_more_are_inside_than_there_are_slots() -> None:
    limiter = RateLimiter(replace(RATES, concurrency=3))
    inside, most = 0, 0

    async def caller() -> None:
        nonlocal inside, most
        async with limiter.slots:
            await limiter.enter(load())
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(caller() for _ in range(12)))
    assert most == 3


@on_a_clock_of_its_own
async def test_a_pause_holds_everyone_also_those_who_wait_already() -> None:
    limiter = RateLimiter(replace(RATES, requests_per_second=2, second_s=0.3))
    waiting = asyncio.create_task(pass_times(limiter, 6))
    await asyncio.sleep(0.1)  # two are through, four wait for the next window
    limiter.pause(0.5)
    times = [time for time, _ in await waiting]
    assert sum(time < 0.3 for time in times) == 2
    assert all(time >= 0.6 for time in times[2:])


@on_a_clock_of_its_own
async def test_a_shorter_pause_does_not_end_a_longer_one_and_none_is_longer_than_allowed() -> None:
    limiter = RateLimiter(replace(RATES, longest_pause_s=0.3))
    limiter.pause(math.inf)
    limiter.pause(0.01)
    assert 0.3 <= (await pass_times(limiter, 1))[0][0] < 0.5


@on_a_clock_of_its_own
async def test_a_caller_that_gives_up_waiting_leaves_its_slot_to_others() -> None:
    limiter = RateLimiter(replace(RATES, concurrency=1))
    limiter.pause(0.1)
    waiting = asyncio.create_task(pass_times(limiter, 1))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(2):
        assert len(await pass_times(limiter, 2)) == 2


async def refuse_one(limiter: RateLimiter, retry_after_s: float | None = None) -> Passage:
    passage = await limiter.enter(load())
    limiter.refused(passage, retry_after_s)
    return passage


@on_a_clock_of_its_own
async def test_refusals_cut_the_rates_once_for_all_in_flight_and_they_grow_back_slowly() -> None:
    limiter = RateLimiter(replace(RATES, minute_s=0.5, backoff_s=1e-9))
    together = [await limiter.enter(load()) for _ in range(5)]
    for passage in together:
        limiter.refused(passage, None)
    assert limiter.share == pytest.approx(CUT, abs=0.01)
    await refuse_one(limiter)
    assert limiter.share == pytest.approx(CUT**2, abs=0.02)
    for _ in range(20):
        await refuse_one(limiter, retry_after_s=0.001)
        assert limiter.share >= LEAST
    low = limiter.share
    assert low < 0.12
    await asyncio.sleep(0.25)
    assert low < limiter.share < low + 0.1
    limiter = RateLimiter(replace(RATES, minute_s=0.01))
    await refuse_one(limiter)
    await asyncio.sleep(0.2)
    assert limiter.share == 1


@on_a_clock_of_its_own
async def test_cut_rates_let_fewer_pass() -> None:
    limiter = RateLimiter(replace(RATES, requests_per_second=10, second_s=0.2, minute_s=1000))
    await refuse_one(limiter)
    await refuse_one(limiter)
    times = await pass_times(limiter, 14)
    assert most_within(times, 0.2) == 7


@on_a_clock_of_its_own
async def test_refusals_in_a_row_are_waited_for_longer_and_longer_until_an_answer_comes() -> None:
    limiter = RateLimiter(RATES)
    assert limiter.refused_for_s == 0
    waits = []
    for _ in range(4):
        started = now()
        await refuse_one(limiter)
        waits.append(now() - started)
    assert waits[3] > 0.018
    assert limiter.refused_for_s > 0.03
    limiter.answered(await limiter.enter(load()), 1, 1)
    assert limiter.refused_for_s == 0
    assert backoff_s(0.5, 3) == 4
    assert backoff_s(0.5, 10**6) == 30


@on_a_clock_of_its_own
async def test_refusals_are_in_a_row_only_until_the_provider_looks_at_a_question_or_nobody_asks() -> None:
    limiter = RateLimiter(replace(RATES, longest_pause_s=600))
    ledger = Ledger(max_calls=None, max_usd=None, price=None, max_tokens=9)
    looked_at = [Unanswered("answered 400"), Unavailable("answered 500", may_be_billed=False)]
    for error, is_over in [*((error, True) for error in looked_at), (Unavailable("no answer within 60 s"), False)]:
        await refuse_one(limiter)
        await asyncio.sleep(60)
        async with admit(limiter, ledger, load()) as ticket:
            ticket.failed(error)
        assert (limiter.refused_for_s == 0) == is_over
    await asyncio.sleep(1800)
    await refuse_one(limiter)
    assert limiter.refused_for_s == 0


@on_a_clock_of_its_own
@pytest.mark.parametrize("longest_pause_s", [1, 600])
async def test_refusals_with_only_pauses_between_them_are_in_a_row_however_slow_the_rate(longest_pause_s: int) -> None:
    limiter = RateLimiter(replace(RATES, requests_per_minute=1, tokens_per_minute=5, longest_pause_s=longest_pause_s))
    began = now()
    for _ in range(6):
        passage = await limiter.enter(load())
        await asyncio.sleep(30)  # the refusal itself is slow
        limiter.refused(passage, 7200)
    assert limiter.refused_for_s == pytest.approx(now() - began - 30)


async def test_all_models_of_an_account_share_one_gate_and_other_accounts_do_not() -> None:
    limiter = rate_limiter_of("openai:small@http://h/v1", RATES)
    assert rate_limiter_of("openai:large@http://h/v1", RATES) is limiter
    others = ["openai:small", "openai:small@http://other/v1", "anthropic:small@http://h/v1", "mine:small"]
    assert len({id(rate_limiter_of(spec, RATES)) for spec in others} | {id(limiter)}) == 5


def test_a_gate_ends_with_its_event_loop() -> None:
    async def find() -> RateLimiter:
        return rate_limiter_of("openai:small", RATES)

    assert asyncio.run(find()) is not asyncio.run(find())


async def test_a_thousand_who_wait_cost_next_to_nothing() -> None:
    limiter = RateLimiter(replace(RATES, requests_per_minute=1, concurrency=1000))
    waiting = [asyncio.create_task(pass_times(limiter, 1)) for _ in range(1000)]
    await asyncio.sleep(0.2)
    before = time.process_time()
    await asyncio.sleep(1)
    assert time.process_time() - before < 0.05
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
