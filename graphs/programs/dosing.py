"""The rows that confirmed programs give: a budget divided among them, and drawn from the training samples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import median

import numpy as np

from blindspot.graphs.context import Context
from blindspot.graphs.programs.bench import Bench
from blindspot.graphs.programs.trials import predict_edited
from blindspot.graphs.shared.attacks import flips_of
from blindspot.graphs.shared.budgets import budget_rows
from blindspot.graphs.shared.draws import shuffled
from blindspot.graphs.versions.versions import OnDemand
from blindspot.storage.ids import fields_key, make_id
from blindspot.storage.records import Program, ProgramTest, Sample, SyntheticSample
from blindspot.tools.additions.baselines import Addition, perturbed
from blindspot.tools.additions.dose import BanditArm, Dose, bandit_round, proportional
from blindspot.tools.programs.apply import distinct_variants, fill_templates
from blindspot.tools.programs.compile import Compiled, compile_program
from blindspot.tools.programs.conditions import LabelIs
from blindspot.tools.programs.data import DataDescription, Edited

Pool = list[tuple[str | None, Edited]]
"""Texts that a program gives, each with the sample_id of what it was made from; None, of templates."""

LEAST_ROWS = 20  # of a program that is confirmed, as far as the budget goes
TRIED_PER_ROW = 3  # variants that a classifier is asked about for each row that is added, where fooling ones come first


def dose(context: Context, number: int, bench: Bench) -> list[SyntheticSample]:
    """Make a round's rows: of the programs to repair by their effect, and of attacks, as the settings divide them."""
    settings, version = context.settings, bench.version
    written = context.store.count(SyntheticSample, run_id=context.run_id, round=number, origin="teacher")
    budget = max(0, budget_rows(settings, context.dataset.rows["train"]) - written)
    by_attacks = round(settings.method.adversarial * budget)
    rows = program_rows(context, number, bench, budget - by_attacks)
    if by_attacks:
        flips = flips_of(context, version.model_id, "validation") + flips_of(context, version.model_id, "train")
        rows += perturbed(flips, Addition(context.run_id, number, by_attacks, settings.run.seed))
    return rows


def program_rows(context: Context, number: int, bench: Bench, budget: int) -> list[SyntheticSample]:
    """Make the rows of programs; where one has fewer than its share, the others take the rest."""
    if not (programs := bench.to_repair) or not budget:
        return []
    settings, version, samples = context.settings, bench.version, context.samples("train")
    tried = TRIED_PER_ROW if settings.hypotheses.prefer == "fooling" else 1
    compiled = {row.program_id: bench.compiled[row.program_id] for row in programs}
    available = {key: len(pool_of(context, one, samples, budget)) for key, one in compiled.items()}
    templates = {key for key, one in compiled.items() if one.templates}
    shares = divide_budget(context, number, bench.tests, available, budget, templates)
    made: list[SyntheticSample] = []
    for row in programs:
        one, wanted = compiled[row.program_id], shares[row.program_id]
        counterparts: Pool = []
        if settings.hypotheses.balance:
            counterparts = pool_of_others(context, one, bench.data, samples, tried * wanted)
        others = min(wanted // 2, len(counterparts))
        pool = pool_of(context, one, samples, tried * (wanted - others))
        chosen = [
            *best_of(context, version, undoubted(pool, bench), wanted - others),
            *best_of(context, version, undoubted(counterparts[: tried * others], bench), others),
        ]
        made += [synthetic(context, number, row, *text, position) for position, text in enumerate(chosen)]
    return made


def undoubted(pool: Pool, bench: Bench) -> Pool:
    """Leave out the texts that a second judge labels differently."""
    return [(key, edited) for key, edited in pool if fields_key(edited.fields) not in bench.doubted]


def best_of(context: Context, version: OnDemand, pool: Pool, wanted: int) -> Pool:
    """Take as many of a pool as are wanted; where it holds more, those that fool the version first."""
    if len(pool) <= wanted:
        return pool
    order = fooling_first(context, version, [edited for _, edited in pool])
    return [pool[place] for place in order[:wanted]]


def pool_of_others(
    context: Context, compiled: Compiled, data: DataDescription, samples: Sequence[Sample], most: int
) -> Pool:
    """What a program that keeps labels would make of the labels that it leaves out.

    Added in equal number, these rows keep its edits from becoming a sign of the label that it is about.
    """
    program = compiled.program
    conditions = [part for part in program.where if isinstance(part, LabelIs)]
    if compiled.label is not None or not conditions:
        return []
    where = tuple(part for part in program.where if not isinstance(part, LabelIs))
    left_out = [sample for sample in samples if not all(sample.label in part.labels for part in conditions)]
    return pool_of(context, compile_program(program.model_copy(update={"where": where}), data), left_out, most)


def divide_budget(
    context: Context,
    number: int,
    tests: Mapping[str, ProgramTest],
    available: Mapping[str, int],
    budget: int,
    templates: Collection[str] = (),
) -> dict[str, int]:
    """Divide a budget of rows among programs, as the settings say.

    proportional: by effect times coverage. bandit: by Thompson sampling on the newest test of each program; every round
    of the run is one of its small rounds. even: alike.

    Args:
        tests, available: test and number of different texts, by program_id.
        templates: the programs of templates: no sample says how much they cover, so they count as the median program.
    Returns: program_id -> rows.
    """
    how = context.settings.hypotheses.dose
    covered = {key: tests[key].applied / max(1, tests[key].rows) for key in available if key not in templates}
    coverage = dict.fromkeys(templates, median(covered.values()) if covered else 1.0) | covered
    if how == "bandit":
        arms = [
            BanditArm(key, capacity, tests[key].uus_with, tests[key].applied, coverage[key])
            for key, capacity in available.items()
        ]
        return bandit_round(arms, budget, seed=context.settings.run.seed, small_round=number)
    if how == "even":
        doses = [Dose(key, 1.0, 1.0, capacity) for key, capacity in available.items()]
        return proportional(doses, budget)
    doses = [Dose(key, tests[key].effect, coverage[key], capacity) for key, capacity in available.items()]
    floor = min(LEAST_ROWS, budget // max(1, len(doses)))
    return proportional(doses, budget, floor=floor)


def pool_of(context: Context, compiled: Compiled, samples: Sequence[Sample], most: int) -> Pool:
    """What a program can give, at most so many texts, each with the sample that it was made from; in a random order."""
    seed = context.settings.run.seed
    if compiled.templates:
        return [(None, edited) for edited in fill_templates(compiled, most, seed=seed)]
    in_order = shuffled(samples, seed=seed)
    return [(row.sample_id, edited) for row, _, edited in distinct_variants(compiled, in_order, most, seed=seed)]


def fooling_first(context: Context, version: OnDemand, texts: Sequence[Edited]) -> list[int]:
    """Put the texts that a version is confidently wrong about first, then those it is wrong about, then the others."""
    wrong, confident = predict_edited(context, version, texts)
    rank = np.where(wrong & confident, 0, np.where(wrong, 1, 2))
    return [int(place) for place in np.argsort(rank, kind="stable")]


def synthetic(
    context: Context, number: int, program: Program, source_id: str | None, edited: Edited, position: int
) -> SyntheticSample:
    """The row of a text that a program made."""
    return SyntheticSample(
        synthetic_id=make_id("syn", program.program_id, context.run_id, number, position),
        run_id=context.run_id,
        round=number,
        hypothesis_id=program.hypothesis_id,
        position=position,
        fields=dict(edited.fields),
        label=edited.label,
        reasoning=program.text,
        call_id=program.call_id,
        accepted=True,
        origin="program",
        source_id=source_id,
        program_id=program.program_id,
    )
