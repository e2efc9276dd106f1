"""What is remembered of questions to a provider, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from blindspot.agents.provider import Message, Reply, Tool, ToolUse
from blindspot.storage.records import TeacherCall, make_id, now


class CallLog(Protocol):
    """Where answers are remembered. What is not awaited comes from memory: the event loop calls it."""

    def find(self, cache_key: str) -> Reply | None:
        """An earlier usable reply (one recorded without an error) to the very same question."""

    async def add(self, call: TeacherCall) -> None:
        """Remember a call; one with the same call_id that is there already stays."""

    def bought(self, run_id: str) -> int:
        """How many answers this run has bought so far: calls with a reply that were no cache hits."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and about what."""

    phase: str  # abstract | extrapolate | generate | decide
    uu_id: str  # "" where it is about no UU
    text: str
    prompt_hash: str
    said: tuple[Message, ...] = ()  # turns after the text: tools that were asked for, and what they gave
    tools: tuple[Tool, ...] = ()  # that the model may ask for now

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation as it is sent."""
        return (Message("user", self.text), *self.said)


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

    async def add_hit(self, question: Question, key: str, found: Reply) -> str:
        """Log that the log had the answer. Returns: the call's id."""
        hit = Reply(found.text, model="", tokens_in=0, tokens_out=0, uses=found.uses)
        return await self.add(question, key, Attempt(0, question.messages, hit))

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
            tool_uses=tool_uses(reply) if reply and reply.uses else None,
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
    return "\n\n".join(part for message in messages for part in turn(message))


def turn(message: Message) -> Iterator[str]:
    """Write one turn: its text, then the tools it asks for or what they gave."""
    if message.text or not (message.uses or message.results):
        yield f"[{message.role}]\n{message.text}"
    for use in message.uses:
        yield f"[{message.role} asks for {use.name}]\n{use.arguments}"
    for result in message.results:
        yield f"[tool]\n{result.text}"


def tool_uses(reply: Reply) -> dict[str, dict[str, str]]:
    """The tools that a reply asks for, as a call's row holds them: use_id -> name and arguments."""
    return {use.use_id: {"name": use.name, "arguments": use.arguments} for use in reply.uses}


def reply_of(call: TeacherCall) -> Reply | None:
    """Read a reply back from a call's row; its tokens were that call's."""
    if call.reply is None:
        return None
    uses = tuple(ToolUse(use_id, use["name"], use["arguments"]) for use_id, use in (call.tool_uses or {}).items())
    return Reply(call.reply, call.model or "", call.tokens_in, call.tokens_out, uses=uses)
