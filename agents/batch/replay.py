"""The provider `replay:FILE`: answers from calls that `blindspot export --calls` wrote, of any earlier run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from blindspot.agents.batch.question_files import read_lines
from blindspot.agents.calls.log import DECLINED, transcript
from blindspot.agents.chat import Message, Reply, Tool, ToolUse
from blindspot.agents.providers.peer import short_line
from blindspot.storage.errors import SettingsError, Unanswered

UNUSABLE = 2  # the rank of a call that brought no answer, or a refusal


class Use(BaseModel):
    name: str
    arguments: str


class RecordedCall(BaseModel):
    """What is needed of one line; the other columns of teacher_calls may stand beside it."""

    prompt: str  # the conversation as one text
    cache_key: str = ""  # the same for all attempts of one question
    reply: str | None = None
    tool_uses: dict[str, Use] | None = None
    model: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    error: str | None = None


class ReplayProvider:
    """Gives to each conversation what was said to it before.

    Raises: SettingsError at once, when the file cannot be used.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._calls = read_calls(file)

    async def complete(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> Reply:  # noqa: ARG002
        """Look the conversation up. Raises: Unanswered, where it is not recorded or was left without a reply."""
        call = self._calls.get(transcript(tuple(messages)))
        if call is None:
            asked = short_line(messages[-1].text)
            raise Unanswered(f"replay:{self._file} has no call with this question: {asked!r}")
        if rank(call) == UNUSABLE:
            raise Unanswered(f"replay:{self._file} recorded no answer: {call.error}")
        assert call.reply is not None
        uses = tuple(ToolUse(use_id, use.name, use.arguments) for use_id, use in (call.tool_uses or {}).items())
        return Reply(call.reply, call.model or "", call.tokens_in, call.tokens_out, uses=uses)

    async def aclose(self) -> None:
        """Nothing is open."""


def read_calls(file: Path) -> dict[str, RecordedCall]:
    """Read recorded calls: conversation -> what came of it; of several, the first of the most usable.

    A question that was answered in a second attempt is answered so at once: the reason that it was asked again with
    may be worded otherwise by now.

    Raises: SettingsError, naming the line that is not a call.
    """
    if not file.is_file():
        what = "not a regular file" if file.exists() else "no such file"
        raise SettingsError(f"teacher.spec: replay:{file}: {what}; `blindspot export --calls FILE` writes one")
    calls = []
    for place, text in read_lines(file):
        try:
            calls.append(RecordedCall.model_validate_json(text))
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            raise SettingsError(
                f"replay:{file}: line {place.number} is not a recorded call ({where}: {problem['msg']})"
            ) from None
    usable: dict[str, RecordedCall] = {}
    for call in calls:
        if rank(call) == 0 and call.cache_key:
            usable.setdefault(call.cache_key, call)
    best_calls: dict[str, RecordedCall] = {}
    for call in calls:
        best = usable.get(call.cache_key, call)
        if call.prompt not in best_calls or rank(best) < rank(best_calls[call.prompt]):
            best_calls[call.prompt] = best
    return best_calls


def rank(call: RecordedCall) -> int:
    """How usable a call is, the smaller the more."""
    if call.reply is None or (call.error or "").startswith(DECLINED):
        return UNUSABLE
    return 0 if call.error is None else 1
