"""The store: a run's rows, written by one process, published for every reader."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any, Self

import duckdb

from blindspot.storage.database import connect, disk_errors, literal, transaction
from blindspot.storage.migrations import migrate
from blindspot.storage.tables import TABLES, R, Record, Table
from blindspot.storage.workspace import Workspace

BULK_ROWS = 2000  # from here Arrow, twice as fast, is worth the second that importing it (and pandas with it) takes
PUBLISHING_SHARE = 0.05  # `publish_if_due` keeps its own cost under this share of the time


class Store:
    """The read-write connection of a run, for any thread: one call at a time, a cursor for each.

    Every method raises StoreError when the disk fails (full, gone, no permission); what was committed is kept.
    """

    def __init__(self, workspace: Workspace, connection: duckdb.DuckDBPyConnection) -> None:
        self.workspace = workspace
        self._connection = connection
        self._lock = RLock()
        self._unpublished = True  # a run that was killed may have left rows unpublished
        self._published_at = -math.inf  # monotonic seconds
        self._publish_s = 0.0  # what the last publish took

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the store of a workspace, made if it is not there, upgraded if it is old.

        Raises: StoreError, when another process has it open, a newer blindspot wrote it, or the disk fails.
        """
        workspace = Workspace(folder)
        workspace.create()
        connection = connect(workspace.store)
        try:
            with disk_errors(workspace.store):
                workspace.store.chmod(0o600)
                migrate(connection, workspace.store)
        except BaseException:
            connection.close()
            raise
        return cls(workspace, connection)

    def add(self, records: Sequence[Record]) -> int:
        """Insert records, of one kind or several, in one transaction; a row whose primary key is there stays as it is.

        Returns: how many rows are new.
        """
        return self._write("INSERT OR IGNORE", records)

    def put(self, record: Record) -> None:
        """Insert a record, or replace the row with its primary key."""
        self.put_many([record])

    def put_many(self, records: Sequence[Record]) -> None:
        """Insert or replace records in one transaction; of two with the same primary key the last one stays."""
        latest = {key_of(record): record for record in records}
        self._write("INSERT OR REPLACE", list(latest.values()))

    def rows(self, kind: type[R], **equals: object) -> list[R]:
        """All records of a kind whose fields equal the given values, ordered by primary key.

        Args:
            kind: a record class, e.g. Prediction.
            equals: field=value; None matches rows without a value.
        """
        table = TABLES[kind]
        where, values = condition(table, equals)
        return self._read(kind, f"{where} ORDER BY {table.key_list}", values)

    def one(self, kind: type[R], **equals: object) -> R | None:
        """The first record that matches, in the order of `rows`, or None."""
        table = TABLES[kind]
        where, values = condition(table, equals)
        return next(iter(self._read(kind, f"{where} ORDER BY {table.key_list} LIMIT 1", values)), None)

    def count(self, kind: type[Record], **equals: object) -> int:
        """How many records match."""
        table = TABLES[kind]
        where, values = condition(table, equals)
        with self._cursor() as cursor:
            ((number,),) = cursor.execute(f"SELECT count(*) FROM {table.name} {where}", values).fetchall()
        return int(number)

    def values(self, kind: type[Record], name: str, **equals: object) -> list[Any]:
        """The different values that a field has in the records that match, without reading the rest of them."""
        table = TABLES[kind]
        where, values = condition(table, equals)
        column = table.column(name)
        with self._cursor() as cursor:
            found = cursor.execute(f'SELECT DISTINCT "{column.name}" FROM {table.name} {where}', values).fetchall()
        return [value for (value,) in found]

    def publish(self) -> None:
        """Replace results.duckdb by a copy of the store, if anything changed since the last one.

        Readers that hold the old file go on with it; whoever opens gets the old or the new one, whole.
        The copy is made by the database: opening store.duckdb as a file would drop its lock.
        """
        with self._lock:
            if not self._unpublished:
                return
            started = time.monotonic()
            new = self.workspace.results.with_name("results.duckdb.new")
            with self._cursor() as cursor:
                remove(new)  # a process that was killed may have left half of one
                try:
                    copy_to(cursor, new)
                    os.replace(new, self.workspace.results)
                except BaseException:
                    with suppress(OSError):  # the first error is the one to tell
                        remove(new)
                    raise
            self._unpublished = False
            self._published_at = time.monotonic()
            self._publish_s = self._published_at - started

    def publish_if_due(self, every_s: float = 5.0) -> None:
        """Publish, unless the last time is less than `every_s` seconds ago (more where publishing is slow)."""
        with self._lock:
            wait_s = max(every_s, self._publish_s / PUBLISHING_SHARE)
            if time.monotonic() - self._published_at >= wait_s:
                self.publish()

    def close(self) -> None:
        """Let go of the store; what was added is kept, published or not."""
        with self._lock, disk_errors(self.workspace.store):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        # Threads that share a connection get each other's answers.
        with self._lock, disk_errors(self.workspace.store), closing(self._connection.cursor()) as cursor:
            yield cursor

    def _read(self, kind: type[R], rest: str, values: Sequence[object]) -> list[R]:
        table = TABLES[kind]
        with self._cursor() as cursor:
            found = cursor.execute(f"SELECT {table.column_list} FROM {table.name} {rest}", values).fetchall()
        return [kind(*row) for row in table.decode(found)]

    def _write(self, verb: str, records: Sequence[Record]) -> int:
        kinds: dict[type[Record], list[Record]] = {}
        for record in records:
            kinds.setdefault(type(record), []).append(record)
        if not kinds:
            return 0
        with self._cursor() as cursor, transaction(cursor):
            counts = [insert(cursor, verb, TABLES[kind], rows) for kind, rows in kinds.items()]
            self._unpublished = self._unpublished or any(counts)
        return sum(counts)


def insert(cursor: duckdb.DuckDBPyConnection, verb: str, table: Table, records: Sequence[Record]) -> int:
    """Insert records of one kind into their table; returns how many rows were written."""
    columns = table.encode(records)
    into = f"{verb} INTO {table.name} ({table.column_list})"
    if len(records) < BULK_ROWS:
        unnested = ", ".join(f"unnest(CAST(? AS {column.sql_type}[]))" for column in table.columns)
        ((written,),) = cursor.execute(f"{into} SELECT {unnested}", columns).fetchall()
    else:
        cursor.register("incoming", table.arrow(columns))
        ((written,),) = cursor.execute(f"{into} SELECT {table.column_list} FROM incoming").fetchall()
        cursor.unregister("incoming")
    return int(written)


def key_of(record: Record) -> tuple[object, ...]:
    """What tells a record from all others, of other kinds too."""
    return type(record), *(getattr(record, name) for name in TABLES[type(record)].primary_key)


def condition(table: Table, equals: Mapping[str, Any]) -> tuple[str, list[object]]:
    """Make the WHERE clause for field=value pairs, with its parameters."""
    tests, values = [], []
    for name, value in equals.items():
        column = table.column(name)
        if value is None:
            tests.append(f'"{name}" IS NULL')
        else:
            tests.append(f'"{name}" = CAST(? AS {column.sql_type})')
            values.append(column.encode(value))
    return (f"WHERE {' AND '.join(tests)}" if tests else ""), values


def copy_to(cursor: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Copy everything in the store into a new database file, readable by its owner only."""
    cursor.execute(f"ATTACH {literal(path)} AS published")
    try:
        path.chmod(0o600)
        cursor.execute("COPY FROM DATABASE store TO published")
        cursor.execute("CHECKPOINT published")  # fails aloud where DETACH would leave rows in a WAL
    finally:
        cursor.execute("DETACH published")


def remove(path: Path) -> None:
    """Remove a database file and its write-ahead log, where they are there."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
