"""OpenAI's chat completions, and every server that speaks them (vLLM, Ollama, llama.cpp)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, OpenAIError
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, Field, ValidationError

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
        self._endpoint = endpoint
        self._who = f"openai:{endpoint.model}"
        self._key = check_key(os.environ.get(KEY, ""), KEY)
        if not self._key and endpoint.base_url is None:
            raise TeacherError(f"{self._who} needs a key: set {KEY}, or name a server of your own by @BASE_URL")
        self._client: AsyncOpenAI | None = None

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """Ask once; see Provider."""
        endpoint = self._endpoint
        turns: list[ChatCompletionMessageParam] = [
            {"role": "assistant", "content": message.text}
            if message.role == "assistant"
            else {"role": "user", "content": message.text}
            for message in messages
        ]
        # OpenAI's newer models refuse `max_tokens`; other servers may not know its new name
        limit = "max_completion_tokens" if endpoint.base_url is None else "max_tokens"
        extra = {limit: endpoint.max_tokens}
        temperature = {} if endpoint.temperature is None else {"temperature": endpoint.temperature}
        try:
            response = await self._open().chat.completions.with_raw_response.create(
                model=endpoint.model, messages=turns, extra_body={**extra, **temperature}
            )
        except OpenAIError as error:
            raise self._failure(error) from None
        return self._read(response.http_response.text)

    async def aclose(self) -> None:
        """Close the connections, if there are any."""
        if self._client is not None:
            await self._client.close()

    def _open(self) -> AsyncOpenAI:
        if self._client is None:  # not before: a client belongs to the event loop that runs
            self._client = AsyncOpenAI(
                api_key=self._key or "none",
                base_url=self._endpoint.base_url,
                timeout=self._endpoint.timeout_s,
                max_retries=0,
            )
        return self._client

    def _read(self, body: str) -> Reply:
        """Check the body ourselves: the SDK hands a page of HTML or an object of None on as an answer."""
        try:
            completion = Completion.model_validate_json(body)
        except ValidationError as error:
            raise unreadable(body, error.errors()[0]["msg"], who=self._who, key=self._key) from None
        choice, usage = completion.choices[0], completion.usage or Usage()
        return Reply(
            text=choice.message.content or "",
            model=completion.model,
            tokens_in=usage.prompt_tokens,
            tokens_out=usage.completion_tokens,
            cut_off=choice.finish_reason == "length",
        )

    def _failure(self, error: OpenAIError) -> Unavailable | TeacherError:
        """Map the SDK's errors to ours."""
        if isinstance(error, APIStatusError):
            response = error.response
            return status_failure(response.status_code, response.headers, response.text, who=self._who, key=self._key)
        if isinstance(error, APIConnectionError):
            cause = redact(f"{error} {error.__cause__ or ''}".strip(), self._key)
            return Unavailable(f"{self._who} at {self._endpoint.base_url or 'api.openai.com'}: {cause}")
        return TeacherError(f"{self._who}: {redact(str(error), self._key)}")
