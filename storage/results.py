"""The results: what analysts read, while a run is on and after it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

import duckdb

from blindspot.storage.database import connect, disk_errors
from blindspot.storage.errors import StoreError
from blindspot.storage.migrations import MIGRATIONS
from blindspot.storage.workspace import Workspace

CLOSED = {"enable_external_access": False, "lock_configuration": True}


class Results:
    """A read-only connection to the published copy, as it was at the moment of opening.

    Two of them open at once in one process see the same copy: close the first to see what was published since.
    """

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self.path = path
        self._connection = connection
        self._lock = Lock()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the results of a workspace.

        Raises: StoreError, when nothing is published there or it cannot be read.
        """
        path = Workspace(folder).results
        if not path.is_file():
            raise StoreError(
                f"{path}: no such file; nothing is published in this workspace yet: "
                "start a run there with `blindspot run`, or name the workspace of another run"
            )
        return cls(path, connect(path, read_only=True, config=CLOSED))

    def query(self, sql: str, params: Sequence[object] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Answer one SELECT (also WITH, FROM, DESCRIBE, SHOW, SUMMARIZE), with `?` for each parameter.

        Returns: names of the columns, and the rows; JSON as text, arrays as lists.
        Raises: StoreError, when it is no SELECT, or DuckDB cannot answer it.
        """
        try:
            with self._lock, disk_errors(self.path):
                statements = self._connection.extract_statements(sql)
                # Read-only guards the database, not its folder: COPY may still write results.duckdb.wal beside it,
                # over which the next reader stumbles.
                if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                    raise StoreError(f"only one SELECT at a time is answered here, not: {sql.strip()}")
                with closing(self._connection.cursor()) as cursor:
                    cursor.execute(statements[0], list(params))
                    return [column[0] for column in cursor.description or ()], cursor.fetchall()
        except duckdb.Error as error:
            what, _, _ = str(error).partition("\n\nLINE ")
            raise StoreError(f"the query cannot be answered: {' '.join(what.split())}{self._age()}") from error

    def _age(self) -> str:
        """Say so where an older blindspot has published the file: what it lacks, a newer one may ask for."""
        try:
            ((version,),) = self._connection.execute("SELECT max(number) FROM _migrations").fetchall()
        except duckdb.Error:
            return ""
        if version is None or version >= len(MIGRATIONS):
            return ""
        return (
            f" ({self.path} was published by an older blindspot, version {version} of {len(MIGRATIONS)}: the next run "
            "or resume in this workspace brings it up to date)"
        )

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
