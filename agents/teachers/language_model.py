"""A language model as a teacher: zero-shot prompts, after IBS, sections 2.2 and 2.3."""

from __future__ import annotations

from blindspot.agents.calls.caller import Caller, CallLimits
from blindspot.agents.calls.ledger import Ledger
from blindspot.agents.calls.log import CallLog, Question
from blindspot.agents.chat import Provider, Reply
from blindspot.agents.prompts.excerpt import excerpt
from blindspot.agents.prompts.prompting import Prompt, content_hash, load_prompt, quote
from blindspot.agents.teachers.answers import SampleAnswer, read_explanation, read_samples
from blindspot.agents.teachers.teacher import Case, Draft, Explanation
from blindspot.storage.records import CallPhase, HypothesisKind


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

    async def aclose(self) -> None:
        """Release connections."""
        await self._provider.aclose()

    async def _explain(self, question: Question) -> Explanation:
        answer, call_id = await self.caller.ask(question, lambda reply: read_explanation(reply.text))
        return Explanation(answer.hypothesis, answer.reasoning, call_id)


def abstraction_question(case: Case) -> Question:
    """Ask for a hypothesis on this UU."""
    return fill("abstract", load_prompt("abstraction"), case)


def extrapolation_question(case: Case, abstraction: Explanation) -> Question:
    """Ask for a hypothesis on an unseen blind spot."""
    hypothesis = quote({"kind": "abstraction", "hypothesis": abstraction.text})
    return fill("extrapolate", load_prompt("extrapolation"), case, hypothesis=hypothesis)


def generation_question(case: Case, hypothesis: Explanation, kind: HypothesisKind, n: int) -> Question:
    """Ask for n samples after a hypothesis."""
    sample = {"reasoning": "…", "fields": dict.fromkeys(case.field_names, "…"), "label": "…"}
    return fill(
        "generate",
        load_prompt("generation"),
        case,
        hypothesis=quote({"kind": kind, "hypothesis": hypothesis.text}),
        n=str(n),
        fields=quote(case.field_names, indent=None),
        labels=quote(case.labels, indent=None),
        characters=f"{case.rules.min_characters:,}",
        near_duplicate=percent(case.rules.near_duplicate),
        near_training=percent(case.rules.near_training),
        form=quote({"samples": [sample]}, indent=None),
    )


def percent(share: float) -> str:
    """Write a share for a reader, e.g. "99.5 %"."""
    return f"{100 * share:.4g} %"


def fill(phase: CallPhase, prompt: Prompt, case: Case, **values: str) -> Question:
    """Put a case and further values into a prompt."""
    part = excerpt(case.original, case.perturbed)
    texts: dict[str, object] = {"original": dict(part.original)}
    if part.perturbed is not None:
        texts["perturbed"] = dict(part.perturbed)
    if part.shown:
        texts["shown"] = part.shown
    verdict = {
        "true_label": case.label,
        "predicted_label": case.predicted,
        "confidence": round(case.confidence, 2),
    }
    evidence = load_prompt("case_single" if case.perturbed is None else "case_pair")
    told = [evidence.fill(data=quote({**texts, **verdict}))]
    read = [prompt.text, evidence.text]
    if part.shown:
        cut = load_prompt("case_cut")
        told.append(cut.fill())
        read.append(cut.text)
    text = prompt.fill(task=case.task.rstrip(". "), case="\n\n".join(told), **values)
    return Question(phase, case.uu_id, text, content_hash(*read))
