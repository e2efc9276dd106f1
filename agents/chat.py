"""What a provider of chat models is: the turns of a conversation, replies, tools, and a failure that may pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that a model may ask for, as it is told of it."""

    name: str
    description: str
    parameters: Mapping[str, Any]  # JSON schema of an object


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A model's request to run a tool."""

    use_id: str
    name: str
    arguments: str  # JSON, as the model wrote it: not checked


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave for one use."""

    use_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    text: str
    uses: tuple[ToolUse, ...] = ()  # of an assistant's turn
    results: tuple[ToolResult, ...] = ()  # of a user's turn: one for each use of the turn before it


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said, and what it took."""

    text: str  # empty where the model declined without a word, or only asked for tools
    model: str  # as the provider names it
    tokens_in: int
    tokens_out: int
    cut_off: bool = False  # it stopped at max_tokens
    uses: tuple[ToolUse, ...] = ()  # the tools it asks for
    refusal: str | None = None  # why the model or its provider would not answer; asked again, it would not either


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model, where it is reached and how it is asked."""

    model: str
    base_url: str | None
    timeout_s: float
    temperature: float | None
    max_tokens: int


class Provider(Protocol):
    """A chat model behind some API."""

    async def complete(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> Reply:
        """Ask once.

        Args:
            tools: what the model may ask for in its reply; it need not.

        Raises: Unavailable, where another try may help; Unanswered, where only another question would; TeacherError,
            where nothing will.
        """

    async def aclose(self) -> None:
        """Release connections."""


class Unavailable(Exception):
    """One request failed in a way that may pass; never leaves the layer of calls."""

    def __init__(
        self,
        message: str,
        retry_after_s: float | None = None,
        *,
        is_refusal: bool = False,
        may_be_billed: bool = True,
        status: int | None = None,
    ) -> None:
        """
        Args:
            retry_after_s: how long the provider wants to be left alone.
            is_refusal: it was asked too much, by us or by all; the question itself was not looked at.
            may_be_billed: an answer may have been made that did not arrive.
            status: of the HTTP response; None where none came.
        """
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.is_refusal = is_refusal
        self.may_be_billed = may_be_billed
        self.status = status
