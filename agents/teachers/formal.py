"""Hypotheses stated as programs: how a language model is asked for them, and how its answers are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, Field

from blindspot.agents.calls.caller import Caller
from blindspot.agents.calls.log import Question
from blindspot.agents.chat import Reply
from blindspot.agents.prompts.prompting import load_prompt, quote, without_titles
from blindspot.agents.teachers.answers import Text, read_object
from blindspot.agents.teachers.questions import fill
from blindspot.agents.teachers.teacher import Case, Hypotheses, ProgramDraft, Refutation
from blindspot.storage.errors import MalformedAnswer
from blindspot.tools.programs.compile import compile_program
from blindspot.tools.programs.data import DataDescription
from blindspot.tools.programs.vocabulary import ParsedProgram, parse_program
from blindspot.tools.text.vocabulary import Vocabulary

FORM = {"hypothesis": "abstraction or extrapolation", "reasoning": "…", "program": {"where": [], "edits": []}}


class StatedProgram(BaseModel):
    """One program of an answer; the program itself is read by its own vocabulary."""

    hypothesis: Literal["abstraction", "extrapolation"]
    reasoning: Text
    program: dict[str, Any]


class ProgramsAnswer(BaseModel):
    """The answer to the question for programs."""

    programs: list[StatedProgram] = Field(min_length=1)


async def formalise(caller: Caller, case: Case, hypotheses: Hypotheses, n: int) -> list[ProgramDraft]:
    """Have hypotheses stated as programs; what a model writes beyond n is dropped.

    Raises: as Teacher.formalise.
    """

    def check(reply: Reply) -> list[tuple[StatedProgram, ParsedProgram]]:
        stated = read_object(reply.text, ProgramsAnswer.model_validate).programs[:n]
        return [(one, read_program(one.program, case, number)) for number, one in enumerate(stated, start=1)]

    programs, call_id = await caller.ask(programs_question(case, hypotheses, n), check)
    return [ProgramDraft(one.hypothesis, program, one.reasoning, call_id) for one, program in programs]


async def revise(caller: Caller, case: Case, refutation: Refutation) -> ProgramDraft:
    """Have a refuted program revised.

    Raises: as Teacher.revise.
    """

    def check(reply: Reply) -> tuple[StatedProgram, ParsedProgram]:
        stated = read_object(reply.text, StatedProgram.model_validate)
        return stated, read_program(stated.program, case, 1)

    (stated, program), call_id = await caller.ask(revision_question(case, refutation), check)
    return ProgramDraft(refutation.kind, program, stated.reasoning, call_id)


def read_program(value: Mapping[str, Any], case: Case, number: int) -> ParsedProgram:
    """Read one program and see that it is about the fields and labels of the data set.

    Raises: MalformedAnswer, with the reason for the model.
    """
    try:
        program = parse_program(value)
        compile_program(program, DataDescription(case.field_names, case.labels, Vocabulary(())))
    except MalformedAnswer as error:
        raise MalformedAnswer(f"program {number}: {error}") from None
    return program


def programs_question(case: Case, hypotheses: Hypotheses, n: int) -> Question:
    """Ask for n programs that state these hypotheses."""
    stated = [{"kind": kind, "hypothesis": one.text} for kind, one in hypotheses.items()]
    return fill(
        "formalise",
        load_prompt("programs"),
        case,
        hypotheses=quote(stated),
        n=str(n),
        fields=quote(case.field_names, indent=None),
        labels=quote(case.labels, indent=None),
        schema=schema(),
        form=quote({"programs": [FORM]}, indent=None),
    )


def revision_question(case: Case, refutation: Refutation) -> Question:
    """Ask for another program instead of a refuted one."""
    test = {
        "kind": refutation.kind,
        "hypothesis": refutation.hypothesis,
        "program": refutation.program.model_dump(mode="json", exclude_defaults=True),
        "samples_changed": refutation.applied,
        "confidently_wrong_before": refutation.uus_without,
        "confidently_wrong_after": refutation.uus_with,
        "counter_examples": list(refutation.counter_examples),
        "hits": list(refutation.hits),
    }
    form = {**FORM, "hypothesis": refutation.kind}
    return fill(
        "revise",
        load_prompt("program_revision"),
        case,
        test=quote(test),
        schema=schema(),
        form=quote(form, indent=None),
    )


@cache
def schema() -> str:
    """The vocabulary as JSON schema, without what a model has no use for."""
    return json.dumps(without_titles(ParsedProgram.model_json_schema()), ensure_ascii=False, separators=(",", ":"))
