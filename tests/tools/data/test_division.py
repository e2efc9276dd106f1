"""One file without splits: divided by the seed, each label in its share, copies of a text on one side."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.graphs.preflight.source import source_of
from blindspot.storage.errors import DataError, SettingsError
from blindspot.storage.settings.sections import check_settings
from blindspot.tools.data.copies import copy_key, divide
from blindspot.tools.data.datasets import SHARES, SPLITS, DataSource, inspect, load_split
from blindspot.tools.data.review import Notice


def write(path: Path, count: int = 200) -> DataSource:
    rows = [f"review number {n},{'rare' if n % 10 == 3 else 'common'}\n" for n in range(count)]
    path.write_text("text,label\n" + "".join(rows))
    return DataSource("films", str(path), {}, ("text",), "label", None, "is a film good?", {}, 0)


def test_one_file_is_divided_and_that_is_told(tmp_path: Path) -> None:
    source = write(tmp_path / "all.csv")
    notices: list[Notice] = []
    inspect(replace(source, limits={"train": 30}), notices)
    dataset = inspect(source)
    assert dataset.rows == {"train": 160, "validation": 20, "test": 20}
    assert [notice.level for notice in notices] == ["info"]
    assert notices[0].message == (
        f"{tmp_path}/all.csv: one file without splits, so it is divided at random (seed 0, data.split = [0.8, 0.1, "
        "0.1]), each label in proportion and copies of a text in the same split: train 160, validation 20, test 20"
    )
    splits = {split: load_split(source, dataset, split) for split in SPLITS}
    assert {split: Counter(row.label for row in rows)["rare"] for split, rows in splits.items()} == {
        "train": 16, "validation": 2, "test": 2,
    }  # fmt: skip
    places = [(row.row, row.fields["text"]) for rows in splits.values() for row in rows]
    assert sorted(places) == [(n, f"review number {n}") for n in range(200)]  # rows keep their place in the file
    assert len({row.sample_id for rows in splits.values() for row in rows}) == 200
    assert splits == {split: load_split(source, dataset, split) for split in SPLITS}


def test_the_seed_the_shares_and_the_limits_decide_what_is_read(tmp_path: Path) -> None:
    source = write(tmp_path / "all.csv")
    others = [source, replace(source, seed=1), replace(source, shares=(0.5, 0.25, 0.25))]
    assert len({inspect(one).dataset_id for one in others}) == 3
    assert inspect(others[2]).rows == {"train": 100, "validation": 50, "test": 50}
    assert inspect(replace(source, limits={"train": 30})).rows == {"train": 30, "validation": 20, "test": 20}
    assert inspect(replace(source, splits=("test",))).rows == {"test": 20}
    assert source.is_drawn


def test_a_folder_with_one_file_is_read_like_the_file(tmp_path: Path) -> None:
    source = write(tmp_path / "reviews.csv")
    (tmp_path / "README.md").write_text("what this is")
    folder = replace(source, path=str(tmp_path))
    assert inspect(folder).dataset_id == inspect(source).dataset_id
    write(tmp_path / "more.csv")
    with pytest.raises(DataError, match=r"no file for the train split; .*to have one file divided"):
        inspect(folder)


def test_a_file_that_is_named_after_a_split_is_that_split_in_its_folder(tmp_path: Path) -> None:
    source = write(tmp_path / "test.csv")
    folder = replace(source, path=str(tmp_path), splits=("test",))
    assert inspect(folder).rows == {"test": 200}
    assert not folder.is_drawn
    assert inspect(source).rows["train"] == 160  # the file itself is named
    with pytest.raises(DataError, match="no file for the train split"):
        inspect(replace(folder, splits=SPLITS))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("text,label\n", "too few rows to divide"),
        ("text,label\na,x\nb,y\nc,x\nd,y\n", "too few rows to divide"),
        ("text,label\n" + "".join(f"text {n},x\n" for n in range(50)), "too few rows to divide"),
        ("text,label\n" + "same,x\nsame,y\n" * 50, "too few rows to divide"),
        ("text,label\na,x\n,y\n", 'line 3: column "text" holds an empty text'),
        ("text;label\na;x\n", "separated by semicolons"),
    ],
)
def test_a_file_that_cannot_be_divided_gets_one_line(tmp_path: Path, content: str, expected: str) -> None:
    source = write(tmp_path / "all.csv")
    (tmp_path / "all.csv").write_text(content)
    with pytest.raises(DataError, match=expected) as caught:
        inspect(source)
    assert str(caught.value).startswith(str(tmp_path / "all.csv"))
    assert str(caught.value).isprintable()


def test_a_file_that_is_not_there_is_not_looked_for_on_the_network(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^reviews.csv: no such file; data.path names it$"):
        inspect(replace(write(tmp_path / "all.csv"), path="reviews.csv"))


@given(
    rows=st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc")), min_size=1, max_size=150),
    shares=st.sampled_from([SHARES, (0.4, 0.3, 0.3), (0.98, 0.01, 0.01)]),
    seed=st.integers(0, 3),
)
def test_every_row_is_in_one_part_and_copies_are_together(
    rows: list[tuple[int, str]], shares: tuple[float, ...], seed: int
) -> None:
    texts = [(f"Text  {n}" if place % 2 else f"text {n} ",) for place, (n, _) in enumerate(rows)]
    labels = [label for _, label in rows]
    try:
        parts = divide(texts, labels, shares, seed=seed, source="x")
    except DataError:
        groups = {copy_key(text): label for text, label in zip(reversed(texts), reversed(labels), strict=True)}
        ample = [label for label, count in Counter(groups.values()).items() if count >= 3]
        assert len(ample) < 2
        return
    assert sorted(row for part in parts for row in part) == list(range(len(rows)))
    assert all(part == sorted(part) for part in parts)
    keys = [{copy_key(texts[row]) for row in part} for part in parts]
    assert sum(map(len, keys)) == len(set().union(*keys))


@given(counts=st.lists(st.integers(3, 80), min_size=2, max_size=4), seed=st.integers(0, 3))
def test_every_label_has_its_share_of_every_part(counts: list[int], seed: int) -> None:
    labels = [str(label) for label, count in enumerate(counts) for _ in range(count)]
    parts = divide([(f"text {n}",) for n in range(len(labels))], labels, SHARES, seed=seed, source="x")
    for share, part in zip(SHARES, parts, strict=True):
        held = Counter(labels[row] for row in part)
        for label, count in enumerate(counts):
            assert abs(held[str(label)] - share * count) <= 1.5
            assert held[str(label)] >= 1


def test_settings_hand_the_shares_on_and_bound_them() -> None:
    data = {"path": "d", "split": [0.6, 0.2, 0.2], "strip": True}
    source = source_of(check_settings({"data": data}, where="x"))
    assert (source.shares, source.strip) == ((0.6, 0.2, 0.2), True)
    for wrong, message in {
        (0.8, 0.1, 0.2): "sum to 1.1; they must sum to 1",
        (0.8, 0.2, 0.0): "greater than 0",
        (0.8, 0.2): "split",
    }.items():
        with pytest.raises(SettingsError, match=message) as caught:
            check_settings({"data": {"path": "d", "split": wrong}}, where="x")
        assert "\n" not in str(caught.value)
