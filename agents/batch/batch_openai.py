"""OpenAI's Batch API: a file of requests goes up, a file of answers and one of errors come down."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from blindspot.agents.batch.batch_api import FILE_BYTES, TIMEOUT_S, BatchState
from blindspot.agents.batch.batch_record import PlainId
from blindspot.agents.batch.question_files import Line, json_lines
from blindspot.agents.chat import Unavailable
from blindspot.agents.providers.openai import ERRORS, connect, limit_name
from blindspot.agents.providers.peer import Peer
from blindspot.agents.spec import TeacherSpec

OVER = ("failed", "completed", "expired", "cancelled")


class IdBody(BaseModel):
    id: PlainId


class Counts(BaseModel):
    completed: int = 0
    failed: int = 0


class Problem(BaseModel):
    message: str | None = None
    line: int | None = None


class Problems(BaseModel):
    data: list[Problem] | None = None


class BatchBody(BaseModel):
    """What is needed of a batch's body."""

    status: str
    request_counts: Counts | None = None
    output_file_id: PlainId | None = None
    error_file_id: PlainId | None = None
    errors: Problems | None = None

    def in_one_line(self, peer: Peer) -> str:
        """The status, with the first reason where the whole batch was refused."""
        problems = (self.errors and self.errors.data) or []
        return peer.redacted(f"{self.status}: {problems[0].message or ''}" if problems else self.status)


class OpenAIBatches:
    """Batches of one model; see BatchApi. Raises: TeacherError at once, as `connect`."""

    def __init__(self, spec: TeacherSpec) -> None:
        self._spec = spec
        self._peer, self._client = connect(spec.model or "", spec.base_url, TIMEOUT_S, most_bytes=FILE_BYTES)

    async def upload(self, questions: Sequence[Line]) -> object:
        """Send a file of requests. Returns: its id."""
        content = json_lines(map(self._request, questions)).encode()
        with self._peer.telling(ERRORS):
            raw = await self._client.files.with_raw_response.create(file=("questions.jsonl", content), purpose="batch")
        return self._peer.read(raw.http_response.text, IdBody).id

    async def buy(self, uploaded: object) -> str:
        """Begin a batch of an uploaded file."""
        with self._peer.telling(ERRORS):
            raw = await self._client.batches.with_raw_response.create(
                input_file_id=str(uploaded),
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={"made_by": "blindspot"},
            )
        return self._peer.read(raw.http_response.text, IdBody).id

    async def look(self, batch_id: str) -> BatchState:
        """See how far a batch is."""
        state = await self._state(batch_id)
        counts = state.request_counts or Counts()
        return BatchState(state.in_one_line(self._peer), state.status in OVER, counts.completed, counts.failed)

    async def fetch(self, batch_id: str) -> list[Line]:
        """Get the lines of both files, as they are."""
        state = await self._state(batch_id)
        lines: list[Line] = []
        for file_id in (state.output_file_id, state.error_file_id):
            if file_id:
                with self._peer.telling(ERRORS):
                    raw = await self._client.files.with_raw_response.content(file_id)
                lines += self._read(raw.http_response.text)
        return lines

    async def aclose(self) -> None:
        """Close the connections, if there are any."""
        await self._client.close()

    def _request(self, line: Line) -> Line:
        """Fill the model in, and name the limit as its server does."""
        body = {**line["body"], "model": self._spec.model}
        body[limit_name(self._spec.base_url)] = body.pop("max_completion_tokens")
        return {**line, "body": body}

    async def _state(self, batch_id: str) -> BatchBody:
        with self._peer.telling(ERRORS):
            raw = await self._client.batches.with_raw_response.retrieve(batch_id)
        return self._peer.read(raw.http_response.text, BatchBody)

    def _read(self, text: str) -> Iterator[Line]:
        for line in filter(str.strip, text.split("\n")):
            try:
                answer = json.loads(line)
            except ValueError:
                answer = None
            if not isinstance(answer, dict):
                shown = self._peer.redacted(line)
                raise Unavailable(f"{self._peer.name} sent a file with a line that is not an answer: {shown!r}")
            yield self._peer.blot(answer)
