"""Stores of every released version: they open, keep their rows, and survive an upgrade that is cut short."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from blindspot.storage.errors import StoreError
from blindspot.storage.records import Event
from blindspot.storage.schema.migrations import MIGRATIONS, NOTES, describe_schema, migrate
from blindspot.storage.schema.tables import TABLES
from blindspot.storage.schema.views import VIEWS
from blindspot.storage.store.store import Store
from blindspot.storage.workspace import Workspace

START = datetime(2026, 1, 2, 3, 4, 5, 678901)
VERSIONS = range(1, len(MIGRATIONS) + 1)
VALUES = {
    "VARCHAR": "'“{0}” {1}'",
    "BIGINT": "{1}",
    "DOUBLE": "0.25",
    "BOOLEAN": "true",
    "TIMESTAMP": "TIMESTAMP '2026-01-02 03:04:05.678901'",
    "JSON": """'{{"{0}": [1.5, null, "\\u00e9"]}}'""",
    "VARCHAR[]": "['a', '{0}']",
    "FLOAT[]": "[0.25, 0.75]",
}

RENAMED = {("events", "at"): "happened_at"}

Rows = dict[str, list[tuple[Any, ...]]]


def event(number: int) -> Event:
    return Event(f"evt-{number:05d}", "run-1", 1, START, "attack", "info", "as planned")


def make_old_store(folder: Path, version: int) -> Path:
    """Write a store as the blindspot of a version did: its tables by its own migrations, a full and a bare row in each.

    Returns: the database's path.
    """
    folder.mkdir(exist_ok=True)
    path = Workspace(folder).store
    with duckdb.connect(str(path)) as connection:
        connection.execute(NOTES)
        for number, migration in enumerate(MIGRATIONS[:version], start=1):
            migration(connection)
            connection.execute("INSERT INTO _migrations VALUES (?, ?, ?)", [number, migration.__name__, START])
        connection.execute("CREATE VIEW lineage AS SELECT run_id, status FROM runs")  # of an earlier shape
        if version == len(MIGRATIONS):
            describe_schema(connection)
        for table, columns in shape(connection).items():
            if table == "_migrations":
                continue
            full = [VALUES[sql_type].format(name, 1) for name, sql_type, _ in columns]
            bare = ["NULL" if optional else VALUES[kind].format(name, 2) for name, kind, optional in columns]
            for values in (full, bare):
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join(values)})")
    return path


def shape(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[str, str, bool]]]:
    """The tables with their columns: name, type, whether it may be empty."""
    found: dict[str, list[tuple[str, str, bool]]] = {}
    for table, *column in connection.execute(
        "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() JOIN duckdb_tables() "
        "USING (table_name) ORDER BY table_name, column_index"
    ).fetchall():
        found.setdefault(table, []).append((column[0], column[1], column[2]))
    return found


def rows_of(path: Path, columns: dict[str, list[tuple[str, str, bool]]] | None = None) -> Rows:
    """The rows of each table, as far as its columns are among those given."""
    with duckdb.connect(str(path), read_only=True) as connection:
        there = shape(connection)
        wanted = columns or there
        names = {table: {name for name, _, _ in found} for table, found in there.items()}
        return {
            table: connection.execute(
                f"SELECT {', '.join(now_called(table, name, names[table]) for name, _, _ in found)} "
                f"FROM {table} ORDER BY ALL"
            ).fetchall()
            for table, found in wanted.items()
            if table != "_migrations"
        }


def now_called(table: str, column: str, names: set[str]) -> str:
    """A column of an older version by the name that it has in this one."""
    return f'"{column if column in names else RENAMED[table, column]}"'


def shape_of(path: Path) -> dict[str, list[tuple[str, str, bool]]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return shape(connection)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_store_of_every_released_version_opens_with_all_its_rows(version: int, tmp_path: Path) -> None:
    path = make_old_store(tmp_path / "ws", version)
    columns, before = shape_of(path), rows_of(path)
    assert all(len(rows) == 2 for rows in before.values())
    with Store.open(tmp_path / "ws") as store:
        for kind, table in TABLES.items():
            assert len(store.rows(kind)) == (2 if table.name in before else 0)
    assert rows_of(path, columns) == before
    with duckdb.connect(str(path), read_only=True) as connection:
        for view in VIEWS:
            connection.execute(f"SELECT * FROM {view.name}").fetchall()
        for kind, table in TABLES.items():
            wanted = [(column.name, column.sql_type, column.optional) for column in table.columns]
            assert shape(connection)[table.name] == wanted, kind


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from blindspot.storage.schema import migrations
from blindspot.storage.store.store import Store

def killed(migrate):
    def half(connection):
        migrate(connection)
        connection.execute("UPDATE runs SET status = 'lost'")
        os.kill(os.getpid(), signal.SIGKILL)
    return half

number = int(sys.argv[2])
if number < len(migrations.MIGRATIONS):
    steps = list(migrations.MIGRATIONS)
    steps[number] = killed(steps[number])
    migrations.migrate.__defaults__ = (steps,)
else:
    migrations.describe_schema = killed(migrations.describe_schema)
Store.open(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_an_upgrade_that_is_killed_leaves_the_old_store_whole(version: int, tmp_path: Path) -> None:
    """Migrations are transactions, the note of each in its own: no copy of the file is needed."""
    path = make_old_store(tmp_path / "ws", version)
    columns, before = shape_of(path), rows_of(path)
    for at in (version, len(MIGRATIONS)):  # in the next migration, and as all are done but the descriptions
        ended = subprocess.run([sys.executable, "-c", INTERRUPTED, str(tmp_path / "ws"), str(at)], check=False)
        assert ended.returncode == -signal.SIGKILL
        if at == version:
            assert shape_of(path) == columns
        assert rows_of(path, columns) == before
    with Store.open(tmp_path / "ws") as store:
        assert store.add([event(1)]) == 1


def add_mood(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE events ADD COLUMN mood VARCHAR DEFAULT 'calm'")


def fail_halfway(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE events ADD COLUMN half VARCHAR")
    raise RuntimeError("the machine stopped")


def test_an_older_store_is_upgraded_and_keeps_its_rows(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.add([event(1)])
        path = store.workspace.store
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP VIEW lineage")
        migrate(connection, path, [*MIGRATIONS, add_mood])
        assert connection.execute("SELECT event_id, mood FROM events").fetchall() == [("evt-00001", "calm")]
        notes = connection.execute("SELECT number, name FROM _migrations ORDER BY number").fetchall()
        assert notes == [
            (1, "create_tables"),
            (2, "add_run_kind"),
            (3, "add_teacher_tools"),
            (4, "add_cleared"),
            (5, "add_studies"),
            (6, "add_changed_words"),
            (7, "mend_run_cost"),
            (8, "rename_event_time"),
            (9, "add_distinct_hypotheses"),
            (10, "add_programs"),
            (11, "add_judgements"),
            (12, "add_mood"),
        ]
        assert connection.execute("SELECT count(*) FROM lineage").fetchall() == [(0,)]


def test_a_migration_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        path = store.workspace.store
    with duckdb.connect(str(path)) as connection:
        with pytest.raises(RuntimeError):
            migrate(connection, path, [*MIGRATIONS, fail_halfway])
        migrate(connection, path, [*MIGRATIONS, add_mood])
        found = connection.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = 'events'").fetchall()
        assert ("mood",) in found
        assert ("half",) not in found


def test_a_newer_store_is_refused_naming_both_versions(tmp_path: Path) -> None:
    newer = len(MIGRATIONS) + 4
    with Store.open(tmp_path) as store:
        path = store.workspace.store
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO _migrations VALUES (?, 'from_the_future', ?)", [newer, START])
    with pytest.raises(StoreError, match=rf"has version {newer}.* up to {len(MIGRATIONS)}: upgrade blindspot"):
        Store.open(tmp_path)
