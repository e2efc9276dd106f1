"""Anthropic's messages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, cast

from anthropic import (
    AnthropicError,
    APIConnectionError,
    APIStatusError,
    AsyncAnthropic,
    omit,
)
from anthropic.types import MessageParam, ToolParam
from pydantic import BaseModel, BeforeValidator, model_validator

from blindspot.agents.chat import Endpoint, Message, Reply, Tool, ToolUse
from blindspot.agents.providers.event_stream import joined_message
from blindspot.agents.providers.peer import ANSWER_BYTES, Peer, SdkErrors, check_key
from blindspot.agents.providers.transport import BoundedClient
from blindspot.agents.providers.wire import (
    FILTERED,
    UNREADABLE,
    ModelName,
    TokenCount,
    read_usage,
    sendable_arguments,
    sendable_name,
    with_ids,
)
from blindspot.storage.errors import TeacherError

KEY = "ANTHROPIC_API_KEY"
OWN_URL = "https://api.anthropic.com"  # always given: the SDK would take ANTHROPIC_BASE_URL in its place
ERRORS = SdkErrors(APIStatusError, APIConnectionError, AnthropicError)


class Usage(BaseModel):
    input_tokens: TokenCount = 0
    output_tokens: TokenCount = 0
    cache_creation_input_tokens: TokenCount = 0
    cache_read_input_tokens: TokenCount = 0

    @property
    def all_input_tokens(self) -> int:
        """`input_tokens` leaves out what the provider's own prompt cache wrote and read."""
        counts = self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens
        return sum(counts) if min(counts) >= 0 else UNREADABLE


class Block(BaseModel):
    """A part of an answer: text, a request for a tool (id, name, input), or something else."""

    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: dict[str, Any] | None = None

    @model_validator(mode="after")
    def check_tool_use(self) -> Block:
        if self.type == "tool_use" and (not self.name or self.input is None):
            raise ValueError("a tool_use without name or input")
        return self


def read_blocks(value: object) -> object:
    """Read an answer's parts; a text alone is one part."""
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


class MessageBody(BaseModel):
    """What is needed of the answer's body."""

    model: ModelName = ""
    content: Annotated[list[Block], BeforeValidator(read_blocks)]
    stop_reason: str | None = None
    usage: Annotated[Usage, BeforeValidator(read_usage)] = Usage()

    @property
    def text(self) -> str:
        return "".join(block.text for block in self.content if block.type == "text")

    def as_reply(self) -> Reply:
        """What the model said, and what it took."""
        return Reply(
            text=self.text,
            model=self.model,
            tokens_in=self.usage.all_input_tokens,
            tokens_out=self.usage.output_tokens,
            cut_off=self.stop_reason in ("max_tokens", "model_context_window_exceeded"),
            uses=uses_of(self),
            refusal=(self.text or FILTERED) if self.stop_reason == "refusal" else None,
        )


class AnthropicProvider:
    """A model that is asked by messages. Raises: TeacherError at once, as `connect`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._peer, self._client = connect(endpoint.model, endpoint.base_url, endpoint.timeout_s)

    async def complete(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> Reply:
        """Ask once; see Provider."""
        endpoint = self._endpoint
        turns = [{"role": message.role, "content": content_of(message)} for message in messages]
        offered = [offer(tool) for tool in tools] or used(messages)
        # create() of this SDK has no parameter for the temperature
        extra = None if endpoint.temperature is None else {"temperature": endpoint.temperature}
        with self._peer.telling(ERRORS):
            response = await self._client.messages.with_raw_response.create(
                model=endpoint.model,
                messages=cast(list[MessageParam], turns),
                max_tokens=endpoint.max_tokens,
                tools=offered or omit,
                tool_choice={"type": "none"} if offered and not tools else omit,
                extra_body=extra,
            )
        return self._peer.read_answer(response.http_response, MessageBody, joined_message).as_reply()

    async def aclose(self) -> None:
        """Close the connections, if there are any."""
        await self._client.close()


def connect(
    model: str, base_url: str | None, timeout_s: float, *, most_bytes: int = ANSWER_BYTES
) -> tuple[Peer, AsyncAnthropic]:
    """Make the client of a server. Raises: TeacherError, when there is no key; see Peer.connect."""
    key, url = check_key(os.environ.get(KEY, ""), KEY), base_url or OWN_URL
    peer = Peer(f"anthropic:{model}", url, key)
    if not key:
        raise TeacherError(f"{peer.name} needs a key: set {KEY}")

    def make() -> AsyncAnthropic:
        http = BoundedClient(url, timeout_s=timeout_s, most_bytes=most_bytes)
        return AsyncAnthropic(api_key=key, base_url=url, timeout=timeout_s, max_retries=0, http_client=http)

    return peer, peer.connect(make)


def content_of(message: Message) -> str | list[dict[str, Any]]:
    """Write a turn in the wire format: text alone as it is, with tools as blocks."""
    return list(blocks_of(message)) if message.uses or message.results else message.text


def blocks_of(message: Message) -> Iterator[dict[str, Any]]:
    """Results come before the words of their turn, requests for tools after; an empty text is refused."""
    for result in message.results:
        yield {"type": "tool_result", "tool_use_id": result.use_id, "content": result.text}
    if message.text.strip():
        yield {"type": "text", "text": message.text}
    for use in message.uses:
        arguments = sendable_arguments(use.arguments)
        yield {"type": "tool_use", "id": use.use_id, "name": sendable_name(use.name), "input": arguments}


def offer(tool: Tool) -> ToolParam:
    """Tell of a tool in the wire format."""
    return {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}


def used(messages: Sequence[Message]) -> list[ToolParam]:
    """The tools of a conversation in which none may be called any more: it is refused where they are not told of."""
    names = sorted({sendable_name(use.name) for message in messages for use in message.uses})
    return [{"name": name, "input_schema": {"type": "object"}} for name in names]


def uses_of(answer: MessageBody) -> tuple[ToolUse, ...]:
    """Read the tools that an answer asks for."""
    asked = (block for block in answer.content if block.type == "tool_use")
    return with_ids(ToolUse(block.id, block.name, json.dumps(block.input, ensure_ascii=False)) for block in asked)
