"""The questions that a language model is asked about a UU, and for further samples, made from the prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from blindspot.agents.calls.caller import Caller
from blindspot.agents.calls.log import Question
from blindspot.agents.chat import Reply
from blindspot.agents.prompts.prompting import Prompt, content_hash, excerpt, load_prompt, quote
from blindspot.agents.teachers.answers import SampleAnswer, read_samples
from blindspot.agents.teachers.teacher import Case, Draft, Explanation
from blindspot.storage.words import CallPhase, HypothesisKind


async def generate_more(
    caller: Caller,
    case: Case,
    hypothesis: Explanation,
    kind: HypothesisKind,
    written: Sequence[Mapping[str, Any]],
    n: int,
) -> list[Draft]:
    """Have n samples written that are unlike those that are there.

    Args:
        written: fields and label of each sample that was written after the hypothesis.
    Raises: as Teacher.generate.
    """

    def check(reply: Reply) -> list[SampleAnswer]:
        return read_samples(reply.text, field_names=case.field_names, labels=case.labels, n=n)

    samples, call_id = await caller.ask(more_question(case, hypothesis, kind, written, n), check)
    return [
        Draft({name: sample.fields[name] for name in case.field_names}, sample.label, sample.reasoning, call_id)
        for sample in samples
    ]


def more_question(
    case: Case, hypothesis: Explanation, kind: HypothesisKind, written: Sequence[Mapping[str, Any]], n: int
) -> Question:
    """Ask for n samples as at first, and show those that are there."""
    question, more = generation_question(case, hypothesis, kind, n), load_prompt("more")
    text = f"{question.text}\n\n{more.fill(written=quote(list(written)))}"
    return replace(question, text=text, prompt_hash=content_hash(question.prompt_hash, more.text))


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
        near_duplicate=share_in_words(case.rules.near_duplicate),
        near_training=share_in_words(case.rules.near_training),
        form=quote({"samples": [sample]}, indent=None),
    )


def share_in_words(share: float) -> str:
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
    parts = [evidence.fill(data=quote({**texts, **verdict}))]
    read = [prompt.text, evidence.text]
    if part.shown:
        cut = load_prompt("case_cut")
        parts.append(cut.fill())
        read.append(cut.text)
    text = prompt.fill(task=case.task.rstrip(". "), case="\n\n".join(parts), **values)
    return Question(phase, case.uu_id, text, content_hash(*read))
