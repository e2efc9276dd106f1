"""The store: what is added is there, whatever happens to the process, the disk or the file's age."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import StoreError
from blindspot.storage.records import Event, Prediction, Round, Run, Sample
from blindspot.storage.schema.tables import TABLES, Column, Record
from blindspot.storage.store.store import BULK_ROWS, Store
from blindspot.storage.workspace import Workspace
from support.rows import START, event

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "VARCHAR": st.text(),
    "BIGINT": st.integers(-(2**63), 2**63 - 1),
    "DOUBLE": st.floats(allow_nan=False),
    "BOOLEAN": st.booleans(),
    "TIMESTAMP": st.datetimes(),
    "VARCHAR[]": st.lists(st.text(), max_size=4).map(tuple),
    "FLOAT[]": st.lists(st.floats(allow_nan=False, width=32), max_size=4).map(tuple),
    "JSON": st.dictionaries(st.text(), JSON_VALUES, max_size=3),
}


def values_of(column: Column) -> st.SearchStrategy[Any]:
    return VALUES[column.sql_type] | st.none() if column.optional else VALUES[column.sql_type]


def record_of(kind: type[Record]) -> st.SearchStrategy[Record]:
    return st.builds(kind, **{column.name: values_of(column) for column in TABLES[kind].columns})


def prediction(number: int, model_id: str = "mdl-1") -> Prediction:
    return Prediction(model_id, f"smp-{number:05d}", "sample", "yes", "no", 0.75, (0.25, 0.75))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(tmp_path_factory.mktemp("shared")) as opened:
        yield opened


numbers = itertools.count()


@settings(max_examples=25, deadline=None)
@given(st.tuples(*(record_of(kind) for kind in TABLES)))
def test_what_is_added_is_read_back_equal(shared_store: Store, drawn: tuple[Record, ...]) -> None:
    batch = [fresh(record) for record in drawn]
    assert shared_store.add(batch) == len(batch)
    for record in batch:
        assert shared_store.rows(type(record), **key_of(record)) == [record]


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(list(TABLES)).flatmap(lambda kind: st.tuples(record_of(kind), record_of(kind))))
def test_what_is_put_replaces_the_row_with_its_key(shared_store: Store, drawn: tuple[Record, Record]) -> None:
    first = fresh(drawn[0])
    second = replace(drawn[1], **key_of(first))
    shared_store.put(first)
    shared_store.put(second)
    assert shared_store.one(type(first), **key_of(first)) == second


def fresh(record: Record) -> Record:
    """The same record under a key that no other has."""
    name = fields(record)[0].name
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return type(record)(**values | {name: f"{next(numbers)} {values[name]}"})


def key_of(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in TABLES[type(record)].primary_key}


def test_a_large_set_is_read_back_equal_too(store: Store) -> None:
    """Large sets take another way into the database than small ones."""
    samples = [Sample(f"smp-{n:05d}", "dat-1", "train", n, {"text": f"“{n}”\n\x00🎉"}, "yes") for n in range(BULK_ROWS)]
    rounds = [Round(f"run-{n:05d}", n, "mdl-1", START, accepted=[None, True][n % 2]) for n in range(BULK_ROWS)]
    predictions = [replace(prediction(n), probabilities=(0.5,) * (n % 3)) for n in range(BULK_ROWS)]
    assert store.add([*samples, *rounds, *predictions]) == 3 * BULK_ROWS
    assert store.add(samples) == 0
    assert store.rows(Sample) == samples
    assert store.rows(Round) == rounds
    assert store.rows(Prediction) == predictions
    store.put_many([replace(sample, label="no") for sample in samples])
    assert store.count(Sample, label="no") == BULK_ROWS


def test_adding_leaves_rows_as_they_are_and_counts_the_new_ones(store: Store) -> None:
    assert store.add([event(1), event(2), event(2, "again")]) == 2
    assert store.add([event(1, "changed"), event(3)]) == 1
    assert store.add([]) == 0
    assert store.rows(Event) == [event(1), event(2), event(3)]


def test_of_two_records_with_one_key_the_last_put_stays(store: Store) -> None:
    store.put_many([event(1, "first"), event(2), event(1, "last")])
    assert store.rows(Event) == [event(1, "last"), event(2)]


def test_rows_are_found_by_their_fields_in_the_order_of_their_keys(store: Store) -> None:
    rounds = [Round("run-1", number, "mdl-1", START) for number in (10, 2, 1)]
    store.add([*rounds, replace(rounds[0], run_id="run-0", new_model_id="mdl-2")])
    assert [row.round for row in store.rows(Round, run_id="run-1")] == [1, 2, 10]
    assert store.one(Round) == replace(rounds[0], run_id="run-0", new_model_id="mdl-2")
    assert store.count(Round, new_model_id=None, model_id="mdl-1") == 3
    assert store.one(Round, new_model_id="mdl-3") is None
    with pytest.raises(ValueError, match="rounds has no column 'nope'"):
        store.rows(Round, nope=1)


def test_a_batch_that_fails_leaves_nothing_behind(store: Store) -> None:
    broken = replace(prediction(1), label=None)  # type: ignore[arg-type]
    with pytest.raises(duckdb.ConstraintException):
        store.add([event(1), broken])
    assert store.count(Event) == 0
    assert store.add([event(1)]) == 1


def test_each_table_has_the_fields_of_its_record_in_order(store: Store) -> None:
    columns = published(
        store, "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() WHERE NOT internal"
    )
    for kind, table in TABLES.items():
        found = [tuple(row[1:]) for row in columns if row[0] == table.name]
        assert [row[0] for row in found] == [field.name for field in fields(kind)]
        assert found == [(column.name, column.sql_type, column.optional) for column in table.columns]


def test_every_table_view_and_column_is_described(store: Store) -> None:
    described = "SELECT {0}_name, comment FROM duckdb_{0}s() WHERE NOT internal"
    tables = published(store, described.format("table"))
    views = published(store, described.format("view"))
    columns = published(
        store, "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
    )
    assert len(tables) == len(TABLES) + 1
    assert len(views) == 12
    assert {row[0] for row in columns} == {row[0] for row in tables + views}
    assert [row for row in tables + views + columns if not row[-1]] == []


def published(store: Store, sql: str) -> list[tuple[Any, ...]]:
    store.publish()
    with Results.open(store.workspace.folder) as results:
        return results.query(sql)[1]


def test_threads_that_share_a_store_get_their_own_answers(store: Store) -> None:
    def work(thread: int) -> None:
        for number in range(12):
            assert store.add([prediction(number, f"mdl-{thread}"), event(number)]) in (1, 2)
            mine = store.rows(Prediction, model_id=f"mdl-{thread}")
            assert mine == [prediction(n, f"mdl-{thread}") for n in range(number + 1)]
            assert store.one(Event, event_id=f"evt-{number:05d}") == event(number)
            store.publish_if_due(every_s=0.05)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert store.count(Prediction) == 8 * 12
    assert store.count(Event) == 12


def run_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_second_process_is_told_who_holds_the_store(tmp_path: Path) -> None:
    code = "import sys, duckdb; c = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    path = Workspace(tmp_path).store
    with run_python(code, path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreError) as caught:
            Store.open(tmp_path)
        holder.communicate("\n")
    message = str(caught.value)
    assert message.startswith(f"{path} is in use by process {holder.pid}; ")
    assert "choose another workspace" in message
    assert "\n" not in message
    Store.open(tmp_path).close()


WRITER = """
import sys
from datetime import datetime
from pathlib import Path
from blindspot.storage.records import Event
from blindspot.storage.store.store import Store
store = Store.open(Path(sys.argv[1]))
for number in range(100_000):
    ids = [f"evt-{number:05d}-{k}" for k in range(3)]
    store.add([Event(name, "run-1", 1, datetime(2026, 1, 2), "attack", "info", "x") for name in ids])
    print(number, flush=True)
    store.publish_if_due(0.01)
"""


def test_a_killed_writer_loses_nothing_that_it_was_told_is_there(tmp_path: Path) -> None:
    with run_python(WRITER, tmp_path) as writer:
        assert writer.stdout is not None
        committed = 0
        while committed < 30:
            committed = int(writer.stdout.readline())
        writer.kill()
        committed = max(map(int, writer.stdout.read().split()), default=committed)
    with Store.open(tmp_path) as store:
        found = store.count(Event)
        assert found >= 3 * (committed + 1)
        assert found % 3 == 0  # no half of a batch
        assert store.add([event(1)]) == 1
        assert published(store, "SELECT count(*) FROM events") == [(found + 1,)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.duckdb", "store.duckdb"]


FULL_DISK = """
import json, resource, sys
from datetime import datetime
from pathlib import Path
from blindspot.storage.errors import StoreError
from blindspot.storage.records import Event
from blindspot.storage.store.store import Store

def batch(start):
    return [Event(f"evt-{n}", "run-1", 1, datetime(2026, 1, 2), "attack", "info", f"{n * 7919:x}" * 40)
            for n in range(start, start + 1500)]

def failed(call, *arguments):
    try:
        call(*arguments)
    except StoreError as error:
        return str(error)

store = Store.open(Path(sys.argv[1]))
store.add(batch(0))
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
limit(150_000)
story = {"publish": failed(store.publish), "add": failed(store.add, batch(5000))}
story["left"] = [path.name for path in store.workspace.folder.glob("results*")]
store.close()
limit(resource.RLIM_INFINITY)
store = Store.open(Path(sys.argv[1]))
story["kept"] = store.count(Event)
story["added"] = store.add(batch(5000))
store.publish()
print(json.dumps(story))
"""


def test_a_full_disk_is_one_line_and_the_next_one_to_open_the_store_goes_on(tmp_path: Path) -> None:
    with run_python(FULL_DISK, tmp_path) as child:
        story = json.loads(child.communicate()[0])
    for step in ("publish", "add"):
        assert "File too large" in story[step]
        assert "what was committed is kept" in story[step]
        assert "\n" not in story[step]
    assert story["kept"] == 1500
    assert story["left"] == []
    assert story["added"] == 1500
    with Results.open(tmp_path) as results:
        assert results.query("SELECT count(*) FROM events")[1] == [(3000,)]


LITTLE_ROOM = """
import json, shutil, sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from blindspot.storage.errors import StoreError
from blindspot.storage.records import Event
from blindspot.storage.analysts.results import Results
from blindspot.storage.store.store import Store

folder, event = Path(sys.argv[1]), Event("evt-1", "run-1", 1, datetime(2026, 1, 2), "attack", "info", "x")
with Store.open(folder / "ws") as store:
    store.publish()
    story = {"added": [store.add([event])]}
    (folder / "filling").write_bytes(bytes(shutil.disk_usage(folder).free - 100_000))
    try:
        store.publish()
    except StoreError as error:
        story["publish"] = str(error)
    story["added"].append(store.add([replace(event, event_id="evt-2")]))
    (folder / "filling").unlink()
    store.publish()
with Results.open(folder / "ws") as results:
    story["published"] = results.query("SELECT count(*) FROM events")[1][0][0]
print(json.dumps(story))
"""


def test_where_a_copy_has_no_room_the_store_is_not_touched(tmp_path: Path) -> None:
    """On a small disk of its own."""
    mounted = 'mount -t tmpfs -o size=30m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "-rm", "sh", "-c", mounted, "sh", str(tmp_path), sys.executable, LITTLE_ROOM]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if "unshare:" in ended.stderr or "mount:" in ended.stderr:
        pytest.skip(f"no disk of its own can be had here: {ended.stderr}")
    story = json.loads(ended.stdout)
    assert "results.duckdb: no room for a copy of the store, which takes" in story["publish"]
    assert "\n" not in story["publish"]
    assert (story["added"], story["published"]) == ([1, 1], 2)


@pytest.mark.parametrize("name", ["file", "file/inside"])
def test_a_workspace_that_cannot_be_made_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="no workspace can be made here"):
        Store.open(tmp_path / name)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    Workspace(tmp_path).store.write_text("something else " * 1000)
    with pytest.raises(StoreError, match="is not a DuckDB database; move it away"):
        Store.open(tmp_path)


def test_only_the_owner_may_read_a_workspace(tmp_path: Path) -> None:
    with Store.open(tmp_path / "new" / "workspace") as store:
        store.add([event(1)])
        store.publish()
        workspace = store.workspace
        modes = [path.stat().st_mode & 0o777 for path in (workspace.folder, workspace.store, workspace.results)]
    assert modes == [0o700, 0o600, 0o600]


def test_a_folder_that_holds_other_things_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    tmp_path.chmod(0o750)
    Store.open(tmp_path).close()
    assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_a_store_that_is_gone_begins_again_with_the_published_rows(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.add([event(1), event(2)])
        store.publish()
        workspace = store.workspace
    workspace.store.unlink()
    log = workspace.store.with_name("store.duckdb.wal")
    log.write_text("of a run that was killed")  # it fits no other file
    with Store.open(tmp_path) as store:
        assert store.rows(Event) == [event(1), event(2)]
        assert store.add([event(3)]) == 1
        store.publish()
    assert workspace.store.stat().st_mode & 0o777 == 0o600
    assert log.with_name("store.duckdb.wal.damaged").read_text() == "of a run that was killed"
    workspace.store.write_bytes(b"")  # nothing is left of it
    with Store.open(tmp_path) as store:
        assert store.count(Event) == 3


def test_a_store_without_a_file_of_its_own_takes_nothing_more(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.add([event(1)])
        store.workspace.store.rename(tmp_path / "mine")
        (tmp_path / "other").write_text("another file")
        (tmp_path / "other").rename(store.workspace.store)
        for use in (lambda: store.add([event(2)]), lambda: store.count(Event), store.publish):
            with pytest.raises(StoreError, match=r"store\.duckdb was replaced by another file"):
                use()
    assert Workspace(tmp_path).store.read_text() == "another file"


def test_a_change_is_published_when_it_is_due_and_not_before(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.publish()
        store.add([event(1)])
        wait_s = store.publish_if_due(0.3)
        assert wait_s > 0
        with Results.open(tmp_path) as results:
            assert results.query("SELECT count(*) FROM events")[1] == [(0,)]
        time.sleep(wait_s)
        assert store.publish_if_due(0.3) >= 0.3
        with Results.open(tmp_path) as results:
            assert results.query("SELECT count(*) FROM events")[1] == [(1,)]


def test_others_use_the_store_while_it_is_published(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store, ThreadPoolExecutor(2) as pool:
        for number in range(40):
            published = pool.submit(store.publish)
            assert store.add([event(number)]) == 1
            published.result()
        store.publish()
        with Results.open(tmp_path) as results:
            assert results.query("SELECT count(*) FROM events")[1] == [(40,)]


def test_opening_a_store_and_adding_a_row_imports_nothing_heavy(tmp_path: Path) -> None:
    code = """
import sys
from datetime import datetime
from pathlib import Path
from blindspot.storage.records import Event
from blindspot.storage.analysts.results import Results
from blindspot.storage.store.store import Store
with Store.open(Path(sys.argv[1])) as store:
    store.add([Event("e", "r", 1, datetime(2026, 1, 2), "attack", "info", "m")])
    store.publish()
print(sorted({"pandas", "pyarrow", "torch"} & set(sys.modules)))
"""
    with run_python(code, tmp_path) as child:
        assert child.communicate()[0] == "[]\n"


def test_a_run_is_read_back_with_its_settings(store: Store) -> None:
    table = {"run": {"name": "é", "tau": 0.65, "rounds": None}, "recipes": ["deepwordbug"]}
    run = Run("run-1", "é", "running", table, 0, "rules", "dat-1", 0.65, {"torch": "2"}, START)
    store.put(run)
    store.put(replace(run, status="finished", finished_at=START))
    assert store.one(Run, run_id="run-1") == replace(run, status="finished", finished_at=START)


def test_rows_that_are_renewed_take_the_place_of_all_that_match(store: Store) -> None:
    def event(number: int, run: str, message: str = "old") -> Event:
        return Event(f"e{number}", run, 1, START, "attack", "info", message)

    store.add([event(1, "a"), event(2, "a"), event(3, "b")])
    new = [event(2, "a", "new"), event(4, "a", "new")]
    store.renew(Event, new, run_id="a")
    assert store.rows(Event) == [new[0], event(3, "b"), new[1]]
    store.renew(Event, [], run_id="a")
    assert store.rows(Event) == [event(3, "b")]
