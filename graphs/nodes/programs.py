"""programs: hypotheses that were stated as programs are tested on the model version, and confirmed ones give rows."""

from __future__ import annotations

import asyncio
from collections import Counter

from blindspot.graphs.context import Context, PhaseResult, State
from blindspot.graphs.shared.budgets import budget_rows
from blindspot.storage.words import ProgramVerdict
from blindspot.tools.progress import Report

TOLD: tuple[ProgramVerdict, ...] = ("confirmed", "invalid", "refuted", "not applicable", "open", "half closed")


async def run_programs(context: Context, state: State, report: Report) -> PhaseResult:
    """Test the round's programs, have refuted ones revised and confirmed ones judged, and add the rows of these."""
    from blindspot.graphs.programs.bench import judge_round, open_bench
    from blindspot.graphs.programs.dosing import dose
    from blindspot.graphs.teaching.judging import judge_programs
    from blindspot.graphs.teaching.revise import revise_refuted

    number = state["round"]
    bench = await asyncio.to_thread(open_bench, context, state["model_id"])
    await asyncio.to_thread(judge_round, context, number, bench)
    revises = context.settings.hypotheses.revise and context.settings.method.name == "teacher"
    if revises and await revise_refuted(context, number, bench, report):
        await asyncio.to_thread(judge_round, context, number, bench)
    if context.settings.judge.spec:
        await judge_programs(context, number, bench, report)
    await asyncio.to_thread(context.store.put_many, list(bench.tests.values()))
    rows = await asyncio.to_thread(dose, context, number, bench)
    await asyncio.to_thread(context.store.add, rows)
    verdicts = Counter(test.verdict for test in bench.tests.values())
    counts: dict[str, int] = {name: verdicts[name] for name in TOLD if verdicts[name]}
    budget = budget_rows(context.settings, context.dataset.rows["train"])
    return PhaseResult({}, {"programs": len(bench.programs), **counts, "rows added": f"{len(rows)} of {budget}"})
