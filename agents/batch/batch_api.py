"""What a batch API of a provider is: questions go up, are bought, and answers come down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from blindspot.agents.batch.question_files import Line

TIMEOUT_S = 600.0  # of one request: a file of answers may be large
FILE_BYTES = 2**30  # of a file of answers, at most


@dataclass(frozen=True, slots=True)
class BatchState:
    """How far a batch is, as its provider says."""

    status: str
    is_over: bool
    answered: int
    failed: int


class BatchApi(Protocol):
    """The batch API of one provider. Raises: Unavailable, where another try may help, and TeacherError."""

    async def upload(self, questions: Sequence[Line]) -> object:
        """Get questions ready to be bought; costs nothing."""

    async def buy(self, uploaded: object) -> str:
        """Begin a batch of what `upload` gave. Returns: the batch's id."""

    async def look(self, batch_id: str) -> BatchState:
        """See how far a batch is."""

    async def fetch(self, batch_id: str) -> list[Line]:
        """Get the answers, and the errors, as lines of the output format of OpenAI's Batch API."""

    async def aclose(self) -> None:
        """Release connections."""
