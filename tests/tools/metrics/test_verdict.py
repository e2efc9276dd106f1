"""When a retrained model is taken, when the old one is kept, and what is said about it."""

from __future__ import annotations

import pytest

from blindspot.storage.records import BlindSpot, Evaluation
from blindspot.storage.words import BlindSpotStatus
from blindspot.tools.metrics.verdict import Verdict, judge
from blindspot.tools.metrics.verdict_parts import tell_blind_spots

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
    natural_p: float = 1.0,
    accuracy: Change = (0.81, 0.812, -0.006, 0.01),
    attacked: bool = True,
) -> Verdict:
    rows = [
        *compared("uus", natural if attacked else uus, p_value=natural_p if attacked else p_value, threshold=0.65),
        *compared("uus_matched", natural if attacked else matched, threshold=0.65),
        *(compared("uus", uus, p_value=p_value, recipe="all", threshold=0.65) if attacked else []),
        *(compared("uus_matched", matched, recipe="all", threshold=0.65) if attacked else []),
        *compared("uus", (9, 9, 0, 0), threshold=0.9),
        *compared("accuracy", accuracy, p_value=0.6),
    ]
    return judge(rows, model_id="new", baseline_id="old", tau=0.65, max_accuracy_drop=0.01)


def test_a_model_with_clearly_fewer_uus_and_the_same_accuracy_is_taken() -> None:
    found = verdict((120, 96, -38, -10))
    assert found.accepted
    assert found.text == (
        "took the new model: natural UUs 30 -> 29 (-1, 95 % interval -5 to +3), "
        "inside the noise: the interval includes 0; "
        "UUs under attack 120 -> 96 (-24, 95 % interval -38 to -10), "
        "at matched coverage 120 -> 100 (-20, 95 % interval -33 to -8); "
        "accuracy 81.0 % -> 81.2 % (McNemar p = 0.6)"
    )


def test_fewer_natural_uus_are_a_repair_even_where_attacks_still_succeed() -> None:
    found = verdict((46, 45, -9, 7), p_value=0.9, natural=(87, 13, -90, -58), natural_p=1e-9)
    assert found.accepted
    assert "natural UUs 87 -> 13 (-74, 95 % interval -90 to -58), at matched coverage" in found.text


def test_a_change_inside_the_noise_is_called_that() -> None:
    found = verdict((120, 112, -20, 4), p_value=0.2)
    assert not found.accepted
    assert found.text.startswith("kept the old model: ")
    assert (
        "UUs under attack 120 -> 112 (-8, 95 % interval -20 to +4), inside the noise: the interval includes 0;"
        in found.text
    )


def test_a_fall_that_rests_on_a_handful_of_samples_is_noise_too() -> None:
    found = verdict((10, 6, -8, -1), p_value=0.125)
    assert not found.accepted
    assert (
        "UUs under attack 10 -> 6 (-4, 95 % interval -8 to -1), not shown to be fewer: too few samples changed, "
        "the exact sign test has p = 0.12 and needs p < 0.025;" in found.text
    )


def test_a_rise_that_the_deciding_test_does_not_show_is_told_by_that_test() -> None:
    found = verdict((206, 224, 1, 36), p_value=0.062, attacked=False)
    assert not found.accepted
    assert (
        "natural UUs 206 -> 224 (+18, 95 % interval +1 to +36), not shown to be more: too few samples changed, "
        "the exact sign test has p = 0.062 and needs p < 0.05;" in found.text
    )


@pytest.mark.parametrize("p_value", [0.0001, 0.03, 0.2, 1.0])
@pytest.mark.parametrize("ends", [(-30, -1), (-30, 0), (-20, 5), (0, 30), (1, 30)])
def test_nothing_is_called_noise_beside_an_interval_without_0(ends: tuple[int, int], p_value: float) -> None:
    low, high = ends
    said = verdict((100, 100 + (low + high) / 2, low, high), p_value=p_value, attacked=False).text.split("; ")[0]
    assert ("inside the noise" in said) == (low <= 0 <= high)


def test_two_chances_to_pass_make_each_of_them_harder() -> None:
    assert not verdict((40, 28, -23, -1), p_value=0.04).accepted
    assert verdict((40, 28, -23, -1), p_value=0.04, attacked=False).accepted


def test_an_interval_that_ends_at_zero_is_not_a_fall() -> None:
    assert not verdict((120, 105, -30, 0)).accepted


def test_a_rise_is_called_a_rise_and_no_change_no_change() -> None:
    assert (
        "UUs under attack 96 -> 120 (+24, 95 % interval +10 to +38), more than before;"
        in verdict((96, 120, 10, 38)).text
    )
    assert "UUs under attack 96 -> 96, no change;" in verdict((96, 96, 0, 0), p_value=1.0).text


@pytest.mark.parametrize("matched", [(120, 120, 0, 0), (120, 123, -9, 15), (120, 117, -12, 6)])
def test_a_model_that_only_became_shy_is_not_taken(matched: Change) -> None:
    found = verdict((120, 40, -95, -65), matched=matched)
    assert not found.accepted
    assert "but at matched coverage 120 -> " in found.text
    assert "less confident, not shown to be less wrong" in found.text


def test_fewer_uus_do_not_buy_a_loss_of_accuracy() -> None:
    found = verdict((120, 96, -38, -10), accuracy=(0.81, 0.787, -0.04, -0.01))
    assert not found.accepted
    assert "accuracy 81.0 % -> 78.7 % (McNemar p = 0.6), a fall of 2.3 points where 1.0 are allowed" in found.text


def test_a_drop_of_just_what_is_allowed_is_allowed() -> None:
    assert verdict((120, 96, -38, -10), accuracy=(0.81, 0.80, -0.02, 0)).accepted


def test_fewer_adversarial_uus_do_not_buy_more_natural_ones() -> None:
    found = verdict((120, 96, -38, -10), natural=(30, 45, 6, 24), natural_p=0.001)
    assert not found.accepted
    assert "natural UUs 30 -> 45 (+15, 95 % interval +6 to +24), more than before" in found.text


def test_without_attacks_the_natural_uus_decide() -> None:
    assert verdict((120, 96, -38, -10), attacked=False).accepted
    assert not verdict((120, 112, -20, 4), p_value=0.2, attacked=False).accepted


def test_attacks_that_broke_everywhere_leave_natural_uus_to_decide() -> None:
    rows = [
        *compared("uus", (87, 13, -90, -58), p_value=1e-9, threshold=0.65),
        *compared("uus_matched", (87, 20, -80, -50), threshold=0.65),
        row("uus", 120, model_id="old", recipe="all", threshold=0.65),  # and none of the new model, nor a difference
        *compared("accuracy", (0.81, 0.81, -0.01, 0.01), p_value=1.0),
    ]
    found = judge(rows, model_id="new", baseline_id="old", tau=0.65, max_accuracy_drop=0.01)
    assert found.accepted
    assert (
        "at matched coverage 87 -> 20 (-67, 95 % interval -80 to -50); UUs under attack are not compared" in found.text
    )


def test_no_change_of_the_pairs_is_not_called_one_of_the_counts() -> None:
    rows = [
        *compared("uus", (65, 65, 0, 0), p_value=1.0, threshold=0.65),
        *compared("uus_matched", (65, 65, 0, 0), threshold=0.65),
        row("uus", 65, model_id="old", recipe="all", threshold=0.65),
        row("uus", 63, recipe="all", threshold=0.65),
        row("uus", 0, baseline_id="old", low=-3.0, high=3.0, p_value=1.0, recipe="all", threshold=0.65, n=60),
        *compared("uus_matched", (65, 63, -3, 3), recipe="all", threshold=0.65),
        *compared("accuracy", (0.81, 0.81, -0.01, 0.01), p_value=1.0),
    ]
    found = judge(rows, model_id="new", baseline_id="old", tau=0.65, max_accuracy_drop=0.01)
    assert (
        "UUs under attack 65 -> 63 (0 on the 60 rows that both have, 95 % interval -3 to +3), no change" in found.text
    )


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


# --- what is told besides ---


def spot(number: int, status: BlindSpotStatus, before: int, after: int, *words: str) -> BlindSpot:
    return BlindSpot("run-1", 1, number, words, before, after, max(0, before - after), 0, status, 0.01)


def base_rows() -> list[Evaluation]:
    return [
        *compared("uus", (120, 96, -38, -10), p_value=0.001, threshold=0.65),
        *compared("uus_matched", (120, 100, -33, -8), threshold=0.65),
        *compared("accuracy", (0.81, 0.812, -0.006, 0.01), p_value=0.6),
    ]


def text_with(*rows: Evaluation, blind_spots: tuple[BlindSpot, ...] = ()) -> str:
    everything = [*base_rows(), *rows]
    return judge(
        everything, model_id="new", baseline_id="old", tau=0.65, max_accuracy_drop=0.01, blind_spots=blind_spots
    ).text


def test_blind_spots_are_told_by_status_with_their_words_and_counts() -> None:
    spots = (
        spot(1, "open", 40, 38, "the"),
        spot(2, "closed", 30, 1, "lens", "tripod", "zoom", "bag"),
        spot(3, "opened", 0, 12),
        *(spot(number, "shrunk", 9, 5, f"w{number}") for number in range(4, 8)),
    )
    assert text_with(blind_spots=spots).endswith(
        "; 7 blind spots: 1 closed (lens tripod zoom 30 -> 1), 4 shrunk (w4 9 -> 5, w5 9 -> 5, w6 9 -> 5, …), "
        "1 opened (number 3 0 -> 12)"
    )
    assert tell_blind_spots(spots[:1]) == "1 blind spot, none closed or opened beyond chance"


def test_the_rest_of_the_evidence_is_told_and_does_not_decide() -> None:
    told = text_with(
        row("uus_fixed", 40, baseline_id="old", threshold=0.65),
        row("uus_less_confident", 11, baseline_id="old", threshold=0.65),
        row("uus_new", 10, baseline_id="old", threshold=0.65),
        row("uus_more_confident", 6, baseline_id="old", threshold=0.65),
        row("known_uus_fixed", 0.4, recipe="all", n=170),
        row("known_uus_left", 0.5, recipe="all", threshold=0.65, n=170),
        row("temperature", 1.83, model_id="old", split="validation"),
        row("uus_calibrated", 40, model_id="old", threshold=0.65),
        row("uus_calibrated", 56, baseline_id="old", low=40, high=70, threshold=0.65),
        row("uus_calibrated_matched", 120, model_id="old", threshold=0.65),
        row("uus_calibrated_matched", -20, baseline_id="old", low=-33, high=-8, threshold=0.65),
        row("repaired_kept", 0.9, split="repaired", low=0.8, high=0.95, n=60),
    )
    assert told.startswith("took the new model: ")
    assert told.removeprefix(f"{text_with()}; ").split("; ") == [
        "natural UUs: 40 gone (29 now right, 11 still wrong but below tau), 16 new (10 right before, 6 wrong before "
        "but below tau)",
        "of 170 texts that fooled the original under attack, 68 are now right and 85 still UUs",
        "temperature scaling alone (T = 1.83) would leave, at matched coverage, 120 natural UUs (the new model: -20, "
        "95 % interval -33 to -8, fewer than calibration alone gives)",
        "of 60 texts that earlier rounds repaired, 54 are still right (95 % interval 80.0 % to 95.0 %)",
    ]


def test_the_newest_of_several_figures_of_a_model_that_was_kept_stands() -> None:
    later = row("repaired_kept", 0.5, split="repaired", low=0.4, high=0.6, n=80, round=3)
    earlier = row("repaired_kept", 0.9, split="repaired", low=0.8, high=0.95, n=60, round=2)
    assert "of 80 texts that earlier rounds repaired, 40 are still right" in text_with(later, earlier)


def test_figures_of_an_older_blindspot_are_told_as_far_as_they_go() -> None:
    told = text_with(
        row("uus_fixed", 40, baseline_id="old", threshold=0.65),
        row("uus_new", 10, baseline_id="old", threshold=0.65),
        row("uus_calibrated", 90, model_id="old", threshold=0.65),
        row("uus_calibrated", 6, baseline_id="old", low=-4, high=15, threshold=0.65),
    )
    assert "natural UUs: 40 fixed, 10 new where the old model was right" in told
    assert "temperature scaling alone would leave 90 natural UUs (the new model: +6, 95 % interval -4 to +15, " in told


@pytest.mark.parametrize(
    ("temperature", "told"),
    [
        (1.83, "(T = 1.83)"),
        (49.9999, "(T = 50.00, the upper bound of its fit, where hardly any confidence is left)"),
        (0.0200001, "(T = 0.02, the lower bound of its fit, where every confidence is near 1)"),
    ],
)
def test_a_temperature_at_the_bound_of_its_fit_is_said_to_be_there(temperature: float, told: str) -> None:
    text = text_with(
        row("temperature", temperature, model_id="old", split="validation"),
        row("uus_calibrated", 0, model_id="old", threshold=0.65),
        row("uus_calibrated", 96, baseline_id="old", low=80, high=110, threshold=0.65),
    )
    assert f"temperature scaling alone {told} would leave" in text


def test_an_accuracy_stands_beside_balanced_accuracy_and_the_majority_class() -> None:
    told = text_with(
        *compared("balanced_accuracy", (0.5, 0.552, 0.01, 0.1)),
        row("majority_share", 0.866, model_id="old"),
        row("majority_share", 0.866),
    )
    assert "accuracy 81.0 % -> 81.2 % (McNemar p = 0.6), balanced 50.0 % -> 55.2 %, majority class 86.6 %" in told
