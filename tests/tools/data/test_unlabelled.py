"""Unlabelled texts of the deployment: checked at the start, and never those of the test split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from blindspot.storage.errors import DataError
from blindspot.tools.data.datasets import DataSource, inspect
from blindspot.tools.data.unlabelled import inspect_unlabelled, load_unlabelled
from support.rows import write_lines


@pytest.fixture
def source(tmp_path: Path) -> DataSource:
    for split in ("train", "validation", "test"):
        write_lines(tmp_path / f"{split}.jsonl", [{"text": f"{split} {n}", "label": "ab"[n % 2]} for n in range(4)])
    return DataSource("x", str(tmp_path), {}, ("text",), "label", None, "t", {}, 0)


def test_texts_are_read_without_a_label_and_those_of_the_test_split_are_left_out(
    source: DataSource, tmp_path: Path
) -> None:
    file = write_lines(tmp_path / "seen.jsonl", [{"text": "c u later"}, {"text": "test 1"}, {"text": "k"}])
    given = replace(source, unlabelled=str(file))
    assert load_unlabelled(given) == [{"text": "c u later"}, {"text": "k"}]
    csv = tmp_path / "seen.csv"
    csv.write_text("id,text\n1,c u later\n2,k\n", encoding="utf-8")
    assert load_unlabelled(replace(source, unlabelled=str(csv))) == load_unlabelled(given)


def test_white_space_is_taken_off_as_off_other_data(source: DataSource, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "seen.jsonl", [{"text": " k\t"}, {"text": "test 1 "}])
    given = replace(source, unlabelled=str(file))
    assert load_unlabelled(replace(given, strip=True)) == [{"text": "k"}]
    assert load_unlabelled(given) == [{"text": " k\t"}, {"text": "test 1 "}]


def test_a_data_set_is_another_one_with_other_texts_beside_it(source: DataSource, tmp_path: Path) -> None:
    dataset = inspect(source)
    assert inspect_unlabelled(source, dataset) == dataset
    given = replace(source, unlabelled=str(write_lines(tmp_path / "seen.jsonl", [{"text": "k"}])))
    first = inspect_unlabelled(given, dataset).dataset_id
    write_lines(tmp_path / "seen.jsonl", [{"text": "ok"}])
    assert len({dataset.dataset_id, first, inspect_unlabelled(given, dataset).dataset_id}) == 3


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"text": "k"}, {"text": "  "}], 'seen.jsonl, line 2: column "text" holds an empty text'),
        ([{"text": 3}], 'seen.jsonl, line 1: column "text" is not text'),
        ([{"body": "k"}], "text"),
        ([{"text": "test 1"}, {"text": "test 0"}], "seen.jsonl: all its texts are also in the test split"),
        ([], "seen.jsonl"),
    ],
)
def test_what_is_wrong_with_them_is_one_line(
    source: DataSource, tmp_path: Path, rows: list[dict[str, object]], words: str
) -> None:
    file = write_lines(tmp_path / "seen.jsonl", rows)
    with pytest.raises(DataError) as caught:
        inspect_unlabelled(replace(source, unlabelled=str(file)), inspect(source))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no such file"):
        load_unlabelled(replace(source, unlabelled=str(tmp_path / "gone.csv")))
