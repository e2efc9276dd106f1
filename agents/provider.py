"""What a provider of chat models is, and how its failures are sorted: worth another try, or final."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from blindspot.storage.errors import TeacherError, Unanswered

if TYPE_CHECKING:
    from httpx2 import Response

LONGEST_PAUSE_S = 600.0  # a provider that wants a longer one is out of quota: the operator should know
MESSAGE_CHARACTERS = 300  # of a provider's own words, in an error


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
        """Let go of connections."""


class Unavailable(Exception):
    """One request failed in a way that may pass; never leaves the layer of calls."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Closable(Protocol):
    async def close(self) -> None:
        """Let go of connections."""


C = TypeVar("C", bound=Closable)
B = TypeVar("B", bound=BaseModel)


class LateClient(Generic[C]):
    """An SDK's client, made by the first request: it belongs to the event loop that runs."""

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._made: C | None = None

    def get(self) -> C:
        if self._made is None:
            self._made = self._make()
        return self._made

    async def aclose(self) -> None:
        """Close the connections, if there are any."""
        if self._made is not None:
            await self._made.close()


@dataclass(frozen=True, slots=True)
class Peer:
    """The other side: how errors name it, and the key that is blotted out of its words."""

    name: str  # provider:model
    host: str
    key: str = field(repr=False)

    def read(self, body: str, shape: type[B]) -> B:
        """Check a body ourselves: the SDKs hand a page of HTML or an object of None on as an answer.

        Raises: Unavailable: a success status came with a body that is no answer.
        """
        try:
            return shape.model_validate_json(body)
        except ValidationError as error:
            said = redact(shorten(body), self.key)
            raise Unavailable(f"{self.name} sent an unreadable answer ({error.errors()[0]['msg']}): {said!r}") from None

    def refusal(self, response: Response) -> Unavailable | TeacherError:
        """Turn an HTTP error status into the error to raise."""
        status, body = response.status_code, response.text
        line = f"{self.name} answered {status}: {redact(provider_message(body), self.key)}"
        pause_s = retry_after_s(response.headers)
        if "insufficient_quota" in body:
            return TeacherError(f"{line} (the account has no credit left)")
        if status in (408, 409, 429) or status >= 500:
            if pause_s is not None and pause_s > LONGEST_PAUSE_S:
                return TeacherError(f"{line} (it asks to wait {pause_s:.0f} s: resume the run after that)")
            return Unavailable(line, pause_s)
        # these may be about this one text: too long, or against the provider's rules
        return Unanswered(line) if status in (400, 413, 422) else TeacherError(line)

    def unreachable(self, error: Exception) -> Unavailable:
        """Say that no answer came at all."""
        cause = f"{error} {error.__cause__ or ''}".strip()
        return Unavailable(f"{self.name} at {self.host}: {redact(cause, self.key)}")

    def unusable(self, error: Exception) -> TeacherError:
        """Say that the SDK itself would not send the request."""
        return TeacherError(f"{self.name}: {redact(str(error), self.key)}")


def check_key(key: str, variable: str) -> str:
    """Strip a key, and refuse one that no HTTP header can carry. The message never holds the key."""
    key = key.strip()
    if not key.isascii() or not key.isprintable():
        raise TeacherError(f"{variable} holds characters that cannot be part of a key: set it again")
    return key


def provider_message(body: str) -> str:
    """Take the provider's own words out of an error body, whatever of the usual shapes it has."""
    try:
        found = json.loads(body)
    except ValueError:
        return shorten(body)
    for name in ("error", "message", "detail"):
        while isinstance(found, dict) and found.get(name):
            found = found[name]
    return shorten(found if isinstance(found, str) else body)


def shorten(text: str) -> str:
    """Fold white space and keep the beginning."""
    text = " ".join(text.split())
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[:MESSAGE_CHARACTERS]}…"


def redact(text: str, key: str) -> str:
    """Blot out the key, and anything that looks like one (providers echo them half masked)."""
    return re.sub(r"\bsk-[\w*.…-]+", "[key]", text.replace(key, "[key]") if key else text)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read how long a provider wants to be left alone, in seconds: a number or an HTTP date."""
    milliseconds, text = headers.get("retry-after-ms"), headers.get("retry-after")
    for value, unit in ((milliseconds, 1000.0), (text, 1.0)):
        try:
            seconds = float(value) / unit if value is not None else math.nan
        except ValueError:
            continue
        if not math.isnan(seconds):
            return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time()) if text else None
    except ValueError:
        return None
