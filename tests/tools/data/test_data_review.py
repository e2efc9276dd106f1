"""What is told about a data set that can be read and yet misleads: copies, doubtful labels, traces of an export."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blindspot.storage.analysts.results import Results
from blindspot.tools.data.datasets import DataSource, inspect, load_split
from blindspot.tools.data.logged_errors import LogSource, read_log
from blindspot.tools.data.review import Notice
from support.commands import Cli
from support.runs import Table

Pairs = Sequence[tuple[str, str]]


def pairs(split: str, count: int = 20) -> list[tuple[str, str]]:
    return [(f"{split} text number {n}", "pos" if n % 2 else "neg") for n in range(count)]


def write(path: Path, rows: Pairs) -> None:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))


def data_of(folder: Path, more: Mapping[str, Pairs] | None = None) -> DataSource:
    """A data set without a fault, and further rows at the end of its splits."""
    for split in ("train", "validation", "test"):
        write(folder / f"{split}.jsonl", [*pairs(split), *(more or {}).get(split, ())])
    return DataSource("films", str(folder), {}, ("text",), "label", None, "is a film good?", {}, 0)


def messages(source: DataSource) -> list[str]:
    notices: list[Notice] = []
    inspect(source, notices)
    assert all(notice.message.isprintable() for notice in notices)
    assert {notice.level for notice in notices} <= {"warning"}
    return [notice.message for notice in notices]


def test_of_a_data_set_without_a_fault_nothing_is_told(tmp_path: Path) -> None:
    assert messages(data_of(tmp_path)) == []


def test_texts_that_stand_in_two_splits_are_counted_and_named(tmp_path: Path) -> None:
    copied = [(text.upper().replace(" ", "  "), label) for text, label in pairs("train", 5)]
    (message,) = messages(data_of(tmp_path, {"test": copied}))
    assert message == (
        "5 of the 25 rows of the test split have a text that the train split also has, so what is measured there looks "
        "better than it is; remove them from one of the two: train line 1 and test line 21; train line 2 and test line "
        "22; train line 3 and test line 23; …"
    )


def test_copies_between_validation_and_test_are_told_too(tmp_path: Path) -> None:
    (message,) = messages(data_of(tmp_path, {"test": pairs("validation", 1)}))
    assert message.startswith("1 of the 21 rows of the test split have a text that the validation split also has")


def test_a_text_with_two_labels_is_told_once_with_its_rows(tmp_path: Path) -> None:
    source = data_of(tmp_path, {"train": [("train text number 4", "pos"), ("train text number 4", "pos")]})
    (message,) = messages(source)
    assert message.startswith("texts that occur with two labels: 1; ")
    assert message.endswith('"neg" and "pos" in train line 5 and train line 21')


@pytest.mark.parametrize(
    ("label", "nearest"),
    [
        ("NA", None),
        ("pos ", 'the nearest label is "pos" (data.strip = true removes white space)'),
        ("Pos", 'the nearest label is "pos";'),
        ("poss", 'the nearest label is "pos";'),
    ],
)
def test_a_label_that_is_rare_and_never_measured_is_told_with_the_nearest(
    tmp_path: Path, label: str, nearest: str | None
) -> None:
    (message,) = messages(data_of(tmp_path, {"train": [("another text", label)]}))
    assert message.startswith(
        f'label "{label}" occurs in 1 row of the training split, and never in the validation or test split '
        "(first in train line 21)"
    )
    assert nearest in message if nearest else "nearest" not in message


def test_labels_that_are_written_differently_are_told_however_common(tmp_path: Path) -> None:
    more = {split: [(f"{split} more {n}", "0.0" if n % 2 else "0") for n in range(40)] for split in ("train", "test")}
    more["validation"] = more["train"][:0] + [(f"validation more {n}", "0.0" if n % 2 else "0") for n in range(40)]
    (message,) = messages(data_of(tmp_path, more))
    assert 'label "0" occurs in 20 rows' in message
    assert 'the nearest label is "0.0"' in message


def test_many_doubtful_labels_are_summed_up(tmp_path: Path) -> None:
    lines = messages(data_of(tmp_path, {"train": [(f"odd {n}", f"{n}{'x' * n}") for n in range(12)]}))
    assert len(lines) == 6
    assert lines[-1] == "7 more labels are just as doubtful"


def test_labels_that_the_operator_listed_are_not_doubted(tmp_path: Path) -> None:
    source = data_of(tmp_path, {"train": [("another text", "NA")]})
    assert messages(replace(source, labels=("neg", "pos", "NA"))) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a fine film\t", "white space at an end"),
        ('he said ""fine"" to me', "doubled quotation marks"),
        ("salt &amp; pepper", "HTML entities"),
        ("one<br /><br />two", "HTML tags"),
        ("one\\nTwo", "written-out line breaks"),
        ("a bell \x07 rings", "control characters"),
        ("caf\ufffd", "U+FFFD"),
        ("caf\u00c3\u00a9", "read in another encoding"),
    ],
)
def test_traces_of_an_export_are_told_once_with_their_count(tmp_path: Path, text: str, expected: str) -> None:
    rows = [(f"{text[:1]}{n} {text}", "pos") for n in range(4)]
    (message,) = messages(data_of(tmp_path, {"train": rows[:2], "test": rows[2:]}))
    assert message.startswith("4 of 64 texts (train 2, validation 0, test 2) contain ")
    assert expected in message
    assert message.endswith("train line 21; train line 22; test line 21; …")


def test_few_traces_are_no_warning(tmp_path: Path) -> None:
    write(tmp_path / "one.jsonl", [*pairs("train", 1200), ("a tab\t", "pos")])
    source = replace(data_of(tmp_path), path=None, files={"train": str(tmp_path / "one.jsonl")}, splits=("train",))
    notices: list[Notice] = []
    inspect(source, notices)
    assert [notice.level for notice in notices] == ["info"]
    assert notices[0].message.startswith("1 of 1201 texts (train 1) contain white space")


@pytest.mark.parametrize("text", ['"fine", he said', "a < b and b > c", "AT&T; really", "C:\\new", "«très bien» déjà"])
def test_ordinary_texts_are_no_traces(tmp_path: Path, text: str) -> None:
    assert messages(data_of(tmp_path, {"train": [(text, "pos")]})) == []


def test_rows_of_a_file_that_was_divided_are_named_by_their_place_in_it(tmp_path: Path) -> None:
    rows = [*pairs("some", 60), ("an odd one\t", "pos")]
    table = pa.table({"text": [text for text, _ in rows], "label": [label for _, label in rows]})
    pq.write_table(table, tmp_path / "all.parquet")
    source = replace(data_of(tmp_path), path=str(tmp_path / "all.parquet"))
    notices: list[Notice] = []
    inspect(source, notices)
    assert notices[1].message.endswith(" row 61")


def test_white_space_is_taken_off_where_the_settings_say_so(tmp_path: Path) -> None:
    more = {split: [(f" {split} more\t", "pos ")] for split in ("train", "validation", "test")}
    source = data_of(tmp_path, more)
    assert inspect(source).labels == ("neg", "pos", "pos ")
    stripped = replace(source, strip=True)
    assert messages(stripped) == []
    dataset = inspect(stripped)
    assert dataset.labels == ("neg", "pos")
    assert load_split(stripped, dataset, "train")[-1].fields == {"text": "train more"}
    assert dataset.dataset_id != inspect(source).dataset_id


@pytest.mark.parametrize("strip", [False, True])
def test_white_space_is_taken_off_a_log_too(tmp_path: Path, strip: bool) -> None:
    path = tmp_path / "log.csv"
    path.write_text("text,label,predicted,confidence\n some text ,pos ,neg,0.9\n")
    log = read_log(LogSource(str(path), ("text",), "label", "predicted", "confidence", 0.65, strip), ("neg", "pos"))
    assert [(error.text, error.label) for error in log.errors] == ([(("some text",), "pos")] if strip else [])


def test_a_log_writes_whole_floats_as_the_data_set_does(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"text": "some text", "label": 1.0, "predicted": 0.0, "confidence": 0.9}))
    source = LogSource(str(path), ("text",), "label", "predicted", "confidence", 0.65)
    for labels in (("0", "1"), ("0.0", "1.0")):
        (error,) = read_log(source, labels).errors
        assert (error.predicted, error.label) == labels


def test_a_run_tells_it_once_and_keeps_it(cli: Cli, small_run: Table, tmp_path: Path) -> None:
    rows = [(f"a fine place, number {n}", "positive" if n % 2 else "negative") for n in range(40)]
    write(tmp_path / "all.jsonl", [*rows, ("a fine place, number 3", "negative"), ('he said ""no""', "negative")])
    lines = [f"{key} = {json.dumps(value)}" for key, value in small_run["classifier"].items()]
    settings = [
        "[data]",
        f'path = "{tmp_path}/all.jsonl"',
        "[classifier]",
        *lines,
        "[attack]",
        "samples = 2",
        "[evaluate]",
    ]
    (tmp_path / "mitigation.toml").write_text("\n".join([*settings, "samples = 2", "resamples = 100"]))
    done = cli("attack", "mitigation.toml", "--split", "train", "-w", "ws")
    assert done.code == 0, done.err
    told = [line.split(" data: ", 1)[1] for line in done.err.splitlines() if " data: " in line]
    assert [line[:40] for line in told] == [
        f"{tmp_path}/all.jsonl: one file"[:40],
        "warning: texts that occur with two labels: 1; no"[:40],
        "warning: 1 of 34 texts (train 1) contain doubled"[:40],
    ]
    with Results.open(tmp_path / "ws") as results:
        _, kept = results.query("SELECT level FROM events WHERE phase = 'data' ORDER BY level")
    assert kept == [("info",), ("warning",), ("warning",)]
