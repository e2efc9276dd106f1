"""One question to a provider: answered from the log, or asked until the answer is usable, and recorded."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from blindspot.agents.gate import Gate
from blindspot.agents.prompting import load_prompt
from blindspot.agents.provider import Message, Provider, Reply, Unavailable
from blindspot.storage.errors import BudgetSpent, MalformedAnswer, TeacherError
from blindspot.storage.records import TeacherCall, make_id, now

T = TypeVar("T")

LONGEST_BACKOFF_S = 30.0


class CallLog(Protocol):
    """Where answers are remembered."""

    def find(self, cache_key: str) -> str | None:
        """An earlier usable reply (one recorded without an error) to the very same question."""

    def add(self, call: TeacherCall) -> None:
        """Remember a call; one with the same call_id that is there already stays."""

    def bought(self, run_id: str) -> int:
        """How many answers this run has bought so far: calls with a reply that were no cache hits."""


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


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and about what."""

    phase: str  # abstract | extrapolate | generate
    uu_id: str
    text: str
    prompt_hash: str


class Attempt(NamedTuple):
    """One request of a question, and what became of it."""

    number: int  # from 1
    messages: tuple[Message, ...]
    reply: Reply | None = None
    latency_s: float = 0.0
    error: str | None = None


class Caller:
    """Asks one provider for one run, through one gate.

    The log is looked up by the question as it is first put, so an answer that needed a second request is found too.
    """

    def __init__(self, spec: str, provider: Provider, limits: CallLimits, log: CallLog) -> None:
        self._spec = spec
        self._provider = provider
        self._limits = limits
        self._log = log
        self._gate = Gate(
            per_minute=limits.requests_per_minute,
            per_second=limits.requests_per_second,
            concurrency=limits.concurrency,
        )
        self._run_id = ""
        self._round = 0
        self._bought = 0  # in this run, with those in flight

    def begin_round(self, run_id: str, number: int) -> None:
        """Say whose calls the next ones are; the answers a run has bought before count towards `max_calls`."""
        if run_id != self._run_id:
            self._bought = self._log.bought(run_id)
        self._run_id, self._round = run_id, number

    async def ask(self, question: Question, check: Callable[[str], T]) -> tuple[T, str]:
        """Get a usable answer.

        Args:
            check: reads a reply's text; raises MalformedAnswer with a reason, which is sent to the model.
        Returns: what `check` made of the reply, and the call's id.
        Raises: MalformedAnswer, when the last attempt brought one; TeacherError, when the provider cannot be reached,
            refuses for good, or `max_calls` is reached.
        """
        if not self._run_id:
            raise RuntimeError("begin_round comes before the first question")
        key = self._cache_key(question)
        found = self._log.find(key)
        if found is not None:
            try:
                return check(found), self._record_hit(question, key, found)
            except MalformedAnswer:
                pass  # recorded under laxer checks: ask again
        return await self._buy(question, key, check)

    async def _buy(self, question: Question, key: str, check: Callable[[str], T]) -> tuple[T, str]:
        jitter = random.Random(key)
        messages: tuple[Message, ...] = (Message("user", question.text),)
        for number in range(1, self._limits.attempts + 1):
            is_last = number == self._limits.attempts
            attempt = Attempt(number, messages)
            self._reserve()
            try:
                reply, latency_s = await self._send(messages)
            except Unavailable as error:
                if is_last:
                    self._record(question, key, attempt._replace(error=str(error)))
                    raise TeacherError(
                        f"{error} (attempt {number}, the last); resume the run once it is back"
                    ) from None
                self._gate.pause(error.retry_after_s or 0.0)
                delay_s = min(LONGEST_BACKOFF_S, self._limits.backoff_s * 2 ** (number - 1))
                await asyncio.sleep(delay_s * jitter.uniform(0.5, 1.0))
                continue
            except TeacherError as error:
                self._record(question, key, attempt._replace(error=str(error)))
                raise
            attempt = attempt._replace(reply=reply, latency_s=latency_s)
            try:
                answer = check(reply.text)
            except MalformedAnswer as error:
                reason = self._explain(error, reply)
                self._record(question, key, attempt._replace(error=f"malformed: {reason}"))
                if is_last:
                    raise MalformedAnswer(f"{self._spec}: {question.phase} of {question.uu_id}: {reason}") from None
                messages = follow_up(question, reply, reason)
                continue
            return answer, self._record(question, key, attempt)
        raise ValueError(f"attempts = {self._limits.attempts}: at least one is needed")

    async def _send(self, messages: tuple[Message, ...]) -> tuple[Reply, float]:
        """Make one request through the gate; returns the reply and its latency in seconds."""
        try:
            async with self._gate:
                started = time.perf_counter()
                # the SDKs' own timeouts are between two bytes: a slow drip would never end
                async with asyncio.timeout(self._limits.timeout_s):
                    reply = await self._provider.complete(messages)
                return reply, time.perf_counter() - started
        except TimeoutError:
            self._bought -= 1
            raise Unavailable(f"{self._spec}: no answer within {self._limits.timeout_s:g} s") from None
        except BaseException:
            self._bought -= 1
            raise

    def _reserve(self) -> None:
        """Count an answer as bought before it is asked for, so that requests in flight cannot pass the cap."""
        most = self._limits.max_calls
        if most is not None and self._bought >= most:
            raise BudgetSpent(
                f"teacher.max_calls = {most} is reached: run {self._run_id} has bought {self._bought} answers, "
                "or is waiting for them; raise it and resume the run to buy more"
            )
        self._bought += 1

    def _cache_key(self, question: Question) -> str:
        """Hash everything that the answer depends on."""
        asked = [self._spec, self._limits.temperature, self._limits.max_tokens, question.text]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()

    def _explain(self, error: MalformedAnswer, reply: Reply) -> str:
        cut_off = f"; it was cut off at {self._limits.max_tokens} tokens: be briefer" if reply.cut_off else ""
        return f"{error}{cut_off}"

    def _record_hit(self, question: Question, key: str, text: str) -> str:
        hit = Attempt(0, (Message("user", question.text),), Reply(text, model="", tokens_in=0, tokens_out=0))
        return self._record(question, key, hit)

    def _record(self, question: Question, key: str, attempt: Attempt) -> str:
        """Log an attempt. A usable answer's id depends on its question only: a resumed run finds its own row again."""
        causes: list[object] = [self._run_id, self._round, question.phase, question.uu_id, key]
        if attempt.error is not None:
            causes += [self._bought, attempt.number, attempt.error]
        reply, is_hit = attempt.reply, attempt.number == 0
        call = TeacherCall(
            call_id=make_id("call", *causes),
            run_id=self._run_id,
            round=self._round,
            phase=question.phase,
            uu_id=question.uu_id,
            cache_key=key,
            teacher=self._spec,
            prompt=transcript(attempt.messages),
            prompt_hash=question.prompt_hash,
            reply=reply.text if reply else None,
            model=(reply.model or None) if reply else None,
            tokens_in=reply.tokens_in if reply else 0,
            tokens_out=reply.tokens_out if reply else 0,
            cost_usd=0.0 if is_hit else None,
            latency_s=attempt.latency_s,
            attempts=attempt.number,
            cache_hit=is_hit,
            error=attempt.error,
            created_at=now(),
        )
        self._log.add(call)
        return call.call_id


def follow_up(question: Question, reply: Reply, reason: str) -> tuple[Message, ...]:
    """Put the question again, with the reply that would not do and why."""
    said = reply.text.strip() or "(nothing)"  # providers refuse an empty turn
    again = load_prompt("again").fill(reason=reason)
    return (Message("user", question.text), Message("assistant", said), Message("user", again))


def transcript(messages: tuple[Message, ...]) -> str:
    """Write a conversation as one text for the log."""
    return "\n\n".join(f"[{message.role}]\n{message.text}" for message in messages)
