"""teach: for each selected UU the teacher abstracts, extrapolates, and writes samples after both hypotheses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from blindspot.agents.calls import CallLimits
from blindspot.agents.opening import open_language_model, open_provider
from blindspot.agents.rules import RulesTeacher
from blindspot.agents.teacher import Case, Explanation, Teacher, TeacherSpec
from blindspot.graphs.attack import uus_of
from blindspot.graphs.state import Context, State
from blindspot.storage.errors import BlindspotError, BudgetSpent, Cancelled, MalformedAnswer
from blindspot.storage.records import (
    Hypothesis,
    Sample,
    SyntheticSample,
    TeacherCall,
    Uu,
    make_id,
    now,
)
from blindspot.storage.settings import TeacherSection
from blindspot.storage.store import Store
from blindspot.tools.progress import Report


async def teach(context: Context, state: State, report: Report) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Teach about all selected UUs at once; one that fails is recorded and skipped.

    Raises: TeacherError, when the teacher cannot be used at all. Cancelled, when asked to stop.
    """
    number = state["round"]
    selected = [uu for uu in uus_of(context, number) if uu.selected]
    teacher = await asyncio.to_thread(open_teacher, context)
    teacher.begin_round(context.run_id, number)
    skipped: list[str] = []
    done = 0

    async def teach_one(uu: Uu) -> None:
        nonlocal done
        try:
            if context.cancelled():
                raise Cancelled("stopped while teaching")
            await teach_about(context, teacher, uu)
        except (MalformedAnswer, BudgetSpent) as error:
            skipped.append(uu.uu_id)
            context.tell(number, "teach", f"skipped {uu.uu_id}: {error}", level="warning")
        done += 1
        report(done, len(selected))

    try:
        async with asyncio.TaskGroup() as group:
            for uu in selected:
                group.create_task(teach_one(uu))
    except* BlindspotError as errors:
        raise first_of(errors) from None
    finally:
        await teacher.aclose()
    hypotheses = context.store.count(Hypothesis, run_id=context.run_id, round=number)
    written = context.store.count(SyntheticSample, run_id=context.run_id, round=number)
    return {}, {"hypotheses": hypotheses, "samples written": written, "UUs skipped": len(skipped)}


def first_of(group: BaseExceptionGroup[Any]) -> BaseException:
    """The first single exception in a group."""
    first: BaseException = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


async def teach_about(context: Context, teacher: Teacher, uu: Uu) -> None:
    """Abstract, extrapolate and generate for one UU; what the store already has is not asked again."""
    case = case_of(context, uu)
    abstraction = await hypothesise(
        context, teacher, uu, kind="abstraction", parent=None, ask=lambda: teacher.abstract(case)
    )
    await generate(context, teacher, case, abstraction)
    seen = explanation_of(abstraction)
    extrapolation = await hypothesise(
        context, teacher, uu, kind="extrapolation", parent=abstraction, ask=lambda: teacher.extrapolate(case, seen)
    )
    await generate(context, teacher, case, extrapolation)


async def hypothesise(
    context: Context,
    teacher: Teacher,
    uu: Uu,
    *,
    kind: str,
    parent: Hypothesis | None,
    ask: Callable[[], Awaitable[Explanation]],
) -> Hypothesis:
    """Take a hypothesis from the store, or ask for it and add it."""
    hypothesis_id = make_id("hyp", uu.uu_id, kind)
    known = context.store.one(Hypothesis, hypothesis_id=hypothesis_id)
    if known:
        return known
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
    )
    context.store.add([hypothesis])
    return hypothesis


async def generate(context: Context, teacher: Teacher, case: Case, hypothesis: Hypothesis) -> None:
    """Have samples written after a hypothesis and add them, unless the store has them."""
    if context.store.count(SyntheticSample, hypothesis_id=hypothesis.hypothesis_id):
        return
    count = context.settings.teacher.samples_per_hypothesis
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
    context.store.add(samples)


def explanation_of(hypothesis: Hypothesis) -> Explanation:
    return Explanation(hypothesis.text, hypothesis.reasoning, hypothesis.call_id)


def case_of(context: Context, uu: Uu) -> Case:
    """Put together what a teacher is shown of a UU."""
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
    )


def open_teacher(context: Context) -> Teacher:
    """Open the teacher of the settings; `rules` reads the training samples."""
    settings = context.settings
    spec = TeacherSpec.parse(settings.teacher.spec)
    if spec.provider == "rules":
        return RulesTeacher(context.samples("train"), context.dataset.fields, seed=settings.run.seed)
    return open_language_model(spec, limits_of(settings.teacher), StoredCalls(context.store))


def check_teacher(settings: TeacherSection) -> None:
    """See that a teacher could be opened: its spec is known and its key is there.

    Raises: SettingsError, TeacherError.
    """
    spec = TeacherSpec.parse(settings.spec)
    if spec.provider != "rules":
        open_provider(spec, limits_of(settings))


def limits_of(settings: TeacherSection) -> CallLimits:
    return CallLimits(
        requests_per_minute=settings.requests_per_minute,
        requests_per_second=settings.requests_per_second,
        concurrency=settings.concurrency,
        timeout_s=settings.timeout_s,
        attempts=settings.attempts,
        max_calls=settings.max_calls,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
    )


class StoredCalls:
    """The call log of a workspace's store: answers of earlier runs are found too."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def find(self, cache_key: str) -> str | None:
        calls = self.store.rows(TeacherCall, cache_key=cache_key, error=None)
        return next((call.reply for call in calls if call.reply is not None), None)

    def add(self, call: TeacherCall) -> None:
        self.store.add([call])

    def bought(self, run_id: str) -> int:
        calls = self.store.rows(TeacherCall, run_id=run_id, cache_hit=False)
        return sum(call.reply is not None for call in calls)
