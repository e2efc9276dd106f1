"""The bench that programs are tested on: samples, one model version, and what was found of each program so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from blindspot.graphs.context import Context
from blindspot.graphs.programs.gathering import compiled_rows, gather, merge_same
from blindspot.graphs.programs.testing import STILL_OPEN, judged, retested
from blindspot.graphs.programs.trials import Ground, Trial, describe_data, ground_of, try_programs
from blindspot.graphs.versions.versions import OnDemand
from blindspot.storage.records import Program, ProgramTest
from blindspot.tools.programs.compile import Compiled
from blindspot.tools.programs.data import DataDescription


@dataclass(slots=True)
class Bench:
    """What programs are tested with, and what they did; mappings are by program_id."""

    version: OnDemand
    data: DataDescription
    ground: Ground
    programs: list[Program] = field(default_factory=list)  # each that does the same once
    compiled: dict[str, Compiled] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)
    tests: dict[str, ProgramTest] = field(default_factory=dict)  # the newest on the version

    def take(self, context: Context, rows: list[Program]) -> list[Program]:
        """Compile programs, and try those that were not tried yet. Returns: those that can be run."""
        kept, compiled = compiled_rows(context, rows, self.data)
        self.compiled |= compiled
        untried = {key: one for key, one in compiled.items() if key not in self.trials}
        self.trials |= try_programs(context, self.version, untried, self.ground)
        return kept

    @property
    def to_repair(self) -> list[Program]:
        """The programs that are given rows: those confirmed, and those still open on the version that is repaired."""
        return [row for row in self.programs if self.tests[row.program_id].verdict in STILL_OPEN]


def open_bench(context: Context, model_id: str) -> Bench:
    """Draw the samples, and have a model version predict them as they are."""
    version = OnDemand(context, model_id)
    return Bench(version, describe_data(context), ground_of(context, version))


def judge_round(context: Context, number: int, bench: Bench) -> None:
    """Gather, try and judge a round's programs; the first of those that do the same stands for the others."""
    bench.programs = merge_same(context, bench.take(context, gather(context, number, bench.data)), bench.trials)
    trials = {row.program_id: bench.trials[row.program_id] for row in bench.programs}
    bench.tests = judged(context, number, bench.version.model_id, trials, bench.ground)


def retest(context: Context, number: int, before_id: str, new_id: str) -> list[ProgramTest]:
    """Test the programs that were repaired in a round on the version that it made: is the blind spot closed?"""
    tests = context.store.rows(ProgramTest, run_id=context.run_id, model_id=before_id)
    before = {row.program_id: row for row in tests if row.verdict in STILL_OPEN}
    rows = [row for row in context.store.rows(Program, run_id=context.run_id) if row.program_id in before]
    if not rows:
        return []
    bench = open_bench(context, new_id)
    bench.take(context, rows)
    return retested(context, number, new_id, bench.trials, bench.ground, before)
