"""write_more: further samples after hypotheses of the round that an autonomous teacher names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from blindspot.agents.calls.caller import Caller
from blindspot.agents.teachers.questions import generate_more
from blindspot.graphs.context import Context, PhaseResult, State, arguments_of
from blindspot.graphs.shared.references import least_of_all
from blindspot.graphs.teaching.pause import ask_each
from blindspot.graphs.teaching.teach import case_of, check_stop, explanation_of
from blindspot.graphs.teaching.teachers import asking
from blindspot.storage.ids import make_id
from blindspot.storage.records import Hypothesis, SyntheticSample, Uu
from blindspot.tools.progress import Report

SAMPLES_SHOWN = 20  # that are there already


async def write_more(context: Context, state: State, report: Report) -> PhaseResult:
    """Have this many samples written after each hypothesis, side by side; one that fails is recorded and skipped.

    Raises: TeacherError, when the teacher cannot be used at all. Cancelled, when asked to stop.
    """
    arguments = arguments_of(state, "write_more") or {}
    before: Mapping[str, int] = arguments["before"]
    written = 0
    least = await asyncio.to_thread(least_of_all, context)

    async def write_one(caller: Caller, hypothesis_id: str, known: int) -> None:
        nonlocal written
        count = await write_after(context, caller, (hypothesis_id, known), arguments["samples"], least)
        written += count  # not `written += await …`: that would lose what others add meanwhile

    async with asking(context, state["round"]) as caller:
        works = [
            (f"no more samples after {key}", partial(write_one, caller, key, known)) for key, known in before.items()
        ]
        _, skipped = await ask_each(
            context, state["round"], "write_more", works, lambda ended: report(ended, len(before))
        )
    return PhaseResult({}, {"samples written": written, "hypotheses skipped": skipped})


async def write_after(context: Context, caller: Caller, after: tuple[str, int], n: int, least: int) -> int:
    """Have n samples written after a hypothesis, unless the store has more of them by now than there were.

    Args:
        after: the hypothesis's id, and how many samples there were.
        least: characters that any sample has to have, as `least_of_all` gives them.
    Returns: how many.
    """
    hypothesis_id, known = after
    find = context.store.one
    hypothesis = await asyncio.to_thread(find, Hypothesis, hypothesis_id=hypothesis_id)
    assert hypothesis is not None, hypothesis_id
    uu = await asyncio.to_thread(find, Uu, uu_id=hypothesis.uu_id)
    assert uu is not None, hypothesis
    there = await asyncio.to_thread(context.store.rows, SyntheticSample, hypothesis_id=hypothesis_id)
    if len(there) > known:  # a run that was killed after these were added
        return len(there) - known
    check_stop(context)
    case = await asyncio.to_thread(case_of, context, uu, least)
    newest = sorted(there, key=lambda sample: sample.position)[-SAMPLES_SHOWN:]
    shown = [{"fields": dict(row.fields), "label": row.label} for row in newest]
    drafts = await generate_more(caller, case, explanation_of(hypothesis), hypothesis.kind, shown, n)
    samples = [
        SyntheticSample(
            synthetic_id=make_id("syn", hypothesis_id, position),
            run_id=hypothesis.run_id,
            round=hypothesis.round,
            hypothesis_id=hypothesis_id,
            position=position,
            fields=draft.fields,
            label=draft.label,
            reasoning=draft.reasoning,
            call_id=draft.call_id,
        )
        for position, draft in enumerate(drafts, start=known)
    ]
    await asyncio.to_thread(context.store.add, samples)
    return len(samples)
