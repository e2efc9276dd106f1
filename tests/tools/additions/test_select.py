"""Which wrong answers are unknown unknowns, and which of them the teacher sees."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.storage.errors import SettingsError
from blindspot.storage.records import Attack, Prediction, Sample, Uu
from blindspot.storage.words import AttackStatus
from blindspot.tools.additions.select import adversarial_uus, natural_uus, select_uus


def sample(row: int) -> Sample:
    return Sample(f"ds:validation:{row}", "ds", "validation", row, {"text": f"text {row}"}, "good")


def prediction(row: int, predicted: str, confidence: float) -> Prediction:
    probabilities = (confidence, 1 - confidence) if predicted == "bad" else (1 - confidence, confidence)
    return Prediction("m1", f"ds:validation:{row}", "sample", "good", predicted, confidence, probabilities)


def attack(
    row: int, confidence: float | None = 0.9, status: AttackStatus = "flipped", recipe: str = "deepwordbug"
) -> Attack:
    fields = {"text": f"txet {row}"} if status == "flipped" else None
    predicted = "bad" if status == "flipped" else None
    return Attack(
        f"atk-{row}", "r", "m1", f"ds:validation:{row}", "validation", recipe, status, fields, "good", predicted,
        confidence, "good", 0.8, 10, 2, 1, None, 0.1,
    )  # fmt: skip


def uus(count: int) -> list[Uu]:
    return adversarial_uus("r", 1, [attack(row) for row in range(count)], 0.65)


def test_a_natural_uu_is_wrong_and_confident_and_of_this_model() -> None:
    predictions = [
        prediction(0, "bad", 0.65),  # at the threshold
        prediction(1, "bad", 0.6499),
        prediction(2, "good", 0.99),
        replace(prediction(3, "bad", 0.99), model_id="m0"),
        replace(prediction(4, "bad", 0.99), subject_kind="synthetic"),
    ]
    found = natural_uus("r", 2, "m1", [sample(row) for row in range(6)], predictions, 0.65)
    assert [uu.sample_id for uu in found] == ["ds:validation:0"]
    [uu] = found
    assert (uu.kind, uu.recipe, uu.attack_id, uu.round, uu.model_id) == ("natural", None, None, 2, "m1")
    assert (uu.fields, uu.label, uu.predicted, uu.confidence) == ({"text": "text 0"}, "good", "bad", 0.65)
    assert not uu.selected


def test_an_adversarial_uu_is_a_confident_flip() -> None:
    attacks = [attack(0, 0.65), attack(1, 0.64), attack(2, status="failed"), attack(3, None, "error")]
    [uu] = adversarial_uus("r", 1, attacks, 0.65)
    assert (uu.sample_id, uu.attack_id, uu.recipe, uu.kind) == (
        "ds:validation:0",
        "atk-0",
        "deepwordbug",
        "adversarial",
    )
    assert uu.fields == {"text": "txet 0"}


def test_the_id_of_a_uu_tells_kinds_recipes_rounds_and_runs_apart() -> None:
    natural = natural_uus("r", 1, "m1", [sample(0)], [prediction(0, "bad", 0.9)], 0.65)
    found = [
        *natural,
        *adversarial_uus("r", 1, [attack(0), attack(0, recipe="textfooler")], 0.65),
        *adversarial_uus("r", 2, [attack(0)], 0.65),
        *adversarial_uus("q", 1, [attack(0)], 0.65),
    ]
    assert len({uu.uu_id for uu in found}) == 5
    assert natural == natural_uus("r", 1, "m1", [sample(0)], [prediction(0, "bad", 0.9)], 0.65)


@pytest.mark.parametrize("tau", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_zero_and_one_is_refused(tau: float) -> None:
    with pytest.raises(SettingsError, match=r"run\.tau"):
        natural_uus("r", 1, "m1", [], [], tau)
    with pytest.raises(SettingsError, match=r"run\.tau"):
        adversarial_uus("r", 1, [], tau)


@given(order=st.permutations(range(12)), count=st.integers(0, 15), seed=st.integers(0, 3))
def test_a_selection_does_not_depend_on_the_order_given(order: list[int], count: int, seed: int) -> None:
    given_uus = uus(12)
    chosen = select_uus(given_uus, count=count, seed=seed, round_number=1)
    assert chosen == select_uus([given_uus[index] for index in order], count=count, seed=seed, round_number=1)
    assert len(chosen) == min(count, 12)
    assert all(uu.selected for uu in chosen)
    assert {replace(uu, selected=False).uu_id for uu in chosen} <= {uu.uu_id for uu in given_uus}
    assert chosen == sorted(chosen, key=lambda uu: uu.uu_id)


def test_another_seed_or_round_draws_others_and_the_same_ones_draw_the_same() -> None:
    drawn = [
        tuple(uu.uu_id for uu in select_uus(uus(100), count=10, seed=seed, round_number=number))
        for seed, number in [(0, 1), (0, 1), (1, 1), (0, 2)]
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


def test_every_uu_is_drawn_about_equally_often() -> None:
    counts = dict.fromkeys((uu.uu_id for uu in uus(10)), 0)
    for seed in range(300):
        for uu in select_uus(uus(10), count=3, seed=seed, round_number=1):
            counts[uu.uu_id] += 1
    assert all(60 <= count <= 125 for count in counts.values())  # 90 expected, standard deviation 8


def test_no_uus_give_an_empty_selection() -> None:
    assert select_uus([], count=5, seed=0, round_number=1) == []
