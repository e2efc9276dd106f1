"""Texts that fooled earlier model versions, given to later ones: what they repair, and what they forget again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from blindspot.graphs.context import Context
from blindspot.graphs.shared.logged import logged_samples
from blindspot.graphs.versions.outcomes import outcomes_of
from blindspot.graphs.versions.versions import OnDemand, id_of, predict_once
from blindspot.storage.records import Attack, Prediction, Round, Sample, Uu
from blindspot.tools.uu import is_adversarial_uu

if TYPE_CHECKING:
    from blindspot.tools.metrics.outcomes import Outcomes

Text = Sample | Attack
"""What holds a text that fooled a model version: as it is, or after an attack."""


def predict_known(context: Context, version: OnDemand, attacks: Sequence[Attack]) -> dict[str, Outcomes]:
    """See what a version makes of texts that fooled the original: its adversarial UUs of the test split, by recipe."""
    known: dict[str, list[Attack]] = {}
    for row in fooling_attacks(attacks, context.settings.run.tau):
        known.setdefault(row.recipe, []).append(row)
    predictions = predict_once(context, version, list(chain.from_iterable(known.values())), kind="attack")
    return {recipe: outcomes_of(context, rows, predictions) for recipe, rows in known.items()}


def predict_repaired(context: Context, version: OnDemand, number: int) -> Outcomes | None:
    """See what a version makes of all texts that the run knows to have fooled one, and pick those that were repaired.

    The texts are the UUs that were selected, and the adversarial UUs of the test split of each version that a round
    began with. One is repaired where a version that a later (or the same) round made, and that was taken, got it right.

    Args:
        number: the version's round; only earlier ones repaired.
    Returns: outcomes of the repaired texts; None where there are none.
    """
    rounds = [row for row in context.store.rows(Round, run_id=context.run_id) if row.round <= number]
    texts = {row.round: texts_of_round(context, row, rounds) for row in rounds}
    everything = list(chain.from_iterable(texts.values()))
    predictions = predict_texts(context, version, everything)
    repaired: dict[str, Text] = {}
    for row in rounds:
        if row.round < number and row.accepted and row.new_model_id:
            right = right_about(context, row.new_model_id)
            earlier = chain.from_iterable(of_round for begun, of_round in texts.items() if begun <= row.round)
            repaired |= {id_of(text): text for text in earlier if id_of(text) in right}
    rows = [repaired[key] for key in sorted(repaired)]
    return outcomes_of(context, rows, predictions) if rows else None


def texts_of_round(context: Context, this: Round, rounds: Sequence[Round]) -> list[Text]:
    """The UUs that a round selected, and the adversarial ones of the test split of the version that it began with.

    A version that several rounds began with gives its test texts to the first of them.
    """
    chosen = context.store.rows(Uu, run_id=context.run_id, round=this.round, selected=True)
    natural, adversarial = {uu.sample_id for uu in chosen if uu.attack_id is None}, {uu.attack_id for uu in chosen}
    samples = (*context.samples("validation"), *logged_samples(context)) if natural else ()
    texts: list[Text] = [row for row in samples if row.sample_id in natural]
    attacks = context.store.rows(Attack, model_id=this.model_id)
    texts += [row for row in attacks if row.attack_id in adversarial]
    if this.round == min(row.round for row in rounds if row.model_id == this.model_id):
        recipes = context.settings.attack.recipes
        tested = [row for row in attacks if row.split == "test" and row.recipe in recipes]
        texts += fooling_attacks(tested, context.settings.run.tau)
    return texts


def fooling_attacks(attacks: Sequence[Attack], tau: float) -> list[Attack]:
    """Those attacks that ended in a UU."""
    return [row for row in attacks if is_adversarial_uu(row, tau)]


def predict_texts(context: Context, version: OnDemand, texts: Sequence[Text]) -> Mapping[str, Prediction]:
    """Predict samples and perturbed texts. Returns: sample_id or attack_id -> prediction."""
    samples = [row for row in texts if isinstance(row, Sample)]
    attacks = [row for row in texts if isinstance(row, Attack)]
    natural = predict_once(context, version, samples, kind="sample")
    return natural | predict_once(context, version, attacks, kind="attack")


def right_about(context: Context, model_id: str) -> set[str]:
    """The texts that a version is known to get right, by sample_id or attack_id."""
    rows = context.store.rows(Prediction, model_id=model_id)
    return {row.subject_id for row in rows if row.predicted == row.label}
