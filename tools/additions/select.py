"""Find the unknown unknowns, and choose which of them the teacher sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from blindspot.storage.errors import SettingsError
from blindspot.storage.ids import make_id
from blindspot.storage.records import Attack, Prediction, Sample, Uu
from blindspot.tools.uu import is_adversarial_uu, is_uu


def natural_uus(
    run_id: str,
    round_number: int,
    model_id: str,
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    tau: float,
) -> list[Uu]:
    """Find the samples that one model version gets wrong, as they are, with confidence >= tau.

    Args:
        predictions: those of other model versions, and of attacked or synthetic texts, are passed over.
        tau: confidence threshold in [0, 1].
    Returns: in the order of the samples.
    Raises: SettingsError, when tau is outside [0, 1].
    Source: IBS, section 2.1.
    """
    check_tau(tau)
    by_sample = {p.subject_id: p for p in predictions if p.subject_kind == "sample" and p.model_id == model_id}
    return [
        Uu(
            uu_id=make_id("uu", run_id, round_number, model_id, "natural", sample.sample_id, None),
            run_id=run_id,
            round=round_number,
            model_id=model_id,
            kind="natural",
            recipe=None,
            sample_id=sample.sample_id,
            attack_id=None,
            fields=sample.fields,
            label=sample.label,
            predicted=prediction.predicted,
            confidence=prediction.confidence,
        )
        for sample in samples
        if (prediction := by_sample.get(sample.sample_id)) is not None
        and is_uu(sample.label, prediction.predicted, prediction.confidence, tau)
    ]


def adversarial_uus(run_id: str, round_number: int, attacks: Sequence[Attack], tau: float) -> list[Uu]:
    """Find the attacks that made their model version wrong with confidence >= tau.

    About half of all flips are not UUs: an attack stops where the label flips, confident or not.

    Returns: in the order of the attacks.
    Raises: SettingsError, when tau is outside [0, 1].
    """
    check_tau(tau)
    uus: list[Uu] = []
    for attack in attacks:
        if attack.fields is None or not is_adversarial_uu(attack, tau):
            continue
        assert attack.predicted is not None
        assert attack.confidence is not None
        causes = (run_id, round_number, attack.model_id, "adversarial", attack.sample_id, attack.recipe)
        uus.append(
            Uu(
                uu_id=make_id("uu", *causes),
                run_id=run_id,
                round=round_number,
                model_id=attack.model_id,
                kind="adversarial",
                recipe=attack.recipe,
                sample_id=attack.sample_id,
                attack_id=attack.attack_id,
                fields=attack.fields,
                label=attack.label,
                predicted=attack.predicted,
                confidence=attack.confidence,
            )
        )
    return uus


def select_uus(uus: Sequence[Uu], *, count: int, seed: int, round_number: int) -> list[Uu]:
    """Draw the UUs that the teacher sees: uniform, without replacement, natural and adversarial ones alike.

    Args:
        count: how many; where there are fewer, all of them.
    Returns: the drawn ones, marked as selected, by id; which ones does not depend on the order given, and is the same
        in a later run that finds the same UUs: the teacher's answers about them are in the cache.
    Source: IBS, section 3.2.
    """
    ordered = sorted(uus, key=lambda uu: (uu.sample_id, uu.recipe or "", uu.uu_id))  # ids differ from run to run
    rng = np.random.default_rng([seed, round_number])
    drawn = rng.choice(len(ordered), size=min(count, len(ordered)), replace=False)
    return sorted((replace(ordered[index], selected=True) for index in drawn), key=lambda uu: uu.uu_id)


def most_confident(uus: Sequence[Uu], *, count: int) -> list[Uu]:
    """Take the UUs that their model version is most confident of, or all where there are fewer; ties by sample.

    Returns: the taken ones, marked as selected, by id.
    """
    ordered = sorted(uus, key=lambda uu: (-uu.confidence, uu.sample_id, uu.recipe or ""))
    return sorted((replace(uu, selected=True) for uu in ordered[:count]), key=lambda uu: uu.uu_id)


def check_tau(tau: float) -> None:
    """Refuse a confidence threshold that no confidence can be compared with."""
    if not 0 <= tau <= 1:
        raise SettingsError(f"run.tau = {tau}: a confidence threshold must be between 0 and 1")
