"""The whole loop on a tiny model: it closes a planted blind spot, and leaves the test split alone."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blindspot.graphs.context import Progress
from blindspot.graphs.running.run import resume_run, start_run
from blindspot.storage.errors import Cancelled, DataError, ModelError, SettingsError, StoreError, TeacherError
from blindspot.storage.records import Run
from blindspot.storage.settings.sections import Settings
from blindspot.tools.data.planted import generate_reviews, write_dataset
from blindspot.tools.progress import never
from support.runs import Table, nothing, settings_with
from support.workspaces import read, tables

ROWS = {"train": 240, "validation": 100, "test": 240}
TABLES = (
    "runs", "rounds", "datasets", "samples", "model_versions", "predictions", "attacks", "uus", "hypotheses",
    "synthetic_samples", "teacher_calls", "tool_calls", "evaluations", "blind_spots",
)  # fmt: skip
rows_of = partial(tables, names=TABLES, without=["source", "runs.settings"])


def make_settings(base: Path, folder: Path, **changes: dict[str, Any]) -> Settings:
    table: Table = {
        "run": {"name": "tiny", "workspace": str(folder / "workspace")},
        "data": {"path": str(folder / "data"), "task": "sentiment of reviews"},
        "classifier": {
            "model": str(base), "epochs": 12, "batch_size": 16, "learning_rate": 3e-3, "max_tokens": 64,
            "device": "cpu",
        },
        "attack": {"samples": 12},
        "select": {"share": 0.15},
        "teacher": {"samples_per_hypothesis": 2},
        "filter": {"references": 40, "bertscore": 0.0},
        "evaluate": {"samples": 12, "resamples": 200},
    }  # fmt: skip
    return settings_with(table, changes)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    write_dataset(folder / "data", seed=0, rows=ROWS, planted_share=0.3)
    return folder / "data"


@pytest.fixture(scope="module")
def finished(tiny_base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "data").symlink_to(data)
    return folder, start_run(make_settings(tiny_base, folder), show=nothing, cancelled=never)


def test_the_loop_finds_explains_and_closes_the_planted_blind_spot(finished: tuple[Path, Run]) -> None:
    folder, run = finished
    assert run.status == "finished"
    before, after = (
        read(
            folder / "workspace",
            "select value from evaluations where metric='uus' and recipe is null and threshold=0.65 "
            f"and baseline_id is null and round={number}",
        )[0][0]
        for number in (0, 1)
    )
    assert before >= 15
    assert after < 0.6 * before
    assert read(folder / "workspace", "select accepted from rounds") == [(True,)]
    hypotheses = read(folder / "workspace", "select kind, count(*) from hypotheses group by all order by all")
    assert [kind for kind, _ in hypotheses] == ["abstraction", "extrapolation"]
    assert run.final_model_id != run.original_model_id


def test_analysts_find_every_view_filled(finished: tuple[Path, Run]) -> None:
    folder, _ = finished
    for view in (
        "hypothesis_log",
        "round_summary",
        "uu_reduction",
        "confidence_histogram",
        "attack_statistics",
        "lineage",
    ):
        assert read(folder / "workspace", f"select count(*) from {view}")[0][0] > 0, view
    assert read(folder / "workspace", "select count(*) from lineage where fixed")[0][0] > 0


def test_every_phase_is_recorded_as_a_tool_call(finished: tuple[Path, Run]) -> None:
    folder, _ = finished
    tools = {name for (name,) in read(folder / "workspace", "select distinct tool from tool_calls")}
    assert tools == {
        "prepare", "evaluate_original", "open_round", "attack", "select", "teach", "filter", "retrain", "evaluate",
        "close_round",
    }  # fmt: skip


def test_only_evaluation_depends_on_the_test_split(tiny_base: Path, finished: tuple[Path, Run], tmp_path: Path) -> None:
    folder, _ = finished
    shutil.copytree(folder / "data", tmp_path / "data")
    test = pq.read_table(tmp_path / "data" / "test.parquet").to_pydict()
    flipped = {"positive": "negative", "negative": "positive"}
    swapped = {"text": test["text"][::-1], "label": [flipped[label] for label in test["label"][::-1]]}
    pq.write_table(pa.table(swapped), tmp_path / "data" / "test.parquet")
    start_run(make_settings(tiny_base, tmp_path), show=nothing, cancelled=never)
    texts = (
        "select fields, label from uus order by all",
        "select h.kind, h.text from hypotheses h order by all",
        "select fields, label, accepted, scores from synthetic_samples order by all",
        "select rows_train, rows_synthetic, final_loss from model_versions order by all",
    )
    for sql in texts:
        rows = read(folder / "workspace", sql)
        assert rows
        assert rows == read(tmp_path / "workspace", sql)
    measured = "select value from evaluations where metric = 'accuracy' order by all"
    assert read(folder / "workspace", measured) != read(tmp_path / "workspace", measured)


def test_a_stopped_run_says_so_and_goes_on(tiny_base: Path, finished: tuple[Path, Run], tmp_path: Path) -> None:
    whole, _ = finished
    (tmp_path / "data").symlink_to(whole / "data")
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        start_run(
            make_settings(tiny_base, tmp_path),
            show=seen.append,
            cancelled=lambda: bool(seen) and seen[-1].phase == "attack" and seen[-1].done >= 3,
        )
    assert read(tmp_path / "workspace", "select status, stop_reason from runs") == [
        ("stopped", "stopped by the operator")
    ]
    assert resume_run(tmp_path / "workspace", None, show=nothing, cancelled=never).status == "finished"
    assert rows_of(tmp_path / "workspace") == rows_of(whole / "workspace")
    with pytest.raises(StoreError, match="nothing to resume"):
        resume_run(tmp_path / "workspace", None, show=nothing, cancelled=never)


def test_several_rounds_start_from_the_model_that_was_taken(tiny_base: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(data)
    settings = make_settings(tiny_base, tmp_path, run={"rounds": 2}, retrain={"start": "current", "epochs": 2})
    run = start_run(settings, show=nothing, cancelled=never)
    rounds = read(tmp_path / "workspace", "select round, model_id, new_model_id, accepted from rounds order by round")
    assert run.stop_reason is not None
    if rounds[0][3]:
        assert len(rounds) == 2
        assert rounds[1][1] == rounds[0][2]
    else:
        assert len(rounds) == 1
        assert "no gain" in run.stop_reason


def test_a_classifier_that_was_fine_tuned_elsewhere_can_be_brought_along(
    tiny_base: Path, finished: tuple[Path, Run], tmp_path: Path
) -> None:
    whole, _ = finished
    ((original,),) = (read(whole / "workspace", "select folder from model_versions where kind = 'original'"),)
    (tmp_path / "data").symlink_to(whole / "data")
    classifier = {"model": str(whole / "workspace" / original[0]), "fine_tune": False}
    start_run(make_settings(tiny_base, tmp_path, classifier=classifier), show=nothing, cancelled=never)
    accuracy = "select value from evaluations where metric = 'accuracy' and round = 0"
    assert read(tmp_path / "workspace", accuracy) == read(whole / "workspace", accuracy)


def test_pairs_of_texts_with_three_labels_go_through_the_loop(tiny_base: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    reviews = generate_reviews(480, planted=40, seed=5, split="validation")
    labels = {"positive": "agrees", "negative": "differs"}
    for at, split in enumerate(("train", "validation", "test")):
        rows = reviews[at * 160 : (at + 1) * 160]
        written = [
            {"first column": row.text, "2nd": other.text, "verdict": labels[row.label] if n % 4 else "unclear"}
            for n, (row, other) in enumerate(zip(rows, rows[::-1], strict=True))
        ]
        (tmp_path / "data" / f"{split}.jsonl").write_text("\n".join(map(json.dumps, written)))
    data = {"fields": ["first column", "2nd"], "label": "verdict"}
    settings = make_settings(tiny_base, tmp_path, data=data, run={"tau": 0.34})  # any wrong prediction is a UU
    run = start_run(settings, show=nothing, cancelled=never)
    assert run.status == "finished"
    probabilities = read(tmp_path / "workspace", "select probabilities, label from predictions")
    assert {len(row) for row, _ in probabilities} == {3}
    assert {label for _, label in probabilities} == {"agrees", "differs", "unclear"}
    assert {
        tuple(json.loads(fields)) for (fields,) in read(tmp_path / "workspace", "select fields from synthetic_samples")
    } == {("first column", "2nd")}


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"teacher": {"spec": "openai:gpt"}}, TeacherError, "OPENAI_API_KEY"),
        ({"teacher": {"spec": "oracle"}}, SettingsError, "oracle"),
        ({"classifier": {"model": "./absent"}}, ModelError, "absent"),
        ({"data": {"label": "sentiment"}}, DataError, "sentiment"),
        ({"data": {"fields": ["review"]}}, DataError, "review"),
        ({"attack": {"recipes": ["deepwordbgu"]}}, SettingsError, "deepwordb"),
        ({"attack": {"recipes": ["input-reduction"], "goal": "confident"}}, SettingsError, "InputReduction"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(
    changes: dict[str, dict[str, Any]],
    error: type[Exception],
    said: str,
    tiny_base: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "data").symlink_to(data)
    with pytest.raises(error, match=said) as found:
        start_run(make_settings(tiny_base, tmp_path, **changes), show=nothing, cancelled=never)
    assert "\n" not in str(found.value)
    assert not (tmp_path / "workspace").exists()
