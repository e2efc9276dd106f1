"""What the filter compares a round's samples with, and how long each has to be, read from the run's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from blindspot.graphs.context import Context
from blindspot.graphs.shared.attacks import uus_of
from blindspot.graphs.shared.draws import draw_samples
from blindspot.storage.ids import make_id
from blindspot.storage.records import Fields, Hypothesis, Sample, Uu
from blindspot.tools.data.unlabelled import load_unlabelled

if TYPE_CHECKING:
    from blindspot.tools.additions.references import Reference


def references_of(context: Context, round_number: int) -> list[Reference]:
    """Draw training samples and texts of the deployment, and add the texts of the round's UUs.

    The texts of the deployment are those of `data.unlabelled`, else the validation split's; never the test split's. Of
    too many UUs those that were selected come first.
    """
    from blindspot.tools.additions.references import Reference
    from blindspot.tools.text.similarity import text_of

    names, most = context.dataset.fields, context.settings.filter.references
    training = draw_samples(context.samples("train"), most, seed=context.settings.run.seed)
    references = [Reference(text_of(row.fields, names), "training", row.sample_id) for row in training]
    references += [Reference(text_of(fields, names), "deployment", origin) for origin, fields in draw_deployed(context)]
    there = {reference.text for reference in references}
    uus = sorted(uus_of(context, round_number), key=lambda uu: (not uu.selected, uu.uu_id))[:most]
    texts = {text_of(uu.fields, names): uu.sample_id for uu in uus}
    return references + [Reference(text, "uu", origin) for text, origin in texts.items() if text not in there]


def draw_deployed(context: Context) -> list[tuple[str, Fields]]:
    """Draw texts of the deployment: (what tells it from others, its fields)."""
    most, seed = context.settings.filter.references, context.settings.run.seed
    if context.source.unlabelled is None:
        drawn = draw_samples(context.samples("validation"), most, seed=seed)
        return [(sample.sample_id, sample.fields) for sample in drawn]
    texts = load_unlabelled(context.source)
    rows = np.sort(np.random.default_rng([seed, len(texts)]).permutation(len(texts))[:most])
    return [(make_id("txt", *texts[row].items()), texts[row]) for row in rows]


def least_of_all(context: Context) -> int:
    """The least length of any sample, in characters: the settings' own, or what nearly all real texts have."""
    from blindspot.tools.additions.references import characters_of, least_characters

    wanted = context.settings.filter.min_characters
    if wanted != "auto":
        return wanted
    training = [characters_of(sample.fields) for sample in context.samples("train")]
    if context.source.unlabelled is None:
        deployed = [characters_of(sample.fields) for sample in context.samples("validation")]
    else:
        deployed = [characters_of(fields) for fields in load_unlabelled(context.source)]
    return least_characters([training, deployed])


def least_for(context: Context, least: int, uu: Uu) -> int:
    """The least length of a sample that imitates a UU.

    Args:
        least: of any sample, as `least_of_all` gives it.
    """
    from blindspot.tools.additions.references import least_like

    return least_like(least, uu.fields) if context.settings.filter.min_characters == "auto" else least


def hypotheses_with_uus(context: Context, round_number: int) -> list[tuple[Hypothesis, Uu]]:
    """The hypotheses of a round, each with the UU that it explains."""
    uus = {uu.uu_id: uu for uu in uus_of(context, round_number)}
    rows = context.store.rows(Hypothesis, run_id=context.run_id, round=round_number)
    return [(row, uus[row.uu_id]) for row in rows if row.uu_id in uus]


def shown_texts(context: Context, uus: Sequence[Uu]) -> list[str]:
    """The texts of UUs that a teacher was shown: what fools the model version, and what it was made of."""
    from blindspot.tools.text.similarity import text_of

    names = context.dataset.fields
    shown = [uu for uu in uus if uu.selected]
    originals = [context.store.one(Sample, sample_id=uu.sample_id) for uu in shown]
    return [text_of(row.fields, names) for row in (*shown, *originals) if row is not None]
