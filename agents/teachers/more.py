"""Further samples after a hypothesis that has some: how they are asked for and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from blindspot.agents.calls.caller import Caller
from blindspot.agents.calls.log import Question
from blindspot.agents.chat import Reply
from blindspot.agents.prompts.prompting import content_hash, load_prompt, quote
from blindspot.agents.teachers.answers import SampleAnswer, read_samples
from blindspot.agents.teachers.questions import generation_question
from blindspot.agents.teachers.teacher import Case, Draft, Explanation
from blindspot.storage.records import HypothesisKind


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
