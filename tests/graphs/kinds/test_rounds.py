"""Several rounds on a tiny model: what earlier ones repaired is measured again, and no gain need not be the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blindspot.storage.records import Run
from blindspot.tools.data.planted import write_dataset
from support.runs import settings_with, start_quietly
from support.workspaces import read

ROWS = {"train": 240, "validation": 100, "test": 240}


def run_rounds(base: Path, folder: Path, **changes: dict[str, Any]) -> Run:
    table: dict[str, dict[str, Any]] = {
        "run": {"name": "tiny", "workspace": str(folder / "workspace"), "rounds": 2},
        "data": {"path": str(folder / "data")},
        "classifier": {
            "model": str(base), "epochs": 12, "batch_size": 16, "learning_rate": 3e-3, "max_tokens": 64,
            "device": "cpu",
        },
        "attack": {"samples": 6},
        "select": {"share": 0.15},
        "teacher": {"samples_per_hypothesis": 2},
        "filter": {"references": 40, "bertscore": 0.0},
        "evaluate": {"samples": 8, "resamples": 100},
    }  # fmt: skip
    write_dataset(folder / "data", seed=0, rows=ROWS, planted_share=0.3)
    return start_quietly(settings_with(table, changes))


@pytest.fixture(scope="module")
def two_rounds(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rounds")
    run_rounds(tiny_base, folder, accept={"target_reduction": 1.0})
    return folder


def test_what_the_first_round_repaired_is_measured_again_in_the_second(two_rounds: Path) -> None:
    rounds = read(
        two_rounds / "workspace", "SELECT model_id, new_model_id, accepted, verdict FROM rounds ORDER BY round"
    )
    assert len(rounds) == 2, rounds
    first, second = rounds
    assert first[2]
    assert second[0] == first[1]
    figures = read(
        two_rounds / "workspace", "SELECT round, model_id, value, n FROM evaluations WHERE metric = 'repaired_kept'"
    )
    ((number, model_id, share, texts),) = figures
    assert (number, model_id) == (2, second[1])
    # by hand: the texts of round 1 that its model version got right, and of them those that the second one does
    fooling = f"""
        SELECT coalesce(attack_id, sample_id) AS subject_id FROM uus WHERE round = 1 AND selected UNION
        SELECT attack_id FROM attacks
        WHERE model_id = '{first[0]}' AND split = 'test' AND status = 'flipped' AND confidence >= 0.65
    """
    right = "SELECT subject_id FROM predictions WHERE predicted = label AND model_id = '{}'"
    repaired = f"FROM ({fooling}) WHERE subject_id IN ({right.format(first[1])})"
    assert read(two_rounds / "workspace", f"SELECT count(*) {repaired}") == [(texts,)]
    ((kept,),) = read(
        two_rounds / "workspace", f"SELECT count(*) {repaired} AND subject_id IN ({right.format(second[1])})"
    )
    assert kept == pytest.approx(share * texts)
    assert texts > 10
    assert f"of {texts} texts that earlier rounds repaired, {kept} are still right" in second[3]


def test_the_verdict_tells_the_blind_spots_calibration_and_what_came_and_went(two_rounds: Path) -> None:
    ((verdict,),) = read(two_rounds / "workspace", "SELECT verdict FROM rounds WHERE round = 1")
    for told in ("blind spot", "right before, ", "temperature scaling alone (T = "):
        assert told in verdict
    assert "that earlier rounds repaired" not in verdict
    spots = read(two_rounds / "workspace", "SELECT sum(uus_before), sum(uus_after) FROM blind_spots WHERE round = 1")
    counted = read(
        two_rounds / "workspace",
        "SELECT sum(value) FROM evaluations WHERE baseline_id IS NULL AND threshold = 0.65 AND round < 2 AND "
        "(metric = 'uus' AND recipe IS NULL OR metric = 'uus_flipped' AND recipe = 'deepwordbug') "
        "GROUP BY round ORDER BY round",
    )
    assert spots[0] == (counted[0][0], counted[1][0])


def test_a_round_without_gain_is_no_end_where_the_settings_say_so(tiny_base: Path, tmp_path: Path) -> None:
    unmoved = {"start": "current", "epochs": 1, "learning_rate": 1e-9}
    accept = {"stop_without_gain": False}
    run = run_rounds(
        tiny_base, tmp_path, retrain=unmoved, accept=accept, evaluate={"samples": 0}, attack={"samples": 2}
    )
    assert run.stop_reason == "all 2 rounds are done"
    rounds = read(tmp_path / "workspace", "SELECT accepted, model_id, new_model_id FROM rounds ORDER BY round")
    assert [accepted for accepted, _, _ in rounds] == [False, False]
    assert {model_id for _, model_id, _ in rounds} == {run.original_model_id} == {run.final_model_id}
    assert rounds[0][2] != rounds[1][2]


def test_the_line_that_closes_a_round_leaves_the_reasons_to_the_verdict(two_rounds: Path) -> None:
    sql = "SELECT message, verdict FROM events JOIN rounds USING (run_id, round) WHERE phase = 'close_round'"
    rows = read(two_rounds / "workspace", sql)
    assert len(rows) == 2
    for message, verdict in rows:
        decision, _, reasons = verdict.partition(": ")
        assert message.startswith(f"verdict {decision}, next ")
        assert reasons
        assert reasons not in message
