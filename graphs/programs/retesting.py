"""Programs that a round repaired, tested again on the model version that it made."""

from __future__ import annotations

from collections.abc import Sequence

from blindspot.graphs.context import Context
from blindspot.graphs.programs.gathering import compiled_rows
from blindspot.graphs.programs.testing import STILL_OPEN, retested
from blindspot.graphs.programs.trials import describe_data, ground_of, try_programs
from blindspot.graphs.versions.versions import OnDemand
from blindspot.storage.records import Program, ProgramTest


def retest(context: Context, number: int, before_id: str, new_id: str) -> Sequence[ProgramTest]:
    """Test the programs that were repaired in a round on the version that it made: is the blind spot closed?"""
    tests = [row for row in context.store.rows(ProgramTest, run_id=context.run_id) if row.model_id == before_id]
    before = {row.program_id: row for row in tests if row.verdict in STILL_OPEN}
    rows = [row for row in context.store.rows(Program, run_id=context.run_id) if row.program_id in before]
    if not rows:
        return []
    version, data = OnDemand(context, new_id), describe_data(context)
    _, compiled = compiled_rows(context, rows, data)
    ground = ground_of(context, version)
    trials = try_programs(context, version, compiled, ground)
    return retested(context, number, new_id, trials, ground, before)
