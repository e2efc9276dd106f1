"""Loading a data set, and the one line that each mistake in it gets."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.storage.errors import DataError
from blindspot.tools.data.datasets import DataSource, draw_rows, inspect, load_split
from support.places import SHARED

DATA = SHARED / "data"

Rows = Sequence[Mapping[str, object]]

TRAIN: Rows = [
    {"text": "a fine film", "label": "good"},
    {"text": "a poor film, and long", "label": "bad"},
    {"text": "fine, all of it", "label": "good"},
    {"text": 'he said "no"', "label": "bad"},
]
OTHER: Rows = [{"text": "what a film", "label": "good"}, {"text": "what a mess", "label": "bad"}]


def write(path: Path, rows: Rows) -> Path:
    names = list(rows[0])
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            writer.writerows([row[name] for name in names] for row in rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def folder_of(
    folder: Path, suffix: str = ".jsonl", *, train: Rows = TRAIN, validation: Rows = OTHER, test: Rows = OTHER
) -> DataSource:
    folder.mkdir(exist_ok=True)
    for name, rows in {"train": train, "validation": validation, "test": test}.items():
        write(folder / f"{name}{suffix}", rows)
    return source_of(folder)


def source_of(path: Path | str) -> DataSource:
    return DataSource("films", str(path), {}, ("text",), "label", None, "is a film good?", {}, 0)


def line_of(source: DataSource) -> str:
    with pytest.raises(DataError) as caught:
        inspect(source)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".json"])
def test_every_kind_of_file_gives_the_same_samples_and_the_same_id(tmp_path: Path, suffix: str) -> None:
    source = folder_of(tmp_path / "one", suffix)
    dataset = inspect(source)
    assert dataset.labels == ("bad", "good")
    assert dataset.rows == {"train": 4, "validation": 2, "test": 2}
    samples = load_split(source, dataset, "train")
    assert [dict(sample.fields) for sample in samples] == [{"text": row["text"]} for row in TRAIN]
    assert [sample.label for sample in samples] == [row["label"] for row in TRAIN]
    assert len({sample.sample_id for sample in samples}) == 4
    assert inspect(folder_of(tmp_path / "two")).dataset_id == dataset.dataset_id


def test_the_id_changes_with_what_the_rows_say_and_how_they_are_drawn(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "a")
    changed = [*OTHER[:1], {"text": "what a  mess", "label": "bad"}]
    sources = [
        source,
        replace(source, labels=("good", "bad")),
        replace(source, limits={"train": 2}),
        replace(source, limits={"train": 2}, seed=1),
        replace(source, limits={"test": 2}),
        folder_of(tmp_path / "b", test=changed),
    ]
    assert len({inspect(one).dataset_id for one in sources}) == len(sources)
    assert inspect(replace(source, seed=1, name="other")).dataset_id == inspect(source).dataset_id


def test_files_may_be_given_one_by_one_and_be_of_different_kinds(tmp_path: Path) -> None:
    files = {
        "train": str(write(tmp_path / "a.csv", TRAIN)),
        "validation": str(write(tmp_path / "b.parquet", OTHER)),
        "test": str(write(tmp_path / "c.json", OTHER)),
    }
    source = replace(source_of(""), path=None, files=files)
    assert inspect(source).rows == {"train": 4, "validation": 2, "test": 2}
    assert len(load_split(source, inspect(source), "validation")) == 2


@pytest.mark.parametrize("name", ["valid", "dev"])
def test_the_validation_file_may_have_a_shorter_name(tmp_path: Path, name: str) -> None:
    source = folder_of(tmp_path)
    (tmp_path / "validation.jsonl").rename(tmp_path / f"{name}.jsonl")
    assert inspect(source).rows["validation"] == 2


def test_labels_may_be_numbers_or_truth_values_or_more_than_two(tmp_path: Path) -> None:
    numbers = [{"text": f"number {n}", "label": n} for n in range(3)]
    source = folder_of(tmp_path / "n", ".parquet", train=numbers, validation=numbers, test=numbers)
    assert inspect(source).labels == ("0", "1", "2")
    truths = [{"text": "it is so", "label": True}, {"text": "it is not", "label": False}]
    source = folder_of(tmp_path / "t", train=truths, validation=truths, test=truths)
    assert inspect(source).labels == ("False", "True")


def test_class_names_that_the_datasets_library_wrote_stand_for_their_numbers(tmp_path: Path) -> None:
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        "label": {"names": ["bad", "good"], "_type": "ClassLabel"},
    }
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}

    def save(name: str, labels: list[int]) -> None:
        texts = [f"text {n}" for n in range(len(labels))]
        table = pa.table({"text": texts, "label": labels}).replace_schema_metadata(metadata)
        pq.write_table(table, tmp_path / f"{name}.parquet")

    for name in ("train", "validation", "test"):
        save(name, [1, 0, 1])
    source = source_of(tmp_path)
    assert [sample.label for sample in load_split(source, inspect(source), "test")] == ["good", "bad", "good"]
    save("test", [1, -1, -1])
    assert line_of(source) == f'{tmp_path}/test.parquet, row 2: unknown label "-1"; the training split has bad, good'


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_several_fields_keep_the_order_of_the_settings(tmp_path: Path, suffix: str) -> None:
    rows = [{"b": f"second {n}", "label": n % 2, "a": f"first {n}", "more": None} for n in range(4)]
    source = folder_of(tmp_path, suffix, train=rows, validation=rows, test=rows)
    source = replace(source, fields=("a", "b"))
    sample = load_split(source, inspect(source), "train")[3]
    assert list(sample.fields.items()) == [("a", "first 3"), ("b", "second 3")]


def test_a_byte_order_mark_and_line_breaks_within_a_cell_are_read(tmp_path: Path) -> None:
    source = folder_of(tmp_path, ".csv")
    (tmp_path / "train.csv").write_bytes(b'\xef\xbb\xbftext,label\r\n"one\r\ntwo",good\r\n\r\nthree,bad\r\n')
    samples = load_split(source, inspect(source), "train")
    assert [sample.fields["text"] for sample in samples] == ["one\r\ntwo", "three"]


def test_a_text_longer_than_the_csv_modules_own_limit_is_read(tmp_path: Path) -> None:
    rows = [{"text": "long " * 30_000, "label": "good"}, *TRAIN]
    assert inspect(folder_of(tmp_path, ".csv", train=rows)).rows["train"] == 5


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'text,label\n"a\nb",good\nx,y,z\n', "line 4: broken CSV: 3 cells, the header has 2"),
        (b'text,label\nfine,good\n"never closed,bad\nx,good\n', "line 3: broken CSV: "),
        (
            b"text,label\nfine,good\ncaf\xe9,bad\n",
            "line 3: not UTF-8: byte 0xe9 at position 24; save the file as UTF-8",
        ),
        (b'text,label\n"a\nb",good\n  ,bad\n', 'line 4: column "text" holds an empty text'),
        (b"text,label\nfine,good\npoor,\n", 'line 3: column "label" holds no label'),
        (b"", ': no column "text"; it has none'),
        (b"text,label\n", ": no rows"),
        (b"text,text,label\na,b,c\n", ': column "text" occurs 2 times'),
        (b"txet,label\na,b\n", ': no column "text"; it has txet, label; did you mean "txet"?'),
    ],
)
def test_a_broken_csv_is_one_line_with_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    source = folder_of(tmp_path, ".csv")
    (tmp_path / "train.csv").write_bytes(content)
    message = line_of(source)
    assert message.startswith(f"{tmp_path}/train.csv")
    assert said in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "a", "label": "x"}\n\n{"text": "b",\n', "line 3: broken JSON: "),
        ('[{"text": "a", "label": "x"}]', "line 1: not a JSON object; write one object a line"),
        ('{"text": "a", "label": "x"}\n{"label": "y"}', 'line 2: column "text" holds no text (null)'),
        (
            '{"text": "a", "label": "x"}\n{"text": 7, "label": "y"}',
            'line 2: column "text" is not text: 7 is of type int',
        ),
        (
            '{"text": "a", "label": "x"}\n{"text": "b", "label": 0.5}',
            'line 2: column "label": label 0.5 is of type float',
        ),
        ('{"text": "a\\ud800", "label": "x"}', 'line 1: column "text" contains half a surrogate pair'),
    ],
)
def test_broken_json_lines_are_one_line_with_their_line(tmp_path: Path, content: str, said: str) -> None:
    source = folder_of(tmp_path)
    (tmp_path / "validation.jsonl").write_text(content, encoding="utf-8")
    message = line_of(source)
    assert message.startswith(f"{tmp_path}/validation.jsonl")
    assert said in message


def test_corrupt_parquet_is_one_line(tmp_path: Path) -> None:
    source = folder_of(tmp_path, ".parquet")
    whole = (tmp_path / "test.parquet").read_bytes()
    for content in (b"", b"not parquet at all", whole[: len(whole) // 2], whole[:4] + b"\x00" * 40 + whole[44:]):
        (tmp_path / "test.parquet").write_bytes(content)
        assert line_of(source).startswith(f"{tmp_path}/test.parquet: not a readable Parquet file: ")


def test_bad_rows_of_every_split_are_found_and_rows_are_counted_from_one(tmp_path: Path) -> None:
    for name in ("train", "validation", "test"):
        rows = [*OTHER, {"text": " \t\n", "label": "good"}]
        source = folder_of(tmp_path, ".parquet", **{name: rows})
        assert line_of(source) == (
            f'{tmp_path}/{name}.parquet, row 3: column "text" holds an empty text; fill it in or remove the row'
        )


def test_a_column_of_numbers_is_not_text(tmp_path: Path) -> None:
    source = replace(folder_of(tmp_path, ".parquet", train=[{"text": 3, "label": "a"}]), fields=("text",))
    assert line_of(source).endswith('train.parquet, row 1: column "text" is not text: 3 is of type int')


def test_labels_must_be_known(tmp_path: Path) -> None:
    odd = [*OTHER, {"text": "so so", "label": "mixed"}]
    assert line_of(folder_of(tmp_path, test=odd)).endswith(
        'test.jsonl, line 3: unknown label "mixed"; the training split has bad, good'
    )
    source = replace(folder_of(tmp_path), labels=("good", "poor"))
    assert line_of(source).endswith('line 2: unknown label "bad"; the setting `labels` lists good, poor')
    source = replace(source, labels=("good", "bad", "mixed"))
    assert line_of(source).endswith('no row has the label "mixed" that the setting `labels` lists')


def test_a_split_of_one_class_is_refused(tmp_path: Path) -> None:
    message = line_of(folder_of(tmp_path, validation=OTHER[:1]))
    assert message.endswith('validation.jsonl: all 1 rows have the label "good"; two are needed')


def test_missing_and_doubled_files_are_named(tmp_path: Path) -> None:
    source = folder_of(tmp_path)
    (tmp_path / "dev.csv").write_text("text,label\n")
    assert "dev.csv are both the validation split" in line_of(source)
    (tmp_path / "dev.csv").unlink()
    (tmp_path / "test.jsonl").unlink()
    assert line_of(source).startswith(f"{tmp_path}: no file for the test split; looked for test.parquet, ")
    files = {name: str(tmp_path / "train.jsonl") for name in ("train", "validation")}
    source = replace(source, path=None, files={**files, "test": str(tmp_path / "gone.csv")})
    assert line_of(source) == f"{tmp_path}/gone.csv: no such file"
    source = replace(source, files={**files, "test": str(tmp_path / "t.xlsx")})
    assert "t.xlsx: files of this kind cannot be read" in line_of(source)
    assert "no such folder" in line_of(source_of(tmp_path / "nowhere"))


def test_a_data_set_id_without_a_network_is_one_line(tmp_path: Path) -> None:
    program = """
from blindspot.storage.errors import DataError
from blindspot.tools.data.datasets import DataSource, inspect
try:
    inspect(DataSource("x", "nobody/no-such-set", {}, ("text",), "label", None, "", {}, 0))
except DataError as error:
    print(error)
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert done.stdout.startswith("nobody/no-such-set: no such folder here, and no data set from Hugging Face: ")


def test_a_split_that_changed_after_it_was_inspected_is_refused(tmp_path: Path) -> None:
    source = folder_of(tmp_path)
    dataset = inspect(source)
    folder_of(tmp_path, train=TRAIN[:2])
    with pytest.raises(DataError, match="it has changed: 2 rows instead of 4"):
        load_split(source, dataset, "train")


def test_a_limit_draws_rows_of_every_class_in_the_order_of_the_source(tmp_path: Path) -> None:
    rows = [{"text": f"row {n}", "label": "rare" if n % 10 == 3 else "common"} for n in range(100)]
    source = replace(folder_of(tmp_path, train=rows, validation=rows, test=rows), limits={"train": 20}, seed=5)
    dataset = inspect(source)
    assert dataset.rows == {"train": 20, "validation": 100, "test": 100}
    samples = load_split(source, dataset, "train")
    assert Counter(sample.label for sample in samples) == {"common": 18, "rare": 2}
    assert [sample.row for sample in samples] == sorted(sample.row for sample in samples)
    assert samples == load_split(source, dataset, "train")
    other = replace(source, seed=6)
    assert [s.row for s in load_split(other, inspect(other), "train")] != [s.row for s in samples]
    assert line_of(replace(source, limits={"train": 1})) == "train: a limit of 1 rows is too few for 2 classes"


@given(
    labels=st.lists(st.sampled_from("abc"), min_size=1, max_size=60),
    limit=st.integers(1, 60),
    seed=st.integers(0, 5),
)
def test_a_draw_is_stratified_and_a_smaller_one_is_part_of_a_larger(labels: list[str], limit: int, seed: int) -> None:
    drawn = draw_rows(labels, limit, seed=[seed])
    assert drawn == sorted(set(drawn))
    assert len(drawn) == min(limit, len(labels))
    assert set(drawn) <= set(draw_rows(labels, limit + 1, seed=[seed]))
    if limit >= len(set(labels)):
        assert {labels[row] for row in drawn} == set(labels)
    for label in set(labels):
        share = labels.count(label) * len(drawn) / len(labels)
        assert abs(sum(labels[row] == label for row in drawn) - share) <= len(set(labels))


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("mrpc", ("sentence1", "sentence2")),
        ("sst2", ("text",)),
        ("imdb", ("text",)),
        ("email_sms", ("text",)),
        ("qnli_small", ("question", "sentence")),
    ],
)
def test_real_data_sets_load_as_they_lie_there(name: str, fields: tuple[str, ...]) -> None:
    source = replace(source_of(DATA / name), fields=fields, limits={"train": 50, "validation": 20, "test": 20})
    dataset = inspect(source)
    samples = load_split(source, dataset, "validation")
    assert len(samples) == 20
    assert {sample.label for sample in samples} == set(dataset.labels)
