"""What a verdict weighs beside counts: UUs that came and went, what calibration alone gives, what was forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from blindspot.storage.records import Evaluation
from blindspot.tools.metrics.calibration import fit_temperature, tempered
from blindspot.tools.metrics.evaluate import differences, figures
from blindspot.tools.metrics.figure import Scope
from blindspot.tools.metrics.outcomes import ModelOutcomes, Outcomes
from blindspot.tools.metrics.verdict import Verdict, judge
from blindspot.tools.metrics.verdict_evidence import Temperature, beside_calibration, repaired_kept, turnover
from support.rows import outcomes

SCOPE = Scope(run_id="run-1", round=1, tau=0.65, thresholds=(), resamples=200, seed=3)


def by_key(rows: list[Evaluation]) -> dict[tuple[str, str | None, str, str | None], Evaluation]:
    return {(row.metric, row.recipe, row.model_id, row.baseline_id): row for row in rows}


def overconfident(rows: int, seed: int, classes: int = 2, sharpness: float = 4.0) -> Outcomes:
    """A model whose logits are larger than its accuracy of about 80 % warrants."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, rows)
    logits = sharpness * (generator.normal(size=(rows, classes)) + 1.3 * np.eye(classes)[labels])
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    ids = tuple(f"s{row:04d}" for row in range(rows))
    return Outcomes(ids, labels, odds / odds.sum(axis=1, keepdims=True), np.zeros(rows, dtype=bool))


def attacked(clean: Outcomes, seed: int) -> Outcomes:
    """P over the first third: most right rows flip, some to less confidence than tau."""
    part = clean.take(np.arange(len(clean) // 3))
    generator = np.random.default_rng(seed)
    flipped = ~part.wrong & (generator.random(len(part)) < 0.8)
    table = part.probabilities.copy()
    table[flipped] = tempered(np.roll(part.probabilities[flipped], 1, axis=1), 2.0)
    return Outcomes(part.sample_ids, part.labels, table, flipped)


def scaled(model: ModelOutcomes, temperature: float) -> ModelOutcomes:
    def cooler(side: Outcomes) -> Outcomes:
        return Outcomes(side.sample_ids, side.labels, tempered(side.probabilities, temperature), side.flipped)

    return ModelOutcomes("new", cooler(model.clean), {name: cooler(side) for name, side in model.perturbed.items()})


def test_uus_that_came_and_went_are_counted_row_by_row() -> None:
    #                             fixed, kept, new, was unsure, right, doubted now
    old = ModelOutcomes("old", outcomes("abcdef", [0.1, 0.2, 0.9, 0.45, 0.9, 0.2]), {})
    new = ModelOutcomes("new", outcomes("abcdef", [0.9, 0.1, 0.1, 0.10, 0.8, 0.4]), {})
    rows = by_key(turnover(new, old, SCOPE))
    assert rows["uus_fixed", None, "new", "old"].value == 2
    assert rows["uus_less_confident", None, "new", "old"].value == 1
    assert rows["uus_new", None, "new", "old"].value == 1
    assert rows["uus_more_confident", None, "new", "old"].value == 1
    assert {row.threshold for row in rows.values()} == {0.65}


def test_what_came_and_went_is_counted_on_each_p_and_on_all_together() -> None:
    old = ModelOutcomes("old", outcomes("ab", [0.9, 0.9]), {"x": outcomes("ab", [0.1, 0.9]), "y": outcomes("b", [0.2])})
    new = ModelOutcomes("new", outcomes("ab", [0.9, 0.9]), {"x": outcomes("ab", [0.9, 0.1]), "y": outcomes("b", [0.9])})
    rows = {(row.metric, row.recipe): row.value for row in turnover(new, old, SCOPE)}
    assert {key: value for key, value in rows.items() if key[0] in ("uus_fixed", "uus_new")} == {
        ("uus_fixed", None): 0, ("uus_new", None): 0, ("uus_fixed", "x"): 1, ("uus_new", "x"): 1,
        ("uus_fixed", "y"): 1, ("uus_new", "y"): 0, ("uus_fixed", "all"): 2, ("uus_new", "all"): 1,
    }  # fmt: skip


def test_what_came_and_went_adds_up_to_the_difference() -> None:
    clean = overconfident(400, 1)
    other = overconfident(400, 2, sharpness=1.5)
    other = Outcomes(clean.sample_ids, clean.labels, other.probabilities, clean.flipped)
    old = ModelOutcomes("old", clean, {"x": attacked(clean, 3), "y": attacked(clean, 4)})
    new = ModelOutcomes("new", other, {"x": attacked(other, 5), "y": attacked(other, 6)})
    sorts = {(row.metric, row.recipe): row.value for row in turnover(new, old, SCOPE)}
    totals = [row for row in differences(new, old, clean, SCOPE) if (row.metric, row.threshold) == ("uus", SCOPE.tau)]
    assert len(totals) == 4
    for row in totals:
        came = sorts["uus_new", row.recipe] + sorts["uus_more_confident", row.recipe]
        assert row.value == came - sorts["uus_fixed", row.recipe]
        assert 0 < sorts["uus_less_confident", row.recipe] <= sorts["uus_fixed", row.recipe]
        assert sorts["uus_more_confident", row.recipe] > 0


def test_a_model_beside_its_own_calibration_differs_by_what_calibration_took_away() -> None:
    clean = overconfident(300, 1)
    old = ModelOutcomes("old", clean, {"x": attacked(clean, 2)})
    rows = by_key(beside_calibration(old, old, clean, Temperature(3.0, 80), SCOPE))
    plain = {row.recipe: row.value for row in figures(old, clean, SCOPE) if row.metric == "uus"}
    for recipe in (None, "x", "all"):
        left = rows["uus_calibrated", recipe, "old", None]
        more = rows["uus_calibrated", recipe, "old", "old"]
        assert left.value < plain[recipe]
        assert more.value == plain[recipe] - left.value
        assert more.low is not None
        assert more.low > 0
        assert (more.p_value or 0) < 0.001
    fitted = rows["temperature", None, "old", None]
    assert (fitted.value, fitted.n, fitted.split) == (3.0, 80, "validation")


def test_a_model_that_was_only_calibrated_has_no_uu_fewer_than_calibration_alone_gives() -> None:
    clean = overconfident(300, 1)
    old = ModelOutcomes("old", clean, {"x": attacked(clean, 2)})
    rows = beside_calibration(scaled(old, 2.5), old, clean, Temperature(2.5, 80), SCOPE)
    assert {(row.value, row.low, row.high) for row in rows if row.baseline_id} == {(0, 0, 0)}


def test_what_earlier_rounds_repaired_is_a_share_with_an_interval_over_samples() -> None:
    assert repaired_kept(outcomes("", []), "new", SCOPE) == []
    twice = outcomes("aabbcd", [0.9, 0.9, 0.1, 0.2, 0.8, 0.7])
    (row,) = repaired_kept(twice, "new", SCOPE)
    assert (row.metric, row.split, row.n) == ("repaired_kept", "repaired", 6)
    assert row.value == pytest.approx(4 / 6)
    assert row.low is not None
    assert row.high is not None
    assert row.low < row.value < row.high


# --- a verdict over outcomes ---


def verdict(new: ModelOutcomes, old: ModelOutcomes, temperature: float) -> Verdict:
    rows = [
        *figures(old, old.clean, SCOPE),
        *figures(new, old.clean, SCOPE),
        *differences(new, old, old.clean, SCOPE),
        *turnover(new, old, SCOPE),
        *beside_calibration(new, old, old.clean, Temperature(temperature, 200), SCOPE),
    ]
    return judge(rows, model_id="new", baseline_id="old", tau=0.65, max_accuracy_drop=0.01)


@pytest.mark.parametrize(("classes", "seed"), [(2, 1), (2, 2), (4, 4), (4, 5)])
def test_temperature_scaling_is_never_taken_for_a_repair(classes: int, seed: int) -> None:
    validation, clean = overconfident(300, 90 + seed, classes), overconfident(360, seed, classes)
    temperature = fit_temperature(validation.probabilities, validation.labels)
    assert temperature > 1.5
    old = ModelOutcomes("old", clean, {"x": attacked(clean, seed)})
    found = verdict(scaled(old, temperature), old, temperature)
    assert found.parts is not None
    natural = found.parts.counts[0]
    assert natural.at_tau.fell(natural.level)  # it looks like a repair at tau
    assert not found.accepted
    assert "less confident, not shown to be less wrong" in found.text
    assert "not shown to be fewer than calibration alone gives" in found.text


def test_a_repair_has_fewer_uus_than_calibration_alone_gives() -> None:
    old_clean = overconfident(300, 1, sharpness=1.5)
    table = old_clean.probabilities.copy()
    mended = old_clean.wrong & (np.arange(300) % 5 > 0)
    table[mended] = table[mended][:, ::-1]
    clean = Outcomes(old_clean.sample_ids, old_clean.labels, table, old_clean.flipped)
    found = verdict(ModelOutcomes("new", clean, {}), ModelOutcomes("old", old_clean, {}), 1.1)
    assert found.accepted
    assert found.parts is not None
    (count,) = found.parts.counts
    assert count.calibrated_matched is not None
    beside, plain = count.calibrated_matched.difference, count.matched.difference
    assert (beside.value, beside.low, beside.high) == (plain.value, plain.low, plain.high)  # as the task is binary
    assert "T = 1.10" in found.text
    assert ", fewer than calibration alone gives" in found.text
