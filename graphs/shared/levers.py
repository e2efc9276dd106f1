"""What a retraining learns by beyond its samples' labels: their twins, and the UUs that its epochs are compared by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from blindspot.graphs.context import Context
from blindspot.graphs.shared.attacks import flips_so_far
from blindspot.graphs.versions.outcomes import validation_outcomes
from blindspot.graphs.versions.versions import NO_LEVERS, Levers
from blindspot.storage.ids import make_id
from blindspot.storage.records import Fields, Sample, SyntheticSample

if TYPE_CHECKING:
    from blindspot.tools.classifier.classifier import Text
    from blindspot.tools.training.retrain import Score


def levers_of(context: Context, round_number: int) -> Levers:
    """Have the levers ready that the settings ask for."""
    settings = context.settings.retrain
    if not settings.consistency and settings.choose == "last":
        return NO_LEVERS
    twins = twins_of(context, round_number) if settings.consistency else {}
    return Levers(twins, uu_score(context, round_number) if settings.choose == "uus" else None)


def twins_of(context: Context, round_number: int) -> Mapping[str, Text]:
    """The twins of the training samples that have one: sample_id -> text."""
    samples = context.samples("train")
    of_settings = {"attacks": flipped_twins, "typos": misspelt_twins, "programs": source_twins}
    twins = of_settings[context.settings.retrain.twins](context, round_number, samples)
    whose = f"{len(twins)} of {len(samples)} training samples"
    if context.settings.retrain.twins == "programs":
        whose = f"{len(twins)} rows from programs"
    context.tell(round_number, "retrain", f"{whose} have a twin")
    return {key: tuple(fields[name] for name in context.dataset.fields) for key, fields in twins.items()}


def flipped_twins(context: Context, round_number: int, samples: Sequence[Sample]) -> dict[str, Fields]:
    """What the newest attack made of each training sample that it flipped; of several recipes', one at random."""
    twins: dict[str, Fields] = {}
    for flips in flips_so_far(context, round_number, "train"):
        drawn = sorted(flips, key=lambda row: make_id("twin", context.settings.run.seed, row.sample_id, row.recipe))
        twins |= {row.sample_id: row.fields for row in drawn if row.fields is not None}
    return twins


def misspelt_twins(context: Context, round_number: int, samples: Sequence[Sample]) -> dict[str, Fields]:
    """Each training sample misspelt at random, in another way in each round."""
    from blindspot.tools.text.rewrite import misspell_at_random, rng_of

    seed = context.settings.run.seed
    return {
        sample.sample_id: misspell_at_random(sample.fields, rng_of(seed, "twin", round_number, sample.sample_id))
        for sample in samples
    }


def source_twins(context: Context, round_number: int, samples: Sequence[Sample]) -> dict[str, Fields]:
    """The sample that each program's row was made from, where the program keeps its label."""
    texts = {sample.sample_id: sample for sample in samples}
    rows = context.store.rows(SyntheticSample, run_id=context.run_id, accepted=True, origin="program")
    return {
        row.synthetic_id: source.fields
        for row in rows
        if row.round <= round_number and (source := texts.get(row.source_id or "")) and source.label == row.label
    }


def uu_score(context: Context, round_number: int) -> Score:
    """Count a classifier's UUs on the validation split and on what all attacks so far have made of it."""
    from blindspot.tools.classifier.classifier import texts_of
    from blindspot.tools.training.epoch_score import KnownTexts

    names, labels = context.dataset.fields, context.dataset.labels
    flips = list(chain.from_iterable(flips_so_far(context, round_number, "validation")))
    known = KnownTexts(
        original=validation_outcomes(context, context.original_id()),
        texts=texts_of(context.samples("validation"), names),
        perturbed=[tuple(row.fields[name] for name in names) for row in flips if row.fields is not None],
        perturbed_labels=[labels.index(row.label) for row in flips],
        tau=context.settings.run.tau,
    )
    return known.count_uus
