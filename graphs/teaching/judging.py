"""A second judge in a run: it labels texts that programs and attacks made, and is not told their labels."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from blindspot.agents.calls.caller import Caller
from blindspot.agents.teachers.judging import TEXTS_PER_QUESTION, JudgedTexts, judge_texts
from blindspot.graphs.context import Context
from blindspot.graphs.programs.bench import Bench
from blindspot.graphs.programs.trials import Trial
from blindspot.graphs.shared.draws import shuffled
from blindspot.graphs.teaching.pause import ask_each, named_question, pause, tell_answers
from blindspot.graphs.teaching.teachers import asking
from blindspot.storage.clock import now
from blindspot.storage.ids import fields_key, make_id
from blindspot.storage.records import Attack, Fields, Judgement
from blindspot.storage.words import JudgedKind
from blindspot.tools.progress import Report
from blindspot.tools.uu import is_adversarial_uu

LEAST_JUDGED = 5  # texts of a program, before it is called invalid


@dataclass(frozen=True, slots=True)
class Subject:
    """A text that is to be judged, and the label that it was given."""

    kind: JudgedKind
    subject_id: str  # of the program or the attack
    fields: Fields
    label: str

    @property
    def judgement_id(self) -> str:
        return make_id("jdg", self.kind, self.subject_id, sorted(self.fields.items()))


async def judge_programs(context: Context, number: int, bench: Bench, report: Report) -> None:
    """Have texts of the programs to repair judged; programs whose labels the judge does not share become invalid.

    Texts that the judge labels differently are given to no training, whatever becomes of their program.

    Raises: as `judge_subjects`.
    """
    settings, seed = context.settings.judge, context.settings.run.seed
    subjects = [
        subject
        for row in bench.to_repair
        for subject in subjects_of(row.program_id, bench.trials[row.program_id], settings.per_program, seed)
    ]
    judgements = await judge_subjects(context, number, subjects, "programs", report)
    for row in bench.to_repair:
        own = [one for one in judgements if one.subject_id == row.program_id]
        agreed = sum(one.judged == one.label for one in own)
        if len(own) >= LEAST_JUDGED and agreed < settings.least_agreement * len(own):
            bench.tests[row.program_id] = replace(bench.tests[row.program_id], verdict="invalid")
    bench.doubted |= {fields_key(one.fields) for one in judgements if one.judged != one.label}


async def judge_flips(context: Context, number: int, flips: Sequence[Attack], report: Report) -> dict[str, Judgement]:
    """Have UUs that attacks made judged, as many of each model version and recipe as the settings say.

    Args:
        flips: attacks of the test split that flipped a label.
    Returns: attack_id -> judgement.
    Raises: as `judge_subjects`.
    """
    settings, tau = context.settings, context.settings.run.tau
    groups: dict[tuple[str, str], list[Attack]] = {}
    for row in flips:
        if is_adversarial_uu(row, tau):
            groups.setdefault((row.model_id, row.recipe), []).append(row)
    drawn = [row for rows in groups.values() for row in shuffled(rows, seed=settings.run.seed)[: settings.judge.flips]]
    subjects = [Subject("attack", row.attack_id, row.fields, row.label) for row in drawn if row.fields is not None]
    judgements = await judge_subjects(context, number, subjects, "evaluate", report)
    return {one.subject_id: one for one in judgements}


async def judge_subjects(
    context: Context, number: int, subjects: Sequence[Subject], phase: str, report: Report
) -> list[Judgement]:
    """Have texts judged, those that are not yet, several in one question.

    Returns: the judgements there are now; a question without a usable answer is told of and leaves none.
    Raises: TeacherError, when the judge cannot be used at all. Cancelled. GraphInterrupt, where all that is left waits
        for answers in files.
    """
    wanted = {subject.judgement_id: subject for subject in subjects}
    known = await asyncio.to_thread(known_judgements, context, wanted)
    missing = [subject for key, subject in wanted.items() if key not in known]
    if not missing:
        return list(known.values())
    parts = [missing[start : start + TEXTS_PER_QUESTION] for start in range(0, len(missing), TEXTS_PER_QUESTION)]
    spec = context.settings.judge.spec

    def report_texts(ended: int) -> None:
        report(min(ended * TEXTS_PER_QUESTION, len(missing)), len(missing))

    await tell_answers(context, number, phase, spec)
    async with asking(context, number, spec) as caller:
        works = [
            (f"{len(part)} texts were not judged", partial(judge_part, context, number, caller, part)) for part in parts
        ]
        waiting, _ = await ask_each(context, number, phase, works, report_texts)
    if waiting and not context.skip_unanswered:
        await pause(context, number, waiting)
    judged = await asyncio.to_thread(known_judgements, context, wanted)
    if waiting:
        message = f"{len(wanted) - len(judged)} of {len(wanted)} texts were not judged: the judge has not answered"
        await asyncio.to_thread(context.tell, number, phase, message, level="warning")
    return list(judged.values())


async def judge_part(context: Context, number: int, caller: Caller, part: Sequence[Subject]) -> None:
    """Have the texts of one question judged, and add the judgements."""
    judged = JudgedTexts(context.dataset.task, context.dataset.labels, [one.fields for one in part])
    with named_question("judge", judged.subject_id):
        labels, call_id = await judge_texts(caller, judged)
    rows = [judgement_of(context, number, subject, label, call_id) for subject, label in zip(part, labels, strict=True)]
    await asyncio.to_thread(context.store.add, rows)


def known_judgements(context: Context, wanted: dict[str, Subject]) -> dict[str, Judgement]:
    """The judgements of this run that are there already: judgement_id -> row."""
    rows = context.store.rows(Judgement, run_id=context.run_id)
    return {row.judgement_id: row for row in rows if row.judgement_id in wanted}


def judgement_of(context: Context, number: int, subject: Subject, judged: str | None, call_id: str) -> Judgement:
    """The row of a judge's label."""
    return Judgement(
        judgement_id=subject.judgement_id,
        run_id=context.run_id,
        round=number,
        judge=context.settings.judge.spec or "",
        kind=subject.kind,
        subject_id=subject.subject_id,
        fields=subject.fields,
        label=subject.label,
        judged=judged,
        call_id=call_id,
        created_at=now(),
    )


def subjects_of(program_id: str, trial: Trial, most: int, seed: int) -> list[Subject]:
    """Draw texts that a program made: UUs first, since they are what confirms it and what training is given."""
    texts = [edited for edited in trial.edited if edited is not None]
    in_order = shuffled(list(zip(texts, trial.uus_with, strict=True)), seed=seed)
    first = sorted(in_order, key=lambda made: not made[1])
    return [Subject("program", program_id, dict(edited.fields), edited.label) for edited, _ in first[:most]]
