"""Hypotheses stated as programs by the teacher, and refuted ones revised."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from blindspot.agents.teachers.teacher import Case, Explanation, ProgramDraft, Teacher
from blindspot.graphs.context import Context
from blindspot.graphs.teaching.pause import named_question
from blindspot.storage.errors import Cancelled
from blindspot.storage.ids import make_id
from blindspot.storage.records import Hypothesis, Program
from blindspot.storage.words import ProgramOrigin
from blindspot.tools.programs.describe import describe_program


async def formalise_hypotheses(
    context: Context, teacher: Teacher, case: Case, hypotheses: Sequence[Hypothesis]
) -> None:
    """Have the hypotheses about one UU stated as programs and add them, unless the store has some."""
    for hypothesis in hypotheses:
        if await asyncio.to_thread(context.store.count, Program, hypothesis_id=hypothesis.hypothesis_id):
            return
    if context.cancelled():
        raise Cancelled("stopped while teaching")
    stated = {row.kind: Explanation(row.text, row.reasoning, row.call_id) for row in hypotheses}
    with named_question("programs", case.uu_id):
        drafts = await teacher.formalise(case, stated, context.settings.teacher.programs_per_uu)
    by_kind = {row.kind: row for row in hypotheses}
    rows = [
        program_row(draft, by_kind[draft.kind], position, program_origin(teacher))
        for position, draft in enumerate(drafts)
    ]
    await asyncio.to_thread(context.store.add, rows)


def program_origin(teacher: Teacher) -> ProgramOrigin:
    """Who writes a teacher's programs, as their rows say it."""
    return "rules" if teacher.spec == "rules" else "teacher"


def program_row(
    draft: ProgramDraft,
    hypothesis: Hypothesis,
    position: int,
    origin: ProgramOrigin,
    *,
    revised_from: str | None = None,
) -> Program:
    """Make the row of a program that a teacher wrote."""
    return Program(
        program_id=make_id("prg", hypothesis.hypothesis_id, position, *([revised_from] if revised_from else [])),
        run_id=hypothesis.run_id,
        round=hypothesis.round,
        hypothesis_id=hypothesis.hypothesis_id,
        position=position,
        origin=origin,
        text=describe_program(draft.program),
        program=draft.program.model_dump(mode="json", exclude_defaults=True),
        revised_from_id=revised_from,
        call_id=draft.call_id,
    )
