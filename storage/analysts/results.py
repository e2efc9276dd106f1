"""The results: what analysts read, while a run is on and after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import duckdb

from blindspot.storage.analysts.answer import Answer
from blindspot.storage.analysts.nearest import Names, advise
from blindspot.storage.analysts.session import Params
from blindspot.storage.database import connect, disk_errors, private_name, without_log
from blindspot.storage.errors import StoreError
from blindspot.storage.schema.migrations import MIGRATIONS
from blindspot.storage.workspace import Workspace

if TYPE_CHECKING:
    import pandas

# A query that needs more memory than there is fails, instead of filling a folder beside the file.
CLOSED: dict[str, bool | str] = {"enable_external_access": False, "lock_configuration": True, "temp_directory": ""}


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

        A log that another program has left beside them is not read: it is not part of what was published.

        Raises: StoreError, when nothing is published there or it cannot be read.
        """
        path = published(folder)
        with disk_errors(path), without_log(path) as opened:
            return cls(path, connect(opened, read_only=True, config=CLOSED, called=path))

    @classmethod
    def open_private(cls, folder: Path, *, memory_mb: int | None = None) -> Self:
        """Open the results of a workspace under a name that is gone afterwards, so that no query finds the file.

        It shows what is published now, whatever else this process has open.

        Raises: StoreError, when nothing is published there or it cannot be read.
        """
        path = published(folder)
        with disk_errors(path), private_name(path) as opened:
            limits: dict[str, bool | str] = {"memory_limit": f"{memory_mb}MB"} if memory_mb else {}
            return cls(path, connect(opened, read_only=True, config=CLOSED | limits, called=path))

    def query(self, sql: str, params: Params = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Answer one SELECT (also WITH, FROM, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN), in this process.

        What comes from outside is a `QuerySession`'s to answer.

        Returns: names of the columns, and the rows; JSON as text, arrays as lists.
        Raises: as `ask`.
        """
        with self.ask(sql, params) as answer:
            return answer.columns, list(answer.rows())

    def frame(self, sql: str, params: Params = ()) -> pandas.DataFrame:
        """Answer one SELECT as a data frame, in this process.

        Args:
            sql: `FROM uu_reduction` will do; `SHOW TABLES` says what there is.
            params: values for each `?` or `$1`, or a mapping for each `$name`.
        Returns: a pandas DataFrame; JSON as text, arrays as arrays of numpy.
        Raises: as `ask`.
        """
        with self.ask(sql, params) as answer:
            return answer.frame()

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection to DuckDB: read-only, and with no way to other files. Threads take a `cursor()` each."""
        return self._connection

    @contextmanager
    def ask(self, sql: str, params: Params = ()) -> Iterator[Answer]:
        """Answer one SELECT bit by bit, so that an answer need not fit into memory.

        Raises: StoreError, when it does more than read, or DuckDB cannot answer it.
        """
        with self._cursor() as cursor:
            yield Answer(cursor, self.path, sql, params, lambda error: self._explain(error, sql))

    def names(self) -> Names:
        """What a query may name: the tables and views with their columns, and the functions."""
        with self._cursor() as cursor, disk_errors(self.path):
            tables: dict[str, list[str]] = {}
            for table, column in cursor.execute(
                "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
            ).fetchall():
                tables.setdefault(table, []).append(column)
            functions = cursor.execute("SELECT DISTINCT function_name FROM duckdb_functions() ORDER BY ALL").fetchall()
            return Names(tables, [name for (name,) in functions])

    def _explain(self, error: duckdb.Error, sql: str) -> StoreError:
        """Tell a mistake in one line that names what is nearest to it."""
        mistake = advise(str(error), sql, self.names())
        lacks = isinstance(error, duckdb.CatalogException | duckdb.BinderException)
        return StoreError(f"the query cannot be answered: {mistake}{self._age() if lacks else ''}")

    def _age(self) -> str:
        """Say so where an older blindspot has published the file: what it lacks, a newer one may ask for."""
        try:
            with self._cursor() as cursor:
                ((version,),) = cursor.execute("SELECT max(number) FROM _migrations").fetchall()
        except duckdb.Error:
            return ""
        if version is None or version >= len(MIGRATIONS):
            return ""
        return (
            f" ({self.path} was published by an older blindspot, version {version} of {len(MIGRATIONS)}: the next run "
            "or resume in this workspace brings it up to date)"
        )

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        # Threads that share a connection get each other's answers.
        with self._lock:
            cursor = self._connection.cursor()
        with closing(cursor):
            yield cursor

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_results(workspace: str | Path) -> Results:
    """Open what a workspace has published, to read it: in the middle of a run, too, and beside any number of readers.

    Args:
        workspace: the folder that `run.workspace` named.
    Returns: the results as they are now; open them again to see what was published since. Use them in a `with` block,
        or close them. `frame` answers SQL as a data frame, `connection` is DuckDB's own.
    Raises: StoreError, when nothing is published there or it cannot be read.
    """
    return Results.open_private(Path(workspace).expanduser())


def published(folder: Path) -> Path:
    """The published file of a workspace.

    Raises: StoreError, when there is none.
    """
    Workspace(folder).check_path()
    path = Workspace(folder).results
    if not path.is_file():
        raise StoreError(
            f"{path}: no such file; nothing is published in this workspace yet: "
            "start a run there with `blindspot run`, or name the workspace of another run"
        )
    return path
