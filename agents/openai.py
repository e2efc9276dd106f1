"""OpenAI's chat completions, and every server that speaks them (vLLM, Ollama, llama.cpp)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Annotated, cast

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, OpenAIError
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, Field

from blindspot.agents.provider import Endpoint, LateClient, Message, Peer, Reply, Tool, check_key
from blindspot.storage.errors import TeacherError

KEY = "OPENAI_API_KEY"


class Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class AssistantMessage(BaseModel):
    content: str | None  # None where the model declined


class Choice(BaseModel):
    message: AssistantMessage
    finish_reason: str | None = None


class Completion(BaseModel):
    """What is needed of the answer's body; servers differ in the rest."""

    model: str
    choices: Annotated[list[Choice], Field(min_length=1)]
    usage: Usage | None = None


class OpenAIProvider:
    """A model that is asked by chat completions.

    Raises: TeacherError at once, when it needs a key and there is none; a server of one's own needs none.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        key = check_key(os.environ.get(KEY, ""), KEY)
        self._endpoint = endpoint
        self._peer = Peer(f"openai:{endpoint.model}", endpoint.base_url or "api.openai.com", key)
        if not key and endpoint.base_url is None:
            raise TeacherError(f"{self._peer.name} needs a key: set {KEY}, or name a server of your own by @BASE_URL")
        self._client = LateClient(
            partial(
                AsyncOpenAI,
                api_key=key or "none",
                base_url=endpoint.base_url,
                timeout=endpoint.timeout_s,
                max_retries=0,
            )
        )

    async def complete(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> Reply:  # noqa: ARG002
        """Ask once; see Provider."""
        endpoint = self._endpoint
        turns = [{"role": message.role, "content": message.text} for message in messages]
        # OpenAI's newer models refuse `max_tokens`; other servers may not know its new name
        limit = "max_completion_tokens" if endpoint.base_url is None else "max_tokens"
        extra = {limit: endpoint.max_tokens}
        temperature = {} if endpoint.temperature is None else {"temperature": endpoint.temperature}
        try:
            response = await self._client.get().chat.completions.with_raw_response.create(
                model=endpoint.model,
                messages=cast(list[ChatCompletionMessageParam], turns),
                extra_body={**extra, **temperature},
            )
        except APIStatusError as error:
            raise self._peer.refusal(error.response) from None
        except APIConnectionError as error:
            raise self._peer.unreachable(error) from None
        except OpenAIError as error:
            raise self._peer.unusable(error) from None
        completion = self._peer.read(response.http_response.text, Completion)
        choice, usage = completion.choices[0], completion.usage or Usage()
        return Reply(
            text=choice.message.content or "",
            model=completion.model,
            tokens_in=usage.prompt_tokens,
            tokens_out=usage.completion_tokens,
            cut_off=choice.finish_reason == "length",
        )

    async def aclose(self) -> None:
        """Close the connections, if there are any."""
        await self._client.aclose()
