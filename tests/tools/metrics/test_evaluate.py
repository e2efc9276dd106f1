"""The metrics: worked by hand, checked against scikit-learn, and held to their laws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, recall_score

from blindspot.storage.records import Attack, Evaluation
from blindspot.tools.metrics.attack_statistics import attack_statistics
from blindspot.tools.metrics.coverage import matched_thresholds
from blindspot.tools.metrics.evaluate import (
    EVERYWHERE,
    accuracy,
    aurc,
    balanced_accuracy,
    brier,
    differences,
    ece,
    figures,
    known_uus,
    majority_share,
    recalls,
    uus,
    uus_matched,
)
from blindspot.tools.metrics.figure import Scope
from blindspot.tools.metrics.outcomes import ModelOutcomes, Outcomes, clean_outcomes, joined, perturbed_outcomes

SCOPE = Scope(run_id="run-1", round=1, tau=0.65, thresholds=(0.8, 0.9), resamples=200, seed=3)


def made(rows: list[tuple[int, float]], first: int = 0) -> Outcomes:
    """Outcomes of a binary task: the true class, and the probability of class 1."""
    labels, ones = np.array([label for label, _ in rows]), np.array([one for _, one in rows])
    ids = tuple(f"s{first + row:03d}" for row in range(len(rows)))
    return Outcomes(ids, labels, np.stack([1 - ones, ones], axis=1), np.zeros(len(rows), dtype=bool))


def seen(n: int, seed: int, *, classes: int = 2, sharpness: float = 2.0) -> Outcomes:
    """Outcomes of a model that is mostly right."""
    generator = np.random.default_rng(seed)
    labels = np.random.default_rng(0).integers(0, classes, n)
    scores = generator.normal(size=(n, classes)) + 1.2 * np.eye(classes)[labels]
    odds = np.exp(sharpness * scores)
    ids = tuple(f"s{row:03d}" for row in range(n))
    return Outcomes(ids, labels, odds / odds.sum(axis=1, keepdims=True), np.zeros(n, dtype=bool))


def once(outcomes: Outcomes) -> np.ndarray:
    return np.ones((1, len(outcomes)))


def tempered(outcomes: Outcomes, temperature: float) -> Outcomes:
    scaled = outcomes.probabilities ** (1 / temperature)
    return Outcomes(outcomes.sample_ids, outcomes.labels, scaled / scaled.sum(axis=1, keepdims=True), outcomes.flipped)


def attacked(clean: Outcomes, seed: int, share: float = 0.7) -> Outcomes:
    """P after an attack that flips this share of the right rows to a probability of its own."""
    generator = np.random.default_rng(seed)
    flipped = ~clean.wrong & (generator.random(len(clean)) < share)
    probabilities = clean.probabilities.copy()
    confidence = generator.uniform(0.5, 1, len(clean))
    truth = np.eye(2)[clean.labels].astype(bool)
    probabilities[flipped] = np.where(truth, 1 - confidence[:, None], confidence[:, None])[flipped]
    return Outcomes(clean.sample_ids, clean.labels, probabilities, flipped)


def by_key(rows: list[Evaluation]) -> dict[tuple[str, str | None, float | None], Evaluation]:
    return {(row.metric, row.recipe, row.threshold): row for row in rows}


some_rows = st.lists(st.tuples(st.integers(0, 1), st.floats(0.01, 0.99)), min_size=1, max_size=30)
tied_rows = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.3, 0.6, 0.8])), min_size=1, max_size=20)


# --- by hand ---


def test_ece_worked_by_hand() -> None:
    # 0.9 twice in one bin, half right: |0.9 - 0.5|; 0.62 alone in its bin, right: |0.62 - 1|.
    outcomes = made([(1, 0.9), (0, 0.9), (1, 0.62)])
    assert ece(outcomes, once(outcomes))[0] == pytest.approx((2 * 0.4 + 0.38) / 3)


def test_a_confidence_on_a_bins_edge_belongs_to_the_lower_bin() -> None:
    outcomes = made([(1, 9 / 15), (0, 8.5 / 15)])  # both in (8/15, 9/15], one right of two
    assert ece(outcomes, once(outcomes))[0] == pytest.approx(abs(17.5 / 30 - 0.5))


def test_brier_worked_by_hand() -> None:
    outcomes = made([(1, 0.9), (0, 0.7)])
    assert brier(outcomes, once(outcomes))[0] == pytest.approx((2 * 0.1**2 + 2 * 0.7**2) / 2)


def test_brier_agrees_with_scikit_learn() -> None:
    outcomes = seen(60, 1, classes=4)
    theirs = brier_score_loss(outcomes.labels, outcomes.probabilities, scale_by_half=False, labels=[0, 1, 2, 3])
    assert brier(outcomes, once(outcomes))[0] == pytest.approx(theirs)


def test_aurc_worked_by_hand() -> None:
    outcomes = made([(1, 0.9), (0, 0.8), (1, 0.7), (0, 0.6)])  # right, wrong, right, wrong
    assert aurc(outcomes, once(outcomes))[0] == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)


def test_uus_are_the_wrong_rows_at_or_above_the_threshold() -> None:
    outcomes = made([(1, 0.9), (0, 0.65), (0, 0.64), (1, 0.2), (1, 0.34)])
    assert uus(outcomes, once(outcomes), 0.65)[0] == 3
    assert uus(outcomes, once(outcomes), 0.8)[0] == 1
    assert accuracy(outcomes, once(outcomes))[0] == pytest.approx(1 / 5)


# --- laws ---


@given(some_rows)
def test_uus_fall_as_tau_rises(rows: list[tuple[int, float]]) -> None:
    outcomes = made(rows)
    counts = [uus(outcomes, once(outcomes), tau)[0] for tau in np.linspace(0, 1, 21)]
    assert counts == sorted(counts, reverse=True)


@given(some_rows)
def test_ece_and_aurc_are_shares(rows: list[tuple[int, float]]) -> None:
    outcomes = made(rows)
    for metric in (ece, aurc):
        assert -1e-12 <= metric(outcomes, once(outcomes))[0] <= 1 + 1e-12


@given(some_rows)
def test_the_aurc_of_a_perfect_model_is_zero(rows: list[tuple[int, float]]) -> None:
    outcomes = made([(int(one > 0.5), one) for _, one in rows])
    assert aurc(outcomes, once(outcomes))[0] == 0


@given(tied_rows)
def test_the_aurc_of_one_confidence_for_everything_is_the_error(rows: list[tuple[int, float]]) -> None:
    outcomes = made([(label, 0.7) for label, _ in rows])
    assert aurc(outcomes, once(outcomes))[0] == pytest.approx(1 - accuracy(outcomes, once(outcomes))[0])


@settings(max_examples=60)
@given(tied_rows, st.data())
def test_a_weight_is_how_often_a_row_is_there(rows: list[tuple[int, float]], data: st.DataObject) -> None:
    outcomes = made(rows)
    times = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)).filter(any))
    weights = np.array([times], dtype=float)
    repeated = outcomes.take(np.repeat(np.arange(len(rows)), times))
    for metric in (accuracy, *EVERYWHERE.values()):
        assert metric(outcomes, weights)[0] == pytest.approx(metric(repeated, once(repeated))[0], abs=1e-7)
    model = made([(label, one**2) for label, one in rows])
    again = model.take(np.repeat(np.arange(len(rows)), times))
    tau = matched_thresholds(outcomes, model, weights, weights, 0.65)
    assert tau == matched_thresholds(repeated, again, once(again), once(again), 0.65)
    scaled = uus_matched(model, weights, tau)[0] * sum(times) / len(rows)
    assert scaled == pytest.approx(uus_matched(again, once(again), tau)[0])


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.floats(0.3, 4), st.floats(0.55, 0.95))
def test_temperature_scaling_changes_no_uu_at_matched_coverage(seed: int, temperature: float, tau: float) -> None:
    clean = seen(80, seed)
    perturbed = attacked(clean, seed + 1)
    hot, hot_perturbed = tempered(clean, temperature), tempered(perturbed, temperature)
    threshold = matched_thresholds(clean, hot, once(clean), once(hot), tau)
    expected = uus(perturbed, once(perturbed), tau)
    assert uus_matched(hot_perturbed, once(hot_perturbed), threshold) == expected


@given(some_rows, st.floats(0.05, 1))
def test_the_originals_own_matched_threshold_is_tau(rows: list[tuple[int, float]], tau: float) -> None:
    outcomes = made(rows)
    assert matched_thresholds(outcomes, outcomes, once(outcomes), once(outcomes), tau)[0] == tau


@given(some_rows, st.floats(0.5, 0.99))
def test_a_matched_model_is_confident_on_at_least_the_originals_share(
    rows: list[tuple[int, float]], tau: float
) -> None:
    original, model = made(rows), made([(label, one**2) for label, one in rows])
    threshold = matched_thresholds(original, model, once(original), once(model), tau)[0]
    share, wanted = (model.confidence >= threshold).sum(), (original.confidence >= tau).sum()
    tied = np.unique(model.confidence).size < len(rows)
    assert share >= wanted if tied else share == wanted


def test_a_model_with_one_confidence_for_everything_gains_nothing() -> None:
    original = seen(100, 1)
    constant = Outcomes(
        original.sample_ids,
        original.labels,
        np.where(original.probabilities >= 0.5, 0.6, 0.4),
        original.flipped,
    )
    threshold = matched_thresholds(original, constant, once(original), once(constant), 0.65)
    assert uus(constant, once(constant), 0.65)[0] == 0
    assert uus_matched(constant, once(constant), threshold)[0] == constant.wrong.sum()


# --- P ---


def attack(sample_id: str, status: str, **columns: object) -> Attack:
    values: dict[str, object] = {
        "attack_id": f"atk-{sample_id}",
        "run_id": "run-1",
        "model_id": "m1",
        "split": "test",
        "recipe": "deepwordbug",
        "fields": None,
        "label": "1",
        "predicted": None,
        "confidence": None,
        "original_predicted": None,
        "original_confidence": None,
        "queries": 0,
        "words": 10,
        "perturbed_words": None,
        "error": None,
        "seconds": 0.1,
    }
    return Attack(sample_id=sample_id, status=status, **{**values, **columns})  # type: ignore[arg-type]


def test_p_holds_the_perturbed_text_where_it_flipped_and_the_sample_elsewhere() -> None:
    clean = made([(1, 0.9), (1, 0.8), (1, 0.3), (1, 0.7), (1, 0.95)])
    attacks = [attack("s002", "skipped"), attack("s000", "flipped"), attack("s001", "failed"), attack("s003", "error")]
    perturbed = perturbed_outcomes(clean, attacks, {"atk-s000": [0.75, 0.25]})
    assert perturbed.sample_ids == ("s000", "s001", "s002")
    assert perturbed.probabilities[:, 1].tolist() == [0.25, 0.8, 0.3]
    assert perturbed.flipped.tolist() == [True, False, False]


@pytest.mark.parametrize("sample_id", ["s000", "s777"])
def test_p_needs_a_prediction_of_each_perturbed_text_and_samples_of_the_split(sample_id: str) -> None:
    with pytest.raises(ValueError, match=sample_id):
        perturbed_outcomes(made([(1, 0.9)]), [attack(sample_id, "flipped")], {})


def test_a_stored_confidence_and_a_predicted_one_are_the_same_number() -> None:
    row = np.array([[0.35, 0.65]], dtype=np.float32)
    outcomes = clean_outcomes(["s1"], ["no"], row, ["no", "yes"])
    assert outcomes.confidence[0] == float(row[0, 1]) != 0.65


# --- figures and differences ---


def model(name: str, seed: int, recipes: Mapping[str, slice]) -> ModelOutcomes:
    clean = seen(120, seed)
    parts = {recipe: clean.take(np.arange(120)[rows]) for recipe, rows in recipes.items()}
    return ModelOutcomes(name, clean, {recipe: attacked(part, seed + 7) for recipe, part in parts.items()})


TWO = {"deepwordbug": slice(0, 60), "textfooler": slice(30, 90)}


def test_natural_and_flipped_add_up_to_uus_and_recipes_to_the_pool() -> None:
    old = model("old", 1, TWO)
    found = by_key(figures(old, old.clean, SCOPE))
    for threshold in (0.65, 0.8, 0.9):
        total = {recipe: found["uus", recipe, threshold].value for recipe in (*TWO, "all")}
        for recipe, value in total.items():
            parts = found["uus_natural", recipe, threshold], found["uus_flipped", recipe, threshold]
            assert value == sum(part.value for part in parts)
        assert total["all"] == total["deepwordbug"] + total["textfooler"]
    assert found["uus", "all", 0.65].n == 120
    assert found["uus", None, 0.65].value == uus(old.clean, once(old.clean), 0.65)[0]
    assert ("uus_natural", None, 0.65) not in found


def test_the_original_model_at_matched_coverage_is_the_original_model() -> None:
    old = model("old", 1, TWO)
    found = by_key(figures(old, old.clean, SCOPE))
    for recipe in (None, *TWO, "all"):
        plain, matched = found["uus", recipe, 0.65], found["uus_matched", recipe, 0.65]
        assert (matched.value, matched.low, matched.high) == (plain.value, plain.low, plain.high)


def test_an_interval_holds_its_value_and_ece_has_none() -> None:
    old = model("old", 1, TWO)
    for row in figures(old, old.clean, SCOPE):
        if row.metric == "ece":
            assert row.low is row.high is None
        else:
            assert row.low is not None
            assert row.high is not None
            assert row.low <= row.value <= row.high


def test_two_identical_models_differ_by_nothing_at_all() -> None:
    old, same = model("old", 1, TWO), model("same", 1, TWO)
    for row in differences(same, old, old.clean, SCOPE):
        assert (row.value, row.low, row.high) == (0, 0, 0)
        assert row.p_value in (None, 1.0)


def test_a_difference_is_new_minus_baseline() -> None:
    old, new = model("old", 1, TWO), model("new", 2, TWO)
    before, after = by_key(figures(old, old.clean, SCOPE)), by_key(figures(new, old.clean, SCOPE))
    changes = differences(new, old, old.clean, SCOPE)
    of_texts_alone = {("majority_share", None, None)}
    assert {(row.metric, row.recipe, row.threshold) for row in changes} == set(before) - of_texts_alone
    for key, row in by_key(changes).items():
        assert row.value == pytest.approx(after[key].value - before[key].value)
        assert (row.baseline_id, row.n) == ("old", before[key].n)
        assert (row.p_value is not None) == (row.metric in ("accuracy", "uus"))


def test_the_order_of_rows_changes_no_figure_and_no_interval() -> None:
    def shuffled(outcomes: Outcomes) -> Outcomes:
        return outcomes.take(np.random.default_rng(9).permutation(len(outcomes)))

    old, new = model("old", 1, TWO), model("new", 2, TWO)
    mixed = ModelOutcomes("new", shuffled(new.clean), {name: shuffled(p) for name, p in new.perturbed.items()})
    for one, other in zip(
        [*figures(new, old.clean, SCOPE), *differences(new, old, old.clean, SCOPE)],
        [*figures(mixed, shuffled(old.clean), SCOPE), *differences(mixed, old, old.clean, SCOPE)],
        strict=True,
    ):
        assert one.evaluation_id == other.evaluation_id
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), abs=1e-7)
        assert one.p_value == other.p_value


def test_a_sample_that_only_one_model_was_attacked_on_is_not_compared() -> None:
    old, new = model("old", 1, {"deepwordbug": slice(0, 60)}), model("new", 2, {"deepwordbug": slice(5, 60)})
    row = by_key(differences(new, old, old.clean, SCOPE))["uus", "deepwordbug", 0.65]
    kept = old.perturbed["deepwordbug"].take(np.arange(5, 60))
    expected = uus(new.perturbed["deepwordbug"], np.ones((1, 55)), 0.65)[0] - uus(kept, np.ones((1, 55)), 0.65)[0]
    assert (row.value, row.n) == (expected, 55)


def test_models_of_different_splits_are_not_compared() -> None:
    old = model("old", 1, {})
    part = ModelOutcomes("new", old.clean.take(np.arange(50)), {})
    with pytest.raises(ValueError, match="same split"):
        differences(part, old, old.clean, SCOPE)


def test_without_attacks_there_are_figures_of_the_clean_split_only() -> None:
    old = model("old", 1, {})
    found = by_key(figures(old, old.clean, SCOPE))
    assert {recipe for _, recipe, _ in found} == {None}
    assert {("uus", None, 0.65), ("uus_matched", None, 0.65), ("accuracy", None, None)} <= set(found)


def test_known_uus_are_fixed_left_or_merely_doubted() -> None:
    words = made([(1, 0.9), (1, 0.8), (1, 0.1), (1, 0.45)])  # right, right, still a UU, wrong but unsure
    found = by_key(known_uus({"deepwordbug": words, "textfooler": made([(1, 0.9)])}, "new", SCOPE))
    assert found["known_uus_fixed", "deepwordbug", None].value == pytest.approx(2 / 4)
    assert found["known_uus_left", "deepwordbug", 0.65].value == pytest.approx(1 / 4)
    assert found["known_uus_fixed", "all", None].value == pytest.approx(3 / 5)
    assert found["known_uus_fixed", "all", None].n == 5
    assert known_uus({}, "new", SCOPE) == known_uus({"deepwordbug": words.take([])}, "new", SCOPE) == []


def test_attack_statistics_worked_by_hand() -> None:
    rows = [
        attack("s1", "flipped", queries=30, words=10, perturbed_words=1),
        attack("s2", "flipped", queries=50, words=20, perturbed_words=6),
        attack("s3", "failed", queries=100, words=30),
        attack("s4", "skipped", queries=1, words=40),
        attack("s5", "error", queries=7, words=900),
    ]
    wanted = {
        "original_accuracy": (3 / 4, 4),
        "accuracy_under_attack": (1 / 4, 4),
        "attack_success_rate": (2 / 3, 3),
        "perturbed_words": (0.2, 2),
        "words_per_input": (25, 4),
        "queries_per_sample": (60, 3),
    }
    found = {row.metric: row for row in attack_statistics(rows, SCOPE)}
    assert {metric: row.n for metric, row in found.items()} == {metric: n for metric, (_, n) in wanted.items()}
    for metric, (value, _) in wanted.items():
        assert found[metric].value == pytest.approx(value)


def test_attack_statistics_leave_out_what_was_never_seen() -> None:
    assert attack_statistics([], SCOPE) == []
    assert {row.metric for row in attack_statistics([attack("s1", "skipped")], SCOPE)} == {
        "original_accuracy",
        "accuracy_under_attack",
        "words_per_input",
    }
    with pytest.raises(ValueError, match="one recipe"):
        attack_statistics([attack("s1", "failed"), attack("s1", "failed", recipe="textfooler")], SCOPE)


def test_outcomes_whose_columns_do_not_fit_are_refused() -> None:
    whole = made([(1, 0.9), (0, 0.2)])
    with pytest.raises(ValueError, match="do not fit"):
        Outcomes(("s1",), whole.labels, whole.probabilities, whole.flipped)
    assert len(joined([whole, whole])) == 4


def test_recalls_and_balanced_accuracy_are_those_of_scikit_learn() -> None:
    clean = seen(200, 5, classes=3, sharpness=0.5)
    labels, predicted = clean.labels, clean.probabilities.argmax(axis=1)
    assert recalls(clean, once(clean))[0] == pytest.approx(recall_score(labels, predicted, average=None))
    assert balanced_accuracy(clean, once(clean))[0] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert majority_share(clean, once(clean))[0] == np.bincount(labels).max() / 200


def test_a_model_that_always_names_the_majority_class_has_no_balanced_accuracy_to_show() -> None:
    clean = made([(0, 0.1)] * 26 + [(1, 0.1)] * 4)
    scope = replace(SCOPE, labels=("ham", "spam"))
    rows = {row.metric: row for row in figures(ModelOutcomes("m", clean, {}), clean, scope) if row.recipe is None}
    assert rows["accuracy"].value == rows["majority_share"].value == pytest.approx(26 / 30)
    assert rows["balanced_accuracy"].value == 0.5
    assert [(rows[f"recall: {name}"].value, rows[f"recall: {name}"].n) for name in scope.labels] == [(1, 26), (0, 4)]


def test_a_class_that_most_resamples_lack_has_a_recall_and_an_interval() -> None:
    clean = made([(0, 0.1)] * 29 + [(1, 0.9)])
    (row,) = [
        row
        for row in figures(ModelOutcomes("m", clean, {}), clean, replace(SCOPE, labels=("ham", "spam")))
        if row.metric == "recall: spam"
    ]
    assert (row.value, row.low, row.high, row.n) == (1, 1, 1, 1)
