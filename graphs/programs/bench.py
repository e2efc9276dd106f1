"""The bench that programs are tested on: samples, one model version, and what was found of each program so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from blindspot.graphs.context import Context
from blindspot.graphs.programs.trials import (
    STILL_OPEN,
    Ground,
    Trial,
    describe_data,
    first_tests,
    ground_of,
    newest_tests,
    repeated_tests,
    try_programs,
)
from blindspot.graphs.versions.versions import OnDemand
from blindspot.storage.errors import MalformedAnswer
from blindspot.storage.ids import FieldsKey, make_id
from blindspot.storage.records import Program, ProgramTest
from blindspot.storage.words import ProgramOrigin
from blindspot.tools.programs.apply import duplicates
from blindspot.tools.programs.compile import Compiled, compile_program
from blindspot.tools.programs.data import DataDescription
from blindspot.tools.programs.describe import describe_program
from blindspot.tools.programs.files import read_programs
from blindspot.tools.programs.random_programs import random_programs
from blindspot.tools.programs.vocabulary import ParsedProgram, parse_program


def gather(context: Context, number: int, data: DataDescription) -> list[Program]:
    """The programs that a round tests, those still open of earlier rounds first; adds the rows of new ones."""
    context.store.add(brought_in(context, number, data))
    rows = context.store.rows(Program, run_id=context.run_id)
    return [*still_open(context, rows, number), *(row for row in rows if row.round == number)]


def brought_in(context: Context, number: int, data: DataDescription) -> list[Program]:
    """The programs that no teacher writes: of the settings' file, and drawn at random; in the first round."""
    settings = context.settings
    if number > 1:
        return []
    stated: list[tuple[ProgramOrigin, ParsedProgram]] = []
    if settings.hypotheses.file:
        stated += [("file", statement) for statement in read_programs(Path(settings.hypotheses.file))]
    if settings.method.name == "random-programs":
        rows = context.samples("train")
        drawn = random_programs(settings.hypotheses.random, rows, data, seed=settings.run.seed)
        stated += [("random", statement) for statement in drawn]
    return [
        Program(
            program_id=make_id("prg", context.run_id, origin, position),
            run_id=context.run_id,
            round=number,
            hypothesis_id=None,
            position=position,
            origin=origin,
            text=describe_program(statement),
            program=statement.model_dump(mode="json", exclude_defaults=True),
        )
        for position, (origin, statement) in enumerate(stated)
    ]


def still_open(context: Context, rows: Sequence[Program], number: int) -> list[Program]:
    """Programs of earlier rounds that are not closed by their newest test, those that do the most harm first."""
    tests = context.store.rows(ProgramTest, run_id=context.run_id)
    newest = newest_tests([test for test in tests if test.round < number])
    open_rows = [
        (newest[row.program_id].effect, row)
        for row in rows
        if row.program_id in newest and newest[row.program_id].verdict in STILL_OPEN
    ]
    return [row for _, row in sorted(open_rows, key=lambda each: (-each[0], each[1].program_id))]


def merge_same(context: Context, rows: Sequence[Program], trials: Mapping[str, Trial]) -> list[Program]:
    """Keep the first of programs that make the same rows; the others name it. Templates are the same by name alone."""
    edited = {row.program_id: trials[row.program_id] for row in rows if not trials[row.program_id].compiled.templates}
    same = duplicates({key: trial.edited for key, trial in edited.items()})
    context.store.put_many([replace(row, same_as_id=same[row.program_id]) for row in rows if row.program_id in same])
    return [row for row in rows if row.program_id not in same]


def compiled_rows(
    context: Context, rows: Sequence[Program], data: DataDescription
) -> tuple[list[Program], Mapping[str, Compiled]]:
    """Compile programs; one that cannot be run is kept with the reason, one that equals an earlier one names it.

    Returns: those that can be run, each once, and row's program_id -> what runs it.
    """
    kept: list[Program] = []
    compiled: dict[str, Compiled] = {}
    seen: dict[str, str] = {}
    for row in rows:
        if row.program is None:
            continue
        try:
            one = compile_program(parse_program(row.program), data)
        except MalformedAnswer as error:
            if row.problem is None:
                context.store.put(replace(row, problem=str(error)))
                message = f"program {row.position + 1} ({row.origin}) cannot be run and is left out: {error}"
                context.tell(row.round, "programs", message, level="warning", cause=row.program_id)
            continue
        first = seen.setdefault(one.program_id, row.program_id)
        if first != row.program_id:
            context.store.put(replace(row, same_as_id=first))
            continue
        kept.append(row)
        compiled[row.program_id] = one
    return kept, compiled


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
    doubted: set[FieldsKey] = field(default_factory=set)  # texts that a second judge labels differently

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
    bench.tests = first_tests(context, number, bench.version.model_id, trials, bench.ground)


def retest(context: Context, number: int, before_id: str, new_id: str) -> list[ProgramTest]:
    """Test the programs that were repaired in a round on the version that it made: is the blind spot closed?"""
    tests = context.store.rows(ProgramTest, run_id=context.run_id, model_id=before_id)
    before = {row.program_id: row for row in tests if row.verdict in STILL_OPEN}
    rows = [row for row in context.store.rows(Program, run_id=context.run_id) if row.program_id in before]
    if not rows:
        return []
    bench = open_bench(context, new_id)
    bench.take(context, rows)
    return repeated_tests(context, number, new_id, bench.trials, bench.ground, before)
