"""The tests of programs as rows: whether a program finds UUs of a model version, and what is left after a repair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from blindspot.graphs.context import Context
from blindspot.graphs.programs.trials import Ground, Trial
from blindspot.storage.records import ProgramTest
from blindspot.tools.metrics.program_tests import (
    EditedOutcomes,
    JudgedProgram,
    TemplateOutcomes,
    compare_retests,
    judge_programs,
)

STILL_OPEN = ("confirmed", "open", "half closed")
"""Verdicts after which a program is given rows, and the next round tests it again."""

FIRST = ("confirmed", "refuted", "not applicable")
"""Verdicts of the model version that a program was first tested on."""


def judged(
    context: Context, number: int, model_id: str, trials: Mapping[str, Trial], ground: Ground
) -> dict[str, ProgramTest]:
    """The tests of programs on the version that a round repairs: program_id -> test.

    One that was tested on this version before, when an earlier round had made it, keeps that verdict.
    """
    rows = context.store.rows(ProgramTest, model_id=model_id, run_id=context.run_id)
    known = {row.program_id: row for row in rows if row.program_id in trials and row.round < number}
    new = {key: trial for key, trial in trials.items() if key not in known}
    tested = judge(context, new, ground)
    return known | {key: row_of(context, number, model_id, trials[key], tested[key], ground) for key in new}


def retested(
    context: Context,
    number: int,
    model_id: str,
    trials: Mapping[str, Trial],
    ground: Ground,
    before: Mapping[str, ProgramTest],
) -> list[ProgramTest]:
    """The tests of repaired programs on a retrained version, with what is left of each.

    Args:
        before: program_id -> its test on the version before.
    """
    tested = judge(context, trials, ground)
    earlier = [replace(tested[key], effect=before[key].effect, verdict="confirmed") for key in trials]
    left = compare_retests(earlier, list(tested.values()), alpha=context.settings.hypotheses.significance)
    outcomes = {each.program_id: each.outcome for each in left}
    rows = [row_of(context, number, model_id, trials[key], tested[key], ground) for key in trials]
    return [replace(row, verdict=outcomes[row.program_id]) for row in rows]


def judge(context: Context, trials: Mapping[str, Trial], ground: Ground) -> dict[str, JudgedProgram]:
    """Judge trials together, as the settings say: program_id -> figures and verdict."""
    settings = context.settings.hypotheses
    tested = judge_programs(
        [outcomes_of(key, trial, ground) for key, trial in trials.items()],
        alpha=settings.significance,
        least_effect=settings.least_effect,
        least_rows=settings.least_rows,
        correction=settings.correction,
    )
    return {one.program_id: one for one in tested}


def outcomes_of(program_id: str, trial: Trial, ground: Ground) -> EditedOutcomes | TemplateOutcomes:
    """What the statistics are taken of."""
    if trial.uus_without is None:
        return TemplateOutcomes(program_id, trial.uus_with, ground.uus[ground.on_validation])
    return EditedOutcomes(program_id, trial.uus_without, trial.uus_with, len(ground.samples))


def row_of(
    context: Context, number: int, model_id: str, trial: Trial, tested: JudgedProgram, ground: Ground
) -> ProgramTest:
    """The row of one test; of one that could not be made, an interval that rules nothing out."""
    without = trial.uus_without
    return ProgramTest(
        program_id=tested.program_id,
        model_id=model_id,
        run_id=context.run_id,
        round=number,
        rows=len(trial.edited) if without is None else len(ground.samples),
        applied=trial.applied,
        uus_without=0 if without is None else int(np.sum(without)),
        uus_with=int(np.sum(trial.uus_with)),
        effect=tested.effect or 0.0,
        low=-1.0 if tested.low is None else tested.low,
        high=1.0 if tested.high is None else tested.high,
        p_value=1.0 if tested.p_value is None else tested.p_value,
        p_adjusted=1.0 if tested.adjusted_p is None else tested.adjusted_p,
        verdict=tested.verdict,
        elsewhere=int(np.sum(trial.elsewhere)),
        right_elsewhere=int(np.sum(ground.right & trial.elsewhere)),
    )


def newest_tests(rows: Sequence[ProgramTest]) -> dict[str, ProgramTest]:
    """The newest test of each program: program_id -> test."""
    newest: dict[str, ProgramTest] = {}
    for row in sorted(rows, key=lambda row: (row.round, row.verdict not in FIRST)):
        newest[row.program_id] = row
    return newest
