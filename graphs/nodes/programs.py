"""programs: hypotheses that were stated as programs are tested on the model version, and confirmed ones give rows."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blindspot.graphs.context import Context, State
from blindspot.graphs.phase_result import PhaseResult
from blindspot.graphs.shared.budgets import runs_programs
from blindspot.graphs.versions.versions import OnDemand
from blindspot.storage.records import Program, ProgramTest
from blindspot.tools.progress import Report

if TYPE_CHECKING:
    from blindspot.graphs.programs.trials import Ground, Trial
    from blindspot.tools.programs.compile import Compiled
    from blindspot.tools.programs.data import DataDescription


@dataclass(slots=True)
class Bench:
    """Everything that programs of a round are tested with, and what was found so far."""

    data: DataDescription
    version: OnDemand
    ground: Ground
    programs: list[Program]
    compiled: dict[str, Compiled]  # program_id -> what runs it
    trials: dict[str, Trial]  # program_id -> trial
    tests: dict[str, ProgramTest]  # program_id -> its newest test on the version


async def run_programs(context: Context, state: State, report: Report) -> PhaseResult:
    """Test the round's programs, have refuted ones revised once, and add the rows of those that are confirmed."""
    if not runs_programs(context.settings):
        return PhaseResult({}, {"programs": "none, this method runs none"})
    bench = await asyncio.to_thread(set_up, context, state)
    if context.settings.hypotheses.revise and context.settings.method.name == "teacher":
        from blindspot.graphs.teaching.revise import revise_refuted

        if await revise_refuted(context, state, bench.programs, bench.trials, bench.tests, report):
            bench = await asyncio.to_thread(set_up, context, state)
    await asyncio.to_thread(context.store.put_many, list(bench.tests.values()))
    added = await asyncio.to_thread(add_rows, context, state, bench)
    verdicts = Counter(test.verdict for test in bench.tests.values())
    found = {name: verdicts[name] for name in ("confirmed", "refuted", "not applicable", "open", "half closed")}
    told = {name: count for name, count in found.items() if count}
    return PhaseResult({}, {"programs": len(bench.programs), **told, **added})


def set_up(context: Context, state: State) -> Bench:
    """Gather, compile, try and judge; programs that do the same as an earlier one name it and are judged once."""
    from blindspot.graphs.programs.gathering import compiled_rows, gather, merge_same
    from blindspot.graphs.programs.testing import judged
    from blindspot.graphs.programs.trials import describe_data, ground_of, try_programs

    number, version = state["round"], OnDemand(context, state["model_id"])
    data = describe_data(context)
    programs, compiled = compiled_rows(context, gather(context, number, data), data)
    ground = ground_of(context, version)
    trials = try_programs(context, version, compiled, ground)
    programs = merge_same(context, programs, trials)
    trials = {row.program_id: trials[row.program_id] for row in programs}
    tests = judged(context, number, state["model_id"], trials, ground)
    return Bench(data, version, ground, programs, dict(compiled), trials, tests)


def add_rows(context: Context, state: State, bench: Bench) -> dict[str, Any]:
    """Add the rows of the programs that are to be repaired."""
    from blindspot.graphs.programs.dosing import dose
    from blindspot.graphs.programs.testing import to_repair
    from blindspot.graphs.shared.budgets import budget_rows

    wanted = to_repair(bench.programs, bench.tests)
    rows = dose(context, state["round"], bench.version, wanted, bench.compiled, bench.tests, bench.data)
    context.store.add(rows)
    budget = budget_rows(context.settings, context.dataset.rows["train"])
    return {"rows added": f"{len(rows)} of {budget}"}
