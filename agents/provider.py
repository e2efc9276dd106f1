"""What a provider of chat models is, and how its failures are sorted: worth another try, or final."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal, Protocol

from blindspot.storage.errors import TeacherError

LONGEST_PAUSE_S = 600.0  # a provider that wants a longer one is out of quota: the operator should know
MESSAGE_CHARACTERS = 300  # of a provider's own words, in an error


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said, and what it took."""

    text: str  # empty where the model declined without a word
    model: str  # as the provider names it
    tokens_in: int
    tokens_out: int
    cut_off: bool = False  # it stopped at max_tokens


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

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """Ask once. Raises: Unavailable, where another try may help; TeacherError, where none will."""

    async def aclose(self) -> None:
        """Let go of connections."""


class Unavailable(Exception):
    """One request failed in a way that may pass; never leaves the layer of calls."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def check_key(key: str, variable: str) -> str:
    """Strip a key, and refuse one that no HTTP header can carry. The message never holds the key."""
    key = key.strip()
    if not key.isascii() or not key.isprintable():
        raise TeacherError(f"{variable} holds characters that cannot be part of a key: set it again")
    return key


def status_failure(
    status: int, headers: Mapping[str, str], body: str, *, who: str, key: str
) -> Unavailable | TeacherError:
    """Turn an HTTP error status into the error to raise.

    Args:
        who: the provider and model, for the message.
        key: blotted out of the provider's own words.
    """
    line = f"{who} answered {status}: {redact(provider_message(body), key)}"
    pause_s = retry_after_s(headers)
    if "insufficient_quota" in body:
        return TeacherError(f"{line} (the account has no credit left)")
    if status in (408, 409, 429) or status >= 500:
        if pause_s is not None and pause_s > LONGEST_PAUSE_S:
            return TeacherError(f"{line} (it asks to wait {pause_s:.0f} s: resume the run after that)")
        return Unavailable(line, pause_s)
    return TeacherError(line)


def unreadable(body: str, reason: str, *, who: str, key: str) -> Unavailable:
    """Say that a success status came with a body that is no answer."""
    return Unavailable(f"{who} sent an unreadable answer ({reason}): {redact(shorten(body), key)!r}")


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
