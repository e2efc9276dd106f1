"""What a probing teacher can find out: the tools on one model version, and the record of their use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from blindspot.storage.records import AttackStatus, Fields, ToolCall


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text of the teacher's own, and the label that it believes true."""

    fields: Fields
    label: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the classifier says of a text."""

    predicted: str
    confidence: float  # in [0, 1]
    is_uu: bool  # wrong by the label that the teacher gave it, with confidence >= tau


@dataclass(frozen=True, slots=True)
class Perturbation:
    """What an attack made of a text."""

    status: AttackStatus
    fields: Fields | None  # where it flipped
    verdict: Verdict | None  # on the perturbed text, or on the text where nothing flipped
    queries: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much alike two texts are."""

    meaning: float  # BERTScore F1
    characters: float  # share in common, in order, in [0, 1]


class Probes(Protocol):
    """The tools on one model version, and the record of what a teacher made of them."""

    model_id: str
    tau: float
    recipes: tuple[str, ...]  # to attack with

    async def classify(self, texts: Sequence[Labelled]) -> list[Verdict]:
        """Ask the classifier about each text."""

    async def attack(self, text: Labelled, recipe: str) -> Perturbation:
        """Attack one text; the same text always gives the same."""

    async def compare(self, text: Fields, other: Fields) -> Likeness:
        """Say how much alike two texts are."""

    async def find(self, tool_call_id: str) -> ToolCall | None:
        """What an earlier pass of this run recorded."""

    async def add(self, call: ToolCall) -> None:
        """Record a use and what it gave."""

    async def aclose(self) -> None:
        """Release models and threads."""
