"""The store: a run's rows, written by one process, published for every reader."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock, RLock
from types import TracebackType
from typing import Any, Self

import duckdb

from blindspot.storage.database import connect, disk_errors, transaction
from blindspot.storage.errors import StoreError
from blindspot.storage.schema.migrations import migrate
from blindspot.storage.schema.tables import TABLES, R, Record, Table
from blindspot.storage.store.store_file import (
    CUT,
    GONE,
    FileState,
    StoreFile,
    check_room,
    damaged,
    explain_damage,
    open_new,
    put_log_aside,
    restore,
    state_of,
)
from blindspot.storage.workspace import Workspace

BULK_ROWS = 2000  # from here Arrow, twice as fast, is worth the second that importing it (and pandas with it) takes
PUBLISHING_SHARE = 0.03  # `publish_if_due` holds others up for less than this share of the time


class Store:
    """The read-write connection of a run, for any thread: one call at a time, a cursor for each.

    Every method raises StoreError when the disk fails (full, gone, no permission); what was committed is kept.
    """

    def __init__(self, workspace: Workspace, connection: duckdb.DuckDBPyConnection, file: StoreFile) -> None:
        self.workspace = workspace
        self._connection = connection
        self._file = file
        self._lock = RLock()
        self._publishing = Lock()  # taken before the other one
        self._closed = False
        self._unpublished = True  # a run that was killed may have left rows unpublished
        self._published: FileState | None = None  # results.duckdb as the last publish left it
        self._published_at = -math.inf  # monotonic seconds
        self._held_s = 0.0  # how long the last publish held the lock

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the store of a workspace, made if it is not there, upgraded if it is old.

        One that is gone, though its rows are published, begins with those.

        Raises: StoreError, when another process has it open, a newer blindspot wrote it, or the disk fails.
        """
        workspace = Workspace(folder)
        workspace.create()
        with disk_errors(workspace.store):
            restore(workspace)
        connection = connect(workspace.store)
        try:
            with disk_errors(workspace.store):
                workspace.store.chmod(0o600)
                migrate(connection, workspace.store)
                # Publishing does it, often enough; a file that is smaller at any other time was cut short.
                connection.execute("SET checkpoint_threshold = '1TB'")
                return cls(workspace, connection, StoreFile(workspace.store))
        except BaseException:
            connection.close()
            raise

    def add(self, records: Sequence[Record]) -> int:
        """Insert records, of one kind or several, in one transaction; a row whose primary key is there stays as it is.

        Returns: how many rows are new.
        """
        try:  # most rows are new: without looking for others it takes half the time
            return self._write("INSERT", records)
        except duckdb.ConstraintException:
            return self._write("INSERT OR IGNORE", records)

    def put(self, record: Record) -> None:
        """Insert a record, or replace the row with its primary key."""
        self.put_many([record])

    def put_many(self, records: Sequence[Record]) -> None:
        """Insert or replace records in one transaction; of two with the same primary key the last one stays."""
        latest = {key_of(record): record for record in records}
        self._write("INSERT OR REPLACE", list(latest.values()))

    def renew(self, kind: type[Record], records: Sequence[Record], **equals: object) -> None:
        """Put records in place of all of their kind whose fields equal the given values, in one transaction."""
        table = TABLES[kind]
        where, values = where_clause(table, equals)
        with self._cursor() as cursor, transaction(cursor):
            cursor.execute(f"DELETE FROM {table.name} {where}", values)
            if records:
                insert(cursor, "INSERT OR REPLACE", table, records)
            self._unpublished = True

    def rows(self, kind: type[R], **equals: object) -> list[R]:
        """All records of a kind whose fields equal the given values, ordered by primary key.

        Args:
            kind: a record class, e.g. Prediction.
            equals: field=value; None matches rows without a value.
        """
        table = TABLES[kind]
        where, values = where_clause(table, equals)
        return self._read(kind, f"{where} ORDER BY {table.key_list}", values)

    def one(self, kind: type[R], **equals: object) -> R | None:
        """The first record that matches, in the order of `rows`, or None."""
        table = TABLES[kind]
        where, values = where_clause(table, equals)
        return next(iter(self._read(kind, f"{where} ORDER BY {table.key_list} LIMIT 1", values)), None)

    def count(self, kind: type[Record], **equals: object) -> int:
        """How many records match."""
        table = TABLES[kind]
        where, values = where_clause(table, equals)
        with self._cursor() as cursor:
            ((number,),) = cursor.execute(f"SELECT count(*) FROM {table.name} {where}", values).fetchall()
        return int(number)

    def values(self, kind: type[Record], name: str, **equals: object) -> list[Any]:
        """The different values that a field has in the records that match, without reading the rest of them."""
        table = TABLES[kind]
        where, values = where_clause(table, equals)
        column = table.column(name)
        with self._cursor() as cursor:
            rows = cursor.execute(f'SELECT DISTINCT "{column.name}" FROM {table.name} {where}', values).fetchall()
        return [value for (value,) in rows]

    def publish(self) -> None:
        """Replace results.duckdb by a copy of the store, if anything changed since the last one, or that one is gone.

        Readers that hold the old file go on with it; whoever opens gets the old or the new one, whole. It is copied as
        a file: the database takes twenty times as long to copy its rows.
        """
        with self._publishing:
            self._publish()

    def publish_if_due(self, every_s: float = 5.0) -> float:
        """Publish, unless the last time is less than `every_s` seconds ago (more where publishing is slow).

        Returns: how many seconds from now it is due again, if anything has changed by then.
        """
        with self._publishing:
            wait_s = self._due_in(every_s)
            if wait_s > 0:
                return wait_s
            self._publish()
            return max(self._due_in(every_s), every_s)

    def close(self) -> None:
        """Release the store; what was added is kept, published or not.

        Where the file was taken away under it, the rows are published: the next one to open the store begins with
        those. What is left of a damaged file is put aside for the same reason.
        """
        with self._publishing, self._lock, disk_errors(self.workspace.store):
            if self._closed:
                return
            self._closed = True
            damage = self._file.damage()
            try:
                if damage in GONE:
                    self._publish(check=False)
            finally:
                self._connection.close()
                self._file.close()
            if damage == CUT:
                os.replace(self.workspace.store, damaged(self.workspace.store))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for what goes beyond records, such as an import; the store counts as changed by it."""
        with self._cursor() as cursor:
            self._unpublished = True
            yield cursor

    def _publish(self, *, check: bool = True) -> None:
        if not self._unpublished and state_of(self.workspace.results) == self._published:
            return
        new = self.workspace.results.with_name("results.duckdb.new")
        try:
            with disk_errors(self.workspace.results), open_new(new) as copy:
                with self._cursor(check=check) as cursor:
                    started = time.monotonic()
                    check_room(self.workspace)
                    cursor.execute("CHECKPOINT")  # from here until the lock goes, all rows are in the file
                    self._file.note(smaller=True)
                    self._file.copy_to(copy)
                    copy.flush()
                    self._unpublished = False
                    self._held_s = time.monotonic() - started
                os.fsync(copy.fileno())
                published = state_of(new)
                put_log_aside(self.workspace)
                os.replace(new, self.workspace.results)
                self._published = published
        except BaseException:
            self._unpublished = True
            with suppress(OSError):  # the first error is the one to tell
                new.unlink(missing_ok=True)
            raise
        self._published_at = time.monotonic()

    def _due_in(self, every_s: float) -> float:
        return self._published_at + max(every_s, self._held_s / PUBLISHING_SHARE) - time.monotonic()

    @contextmanager
    def _cursor(self, *, check: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
        # Threads that share a connection get each other's answers.
        with self._lock, disk_errors(self.workspace.store):
            if check and (damage := self._file.damage()):
                raise StoreError(explain_damage(self.workspace, damage))
            try:
                with closing(self._connection.cursor()) as cursor:
                    yield cursor
            finally:
                self._file.note()

    def _read(self, kind: type[R], rest: str, values: Sequence[object]) -> list[R]:
        table = TABLES[kind]
        with self._cursor() as cursor:
            rows = cursor.execute(f"SELECT {table.column_list} FROM {table.name} {rest}", values).fetchall()
        return [kind(*row) for row in table.decode(rows)]

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


def where_clause(table: Table, equals: Mapping[str, Any]) -> tuple[str, list[object]]:
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
