"""When a retrained model is taken, when the old one is kept, and what is said about it."""

from __future__ import annotations

import pytest

from blindspot.storage.records import Evaluation
from blindspot.tools.verdict import Verdict, judge

Change = tuple[float, float, float, float]
"""Before, after, low and high end of the difference's interval."""


def row(metric: str, value: float, **columns: object) -> Evaluation:
    values: dict[str, object] = {
        "evaluation_id": f"{metric} {value} {columns}",
        "run_id": "run-1",
        "round": 1,
        "model_id": "new",
        "baseline_id": None,
        "low": None,
        "high": None,
        "p_value": None,
        "split": "test",
        "recipe": None,
        "threshold": None,
        "n": 300,
    }
    return Evaluation(metric=metric, value=value, **{**values, **columns})  # type: ignore[arg-type]


def compared(metric: str, change: Change, *, p_value: float | None = None, **columns: object) -> list[Evaluation]:
    before, after, low, high = change
    ends = {"low": low, "high": high, "p_value": p_value}
    return [
        row(metric, before, model_id="old", **columns),
        row(metric, after, **columns),
        row(metric, after - before, baseline_id="old", **ends, **columns),
    ]


def verdict(
    uus: Change,
    *,
    p_value: float = 0.001,
    matched: Change = (120, 100, -33, -8),
    natural: Change = (30, 29, -5, 3),
    accuracy: Change = (0.81, 0.812, -0.006, 0.01),
    recipe: str | None = "all",
) -> Verdict:
    rows = [
        *compared("uus", uus, p_value=p_value, recipe=recipe, threshold=0.65),
        *compared("uus", (9, 9, 0, 0), recipe=recipe, threshold=0.9),
        *compared("uus_matched", matched, recipe=recipe, threshold=0.65),
        *(compared("uus", natural, p_value=p_value, threshold=0.65) if recipe else []),
        *compared("accuracy", accuracy, p_value=0.6),
    ]
    return judge(rows, model_id="new", baseline_id="old", tau=0.65, max_accuracy_drop=0.01)


def test_a_model_with_clearly_fewer_uus_and_the_same_accuracy_is_taken() -> None:
    found = verdict((120, 96, -38, -10))
    assert found.accepted
    assert found.text == (
        "took the new model: UUs went 120 -> 96 (-24, 95 % interval -38 to -10); "
        "at matched coverage 120 -> 100 (-20, 95 % interval -33 to -8); "
        "accuracy 81.0 % -> 81.2 % (McNemar p = 0.6)"
    )


def test_a_change_inside_the_noise_is_called_that() -> None:
    found = verdict((120, 112, -20, 4), p_value=0.2)
    assert not found.accepted
    assert found.text == "kept the old model: UUs went 120 -> 112 (-8, 95 % interval -20 to +4): inside the noise"


def test_a_fall_that_rests_on_a_handful_of_samples_is_noise_too() -> None:
    found = verdict((10, 6, -8, -1), p_value=0.125)
    assert not found.accepted
    assert "too few samples changed, p = 0.12" in found.text


def test_an_interval_that_ends_at_zero_is_not_a_fall() -> None:
    assert not verdict((120, 105, -30, 0)).accepted


def test_a_rise_is_called_a_rise_and_no_change_no_change() -> None:
    assert verdict((96, 120, 10, 38)).text.endswith(": more than before")
    assert verdict((96, 96, 0, 0), p_value=1.0).text.endswith("(0, 95 % interval 0 to 0): no change")


@pytest.mark.parametrize("matched", [(120, 120, 0, 0), (120, 123, -9, 15), (120, 117, -12, 6)])
def test_a_model_that_only_became_shy_is_not_taken(matched: Change) -> None:
    found = verdict((120, 40, -95, -65), matched=matched)
    assert not found.accepted
    assert "not so at matched coverage, 120 -> " in found.text
    assert found.text.endswith("less confident, not shown to be less wrong")


def test_fewer_uus_do_not_buy_a_loss_of_accuracy() -> None:
    found = verdict((120, 96, -38, -10), accuracy=(0.81, 0.787, -0.04, -0.01))
    assert not found.accepted
    assert "accuracy 81.0 % -> 78.7 % fell by 2.3 points of 1.0 allowed (McNemar p = 0.6)" in found.text


def test_a_drop_of_just_what_is_allowed_is_allowed() -> None:
    assert verdict((120, 96, -38, -10), accuracy=(0.81, 0.80, -0.02, 0)).accepted


def test_fewer_adversarial_uus_do_not_buy_more_natural_ones() -> None:
    found = verdict((120, 96, -38, -10), natural=(30, 45, 6, 24))
    assert not found.accepted
    assert "natural UUs of the whole split rose, 30 -> 45 (+15, 95 % interval +6 to +24)" in found.text


def test_several_reasons_are_all_told() -> None:
    text = verdict((120, 112, -20, 4), p_value=0.2, accuracy=(0.81, 0.70, -0.2, -0.05)).text
    assert "inside the noise; accuracy" in text


def test_without_attacks_the_natural_uus_decide() -> None:
    assert verdict((120, 96, -38, -10), recipe=None).accepted


def test_the_sentence_says_so_when_not_all_rows_could_be_paired() -> None:
    rows = [
        *compared("uus", (120, 96, -38, -10), p_value=0.001, threshold=0.65),
        *compared("uus_matched", (120, 96, -38, -10), threshold=0.65),
        *compared("accuracy", (0.8, 0.8, 0, 0), p_value=1.0),
    ]
    rows[2] = row("uus", -22, baseline_id="old", low=-35, high=-9, p_value=0.002, threshold=0.65, n=290)
    text = judge(rows, model_id="new", baseline_id="old", tau=0.65, max_accuracy_drop=0.01).text
    assert "120 -> 96 (-22 on the 290 rows that both have, 95 % interval -35 to -9)" in text


def test_a_missing_figure_is_a_bug_and_not_a_verdict() -> None:
    with pytest.raises(ValueError, match="no evaluation of"):
        judge([], model_id="new", baseline_id="old", tau=0.65, max_accuracy_drop=0.01)
