"""Logged predictions of a deployed model are sorted out with care, and a run starts from their errors."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.graphs.context import Progress
from blindspot.graphs.running.run import resume_run, start_run
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import Cancelled, DataError, SettingsError
from blindspot.storage.settings.file import load_settings
from blindspot.storage.settings.sections import check_settings
from blindspot.tools.classifier.classifier import load_classifier
from blindspot.tools.data.logged_errors import LogSource, read_log
from blindspot.tools.data.planted import generate_reviews, write_dataset
from blindspot.tools.training.retrain import Example, Training, Weights, retrain
from support.commands import Cli

LABELS = ("negative", "positive")
ROWS = {"train": 240, "validation": 60, "test": 120}
SOURCE = LogSource("log.csv", ("text",), "label", "predicted", "confidence", 0.65)

Row = Mapping[str, object]


def write_csv(path: Path, rows: Sequence[Row]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def row(text: str, label: object, predicted: object, confidence: object) -> Row:
    return {"text": text, "label": label, "predicted": predicted, "confidence": confidence}


def source_at(path: Path) -> LogSource:
    return LogSource(str(path), SOURCE.fields, SOURCE.label, SOURCE.predicted, SOURCE.confidence, SOURCE.tau)


@pytest.fixture(scope="module")
def deployed(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with training data, a deployed model, and the log of what it said of reviews that were new to it."""
    folder = tmp_path_factory.mktemp("deployed")
    write_dataset(folder / "data", seed=0, rows=ROWS, planted_share=0.3)
    train = pq.read_table(folder / "data" / "train.parquet").to_pylist()
    examples = [Example((each["text"],), LABELS.index(each["label"])) for each in train]
    start = Weights(str(tiny_base), fine_tuned=False, labels=LABELS, max_tokens=64, device="cpu")
    retrain(start, examples, Training(epochs=12, batch_size=16, learning_rate=3e-3), folder / "model")
    model = load_classifier(folder / "model", model_id="m", labels=LABELS, max_tokens=64, device="cpu")
    reviews = generate_reviews(300, planted=120, seed=9, split="validation")
    said, confidences, _ = model.predict_labels([(review.text,) for review in reviews])
    rows = [
        {"review": review.text, "truth": review.label, "answer": answer, "score": float(confidence)}
        for review, answer, confidence in zip(reviews, said, confidences, strict=True)
    ]
    write_csv(folder / "log.csv", rows)
    table: dict[str, dict[str, Any]] = {
        "data": {"path": str(folder / "data"), "task": "sentiment of reviews"},
        "classifier": {"epochs": 12, "batch_size": 16, "learning_rate": 3e-3, "max_tokens": 64, "device": "cpu"},
        "select": {"share": 0.1},
        "teacher": {"samples_per_hypothesis": 2},
        "filter": {"references": 40, "bertscore": 0.0},
        "evaluate": {"resamples": 100},
        "retrain": {"start": "current"},
    }
    lines = [f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
             for name, section in table.items()]  # fmt: skip
    (folder / "mitigation.toml").write_text("\n".join(lines))
    return folder


COLUMNS = ("--field", "review", "--label", "truth", "--predicted", "answer", "--confidence", "score")


def test_a_run_starts_from_production_errors_with_no_attack_and_repairs_them(
    deployed: Path, cli: Cli, tmp_path: Path
) -> None:
    asked = ("import-errors", deployed / "log.csv", deployed / "mitigation.toml", *COLUMNS)
    ended = cli(*asked, "--model", deployed / "model", "-w", "ws", "--json")
    assert ended.code == 0, ended.err
    summary = json.loads(ended.out)
    assert summary["status"] == "finished"
    with Results.open(tmp_path / "ws") as results:
        logged = results.query(
            "SELECT s.fields->>'text', u.label, u.predicted, u.confidence, u.kind FROM uus u JOIN samples s USING "
            "(sample_id) WHERE s.split = 'logged' ORDER BY s.row"
        )[1]
        assert results.query("SELECT count(*) FROM uus")[1] == [(len(logged),)]
        assert results.query("SELECT count(*) FROM attacks")[1] == [(0,)]
        told = [text for (text,) in results.query("SELECT message FROM events WHERE phase = 'attack'")[1]]
        shown = results.query("SELECT count(*) FROM uus WHERE selected")[1][0][0]
        lineage = results.query("SELECT count(fixed), count(*) FROM lineage WHERE selected")[1][0]
        figures = results.query(
            "SELECT model_id, value, n FROM evaluations WHERE recipe = 'logged' AND metric = 'known_uus_fixed'"
        )[1]
    rows = list(csv.DictReader((deployed / "log.csv").read_text(encoding="utf-8").splitlines()))
    wrong = [r for r in rows if r["truth"] != r["answer"] and float(r["score"]) >= 0.65]
    texts = dict.fromkeys(r["review"] for r in wrong)
    assert [text for text, *_ in logged] == list(texts)
    first = wrong[0]
    assert logged[0] == (first["review"], first["truth"], first["answer"], float(first["score"]), "natural")
    assert any(f"{len(logged)} of the log's {len(logged)} errors are also UUs of the original" in text for text in told)
    assert lineage[0] == lineage[1] > 0
    assert {n for _, _, n in figures} == {len(logged) - shown}
    fixed = {model_id: value for model_id, value, _ in figures}
    assert fixed.pop(summary["original_model_id"]) == 0
    assert next(iter(fixed.values())) > 0.3
    (change,) = [c for c in summary["changes"] if c["recipe"] == "logged"]
    assert change["after"]["value"] > change["before"]["value"] == 0


def test_a_stand_in_that_does_not_make_the_log_s_errors_is_warned_of(
    deployed: Path, tiny_base: Path, cli: Cli, tmp_path: Path
) -> None:
    changes = ("classifier.epochs=1", f"classifier.model={tiny_base}", "select.most=1")
    options = [part for change in changes for part in ("--set", change)]
    asked = ("import-errors", deployed / "log.csv", deployed / "mitigation.toml", *COLUMNS, *options, "-w", "ws")
    ended = cli(*asked)
    assert ended.code == 0, ended.err
    assert "known UUs fixed, logged, not shown" in ended.out
    assert "usable: wrong, with a confidence of 0.65 or more" in ended.err
    with Results.open(tmp_path / "ws") as results:
        ((told,),) = results.query("SELECT message FROM events WHERE phase = 'attack' AND level = 'warning'")[1]
        ((kinds,),) = results.query("SELECT list(DISTINCT kind) FROM uus")[1]
    assert "probably not the deployed model" in told
    assert kinds == ["natural"]


def test_a_log_can_be_looked_at_before_any_run(deployed: Path, cli: Cli, tmp_path: Path) -> None:
    beside = cli("import-errors", deployed / "log.csv", deployed / "mitigation.toml", *COLUMNS, "--check", "--json")
    alone = cli("import-errors", deployed / "log.csv", *COLUMNS, "--check", "--json")
    assert beside.code == alone.code == 0, beside.err + alone.err
    counts = json.loads(beside.out)
    assert counts["rows"] == 300
    assert counts["usable"] > 20
    assert {key: value for key, value in counts.items() if key != "source"} == {
        key: value for key, value in json.loads(alone.out).items() if key != "source"
    }
    said = cli("import-errors", deployed / "log.csv", *COLUMNS, "--check").out
    assert f"{counts['usable']}  usable" in said
    assert f"{counts['right']}  right" in said
    assert "--check needs only the log" in cli("import-errors", deployed / "log.csv").err
    assert list(tmp_path.iterdir()) == []


ROWS_OF_ALL_SORTS = [
    row("wrong and sure", "negative", "positive", "0.9"),
    row("wrong and at tau", "negative", "positive", "0.65"),
    row("wrong and unsure", "negative", "positive", "0.6499"),
    row("right", "negative", "negative", "0.99"),
    row("not reviewed", "", "positive", "0.9"),
    row("of another model", "negative", "spam", "0.9"),
    row("wrong and sure", "negative", "positive", "0.8"),
    row("of the test split", "positive", "negative", "0.7"),
]


def test_every_row_is_sorted_out_once(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "log.csv", ROWS_OF_ALL_SORTS)
    log = read_log(source_at(path), LABELS, {("of the test split",)})
    assert [(error.row, error.text, error.confidence) for error in log.errors] == [
        (0, ("wrong and sure",), 0.9),
        (1, ("wrong and at tau",), 0.65),
    ]
    assert (log.right, log.unsure, log.unlabelled, log.unknown, log.repeated, log.tested) == (1, 1, 1, 1, 1, 1)
    assert log.rows == len(ROWS_OF_ALL_SORTS)
    assert log.first_unknown == f'"spam" in {path}, line 7'


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from([*LABELS, "", "spam"]), st.sampled_from(LABELS),
                  st.floats(0, 1)),
        min_size=1, max_size=12,
    )
)  # fmt: skip
def test_no_row_is_lost_or_counted_twice(
    rows: list[tuple[str, str, str, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write_csv(tmp_path_factory.mktemp("log") / "log.csv", [row(*values) for values in rows])
    log = read_log(source_at(path), LABELS, {("d",)})
    assert log.rows == len(rows)
    assert all(error.label != error.predicted and error.confidence >= 0.65 for error in log.errors)
    assert len({error.text for error in log.errors}) == len(log.errors)


def test_a_log_says_the_same_in_each_format(tmp_path: Path) -> None:
    rows = [
        row("wrong", 0, 1, 0.9),
        row("right", 1, 1, 0.75),
        row("not reviewed", None, 1, 0.75),
    ]
    pq.write_table(pa.Table.from_pylist([dict(each) for each in rows]), tmp_path / "log.parquet")
    floats = [{**each, "label": None if each["label"] is None else float(str(each["label"]))} for each in rows]
    pq.write_table(pa.Table.from_pylist(floats), tmp_path / "pandas.parquet")  # a column of integers with a gap
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    write_csv(tmp_path / "log.csv", rows)
    names = ("log.parquet", "pandas.parquet", "log.jsonl", "log.csv")
    logs = [read_log(source_at(tmp_path / name), ("0", "1")) for name in names]
    assert len({log.errors for log in logs}) == 1
    assert [(error.label, error.predicted) for error in logs[0].errors] == [("0", "1")]
    assert {(log.right, log.unlabelled, log.rows) for log in logs} == {(1, 1, 3)}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (row("", "negative", "positive", "0.9"), 'line 3: column "text" holds an empty text'),
        (row("a", "negative", "positive", "87"), "line 3: column \"confidence\": '87' is not a confidence"),
        (row("a", "negative", "positive", "high"), "'high' is not a confidence, which is a number from 0 to 1"),
        (row("a", "negative", "positive", "nan"), "'nan' is not a confidence"),
        (row("a", "negative", "positive", ""), "line 3: column \"confidence\": '' is not a confidence"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_with_its_line(wrong: Row, said: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "log.csv", [ROWS_OF_ALL_SORTS[0], wrong])
    with pytest.raises(DataError, match=said) as found:
        read_log(source_at(path), LABELS)
    assert "\n" not in str(found.value)


def test_columns_that_are_not_there_or_stand_for_two_things_are_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "log.csv", ROWS_OF_ALL_SORTS)
    with pytest.raises(DataError, match=r'no column "predict"; .* did you mean "predicted"'):
        read_log(LogSource(str(path), ("text",), "label", "predict", "confidence", 0.65), LABELS)
    with pytest.raises(DataError, match='"label" is named twice'):
        read_log(LogSource(str(path), ("text",), "label", "label", "confidence", 0.65), LABELS)
    table = {"data": {"path": ".", "fields": ["a", "b"]}, "errors": {"file": "log.csv", "fields": ["a"]}}
    with pytest.raises(SettingsError, match=r"errors: fields names 1 columns, but data.fields 2"):
        check_settings(table, where="test")


def test_a_log_without_an_error_to_start_from_ends_before_anything_is_written(
    deployed: Path, cli: Cli, tmp_path: Path
) -> None:
    write_csv(tmp_path / "log.csv", [row("x y z", "positive", "positive", "0.9"), row("x", "ham", "positive", "0.9")])
    ended = cli("import-errors", "log.csv", deployed / "mitigation.toml", "-w", "ws", "--quiet")
    assert ended.code == 2
    assert "2 rows, but no usable error with a confidence of 0.65 or more: 1 right" in ended.err
    assert 'first "ham" in' in ended.err
    assert not (tmp_path / "ws").exists()


def test_a_log_that_changed_under_a_stopped_run_is_refused(deployed: Path, tmp_path: Path) -> None:
    text = (deployed / "log.csv").read_text(encoding="utf-8")
    (tmp_path / "log.csv").write_text(text, encoding="utf-8")
    columns = dict(zip(("fields", "label", "predicted", "confidence"), (["review"], *COLUMNS[3::2]), strict=True))
    table: dict[str, dict[str, Any]] = {
        "run": {"workspace": str(tmp_path / "ws")},
        "data": {"path": str(deployed / "data")},
        "errors": {"file": str(tmp_path / "log.csv"), **columns},
        "classifier": {"model": str(deployed / "model"), "fine_tune": False, "max_tokens": 64, "device": "cpu"},
        "attack": {"recipes": []},
        "select": {"most": 1},
        "filter": {"references": 20, "bertscore": 0.0},
        "evaluate": {"resamples": 100},
    }
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        start_run(
            check_settings(table, where="test"),
            show=seen.append,
            cancelled=lambda: bool(seen) and seen[-1].phase == "teach",
        )
    (tmp_path / "log.csv").write_text(without_an_error(text), encoding="utf-8")
    with pytest.raises(SettingsError, match="data set has changed"):
        resume_run(tmp_path / "ws", None, show=seen.append, cancelled=lambda: False)
    (tmp_path / "log.csv").write_text(text, encoding="utf-8")
    assert resume_run(tmp_path / "ws", None, show=seen.append, cancelled=lambda: False).status == "finished"


def without_an_error(text: str) -> str:
    """A log less its first confident error."""
    header, *lines = text.splitlines()
    rows = list(csv.DictReader([header, *lines]))
    first = next(n for n, r in enumerate(rows) if r["truth"] != r["answer"] and float(r["score"]) >= 0.65)
    return "\n".join([header, *lines[:first], *lines[first + 1 :], ""])


def test_errors_in_the_settings_are_read_beside_the_settings_file(deployed: Path, tmp_path: Path) -> None:
    text = (deployed / "mitigation.toml").read_text()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "m.toml").write_text(f'{text}\n[errors]\nfile = "log.csv"\n')
    assert load_settings(tmp_path / "sub" / "m.toml").errors.file == str((tmp_path / "sub" / "log.csv").resolve())
