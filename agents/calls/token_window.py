"""Tokens within the rates: those of the last minute, and a guess at what the next request will take."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

FIRST_SHARE = 1 / 3  # of a question's upper bound, before anything is learnt
ENOUGH = 8  # answers of a kind, before they are believed
SHORTEST_S = 1e-6  # a rounding error is no reason to pass
NEWEST = 0.05  # the least weight of the newest answer
ROOM = 1.05  # for questions that take more of their bound than those before


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
