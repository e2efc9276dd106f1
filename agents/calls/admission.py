"""The way of one request through the rate limiter of its account and the ledger of its run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from blindspot.agents.calls.ledger import Hold, Ledger
from blindspot.agents.calls.rate_limiter import Load, Passage, RateLimiter
from blindspot.agents.chat import Reply, Unavailable
from blindspot.storage.errors import BlindspotError


@asynccontextmanager
async def admit(limiter: RateLimiter, ledger: Ledger, load: Load) -> AsyncIterator[Ticket]:
    """Wait until a request may be sent; when the block ends, nothing of it is in flight any more.

    Money is held for as many requests as have a slot, not for all that wait for one.

    Raises: BudgetSpent, when a cap leaves no room for it.
    """
    async with limiter.slots:
        hold = await ledger.wait_to_hold(load.most_in)
        try:
            passage = await limiter.enter(load)
        except BaseException:
            ledger.release(hold, may_be_billed=False)
            raise
        ticket = Ticket(limiter, ledger, passage, hold)
        try:
            yield ticket
        finally:
            ticket.close()


class Ticket:
    """A request that may be sent now; what became of it is told once."""

    def __init__(self, limiter: RateLimiter, ledger: Ledger, passage: Passage, hold: Hold) -> None:
        self._limiter = limiter
        self._ledger = ledger
        self._passage = passage
        self._hold = hold
        self._is_open = True

    def answered(self, reply: Reply, *, is_counted: bool = False) -> float | None:
        """Count an answer.

        Args:
            is_counted: the run had it before, so that the ledger began with it.
        Returns: its cost in US dollars; None: the price is unknown.
        """
        self._is_open = False
        self._limiter.answered(self._passage, reply.tokens_in, reply.tokens_out)
        if is_counted:
            return self._ledger.release(self._hold, may_be_billed=False)
        return self._ledger.settle(self._hold, reply)

    def failed(self, error: BaseException) -> float | None:
        """Count a request that brought no answer.

        Returns: the US dollars that it may have cost all the same; None: the price is unknown.
        """
        if isinstance(error, Unavailable):
            if error.is_refusal:
                self._limiter.refused(self._passage, error.retry_after_s)
            elif error.retry_after_s:
                self._limiter.pause(error.retry_after_s)
            may_be_billed = error.may_be_billed
        else:
            may_be_billed = not isinstance(error, BlindspotError)  # a provider that refuses has not answered
        if not (may_be_billed or (isinstance(error, Unavailable) and error.is_refusal)):
            self._limiter.heard()
        return self._release(may_be_billed)

    def close(self) -> None:
        """Give up a request of which nothing was heard."""
        if self._is_open:
            self._release(may_be_billed=True)

    def _release(self, may_be_billed: bool) -> float | None:
        self._is_open = False
        return self._ledger.release(self._hold, may_be_billed=may_be_billed)
