"""The perturbed texts that a run may learn of: those of the validation and training samples that it draws."""

from __future__ import annotations

from typing import Literal

from blindspot.graphs.context import Context
from blindspot.graphs.shared.draws import draw_samples, drawn_training
from blindspot.storage.records import Attack, Round


def flips_of(context: Context, model_id: str, split: Literal["validation", "train"]) -> list[Attack]:
    """The attacks that flipped a model version's label, with this run's recipes, on the samples that it draws.

    A version that several runs repair may have been attacked by each of them, on samples of its own.
    """
    if split == "train":
        samples = drawn_training(context)
    else:
        samples = context.samples("validation")
        if context.settings.teacher.autonomy != "autonomous":  # there, the teacher chooses how many
            samples = draw_samples(samples, context.settings.attack.samples, seed=context.settings.run.seed)
    wanted = {sample.sample_id for sample in samples}
    rows = context.store.rows(Attack, model_id=model_id, split=split, status="flipped")
    return [row for row in rows if row.sample_id in wanted and row.recipe in context.settings.attack.recipes]


def flips_so_far(context: Context, round_number: int, split: Literal["validation", "train"]) -> list[list[Attack]]:
    """The same of each model version that a round up to this one began with, the newest version last."""
    rounds = [row for row in context.store.rows(Round, run_id=context.run_id) if row.round <= round_number]
    versions = dict.fromkeys(row.model_id for row in sorted(rounds, key=lambda row: row.round))
    return [flips_of(context, model_id, split) for model_id in versions]
