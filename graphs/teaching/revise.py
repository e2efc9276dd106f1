"""Refuted programs, shown to the teacher with what their tests found, to be revised once."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from blindspot.agents.teachers.teacher import Refutation, Teacher
from blindspot.graphs.context import Context
from blindspot.graphs.programs.bench import Bench
from blindspot.graphs.programs.trials import Trial
from blindspot.graphs.shared.references import least_of_all
from blindspot.graphs.teaching.formalise import program_origin, program_row
from blindspot.graphs.teaching.pause import ask_each, named_question, pause
from blindspot.graphs.teaching.teach import case_of
from blindspot.graphs.teaching.teachers import open_teacher
from blindspot.storage.records import Hypothesis, Program, ProgramTest, Uu
from blindspot.tools.programs.vocabulary import parse_program
from blindspot.tools.progress import Report

EXAMPLES_SHOWN = 5  # of each sort


async def revise_refuted(context: Context, number: int, bench: Bench, report: Report) -> int:
    """Have the teacher revise the programs of this round that were refuted, each once.

    Returns: how many new programs there are.
    Raises: TeacherError; GraphInterrupt, where all that is left waits for answers in files.
    """
    rows = await asyncio.to_thread(context.store.rows, Program, run_id=context.run_id)
    revised = {row.revised_from_id for row in rows}
    refuted = [
        row
        for row in bench.programs
        if row.round == number
        and row.hypothesis_id
        and not row.revised_from_id
        and row.program_id not in revised
        and bench.tests[row.program_id].verdict == "refuted"
    ]
    if not refuted:
        return 0
    teacher = await asyncio.to_thread(open_teacher, context, bench.version.model_id)
    teacher.begin_round(context.run_id, number)
    least = await asyncio.to_thread(least_of_all, context)
    count = 0

    async def revise_one(row: Program) -> None:
        nonlocal count
        trial, test = bench.trials[row.program_id], bench.tests[row.program_id]
        written = await revise_program(context, teacher, row, trial, test, least)
        count += written  # not `count += await …`: that would lose what others add meanwhile

    works = [(f"program {row.program_id} was not revised", partial(revise_one, row)) for row in refuted]
    try:
        waiting, _ = await ask_each(context, number, "programs", works, lambda ended: report(ended, len(refuted)))
    finally:
        await teacher.aclose()
    if waiting and not context.skip_unanswered:
        await pause(context, number, waiting)
    return count


async def revise_program(
    context: Context, teacher: Teacher, row: Program, trial: Trial, test: ProgramTest, least: int
) -> int:
    """Have one program revised and add the row. Returns: 1, or 0 where the teacher has no other."""
    hypothesis = await asyncio.to_thread(context.store.one, Hypothesis, hypothesis_id=row.hypothesis_id)
    assert hypothesis is not None
    assert row.program is not None
    uu = await asyncio.to_thread(context.store.one, Uu, uu_id=hypothesis.uu_id)
    assert uu is not None
    case = await asyncio.to_thread(case_of, context, uu, least)
    refutation = Refutation(
        hypothesis=hypothesis.text,
        kind=hypothesis.kind,
        program=parse_program(row.program),
        applied=test.applied,
        uus_without=test.uus_without,
        uus_with=test.uus_with,
        counter_examples=examples(trial, hits=False),
        hits=examples(trial, hits=True),
    )
    with named_question("revision", uu.uu_id):
        draft = await teacher.revise(case, refutation)
    if draft is None:
        return 0
    new = program_row(draft, hypothesis, row.position, program_origin(teacher), revised_from=row.program_id)
    return await asyncio.to_thread(context.store.add, [new])


def examples(trial: Trial, *, hits: bool) -> list[dict[str, Any]]:
    """The first texts that a program made that are UUs, or that the classifier gets right."""
    texts = [edited for edited in trial.edited if edited is not None]
    mask = trial.uus_with if hits else trial.right_with
    return [
        {"fields": dict(edited.fields), "label": edited.label}
        for edited, shown in zip(texts, mask, strict=True)
        if shown
    ][:EXAMPLES_SHOWN]
