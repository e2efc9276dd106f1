"""teach: for each selected UU the teacher abstracts, extrapolates, and writes samples after both hypotheses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

from blindspot.agents.teachers.teacher import Case, Explanation, SampleRules, Teacher
from blindspot.graphs.context import Context, PhaseResult, State
from blindspot.graphs.shared.attacks import uus_of
from blindspot.graphs.shared.references import least_for, least_of_all
from blindspot.graphs.teaching.formalise import formalise_hypotheses
from blindspot.graphs.teaching.pause import named_question, pause, tell_answers
from blindspot.graphs.teaching.tasks import run_all
from blindspot.graphs.teaching.teachers import open_teacher, own_rows
from blindspot.storage.clock import now
from blindspot.storage.errors import (
    BlindspotError,
    BudgetSpent,
    Cancelled,
    MalformedAnswer,
    Pending,
    TeacherError,
    Unanswered,
)
from blindspot.storage.ids import make_id
from blindspot.storage.records import Hypothesis, Sample, SyntheticSample, Uu
from blindspot.storage.words import HypothesisKind
from blindspot.tools.progress import Report

SAMPLES_AFTER = {"abstraction": "samples-abs", "extrapolation": "samples-ext"}
"""What a question for samples is called in files, by the kind of its hypothesis: with its UU it names the parent."""


async def teach(context: Context, state: State, report: Report) -> PhaseResult:
    """Teach about the selected UUs side by side; one that fails is recorded and skipped.

    Raises: TeacherError, when the teacher cannot be used at all. Cancelled, when asked to stop. GraphInterrupt, when
        all that is left waits for answers in files. What was asked already may be answered and is kept.
    """
    number = state["round"]
    selected = [uu for uu in await asyncio.to_thread(uus_of, context, number) if uu.selected]
    teacher = await asyncio.to_thread(open_teacher, context, state["model_id"])
    least = await asyncio.to_thread(least_of_all, context)
    teacher.begin_round(context.run_id, number)
    begun = asyncio.Semaphore(context.settings.teacher.concurrency)
    skipped: list[BlindspotError] = []
    waiting: list[Pending] = []
    own = own_rows(context, teacher.spec)
    who = f"{teacher.spec} " if own else ""
    done = 0

    async def teach_one(uu: Uu) -> None:
        nonlocal done
        async with begun:  # one that is begun goes before the next: a stop or a cap leaves few of them half taught
            open_questions: list[Pending] = []
            try:
                await teach_about(context, teacher, uu, least, open_questions)
                if open_questions and context.skip_unanswered:
                    raise open_questions[0]
            except (MalformedAnswer, Unanswered, BudgetSpent, Pending) as error:
                skipped.append(error)
                message = f"{who}skipped {uu.uu_id}: {error}"
                await asyncio.to_thread(context.tell, number, "teach", message, level="warning")
            waiting.extend(open_questions)
        done += 1
        report(done, len(selected))

    await tell_answers(context, number, "teach")
    try:
        await run_all(map(teach_one, selected), cancelled=context.cancelled)
    finally:
        await teacher.aclose()
    if waiting and not context.skip_unanswered:
        await pause(context, number, waiting)
    hypotheses, written = await asyncio.to_thread(count_written, context, number, own)
    if skipped and not hypotheses and all(isinstance(error, (Unanswered, MalformedAnswer)) for error in skipped):
        raise TeacherError(
            f"{skipped[-1]}; no question of this round got a usable answer, so there is nothing to train on: fix this "
            "(another model, or a higher teacher.attempts), then resume the run"
        )
    return PhaseResult({}, {"hypotheses": hypotheses, "samples written": written, "UUs skipped": len(skipped)})


def count_written(context: Context, number: int, own: Mapping[str, object]) -> tuple[int, int]:
    """Count a round's hypotheses, one teacher's own where there are several, and all its synthetic samples."""
    of_round = {"run_id": context.run_id, "round": number}
    return context.store.count(Hypothesis, **of_round, **own), context.store.count(SyntheticSample, **of_round)


async def teach_about(context: Context, teacher: Teacher, uu: Uu, least: int, waiting: list[Pending]) -> None:
    """Abstract, extrapolate and generate for one UU; what the store already has is not asked again.

    Args:
        least: characters that any sample has to have, as `least_of_all` gives them.
        waiting: gains the questions without an answer yet; what does not depend on one of them goes on.
    """
    case = await asyncio.to_thread(case_of, context, uu, least)
    with kept(waiting):
        abstraction = await hypothesise(
            context, teacher, uu, kind="abstraction", parent=None, ask=lambda: teacher.abstract(case)
        )
        writes = context.settings.teacher.writes
        if writes != "programs":
            with kept(waiting):
                await generate(context, teacher, case, abstraction)
        seen = explanation_of(abstraction)
        extrapolation = await hypothesise(
            context, teacher, uu, kind="extrapolation", parent=abstraction, ask=lambda: teacher.extrapolate(case, seen)
        )
        if writes != "programs":
            with kept(waiting):
                await generate(context, teacher, case, extrapolation)
        if writes != "samples":
            await formalise_hypotheses(context, teacher, case, (abstraction, extrapolation))


@contextmanager
def kept(waiting: list[Pending]) -> Iterator[None]:
    """End the block at a question without an answer yet, and keep the question."""
    try:
        yield
    except Pending as error:
        waiting.append(error)


async def hypothesise(
    context: Context,
    teacher: Teacher,
    uu: Uu,
    *,
    kind: HypothesisKind,
    parent: Hypothesis | None,
    ask: Callable[[], Awaitable[Explanation]],
) -> Hypothesis:
    """Take a hypothesis from the store, or ask for it and add it."""
    compared = (teacher.spec,) if context.has_many_teachers else ()  # several explain one UU
    hypothesis_id = make_id("hyp", uu.uu_id, kind, *compared)
    known = await asyncio.to_thread(context.store.one, Hypothesis, hypothesis_id=hypothesis_id)
    if known:
        return known
    check_stop(context)
    with named_question(kind, uu.uu_id):
        explanation = await ask()
    hypothesis = Hypothesis(
        hypothesis_id=hypothesis_id,
        run_id=uu.run_id,
        round=uu.round,
        uu_id=uu.uu_id,
        kind=kind,
        parent_id=parent.hypothesis_id if parent else None,
        text=explanation.text,
        reasoning=explanation.reasoning,
        teacher=teacher.spec,
        call_id=explanation.call_id,
        created_at=now(),
        evidence=explanation.evidence,
    )
    await asyncio.to_thread(context.store.add, [hypothesis])
    return hypothesis


async def generate(context: Context, teacher: Teacher, case: Case, hypothesis: Hypothesis) -> None:
    """Have samples written after a hypothesis and add them, unless the store has them."""
    if await asyncio.to_thread(context.store.count, SyntheticSample, hypothesis_id=hypothesis.hypothesis_id):
        return
    check_stop(context)
    count = context.settings.teacher.samples_per_hypothesis
    with named_question(SAMPLES_AFTER[hypothesis.kind], hypothesis.uu_id):
        drafts = await teacher.generate(case, explanation_of(hypothesis), hypothesis.kind, count)
    samples = [
        SyntheticSample(
            synthetic_id=make_id("syn", hypothesis.hypothesis_id, position),
            run_id=hypothesis.run_id,
            round=hypothesis.round,
            hypothesis_id=hypothesis.hypothesis_id,
            position=position,
            fields=draft.fields,
            label=draft.label,
            reasoning=draft.reasoning,
            call_id=draft.call_id,
        )
        for position, draft in enumerate(drafts)
    ]
    await asyncio.to_thread(context.store.add, samples)


def check_stop(context: Context) -> None:
    if context.cancelled():
        raise Cancelled("stopped while teaching")


def explanation_of(hypothesis: Hypothesis) -> Explanation:
    return Explanation(hypothesis.text, hypothesis.reasoning, hypothesis.call_id)


def case_of(context: Context, uu: Uu, least: int) -> Case:
    """Put together what a teacher is shown of a UU, and the rules for samples about it.

    Args:
        least: characters that any sample has to have, as `least_of_all` gives them.
    """
    checks = context.settings.filter
    sample = context.store.one(Sample, sample_id=uu.sample_id)
    assert sample is not None, uu
    return Case(
        uu_id=uu.uu_id,
        task=context.dataset.task,
        field_names=context.dataset.fields,
        labels=context.dataset.labels,
        original=sample.fields,
        perturbed=uu.fields if uu.kind == "adversarial" else None,
        label=uu.label,
        predicted=uu.predicted,
        confidence=uu.confidence,
        recipe=uu.recipe,
        rules=SampleRules(least_for(context, least, uu), checks.near_duplicate, checks.near_training),
    )
