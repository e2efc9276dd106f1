"""What a teacher is: the cases it is shown, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from blindspot.storage.records import Fields
from blindspot.storage.words import HypothesisKind
from blindspot.tools.programs.vocabulary import ParsedProgram


@dataclass(frozen=True, slots=True)
class SampleRules:
    """What the filter will ask of samples about a UU, as far as a teacher can see to it."""

    min_characters: int = 40  # of all fields together, white space squeezed
    near_duplicate: float = 0.9  # rejected at or above this share of characters in common with another synthetic sample
    near_training: float = 0.995  # the same with a training sample


@dataclass(frozen=True, slots=True)
class Case:
    """One UU as a teacher is shown it."""

    uu_id: str
    task: str
    field_names: tuple[str, ...]
    labels: tuple[str, ...]
    original: Fields
    perturbed: Fields | None  # None for a natural UU: the original is what fools the classifier
    label: str  # the true one
    predicted: str
    confidence: float  # in [0, 1]
    recipe: str | None
    rules: SampleRules = SampleRules()


@dataclass(frozen=True, slots=True)
class Explanation:
    """A hypothesis in the teacher's words, and how it came to it."""

    text: str
    reasoning: str
    call_id: str | None  # None where no model was asked
    evidence: Mapping[str, Any] | None = None  # probes, uus (of them), tool_calls, model_id; None: no tool was called


Hypotheses = Mapping[HypothesisKind, Explanation]
"""What was stated about one UU, each under its kind."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A synthetic sample before any filter saw it."""

    fields: Fields
    label: str
    reasoning: str
    call_id: str | None


@dataclass(frozen=True, slots=True)
class ProgramDraft:
    """A hypothesis stated as a program, before anything ran it."""

    kind: HypothesisKind  # of the hypothesis that it states
    program: ParsedProgram
    reasoning: str
    call_id: str | None


@dataclass(frozen=True, slots=True)
class Refutation:
    """What the test of a program showed that was refuted."""

    hypothesis: str
    kind: HypothesisKind
    program: ParsedProgram
    applied: int  # samples that it changed
    uus_without: int  # UUs among them as they are
    uus_with: int  # and as it makes them
    counter_examples: Sequence[Mapping[str, Any]]  # as it makes them: fields, label; the classifier gets them right
    hits: Sequence[Mapping[str, Any]]  # the same; the classifier is confidently wrong


class Teacher(Protocol):
    """Who characterises: explains UUs and writes samples after its explanations.

    A class that derives from this one need not write `begin_round` and `aclose`. `aclose` is called when a run ends;
    after it, another run may ask again.

    Every method may raise TeacherError (the teacher cannot be used: stop asking), or for this one question (skip the
    item) Unanswered, BudgetSpent or MalformedAnswer, or Pending (its answer will be there in a later pass).
    """

    spec: str

    def begin_round(self, run_id: str, number: int) -> None:  # noqa: ARG002 - may be left as it is
        """Say in which run and round (from 1) the next questions are asked."""
        return

    async def abstract(self, case: Case) -> Explanation:
        """Explain this UU by a pattern that covers closely related ones."""

    async def extrapolate(self, case: Case, abstraction: Explanation) -> Explanation:
        """Name a different pattern on the same topic that could fool the classifier too."""

    async def generate(self, case: Case, hypothesis: Explanation, kind: HypothesisKind, n: int) -> list[Draft]:
        """Write n samples after a hypothesis of this kind (abstraction, extrapolation)."""

    async def formalise(self, case: Case, hypotheses: Hypotheses, n: int) -> list[ProgramDraft]:  # noqa: ARG002
        """State hypotheses about a UU as programs, n in all. A teacher that states none returns an empty list."""
        return []

    async def revise(self, case: Case, refutation: Refutation) -> ProgramDraft | None:  # noqa: ARG002
        """State a hypothesis again whose program was refuted; None: there is nothing to revise."""
        return None

    async def aclose(self) -> None:
        """Release connections."""
        return
