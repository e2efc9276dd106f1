"""The ledger: what a run may buy and has bought, in answers and in US dollars."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass

from blindspot.agents.chat import Message, Reply, Tool
from blindspot.storage.errors import BudgetSpent

TURN_TOKENS = 16  # what a chat format puts around one turn, at most
TOOLS_TOKENS = 1000  # what a provider tells a model about tools in general; figures of 300 to 600 were published


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    usd_in: float
    usd_out: float

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """US dollars for this many tokens."""
        return (tokens_in * self.usd_in + tokens_out * self.usd_out) / 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Hold:
    """What one request in flight may cost at most."""

    usd: float  # 0 where the price is unknown


class Ledger:
    """What a run may buy and has bought; never passes its caps, also with requests in flight.

    A request reserves its worst case before it is sent: the question's tokens at their upper bound, and an answer of
    `max_tokens`. What came back replaces it. For the one event loop that asks; not for threads.
    """

    def __init__(
        self,
        *,
        max_calls: int | None,
        max_usd: float | None,
        price: Price | None,
        max_tokens: int,
        price_of_reply: Callable[[Reply], Price | None] | None = None,
    ) -> None:
        """
        Args:
            max_calls: answers that may be bought in the run; None: any number.
            max_usd: the same for money; needs a price.
            price: None where it is unknown.
            max_tokens: of one answer.
            price_of_reply: in place of `price` once an answer is there, where only the answer tells what it cost.
        """
        if max_usd is not None and price is None:
            raise ValueError("a cap on money needs a price")
        self._max_calls = max_calls
        self._max_usd = max_usd
        self._price = price
        self._max_tokens = max_tokens
        self._price_of_reply = price_of_reply or (lambda _: price)
        self._calls = 0
        self._spent_usd = 0.0
        self._doubtful_usd = 0.0  # of requests without a reply that may have been billed
        self._holds: set[Hold] = set()
        self._freed = asyncio.Event()

    @property
    def calls(self) -> int:
        """Answers bought in the run so far."""
        return self._calls

    @property
    def spent_usd(self) -> float:
        """Money spent in the run so far: what is known to be, and what may have been billed without an answer."""
        return self._spent_usd + self._doubtful_usd

    def begin(self, calls: int, usd: float) -> None:
        """Say what this run bought before: zero for a new run, what its log holds for a resumed one."""
        self._calls, self._spent_usd, self._doubtful_usd = calls, usd, 0.0

    def check(self, tokens_in: int) -> None:
        """Check that one more request fits, beside those in flight.

        Args:
            tokens_in: of the question, an upper bound (`most_tokens`).
        Raises: BudgetSpent, naming the cap and how to go on.
        """
        self._check(tokens_in, in_flight=self._holds)

    def hold(self, tokens_in: int) -> Hold:
        """Reserve the worst case of one request.

        Raises: BudgetSpent, as `check`.
        """
        self.check(tokens_in)
        hold = Hold(self._worst_usd(tokens_in))
        self._holds.add(hold)
        return hold

    async def wait_to_hold(self, tokens_in: int) -> Hold:
        """Reserve as `hold`, waiting where only requests in flight stand in the way: most cost less than they hold.

        Raises: BudgetSpent, where a cap leaves no room though nothing is in flight.
        """
        while True:
            try:
                return self.hold(tokens_in)
            except BudgetSpent:
                self._check(tokens_in, in_flight=())
                self._freed.clear()
                await self._freed.wait()

    def settle(self, hold: Hold, reply: Reply) -> float | None:
        """Count an answer in place of its hold.

        A server that counts no tokens is taken at the worst case.

        Returns: the answer's cost in US dollars; None: the price is unknown.
        """
        self._free(hold)
        self._calls += 1
        price = self._price_of_reply(reply)
        if price is None:
            return None
        usd = price.cost(reply.tokens_in, reply.tokens_out) if reply.tokens_in or reply.tokens_out else hold.usd
        self._spent_usd += usd
        return usd

    def release(self, hold: Hold, *, may_be_billed: bool) -> float | None:
        """Give back a hold that no answer came for.

        Args:
            may_be_billed: the request was sent and may have been answered, unseen: its worst case stays counted.
        Returns: the US dollars that stay counted, for the log of the run; None: the price is unknown.
        """
        self._free(hold)
        if not may_be_billed:
            return 0.0
        self._doubtful_usd += hold.usd
        return hold.usd if self._price else None

    def _free(self, hold: Hold) -> None:
        self._holds.remove(hold)
        self._freed.set()

    def _worst_usd(self, tokens_in: int) -> float:
        return self._price.cost(tokens_in, self._max_tokens) if self._price else 0.0

    def _check(self, tokens_in: int, in_flight: Collection[Hold]) -> None:
        if self._max_calls is not None and self._calls + len(in_flight) >= self._max_calls:
            raise BudgetSpent(f"teacher.max_calls = {self._max_calls} is reached: {cap_advice('max_calls')}")
        if self._max_usd is None:
            return
        worst_usd = self._worst_usd(tokens_in)
        held_usd = math.fsum(hold.usd for hold in in_flight)
        if self.spent_usd + held_usd + worst_usd > self._max_usd:
            raise BudgetSpent(
                f"teacher.max_usd = {self._max_usd:g} leaves no room for the next question (spent or in flight "
                f"${self.spent_usd + held_usd:.4f}, the question may cost ${worst_usd:.4f}): {cap_advice('max_usd')}"
            )


def cap_advice(cap: str) -> str:
    """Say what happens now, and how to buy more."""
    return (
        f"this run goes on with the answers it has; to buy more, stop it and resume it with --set teacher.{cap}=…, or "
        f"start a new run with a higher teacher.{cap}: both reuse these answers"
    )


def estimate_tokens(text: str) -> int:
    """An upper bound of a text's tokens: its bytes in UTF-8.

    A token of a byte-level or byte-fallback vocabulary, as large models have, stands for at least one byte. English
    takes about a quarter of that, but a tighter bound fails on typos, digits and scripts that the vocabulary lacks.
    """
    return len(text.encode("utf-8", "surrogatepass"))


def most_tokens(messages: Sequence[Message], tools: Sequence[Tool] = ()) -> int:
    """An upper bound of the tokens of a conversation as it is sent, with the tools that are offered."""
    talk = sum(TURN_TOKENS + estimate_tokens(str(asdict(message))) for message in messages)
    offered = TOOLS_TOKENS + sum(estimate_tokens(str(asdict(tool))) for tool in tools) if tools else 0
    return talk + offered


def in_dollars(usd: float) -> str:
    """Write money with two decimals, or with two digits where it is less than ten cents."""
    return f"${usd:,.2f}" if usd >= 0.1 or not usd else f"${usd:.2g}"
