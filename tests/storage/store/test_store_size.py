"""The store takes little room and little time, and loses nothing by either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from blindspot.storage.analysts.results import Results
from blindspot.storage.database import CONFIG
from blindspot.storage.records import Attack, Event, ModelVersion, Prediction, Sample
from blindspot.storage.schema.migrations import migrate
from blindspot.storage.schema.tables import Record
from blindspot.storage.store.store import BULK_ROWS, Store
from blindspot.storage.words import SubjectKind
from blindspot.storage.workspace import Workspace
from support.rows import START, event

OLD_BLOCK = 256 * 2**10  # bytes, DuckDB's own


def sample(number: int, label: str = "yes") -> Sample:
    return Sample(f"smp-{number:05d}", "dat-1", "test", number, {"text": f"“{number}”"}, label)


def prediction(subject_id: str, kind: SubjectKind, confidence: float, *, right: bool = True) -> Prediction:
    return Prediction(
        "mod-1", subject_id, kind, "yes", "yes" if right else "no", confidence, (confidence, 1 - confidence)
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "workspace") as opened:
        yield opened


def block_size(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as connection:
        ((size,),) = connection.execute("SELECT block_size FROM pragma_database_size()").fetchall()
    return int(size)


def test_a_store_with_a_row_in_each_of_a_few_tables_takes_no_megabytes(store: Store) -> None:
    store.add([event(1), sample(1), prediction("smp-00001", "sample", 0.9)])
    store.publish()
    assert store.workspace.results.stat().st_size < 2**20
    assert block_size(store.workspace.results) == CONFIG["default_block_size"]


def test_a_store_of_larger_blocks_goes_on_as_it_is(tmp_path: Path) -> None:
    path = Workspace(tmp_path).store
    with duckdb.connect(str(path), config={"default_block_size": OLD_BLOCK}) as connection:
        migrate(connection, path)
    with Store.open(tmp_path) as store:
        assert store.add([event(1)]) == 1
        store.publish()
    assert block_size(path) == OLD_BLOCK
    with Results.open(tmp_path) as results:
        assert results.query("SELECT event_id FROM events")[1] == [("evt-00001",)]


@pytest.mark.parametrize("count", [3, BULK_ROWS])
def test_rows_that_are_there_keep_none_of_their_batch_out_and_stay_as_they_are(store: Store, count: int) -> None:
    known = [event(number) for number in range(0, count, 2)]
    store.add(known)
    batch = [event(number, "later") for number in range(count)]
    samples = [sample(number) for number in range(count)]
    assert store.add([*batch, *samples, batch[1]]) == count - len(known) + count
    assert store.rows(Sample) == samples
    assert store.rows(Event) == [row if number % 2 else known[number // 2] for number, row in enumerate(batch)]


def test_a_row_that_breaks_a_rule_is_refused_with_all_of_its_batch_known_rows_or_not(store: Store) -> None:
    store.add([event(1)])
    broken = replace(sample(2), label=None)  # type: ignore[arg-type]
    batches: list[list[Record]] = [[event(2), broken], [event(1), event(2), broken]]
    for batch in batches:
        with pytest.raises(duckdb.ConstraintException, match="NOT NULL"):
            store.add(batch)
    assert store.count(Event) == 1
    assert store.add([event(2)]) == 1


def test_the_histogram_counts_every_prediction_once_whatever_its_text(store: Store) -> None:
    attack = Attack(
        "atk-1", "run-1", "mod-1", "smp-00001", "validation", "textfooler", "flipped", {"text": "y"}, "yes", "no", 0.7,
        "yes", 0.8, 9, 1, 1, None, 0.1,
    )  # fmt: skip
    version = ModelVersion("mod-1", "run-1", 2, None, "retrained", "models/mod-1", 9, 3, {}, 0.1, 1.0, START)
    predictions = [
        prediction("smp-00001", "sample", 1.0),
        prediction("smp-00002", "sample", 0.96, right=False),
        prediction("smp-gone", "sample", 0.96),
        prediction("atk-1", "attack", 0.62, right=False),
        prediction("atk-gone", "attack", 0.62),
        prediction("syn-1", "synthetic", 0.62),
        replace(prediction("smp-00001", "sample", 0.97), model_id="mod-gone"),
    ]
    store.add([sample(1), sample(2), attack, version, *predictions])
    store.publish()
    columns = "run_id, model_id, round, subject_kind, split, recipe, bin_low, bin_high, predictions, correct, wrong"
    with Results.open(store.workspace.folder) as results:
        _, rows = results.query(f"SELECT {columns} FROM confidence_histogram ORDER BY ALL NULLS LAST")
    assert rows == [
        ("run-1", "mod-1", 2, "attack", "validation", "textfooler", 0.6, 0.65, 1, 0, 1),
        ("run-1", "mod-1", 2, "attack", None, None, 0.6, 0.65, 1, 1, 0),
        ("run-1", "mod-1", 2, "sample", "test", None, 0.95, 1.0, 2, 1, 1),
        ("run-1", "mod-1", 2, "sample", None, None, 0.95, 1.0, 1, 1, 0),
        ("run-1", "mod-1", 2, "synthetic", None, None, 0.6, 0.65, 1, 1, 0),
        (None, "mod-gone", None, "sample", "test", None, 0.95, 1.0, 1, 1, 0),
    ]
