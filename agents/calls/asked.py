"""A question on its way to a usable answer: what it brought before, and how it is put again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from blindspot.agents.calls.log import DECLINED, MALFORMED, Attempt, Question, reply_of, transcript
from blindspot.agents.chat import Message, Reply
from blindspot.agents.prompts.prompting import load_prompt
from blindspot.storage.errors import Unanswered
from blindspot.storage.records import TeacherCall

T = TypeVar("T")


class Rejected(NamedTuple):
    """A reply that cannot be used, and why."""

    reply: Reply
    reason: str


class Asked(NamedTuple, Generic[T]):
    """A question that the log has no answer to."""

    question: Question
    key: str  # of the log
    check: Callable[[Reply], T]
    tried: Sequence[TeacherCall]  # what it brought before in this round, and would bring again

    def before(self, attempt: Attempt) -> list[TeacherCall]:
        """What the words of an attempt brought before; earlier attempts may have had the same words."""
        said = transcript(attempt.messages)
        same = (call for call in self.tried if call.prompt == said and call.attempts >= attempt.number)
        return sorted(same, key=lambda call: call.attempts)


def rejected_before(call: TeacherCall) -> Rejected:
    """Read back what became of a question. Raises: Unanswered, where the provider declined it."""
    reply, error = reply_of(call), call.error or ""
    if reply is None or error.startswith(DECLINED):
        raise Unanswered(error.removeprefix(DECLINED))
    return Rejected(reply, error.removeprefix(MALFORMED))


def follow_up(question: Question, rejected: Rejected) -> tuple[Message, ...]:
    """Put the question again, with the reply that would not do and why."""
    said = rejected.reply.text.strip() or "(nothing)"  # providers refuse an empty turn
    again = load_prompt("again").fill(reason=rejected.reason)
    return (*question.messages, Message("assistant", said), Message("user", again))
