"""What model versions say of labelled texts, as columns: the clean split and P, the split after an attack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from blindspot.storage.records import Attack
from blindspot.storage.words import POOLED
from blindspot.tools.metrics.statistics import Floats, Ints, Mask


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What one model version says of n texts.

    Raises: ValueError, when the columns differ in length or the probabilities are not (n, classes) table.
    """

    sample_ids: tuple[str, ...]  # the sample that each text is, or was made from
    labels: Ints  # true class indices, (n,)
    probabilities: Floats  # (n, classes), rows sum to 1
    flipped: Mask  # the text is a perturbed one, (n,)

    def __post_init__(self) -> None:
        n = len(self.sample_ids)
        if self.probabilities.ndim != 2 or {len(self.labels), len(self.probabilities), len(self.flipped)} != {n}:
            shapes = self.labels.shape, self.probabilities.shape, self.flipped.shape
            raise ValueError(f"outcomes of {n} texts do not fit labels, probabilities, flipped of shapes {shapes}")

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def confidence(self) -> Floats:
        """The largest probability of each row, (n,)."""
        largest: Floats = self.probabilities.max(axis=1)
        return largest

    @property
    def wrong(self) -> Mask:
        """Rows whose most probable class is not the true one, (n,); the first class wins a tie."""
        mistaken: Mask = self.probabilities.argmax(axis=1) != self.labels
        return mistaken

    def take(self, rows: ArrayLike) -> Outcomes:
        """Keep the rows of these positions, in this order."""
        chosen = np.asarray(rows, dtype=np.int64)
        ids = tuple(self.sample_ids[row] for row in chosen)
        return Outcomes(ids, self.labels[chosen], self.probabilities[chosen], self.flipped[chosen])


@dataclass(frozen=True, slots=True)
class ModelOutcomes:
    """What one model version says of a whole split, and of its P under each recipe that attacked it."""

    model_id: str
    clean: Outcomes  # one row a sample
    perturbed: Mapping[str, Outcomes]  # recipe -> P, at most one row a sample


def clean_outcomes(
    sample_ids: Sequence[str], true_labels: Sequence[str], probabilities: ArrayLike, labels: Sequence[str]
) -> Outcomes:
    """Make the outcomes of unperturbed texts.

    Args:
        sample_ids, true_labels: of each text, (n,).
        probabilities: what the classifier says of each, (n, classes).
        labels: the classes' names, in the order of the probabilities' columns.
    """
    position = {label: index for index, label in enumerate(labels)}
    indices = np.array([position[label] for label in true_labels], dtype=np.int64)
    # float64 once, here: a float32 row compared with tau would round differently from a stored confidence.
    table = np.asarray(probabilities, dtype=np.float64).reshape(len(sample_ids), len(labels))
    return Outcomes(tuple(sample_ids), indices, table, np.zeros(len(sample_ids), dtype=np.bool_))


def perturbed_outcomes(clean: Outcomes, attacks: Sequence[Attack], flipped: Mapping[str, ArrayLike]) -> Outcomes:
    """Make P of one recipe: each attacked sample's perturbed text where it flipped, else the sample itself.

    Only attacked samples have a row. An attack that broke (status "error") says nothing about its sample and has none.

    Args:
        clean: the attacked model on the whole split.
        attacks: one recipe's attacks on that model, at most one a sample.
        flipped: attack_id -> the same model's probabilities for the perturbed text, (classes,), for each that flipped.
    Raises: ValueError, when an attack's sample is not in the split or its perturbed text was not predicted.
    """
    row_of = {sample_id: row for row, sample_id in enumerate(clean.sample_ids)}
    known = sorted((attack for attack in attacks if attack.status != "error"), key=lambda attack: attack.sample_id)
    strangers = [attack.sample_id for attack in known if attack.sample_id not in row_of]
    unpredicted = [
        attack.attack_id for attack in known if attack.status == "flipped" and attack.attack_id not in flipped
    ]
    if strangers or unpredicted:
        raise ValueError(f"samples outside the split: {strangers[:3]}; attacks without a prediction: {unpredicted[:3]}")
    base = clean.take([row_of[attack.sample_id] for attack in known])
    mask = np.array([attack.status == "flipped" for attack in known], dtype=np.bool_)
    probabilities = base.probabilities.copy()
    for row in np.flatnonzero(mask):
        probabilities[row] = np.asarray(flipped[known[row].attack_id], dtype=np.float64)
    return Outcomes(base.sample_ids, base.labels, probabilities, mask)


def joined(parts: Sequence[Outcomes]) -> Outcomes:
    """Put the rows of several outcomes of the same classes below each other."""
    return Outcomes(
        tuple(sample_id for part in parts for sample_id in part.sample_ids),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.flipped for part in parts]),
    )


def paired(new: ModelOutcomes, baseline: ModelOutcomes) -> tuple[ModelOutcomes, ModelOutcomes]:
    """Keep the samples that both models have an outcome of, recipe by recipe, in the order of their ids.

    Raises: ValueError, when the two clean splits are not the same samples.
    """
    if set(new.clean.sample_ids) != set(baseline.clean.sample_ids):
        raise ValueError(f"{new.model_id} and {baseline.model_id} were not evaluated on the same split")
    shared = [recipe for recipe in new.perturbed if recipe in baseline.perturbed]
    common = {r: set(new.perturbed[r].sample_ids) & set(baseline.perturbed[r].sample_ids) for r in shared}
    left, right = (
        ModelOutcomes(
            model.model_id,
            in_id_order(model.clean, set(model.clean.sample_ids)),
            {recipe: in_id_order(model.perturbed[recipe], common[recipe]) for recipe in shared},
        )
        for model in (new, baseline)
    )
    return left, right


def in_id_order(outcomes: Outcomes, wanted: set[str]) -> Outcomes:
    """Keep the rows of the wanted samples, ordered by sample id."""
    rows = [row for row, sample_id in enumerate(outcomes.sample_ids) if sample_id in wanted]
    return outcomes.take(sorted(rows, key=lambda row: outcomes.sample_ids[row]))


def by_recipe(clean: Outcomes | None, perturbed: Mapping[str, Outcomes]) -> dict[str | None, Outcomes]:
    """List the places where metrics are taken: None is the clean split, then each P that has rows, then all of them."""
    places: dict[str | None, Outcomes] = {} if clean is None else {None: clean}
    parts = {recipe: outcomes for recipe, outcomes in sorted(perturbed.items()) if len(outcomes)}
    places.update(parts)
    if parts:
        places[POOLED] = joined(list(parts.values()))
    return places


def columns_of(sample_ids: Iterable[str]) -> dict[str, int]:
    """Number the samples in the order of their ids, so that no figure depends on the order of rows."""
    return {sample_id: column for column, sample_id in enumerate(sorted(set(sample_ids)))}


def place(outcomes: Outcomes, columns: Mapping[str, int]) -> Ints:
    """Find the column of weights that belongs to each row, (n,)."""
    return np.array([columns[sample_id] for sample_id in outcomes.sample_ids], dtype=np.int64)


def membership(columns: Mapping[str, int], parts: Mapping[str, Outcomes]) -> Ints:
    """Number the samples by which of the parts they are in, (samples,)."""
    inside = np.zeros((len(parts) + 1, len(columns)), dtype=np.bool_)
    for row, name in enumerate(sorted(parts, reverse=True)):
        inside[row, place(parts[name], columns)] = True
    return np.unique(inside, axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)
