"""OpenAI's chat completions, and every server that speaks them (vLLM, Ollama, llama.cpp)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, cast

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, OpenAIError, omit
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from blindspot.agents.chat import Endpoint, Message, Reply, Tool, ToolUse
from blindspot.agents.providers.event_stream import joined_completion
from blindspot.agents.providers.peer import ANSWER_BYTES, Peer, SdkErrors, check_key, is_own
from blindspot.agents.providers.transport import BoundedClient
from blindspot.agents.providers.wire import (
    FILTERED,
    ModelName,
    Text,
    TokenCount,
    read_usage,
    sendable_arguments,
    sendable_name,
    with_ids,
)
from blindspot.storage.errors import TeacherError

KEY = "OPENAI_API_KEY"
OWN_URL = "https://api.openai.com/v1"  # always given: the SDK would take OPENAI_BASE_URL in its place
ERRORS = SdkErrors(APIStatusError, APIConnectionError, OpenAIError)


class Usage(BaseModel):
    prompt_tokens: TokenCount = 0
    completion_tokens: TokenCount = 0


class Function(BaseModel):
    name: str
    arguments: str | None = None  # JSON, or what the model took for it


class ToolCallBody(BaseModel):
    id: str | None = None
    function: Function


class AssistantMessage(BaseModel):
    content: Text = None  # None where the model declined, or only asks for tools
    refusal: str | None = None  # the words it declined with
    tool_calls: list[ToolCallBody] | None = None

    @model_validator(mode="after")
    def check_content(self) -> AssistantMessage:
        """A message without any content is none; one that only asks for tools may leave it out."""
        if "content" not in self.model_fields_set and not (self.tool_calls or self.refusal):
            raise ValueError("a message without content")
        return self


class ChoiceBody(BaseModel):
    message: AssistantMessage
    finish_reason: str | None = None


class Completion(BaseModel):
    """What is needed of the answer's body; servers differ in the rest."""

    model: ModelName = ""
    choices: Annotated[list[ChoiceBody], Field(min_length=1)]
    usage: Annotated[Usage, BeforeValidator(read_usage)] = Usage()

    def as_reply(self) -> Reply:
        """What the model said, and what it took."""
        choice = self.choices[0]
        message = choice.message
        refusal = message.refusal if not message.content else None
        if choice.finish_reason == "content_filter":
            refusal = message.refusal or FILTERED
        return Reply(
            text=message.content or "",
            model=self.model,
            tokens_in=self.usage.prompt_tokens,
            tokens_out=self.usage.completion_tokens,
            cut_off=choice.finish_reason == "length",
            uses=uses_of(message),
            refusal=refusal or None,
        )


class OpenAIProvider:
    """A model that is asked by chat completions. Raises: TeacherError at once, as `connect`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._peer, self._client = connect(endpoint.model, endpoint.base_url, endpoint.timeout_s)

    async def complete(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> Reply:
        """Ask once; see Provider."""
        endpoint = self._endpoint
        turns = [turn for message in messages for turn in turns_of(message)]
        offered = [offer(tool) for tool in tools]
        extra: dict[str, Any] = {limit_name(endpoint.base_url): endpoint.max_tokens}
        temperature = {} if endpoint.temperature is None else {"temperature": endpoint.temperature}
        with self._peer.telling(ERRORS):
            response = await self._client.chat.completions.with_raw_response.create(
                model=endpoint.model,
                messages=cast(list[ChatCompletionMessageParam], turns),
                tools=offered or omit,
                extra_body={**extra, **temperature},
            )
        return self._peer.read_answer(response.http_response, Completion, joined_completion).as_reply()

    async def aclose(self) -> None:
        """Close the connections, if there are any."""
        await self._client.close()


def connect(
    model: str, base_url: str | None, timeout_s: float, *, most_bytes: int = ANSWER_BYTES
) -> tuple[Peer, AsyncOpenAI]:
    """Make the client of a server.

    Raises: TeacherError, when it needs a key and there is none (a server of one's own needs none); see Peer.connect.
    """
    key, url = check_key(os.environ.get(KEY, ""), KEY), base_url or OWN_URL
    peer = Peer(f"openai:{model}", url, key)
    if not key and is_own(url):
        raise TeacherError(f"{peer.name} needs a key: set {KEY}, or name a server of your own with @BASE_URL")

    def make() -> AsyncOpenAI:
        http = BoundedClient(url, timeout_s=timeout_s, most_bytes=most_bytes)
        return AsyncOpenAI(api_key=key or "none", base_url=url, timeout=timeout_s, max_retries=0, http_client=http)

    return peer, peer.connect(make)


def limit_name(base_url: str | None) -> str:
    """What the limit of an answer is called: OpenAI's newer models refuse the old name, other servers the new one."""
    return "max_completion_tokens" if is_own(base_url) else "max_tokens"


def turns_of(message: Message) -> Iterator[dict[str, Any]]:
    """Write a turn in the wire format: each tool's result is a message of its own, before the user's words."""
    for result in message.results:
        yield {"role": "tool", "tool_call_id": result.use_id, "content": result.text}
    if message.uses:
        yield {
            "role": message.role,
            "content": message.text or None,
            "tool_calls": [tool_request(use) for use in message.uses],
        }
    elif message.text or not message.results:
        yield {"role": message.role, "content": message.text}


def tool_request(use: ToolUse) -> dict[str, Any]:
    """Write a model's request for a tool as it is sent back to it; servers parse the arguments again."""
    arguments = json.dumps(sendable_arguments(use.arguments), ensure_ascii=False)
    return {
        "id": use.use_id,
        "type": "function",
        "function": {"name": sendable_name(use.name), "arguments": arguments},
    }


def offer(tool: Tool) -> ChatCompletionFunctionToolParam:
    """Tell of a tool in the wire format."""
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
    }


def uses_of(message: AssistantMessage) -> tuple[ToolUse, ...]:
    """Read the tools that a message asks for."""
    calls = message.tool_calls or []
    return with_ids(ToolUse(call.id or "", call.function.name, call.function.arguments or "{}") for call in calls)
