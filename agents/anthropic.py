"""Anthropic's messages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import cast

from anthropic import AnthropicError, APIConnectionError, APIStatusError, AsyncAnthropic
from anthropic.types import MessageParam
from pydantic import BaseModel

from blindspot.agents.provider import Endpoint, LateClient, Message, Peer, Reply, Tool, check_key
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
        key = check_key(os.environ.get(KEY, ""), KEY)
        self._endpoint = endpoint
        self._peer = Peer(f"anthropic:{endpoint.model}", endpoint.base_url or "api.anthropic.com", key)
        if not key:
            raise TeacherError(f"{self._peer.name} needs a key: set {KEY}")
        self._client = LateClient(
            partial(AsyncAnthropic, api_key=key, base_url=endpoint.base_url, timeout=endpoint.timeout_s, max_retries=0)
        )

    async def complete(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> Reply:  # noqa: ARG002
        """Ask once; see Provider."""
        endpoint = self._endpoint
        turns = [{"role": message.role, "content": message.text} for message in messages]
        # create() of this SDK has no parameter for the temperature
        extra = None if endpoint.temperature is None else {"temperature": endpoint.temperature}
        try:
            response = await self._client.get().messages.with_raw_response.create(
                model=endpoint.model,
                messages=cast(list[MessageParam], turns),
                max_tokens=endpoint.max_tokens,
                extra_body=extra,
            )
        except APIStatusError as error:
            raise self._peer.refusal(error.response) from None
        except APIConnectionError as error:
            raise self._peer.unreachable(error) from None
        except AnthropicError as error:
            raise self._peer.unusable(error) from None
        answer = self._peer.read(response.http_response.text, Answer)
        return Reply(
            text="".join(block.text for block in answer.content if block.type == "text"),
            model=answer.model,
            tokens_in=answer.usage.all_input_tokens,
            tokens_out=answer.usage.output_tokens,
            cut_off=answer.stop_reason == "max_tokens",
        )

    async def aclose(self) -> None:
        """Close the connections, if there are any."""
        await self._client.aclose()
