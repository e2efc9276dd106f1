"""The rate limiter of an account: requests in flight, per second and per minute, tokens per minute, and pauses."""

from __future__ import annotations

import asyncio
import math
import random
from collections import defaultdict, deque
from dataclasses import dataclass

from asyncio_throttle import Throttler

from blindspot.agents.spec import LANGUAGE_MODELS, split_base_url

FIRST_SHARE = 1 / 3  # of a question's upper bound, before anything is learnt
ENOUGH = 8  # answers of a kind, before they are believed
SHORTEST_S = 1e-6  # a rounding error is no reason to pass
NEWEST = 0.05  # the least weight of the newest answer
ROOM = 1.05  # for questions that take more of their bound than those before

LATE = 0.005  # of a minute that a request may be late by, from passing the rate limiter to its arrival
LATE_S = 0.02  # the same of a second
SPREAD = 0.2  # of a second over which its requests pass: sent all at once, the last of them would be late
SENT_WITHIN_S = 0.5  # every request is, unless the event loop was held up
BEAT_S = 0.05  # between two looks at whether it was
CUT = 0.85  # of the rates, after a refusal
LEAST = 0.1  # of the rates, however often refused
REGROWTH = 0.1  # of the rates, in a minute without a refusal
LONGEST_BACKOFF_S = 30.0  # where a provider does not say for how long

RATE_LIMITERS: dict[tuple[asyncio.AbstractEventLoop, str, Rates], RateLimiter] = {}


@dataclass(slots=True)
class Spent:
    """The tokens of one request: guessed while it is in flight, then counted."""

    at: float  # seconds, of any steady clock
    tokens: int
    is_recent: bool = True  # within the window


class TokenWindow:
    """A sliding window: what was spent within the last period."""

    def __init__(self, limit: int, period_s: float) -> None:
        self._limit = limit
        self._period_s = period_s
        self._spent: deque[Spent] = deque()
        self._sum = 0

    def wait_s(self, tokens: int, now: float, *, share: float = 1.0) -> float:
        """Say how long a request must wait for its tokens to fit into a share of the limit.

        One that is larger than the limit fits into an empty window.

        Returns: seconds, if nothing changes by then: a request in flight may turn out cheaper.
        """
        while self._spent and now - self._spent[0].at > self._period_s:
            old = self._spent.popleft()
            old.is_recent = False
            self._sum -= old.tokens
        excess = self._sum + tokens - int(self._limit * share)
        wait_s = 0.0
        for spent in self._spent:
            if excess <= 0:
                break
            excess -= spent.tokens
            wait_s = max(SHORTEST_S, spent.at + self._period_s - now)
        return wait_s

    def add(self, tokens: int, now: float) -> Spent:
        """Count a request by a guess."""
        spent = Spent(now, tokens)
        self._spent.append(spent)
        self._sum += tokens
        return spent

    def put_off(self, since: float, until: float) -> None:
        """Count all that were added from one time on as if it had been later."""
        for spent in reversed(self._spent):
            if spent.at < since:
                break
            spent.at = until

    def correct(self, spent: Spent, tokens: int) -> None:
        """Put what a request really took in place of the guess."""
        if spent.is_recent:
            self._sum += tokens - spent.tokens
        spent.tokens = tokens


class TokenGuess:
    """Learns what requests of one kind take.

    An answer is taken to be as long as the newest ones and a standard deviation more: the errors of those in flight
    together then hardly ever add up to more than what is set aside. Until enough answers are there, it is taken to be
    as long as it may be.
    """

    def __init__(self) -> None:
        self._answers = 0
        self._share_in = 0.0
        self._out = 0.0
        self._variance_out = 0.0

    def tokens(self, most_in: int, most_out: int) -> int:
        """Guess the tokens of a question and its answer.

        Args:
            most_in: of the question, an upper bound: its bytes, or so.
            most_out: that the answer may have.
        """
        if self._answers < ENOUGH:
            return math.ceil(FIRST_SHARE * most_in) + most_out
        out = self._out + math.sqrt(self._variance_out)
        return math.ceil(ROOM * self._share_in * most_in + min(most_out, out))

    def learn(self, most_in: int, tokens_in: int, tokens_out: int) -> None:
        """Take note of what a request took; its weight fades with those that follow."""
        self._answers += 1
        weight = max(1 / self._answers, NEWEST)
        self._share_in += weight * (tokens_in / max(1, most_in) - self._share_in)
        off = tokens_out - self._out
        self._out += weight * off
        self._variance_out = (1 - weight) * (self._variance_out + weight * off * off)


@dataclass(frozen=True, slots=True)
class Rates:
    """What an account allows."""

    requests_per_minute: int
    requests_per_second: int
    tokens_per_minute: int
    concurrency: int  # requests in flight
    longest_pause_s: float  # however long the provider asks to be left alone
    backoff_s: float = 0.5  # after a refusal that names no time; doubled for each further one
    minute_s: float = 60.0
    second_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is known of a request's size before it is sent."""

    kind: str  # requests of one kind have answers of one length
    most_in: int  # tokens of the question, an upper bound
    most_out: int  # of the answer


@dataclass(frozen=True, slots=True)
class Passage:
    """A request that has passed."""

    at: float  # in the loop's time
    load: Load
    spent: Spent


class RateLimiter:
    """Holds each request until it fits: `async with limiter.slots`, then `await limiter.enter(…)`, then send it.

    A slot is held until the answer is there. Those with a slot pass one after another: one of them at a time watches
    the windows, all others sleep. The windows are longer than the provider's by what requests may be late by, so that
    they hold where it counts, too.

    After a refusal (HTTP 429) nobody passes for a while, and all rates are cut: other users of the account take their
    part. They grow back slowly, up to what they were.
    """

    def __init__(self, rates: Rates) -> None:
        self.slots = asyncio.Semaphore(rates.concurrency)
        self._rates = rates
        self._turnstile = asyncio.Lock()
        minute_s, second_s = rates.minute_s * (1 + LATE), rates.second_s * (1 + LATE_S)
        self._windows = [
            (limit, Throttler(limit, period_s, retry_interval=min(0.1, period_s / 200)))
            for limit, period_s in ((rates.requests_per_minute, minute_s), (rates.requests_per_second, second_s))
        ]
        self._tokens = TokenWindow(rates.tokens_per_minute, minute_s)
        self._look_s = min(0.1, minute_s / 200)
        self._guesses: defaultdict[str, TokenGuess] = defaultdict(TokenGuess)
        self._jitter = random.Random()
        self._open_at = 0.0  # in the loop's time, as all below
        self._next_at = 0.0
        self._passed_at = 0.0
        self._is_watching = False
        self._cut_at = 0.0
        self._share_then = 1.0  # of the rates, when they were cut
        self._refusals = 0  # since the last answer
        self._refused_at: float | None = None  # the first of them
        self._refused_last = 0.0

    @property
    def share(self) -> float:
        """How much of its rates the rate limiter allows now."""
        grown = REGROWTH * max(0.0, self._now() - max(self._cut_at, self._open_at)) / self._rates.minute_s
        return min(1.0, self._share_then + grown)

    @property
    def refused_for_s(self) -> float:
        """For how long there were refusals and nothing else."""
        return 0.0 if self._refused_at is None else self._now() - self._refused_at

    async def enter(self, load: Load) -> Passage:
        """Wait until a request fits."""
        tokens = self._guesses[load.kind].tokens(load.most_in, load.most_out)
        async with self._turnstile:
            await self._fit(tokens)
            while self._now() < self._open_at:  # a pause began meanwhile
                await self._fit(tokens)
            now = self._now()
            for _, window in self._windows:
                window._task_logs[-1] = now  # it may have waited in another window since it entered this one
            self._next_at = now + SPREAD * self._rates.second_s / self._rates.requests_per_second
            self._passed_at = now
            if not self._is_watching:
                self._watch(now)
            return Passage(now, load, self._tokens.add(tokens, now))

    def answered(self, passage: Passage, tokens_in: int, tokens_out: int) -> None:
        """Count what a request really took; a server that counts nothing leaves it at the guess."""
        self.heard()
        if tokens_in or tokens_out:
            self._tokens.correct(passage.spent, tokens_in + tokens_out)
            self._guesses[passage.load.kind].learn(passage.load.most_in, tokens_in, tokens_out)

    def heard(self) -> None:
        """Take note that the provider looks at questions, whatever it makes of them: no row of refusals goes on."""
        self._refusals, self._refused_at = 0, None

    def refused(self, passage: Passage, retry_after_s: float | None) -> None:
        """Take note that the provider wants less; requests that had passed before the last cut say nothing new."""
        self._tokens.correct(passage.spent, 0)
        # whoever waits for the end of a pause is let in within another minute: later, nobody had asked
        if passage.at - max(self._refused_last, self._open_at) > max(
            self._rates.longest_pause_s, 2 * self._rates.minute_s
        ):
            self.heard()
        self._refused_last = self._now()
        if self._refused_at is None:
            self._refused_at = self._now()
        if passage.at > self._cut_at:
            self._share_then, self._cut_at = max(LEAST, CUT * self.share), self._now()
            wait_s = backoff_s(self._rates.backoff_s, self._refusals) * self._jitter.uniform(0.5, 1.0)
            self._refusals += 1
            self.pause(max(retry_after_s or 0.0, wait_s))
        elif retry_after_s:
            self.pause(retry_after_s)

    def pause(self, seconds: float) -> None:
        """Let nobody pass for this long; a longer pause already under way stays."""
        self._open_at = max(self._open_at, self._now() + min(seconds, self._rates.longest_pause_s))

    async def _fit(self, tokens: int) -> None:
        """Wait for the end of a pause, and for a place in every window."""
        while (left_s := max(self._open_at, self._next_at) - self._now()) > 0:
            await asyncio.sleep(left_s)
        while (wait_s := self._tokens.wait_s(tokens, self._now(), share=self.share)) > 0:
            await asyncio.sleep(min(wait_s, self._look_s))
        for limit, window in self._windows:
            window.rate_limit = max(1, int(limit * self.share))
            await window.acquire()

    def _watch(self, due: float) -> None:
        """Where the event loop was held up, count those that had just passed as if they had only now.

        They may have been sent no sooner, as when an SDK's first request loads much of it.
        """
        now = self._now()
        if now - due > BEAT_S:
            self._tokens.put_off(due - SENT_WITHIN_S, now)
            for _, window in self._windows:
                put_off(window._task_logs, due - SENT_WITHIN_S, now)  # asyncio-throttle has no other way
        self._is_watching = now - self._passed_at < SENT_WITHIN_S
        if self._is_watching:
            asyncio.get_running_loop().call_later(BEAT_S, self._watch, now + BEAT_S)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def put_off(times: deque[float], since: float, until: float) -> None:
    """Move all times from one on to a later one; they are in their order, and stay so."""
    for index in range(len(times) - 1, -1, -1):
        if times[index] < since:
            break
        times[index] = until


def backoff_s(first_s: float, failures: int) -> float:
    """How long to wait after a failure that followed this many others."""
    return min(LONGEST_BACKOFF_S, first_s * 2.0 ** min(failures, 32))


def rate_limiter_of(spec: str, rates: Rates) -> RateLimiter:
    """Find the one rate limiter of an account: a provider at its base URL, whichever of its models is asked.

    A rate limiter outlives its callers: what they sent is in the account's last minute still.

    Args:
        spec: of the teacher.
    """
    loop = asyncio.get_running_loop()
    for known in [known for known in RATE_LIMITERS if known[0].is_closed()]:
        del RATE_LIMITERS[known]
    provider, _, rest = spec.partition(":")
    account = f"{provider}@{split_base_url(rest)[1] or ''}" if provider in LANGUAGE_MODELS else provider
    key = (loop, account, rates)
    if key not in RATE_LIMITERS:
        RATE_LIMITERS[key] = RateLimiter(rates)
    return RATE_LIMITERS[key]
