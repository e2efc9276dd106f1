"""A language model as a teacher: zero-shot prompts, after IBS, sections 2.2 and 2.3."""

from __future__ import annotations

from blindspot.agents.calls.caller import Caller, CallLimits
from blindspot.agents.calls.ledger import Ledger
from blindspot.agents.calls.log import CallLog, Question
from blindspot.agents.chat import Provider, Reply
from blindspot.agents.teachers.answers import SampleAnswer, read_explanation, read_samples
from blindspot.agents.teachers.formal import formalise, revise
from blindspot.agents.teachers.questions import abstraction_question, extrapolation_question, generation_question
from blindspot.agents.teachers.teacher import Case, Draft, Explanation, Hypotheses, ProgramDraft, Refutation
from blindspot.storage.words import HypothesisKind


class LanguageModelTeacher:
    """Explains and writes through a chat model; see Teacher for what its methods do and raise."""

    def __init__(self, spec: str, provider: Provider, limits: CallLimits, log: CallLog, ledger: Ledger) -> None:
        self.spec = spec
        self._provider = provider
        self.caller = Caller(spec, provider, limits, log, ledger)

    def begin_round(self, run_id: str, number: int) -> None:
        """Say in which run and round (from 1) the next questions are asked."""
        self.caller.begin_round(run_id, number)

    async def abstract(self, case: Case) -> Explanation:
        """Explain this UU by a pattern that covers closely related ones."""
        return await self._explain(abstraction_question(case))

    async def extrapolate(self, case: Case, abstraction: Explanation) -> Explanation:
        """Name a different pattern on the same topic that could fool the classifier too."""
        return await self._explain(extrapolation_question(case, abstraction))

    async def generate(self, case: Case, hypothesis: Explanation, kind: HypothesisKind, n: int) -> list[Draft]:
        """Write n samples after a hypothesis of this kind; the instructions are the same for both kinds."""

        def check(reply: Reply) -> list[SampleAnswer]:
            return read_samples(reply.text, field_names=case.field_names, labels=case.labels, n=n)

        samples, call_id = await self.caller.ask(generation_question(case, hypothesis, kind, n), check)
        return [
            Draft({name: sample.fields[name] for name in case.field_names}, sample.label, sample.reasoning, call_id)
            for sample in samples
        ]

    async def formalise(self, case: Case, hypotheses: Hypotheses, n: int) -> list[ProgramDraft]:
        """State hypotheses about a UU as n programs."""
        return await formalise(self.caller, case, hypotheses, n)

    async def revise(self, case: Case, refutation: Refutation) -> ProgramDraft | None:
        """State a hypothesis anew whose program was refuted."""
        return await revise(self.caller, case, refutation)

    async def aclose(self) -> None:
        """Release connections."""
        await self._provider.aclose()

    async def _explain(self, question: Question) -> Explanation:
        answer, call_id = await self.caller.ask(question, lambda reply: read_explanation(reply.text))
        return Explanation(answer.hypothesis, answer.reasoning, call_id)
