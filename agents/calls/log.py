"""What is remembered of questions to a provider, and where."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from blindspot.agents.chat import Message, Reply, Tool, ToolUse
from blindspot.storage.clock import now
from blindspot.storage.ids import make_id
from blindspot.storage.records import TeacherCall
from blindspot.storage.words import CallPhase

MALFORMED = "malformed: "  # what the error of a call begins with, where a reply cannot be used
DECLINED = "declined: "  # where the provider would not answer this question


class Occasion(NamedTuple):
    """Where in a run a question is asked."""

    run_id: str
    round: int
    phase: CallPhase
    uu_id: str


class CallLog(Protocol):
    """Where answers are remembered."""

    async def find(self, cache_key: str, run_id: str | None = None) -> Reply | None:
        """The newest usable reply (one recorded without an error) to the very same question.

        Args:
            run_id: of this run's own only; None: of any.
        """

    async def tried(self, cache_key: str, occasion: Occasion) -> Sequence[TeacherCall]:
        """All calls of a question on one occasion."""

    async def has_answers(self, run_id: str, number: int | None = None) -> bool:
        """Whether a run, or one of its rounds, has a usable reply, bought or found."""

    async def add(self, call: TeacherCall) -> None:
        """Remember a call; one with the same call_id that is there already stays."""

    async def warn(self, number: int, message: str) -> None:
        """Tell the operator of something odd in a round."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and about what."""

    phase: CallPhase
    uu_id: str  # "" where it is about no UU
    text: str
    prompt_hash: str
    turns: tuple[Message, ...] = ()  # turns after the text: tools that were asked for, and what they gave
    tools: tuple[Tool, ...] = ()  # that the model may ask for now

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation as it is sent."""
        return (Message("user", self.text), *self.turns)


class Attempt(NamedTuple):
    """One request of a question, and what became of it."""

    number: int  # from 1, refusals not counted; 0: the log had the answer
    messages: tuple[Message, ...]
    reply: Reply | None = None
    latency_s: float = 0.0
    error: str | None = None
    cost_usd: float | None = None  # of a request without a reply: what it may have cost at most

    def next(self, messages: tuple[Message, ...]) -> Attempt:
        """The attempt after this one."""
        return Attempt(self.number + 1, messages)


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

    async def has_answers(self) -> bool:
        """Whether the run has a usable reply."""
        return await self._log.has_answers(self.run_id)

    async def warn(self, message: str) -> None:
        """Tell the operator of something odd."""
        await self._log.warn(self._round, message)

    async def tried(self, question: Question, key: str) -> list[TeacherCall]:
        """What the question brought before in this round and would bring again: unusable replies, and a decline.

        A decline is left out while the round has no answer: it may have been about them all, and be fixed now.
        """
        calls = await self._log.tried(key, self._occasion(question))
        declined = [call for call in calls if call.error is not None and call.error.startswith(DECLINED)]
        failed = [call for call in calls if call.error is not None and call.reply is not None]
        replied = [call for call in failed if call not in declined]
        if declined and await self._log.has_answers(self.run_id, self._round):
            return [*replied, *declined]
        return replied

    async def add_hit(self, question: Question, key: str, reply: Reply) -> str:
        """Log that the log had the answer. Returns: the call's id."""
        hit = Reply(reply.text, model="", tokens_in=0, tokens_out=0, uses=reply.uses)
        return await self.add(question, key, Attempt(0, question.messages, reply=hit, cost_usd=0.0))

    async def add(self, question: Question, key: str, attempt: Attempt) -> str:
        """Log an attempt. Returns: the call's id.

        A usable answer's id depends on its question only: a resumed run finds its own row again. So does that of what
        the same words would bring again, see `tried`.
        """
        at = now()
        occasion = self._occasion(question)
        prompt, reply, error = transcript(attempt.messages), attempt.reply, attempt.error
        causes: list[object] = [*occasion, key]
        if error is not None:
            causes += [attempt.number, prompt, reply.text if reply else error]
            if not (reply or error.startswith(DECLINED)):
                causes.append(at.isoformat())
        call = TeacherCall(
            call_id=make_id("call", *causes),
            **occasion._asdict(),
            cache_key=key,
            teacher=self._spec,
            prompt=prompt,
            prompt_hash=question.prompt_hash,
            reply=reply.text if reply else None,
            tool_uses=tool_uses(reply) if reply and reply.uses else None,
            model=(reply.model or None) if reply else None,
            tokens_in=reply.tokens_in if reply else 0,
            tokens_out=reply.tokens_out if reply else 0,
            cost_usd=attempt.cost_usd,
            latency_s=attempt.latency_s,
            attempts=attempt.number,
            cache_hit=attempt.number == 0,
            error=error,
            created_at=at,
        )
        await asyncio.shield(self._log.add(call))  # it is paid for, whatever ends meanwhile
        return call.call_id

    def _occasion(self, question: Question) -> Occasion:
        return Occasion(self.run_id, self._round, question.phase, question.uu_id)


def transcript(messages: tuple[Message, ...]) -> str:
    """Write a conversation as one text for the log."""
    return "\n\n".join(part for message in messages for part in turn_lines(message))


def turn_lines(message: Message) -> Iterator[str]:
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
