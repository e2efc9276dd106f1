"""The answer to one SELECT, computed while it is read, within a limit of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

import duckdb

from blindspot.storage.database import disk_errors
from blindspot.storage.errors import Cancelled, StoreError

if TYPE_CHECKING:
    import pyarrow

ROWS_AT_ONCE = 2000
INTERRUPTED = "Query interrupted"  # what DuckDB makes of Ctrl-C

Params = Sequence[object] | Mapping[str, object]
"""Values for each `?` or `$1`, or for each `$name`; names that the query does not have are left out."""


class Answer:
    """The answer to one SELECT (also WITH, FROM, DESCRIBE, SHOW, SUMMARIZE), to be read once: as rows or as Arrow.

    Args:
        cursor: of this answer alone, on a database at `path`.
        timeout_s: how long the database may work on it, while it is read too; None: as long as it takes.
        explain: turns a mistake in the query into the error that says what to do.
    Raises: StoreError, also while it is read. Cancelled, on Ctrl-C.
    """

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        path: Path,
        sql: str,
        params: Params,
        timeout_s: float | None,
        explain: Callable[[duckdb.Error], StoreError],
    ) -> None:
        self._cursor = cursor
        self._path = path
        self._timeout_s = timeout_s
        self._worked_s = 0.0
        self._explain = explain
        with self._working():
            statements = cursor.extract_statements(sql)
            # Read-only guards the database, not its folder: COPY may still write results.duckdb.wal beside it,
            # over which the next reader stumbles.
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise StoreError(f"only one SELECT at a time is answered here, not: {sql.strip()}")
            self._statement = statements[0]
            self._params = fitting(self._statement, params)
            self.columns: list[str] = cursor.sql(self._statement, params=self._params).columns

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows; JSON as text, arrays as lists."""
        with self._working():
            self._cursor.execute(self._statement, self._params)
        while True:
            with self._working():
                some = self._cursor.fetchmany(ROWS_AT_ONCE)
            if not some:
                return
            yield from some

    def arrow(self) -> tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]:
        """The rows with their types: JSON as text."""
        with self._working():
            reader = self._cursor.sql(self._statement, params=self._params).to_arrow_reader()

        def batches() -> Iterator[pyarrow.RecordBatch]:
            while True:
                with self._working():
                    batch = next(reader, None)
                if batch is None:
                    return
                yield batch

        return reader.schema, batches()

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Let the database work, as long as there is time; what the caller does between two rows does not count."""
        began = time.monotonic()
        try:
            with time_limit(self._cursor, self._timeout_s, self._worked_s), disk_errors(self._path):
                yield
        except duckdb.Error as error:
            raise self._explain(error) from error
        except (KeyboardInterrupt, RuntimeError) as error:
            if isinstance(error, RuntimeError) and str(error) != INTERRUPTED:
                raise
            raise Cancelled("the query was stopped") from None
        finally:
            self._worked_s += time.monotonic() - began


def fitting(statement: duckdb.Statement, params: Params) -> list[object] | dict[str, object]:
    """Lay parameters out as DuckDB takes them; of those with a name, the ones that the query asks for."""
    if isinstance(params, Mapping):
        return {name: value for name, value in params.items() if name in statement.named_parameters}
    return list(params)


@contextmanager
def time_limit(cursor: duckdb.DuckDBPyConnection, timeout_s: float | None, worked_s: float) -> Iterator[None]:
    """Interrupt what a cursor does in the block once its time is over, `worked_s` of which is behind it.

    Raises: StoreError, in the place of whatever the interruption raises.
    """
    if timeout_s is None:
        yield
        return
    over: list[bool] = []

    def stop() -> None:
        over.append(True)
        cursor.interrupt()

    timer = Timer(max(0.0, timeout_s - worked_s), stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if not over:
            raise
        raise StoreError(
            f"the query was stopped after {timeout_s:g} s; ask for less, or allow it more time with --timeout"
        ) from error
    finally:
        timer.cancel()
        timer.join()  # an interruption under way needs the cursor, which may be closed next
