"""The questions that a language model is asked about a UU, made from the prompts."""

from __future__ import annotations

from blindspot.agents.calls.log import Question
from blindspot.agents.prompts.excerpt import excerpt
from blindspot.agents.prompts.prompting import Prompt, content_hash, load_prompt, quote
from blindspot.agents.teachers.teacher import Case, Explanation
from blindspot.storage.records import CallPhase, HypothesisKind


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
