"""Anthropic's messages."""

from __future__ import annotations

import os
from collections.abc import Sequence

from anthropic import AnthropicError, APIConnectionError, APIStatusError, AsyncAnthropic
from anthropic.types import MessageParam
from pydantic import BaseModel, ValidationError

from blindspot.agents.provider import (
    Endpoint,
    Message,
    Reply,
    Unavailable,
    check_key,
    redact,
    status_failure,
    unreadable,
)
from blindspot.storage.errors import TeacherError

KEY = "ANTHROPIC_API_KEY"


class Usage(BaseModel):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None

    @property
    def all_input_tokens(self) -> int:
        """`input_tokens` leaves out what the provider's own prompt cache wrote and read."""
        return self.input_tokens + (self.cache_creation_input_tokens or 0) + (self.cache_read_input_tokens or 0)


class Block(BaseModel):
    type: str
    text: str = ""  # blocks of other types have none


class Answer(BaseModel):
    """What is needed of the answer's body."""

    model: str
    content: list[Block]
    stop_reason: str | None = None
    usage: Usage


class AnthropicProvider:
    """A model that is asked by messages. Raises: TeacherError at once, when there is no key."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._who = f"anthropic:{endpoint.model}"
        self._key = check_key(os.environ.get(KEY, ""), KEY)
        if not self._key:
            raise TeacherError(f"{self._who} needs a key: set {KEY}")
        self._client: AsyncAnthropic | None = None

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """Ask once; see Provider."""
        endpoint = self._endpoint
        turns: list[MessageParam] = [
            {"role": "assistant", "content": message.text}
            if message.role == "assistant"
            else {"role": "user", "content": message.text}
            for message in messages
        ]
        # create() of this SDK has no parameter for the temperature
        extra = None if endpoint.temperature is None else {"temperature": endpoint.temperature}
        try:
            response = await self._open().messages.with_raw_response.create(
                model=endpoint.model, messages=turns, max_tokens=endpoint.max_tokens, extra_body=extra
            )
        except AnthropicError as error:
            raise self._failure(error) from None
        return self._read(response.http_response.text)

    async def aclose(self) -> None:
        """Close the connections, if there are any."""
        if self._client is not None:
            await self._client.close()

    def _open(self) -> AsyncAnthropic:
        if self._client is None:  # not before: a client belongs to the event loop that runs
            self._client = AsyncAnthropic(
                api_key=self._key,
                base_url=self._endpoint.base_url,
                timeout=self._endpoint.timeout_s,
                max_retries=0,
            )
        return self._client

    def _read(self, body: str) -> Reply:
        """Check the body ourselves: the SDK hands a page of HTML or an object of None on as an answer."""
        try:
            answer = Answer.model_validate_json(body)
        except ValidationError as error:
            raise unreadable(body, error.errors()[0]["msg"], who=self._who, key=self._key) from None
        return Reply(
            text="".join(block.text for block in answer.content if block.type == "text"),
            model=answer.model,
            tokens_in=answer.usage.all_input_tokens,
            tokens_out=answer.usage.output_tokens,
            cut_off=answer.stop_reason == "max_tokens",
        )

    def _failure(self, error: AnthropicError) -> Unavailable | TeacherError:
        """Map the SDK's errors to ours."""
        if isinstance(error, APIStatusError):
            response = error.response
            return status_failure(response.status_code, response.headers, response.text, who=self._who, key=self._key)
        if isinstance(error, APIConnectionError):
            cause = redact(f"{error} {error.__cause__ or ''}".strip(), self._key)
            return Unavailable(f"{self._who} at {self._endpoint.base_url or 'api.anthropic.com'}: {cause}")
        return TeacherError(f"{self._who}: {redact(str(error), self._key)}")
