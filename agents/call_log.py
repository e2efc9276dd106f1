"""What is remembered of questions to a provider, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from blindspot.agents.provider import Message, Reply
from blindspot.storage.records import TeacherCall, make_id, now


class CallLog(Protocol):
    """Where answers are remembered. What is not awaited comes from memory: the event loop calls it."""

    def find(self, cache_key: str) -> str | None:
        """An earlier usable reply (one recorded without an error) to the very same question."""

    async def add(self, call: TeacherCall) -> None:
        """Remember a call; one with the same call_id that is there already stays."""

    def bought(self, run_id: str) -> int:
        """How many answers this run has bought so far: calls with a reply that were no cache hits."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and about what."""

    phase: str  # abstract | extrapolate | generate
    uu_id: str
    text: str
    prompt_hash: str


class Attempt(NamedTuple):
    """One request of a question, and what became of it."""

    number: int  # from 1; 0: the log had the answer
    messages: tuple[Message, ...]
    reply: Reply | None = None
    latency_s: float = 0.0
    error: str | None = None


class Recorder:
    """Writes the attempts of one run's questions to its log."""

    def __init__(self, spec: str, log: CallLog) -> None:
        self._spec = spec
        self._log = log
        self.run_id = ""
        self._round = 0

    def begin_round(self, run_id: str, number: int) -> None:
        """Say whose calls the next ones are."""
        self.run_id, self._round = run_id, number

    async def add_hit(self, question: Question, key: str, text: str) -> str:
        """Log that the log had the answer. Returns: the call's id."""
        hit = Attempt(0, (Message("user", question.text),), Reply(text, model="", tokens_in=0, tokens_out=0))
        return await self.add(question, key, hit)

    async def add(self, question: Question, key: str, attempt: Attempt) -> str:
        """Log an attempt. Returns: the call's id.

        A usable answer's id depends on its question only: a resumed run finds its own row again.
        """
        at = now()
        causes: list[object] = [self.run_id, self._round, question.phase, question.uu_id, key]
        if attempt.error is not None:
            causes += [at.isoformat(), attempt.number, attempt.error]
        reply, is_hit = attempt.reply, attempt.number == 0
        call = TeacherCall(
            call_id=make_id("call", *causes),
            run_id=self.run_id,
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
            created_at=at,
        )
        await self._log.add(call)
        return call.call_id


def transcript(messages: tuple[Message, ...]) -> str:
    """Write a conversation as one text for the log."""
    return "\n\n".join(f"[{message.role}]\n{message.text}" for message in messages)
