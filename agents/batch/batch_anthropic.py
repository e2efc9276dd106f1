"""Anthropic's Message Batches: requests go up converted, results come down one by one and are converted back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from anthropic.types.messages.batch_create_params import Request
from httpx2 import HTTPError
from pydantic import BaseModel, ValidationError

from blindspot.agents.batch.batch_api import FILE_BYTES, TIMEOUT_S, BatchState
from blindspot.agents.batch.batch_record import PlainId
from blindspot.agents.batch.question_files import Line
from blindspot.agents.chat import Unavailable
from blindspot.agents.providers.anthropic import ERRORS, MessageBody, connect
from blindspot.agents.spec import TeacherSpec


class Counts(BaseModel):
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class BatchBody(BaseModel):
    """What is needed of a batch's body."""

    id: PlainId
    processing_status: str
    request_counts: Counts = Counts()


class AnthropicBatches:
    """Batches of one model; see BatchApi. Raises: TeacherError at once, as `connect`."""

    def __init__(self, spec: TeacherSpec) -> None:
        self._spec = spec
        self._peer, self._client = connect(spec.model or "", spec.base_url, TIMEOUT_S, most_bytes=FILE_BYTES)

    async def upload(self, questions: Sequence[Line]) -> object:
        """Convert requests; they go up when they are bought."""
        return [
            {"custom_id": line["custom_id"], "params": {"model": self._spec.model, **converted(line["body"])}}
            for line in questions
        ]

    async def buy(self, uploaded: object) -> str:
        """Begin a batch."""
        with self._peer.telling(ERRORS):
            raw = await self._client.messages.batches.with_raw_response.create(requests=cast(list[Request], uploaded))
        return self._peer.read(raw.http_response.text, BatchBody).id

    async def look(self, batch_id: str) -> BatchState:
        """See how far a batch is."""
        with self._peer.telling(ERRORS):
            raw = await self._client.messages.batches.with_raw_response.retrieve(batch_id)
        state = self._peer.read(raw.http_response.text, BatchBody)
        counts = state.request_counts
        failed = counts.errored + counts.canceled + counts.expired
        return BatchState(
            self._peer.redacted(state.processing_status), state.processing_status == "ended", counts.succeeded, failed
        )

    async def fetch(self, batch_id: str) -> list[Line]:
        """Get the results."""
        with self._peer.telling(ERRORS):
            results = await self._client.messages.batches.results(batch_id)
            try:
                return [self._peer.blot(answer_line(cast(Any, entry).to_dict(mode="json"))) async for entry in results]
            except HTTPError as error:  # the SDK maps errors of the request, not those of what streams in after it
                raise self._peer.unreachable(error) from None
            except (ValueError, AttributeError, KeyError) as error:  # it decodes lines as they come, unchecked
                reason = self._peer.redacted(f"{type(error).__name__}: {error}")
                raise Unavailable(f"{self._peer.name} sent results that cannot be read ({reason})") from None

    async def aclose(self) -> None:
        """Close the connections, if there are any."""
        await self._client.close()


def converted(body: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the body of a chat completion into that of a message, up to the model."""
    message = {"max_tokens": body["max_completion_tokens"], "messages": body["messages"]}
    return message | ({"temperature": body["temperature"]} if "temperature" in body else {})


def answer_line(entry: Mapping[str, Any]) -> Line:
    """Turn a result into a line of the output of OpenAI's Batch API; what failed keeps its reason."""
    result = entry.get("result")
    if not isinstance(result, Mapping):
        result = {"type": "no result"}
    if result.get("type") != "succeeded":
        error = result.get("error") or {"message": result.get("type")}
        return {"custom_id": entry["custom_id"], "response": None, "error": error}
    try:
        answer = MessageBody.model_validate(result.get("message"))
    except ValidationError as problem:
        error = {"message": f"no message: {problem.errors()[0]['msg']}"}
        return {"custom_id": entry["custom_id"], "response": None, "error": error}
    reply = answer.as_reply()
    message = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
    ended = "length" if reply.cut_off else "stop" if reply.refusal is None else "content_filter"
    body = {
        "model": reply.model,
        "choices": [{"message": message, "finish_reason": ended}],
        "usage": {"prompt_tokens": reply.tokens_in, "completion_tokens": reply.tokens_out},
    }
    return {"custom_id": entry["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}
