"""One question to a provider: answered from the log, or asked until the answer is usable, and recorded."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeVar

from blindspot.agents.call_log import Attempt, CallLog, Question, Recorder
from blindspot.agents.gate import Gate
from blindspot.agents.prompting import load_prompt
from blindspot.agents.provider import Message, Provider, Reply, Unavailable
from blindspot.storage.errors import BlindspotError, BudgetSpent, MalformedAnswer, TeacherError, Unanswered

T = TypeVar("T")

LONGEST_BACKOFF_S = 30.0
MOST_UNANSWERED = 5  # questions in a row, before the provider is taken to be out of order


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How fast, how long, how often and at which settings a provider is asked."""

    requests_per_minute: int
    requests_per_second: int
    concurrency: int
    timeout_s: float  # for one request, from sending it to its last byte
    attempts: int  # requests for one question, whatever made the earlier ones fail
    max_calls: int | None  # answers bought in one run
    temperature: float | None  # None: the provider's default
    max_tokens: int  # of one answer
    backoff_s: float = 0.5  # before the second attempt; doubled for each further one


class Rejected(NamedTuple):
    """A reply that cannot be used, and why."""

    reply: Reply
    reason: str


class Caller:
    """Asks one provider for one run, through one gate.

    A request that was sent is paid for: one cancellation lets it come to its end and be recorded, a second one ends it.
    The log is looked up by the question as it is first put, so an answer that needed a second request is found too.
    """

    def __init__(self, spec: str, provider: Provider, limits: CallLimits, log: CallLog) -> None:
        self._spec = spec
        self._provider = provider
        self._limits = limits
        self._log = log
        self._recorder = Recorder(spec, log)
        self._gate = Gate(
            per_minute=limits.requests_per_minute,
            per_second=limits.requests_per_second,
            concurrency=limits.concurrency,
        )
        self._bought = 0  # in this run, with those in flight
        self._unanswered = 0  # questions since the last answer

    def begin_round(self, run_id: str, number: int) -> None:
        """Say whose calls the next ones are; the answers a run has bought before count towards `max_calls`."""
        if run_id != self._recorder.run_id:
            self._bought = self._log.bought(run_id)
        self._recorder.begin_round(run_id, number)

    async def ask(self, question: Question, check: Callable[[Reply], T]) -> tuple[T, str]:
        """Get a usable answer.

        Args:
            check: reads a reply; raises MalformedAnswer with a reason, which is sent to the model.
        Returns: what `check` made of the reply, and the call's id.
        Raises: for this question, MalformedAnswer, when the last attempt brought one; Unanswered, when the provider
            declined it or could not be reached in any attempt; BudgetSpent, when `max_calls` is reached. For all
            questions, TeacherError, when the provider refuses for good or leaves too many in a row unanswered.
        """
        if not self._recorder.run_id:
            raise RuntimeError("begin_round comes before the first question")
        key = self._cache_key(question)
        found = self._log.find(key)
        if found is not None:
            try:
                return check(found), await self._recorder.add_hit(question, key, found)
            except MalformedAnswer:
                pass  # recorded under laxer checks: ask again
        return await self._buy(question, key, check)

    async def _buy(self, question: Question, key: str, check: Callable[[Reply], T]) -> tuple[T, str]:
        jitter = random.Random(key)
        attempt = Attempt(1, question.messages)
        while True:
            is_last = attempt.number >= self._limits.attempts
            self._check_cap()
            try:
                async with self._gate:
                    self._reserve()
                    outcome = await see_through(self._request(question, key, attempt, check))
            except Unavailable as error:
                self._gate.pause(error.retry_after_s or 0.0)
                if is_last:
                    await self._recorder.add(question, key, attempt._replace(error=str(error)))
                    raise self._no_answer(f"{error} (attempt {attempt.number}, the last)") from None
                delay_s = min(LONGEST_BACKOFF_S, self._limits.backoff_s * 2 ** (attempt.number - 1))
                await asyncio.sleep(delay_s * jitter.uniform(0.5, 1.0))
                attempt = Attempt(attempt.number + 1, attempt.messages)
                continue
            except Unanswered as error:
                raise self._no_answer(str(error)) from None
            if not isinstance(outcome, Rejected):
                return outcome
            if is_last:
                raise MalformedAnswer(f"{self._spec}: {question.phase} of {question.uu_id}: {outcome.reason}")
            attempt = Attempt(attempt.number + 1, follow_up(question, outcome))

    async def _request(
        self, question: Question, key: str, attempt: Attempt, check: Callable[[Reply], T]
    ) -> tuple[T, str] | Rejected:
        """Make one request and record what it brought, unless it failed in a way that may pass."""
        started = time.perf_counter()
        try:
            # the SDKs' own timeouts are between two bytes: a slow drip would never end
            async with asyncio.timeout(self._limits.timeout_s):
                reply = await self._provider.complete(attempt.messages, question.tools)
        except BaseException as error:
            self._bought -= 1
            if isinstance(error, TimeoutError):
                raise Unavailable(f"{self._spec}: no answer within {self._limits.timeout_s:g} s") from None
            if isinstance(error, TeacherError):
                await self._recorder.add(question, key, attempt._replace(error=str(error)))
            raise
        self._unanswered = 0
        attempt = attempt._replace(reply=reply, latency_s=time.perf_counter() - started)
        try:
            answer = check(reply)
        except MalformedAnswer as error:
            reason = self._explain(error, reply)
            await self._recorder.add(question, key, attempt._replace(error=f"malformed: {reason}"))
            return Rejected(reply, reason)
        return answer, await self._recorder.add(question, key, attempt)

    def _check_cap(self) -> None:
        most = self._limits.max_calls
        if most is not None and self._bought >= most:
            raise BudgetSpent(
                f"teacher.max_calls = {most} is reached: this run goes on with what it bought; a new run with a higher "
                "teacher.max_calls finds these answers in its cache and buys only the others"
            )

    def _reserve(self) -> None:
        """Count an answer as bought before it is asked for, so that requests in flight cannot pass the cap."""
        self._check_cap()
        self._bought += 1

    def _no_answer(self, why: str) -> TeacherError:
        """Count a question without an answer. Returns: the error to raise, for this question or for all of them."""
        self._unanswered += 1
        if self._unanswered < MOST_UNANSWERED:
            return Unanswered(why)
        return TeacherError(
            f"{why}; {self._unanswered} questions in a row got no answer: mend this, then resume the run"
        )

    def _cache_key(self, question: Question) -> str:
        """Hash everything that the answer depends on."""
        asked: list[object] = [self._spec, self._limits.temperature, self._limits.max_tokens, question.text]
        if question.said or question.tools:
            asked += [[asdict(message) for message in question.said], [asdict(tool) for tool in question.tools]]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()

    def _explain(self, error: MalformedAnswer, reply: Reply) -> str:
        cut_off = f"; it was cut off at {self._limits.max_tokens} tokens: be briefer" if reply.cut_off else ""
        return f"{error}{cut_off}"


async def see_through(work: Coroutine[Any, Any, T]) -> T:
    """Await work to its end, also when cancelled; a second cancellation ends it."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(BlindspotError, Unavailable):  # nobody waits for it any more
            await task
        raise


def follow_up(question: Question, rejected: Rejected) -> tuple[Message, ...]:
    """Put the question again, with the reply that would not do and why."""
    said = rejected.reply.text.strip() or "(nothing)"  # providers refuse an empty turn
    again = load_prompt("again").fill(reason=rejected.reason)
    return (*question.messages, Message("assistant", said), Message("user", again))
