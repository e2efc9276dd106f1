"""The answer to one SELECT, computed while it is read, within a limit of time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from blindspot.storage.database import disk_errors
from blindspot.storage.errors import Cancelled, StoreError

if TYPE_CHECKING:
    import pyarrow

T = TypeVar("T")

ROWS_AT_ONCE = 2000
INTERRUPTED_AGAIN_S = 0.1  # an interruption before the database is at work is lost

Params = Sequence[object] | Mapping[str, object]
"""Values for each `?` or `$1`, or for each `$name`; names that the query does not have are left out."""


class Answer:
    """The answer to one SELECT (also WITH, FROM, DESCRIBE, SHOW, SUMMARIZE), to be read once: as rows or as Arrow.

    Args:
        cursor: of this answer alone, on a database at `path`.
        timeout_s: how long the database may work on it, while it is read too; math.inf for as long as it takes. None
            for that in the caller's thread, where Ctrl-C may go unheard until it is done.
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
        self._left_s = math.inf if timeout_s is None else timeout_s
        self._explain = explain
        statements = self._work(lambda: cursor.extract_statements(sql))
        # Read-only guards the database, not its folder: COPY may still write results.duckdb.wal beside it,
        # over which the next reader stumbles.
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise StoreError(f"only one SELECT at a time is answered here, not: {sql.strip()}")
        self._statement = statements[0]
        self._params = fitting(self._statement, params)
        self.columns: list[str] = self._work(lambda: cursor.sql(self._statement, params=self._params).columns)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows; JSON as text, arrays as lists."""
        self._work(lambda: self._cursor.execute(self._statement, self._params))
        while some := self._work(lambda: self._cursor.fetchmany(ROWS_AT_ONCE)):
            yield from some

    def arrow(self) -> tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]:
        """The rows with their types; JSON as text."""
        reader = self._work(lambda: self._cursor.sql(self._statement, params=self._params).to_arrow_reader())
        return reader.schema, iter(lambda: self._work(lambda: next_of(reader)), None)

    def _work(self, task: Callable[[], T]) -> T:
        """Let the database work, as long as there is time; what the caller does between two rows does not count."""
        try:
            with disk_errors(self._path):
                return task() if self._timeout_s is None else self._in_time(task)
        except duckdb.Error as error:
            raise self._explain(error) from error
        except OverflowError as error:
            raise StoreError(f"a value of the answer is too large to be shown ({error}); CAST it to VARCHAR") from None

    def _in_time(self, task: Callable[[], T]) -> T:
        """Work in a thread, while this one waits for the end, for Ctrl-C or for its time to be over."""
        began = time.monotonic()
        with ThreadPoolExecutor(1) as thread:
            work = thread.submit(task)
            try:
                return work.result(None if self._left_s == math.inf else max(0.0, self._left_s))
            except TimeoutError:
                self._interrupt(work)
                raise StoreError(
                    f"the query was stopped after {self._timeout_s:g} s; ask for less, or allow it more time "
                    "with --timeout"
                ) from None
            except KeyboardInterrupt:
                self._interrupt(work)
                raise Cancelled("the query was stopped") from None
            finally:
                self._left_s -= time.monotonic() - began

    def _interrupt(self, work: Future[T]) -> None:
        while not work.done():
            self._cursor.interrupt()
            wait([work], INTERRUPTED_AGAIN_S)


def next_of(reader: pyarrow.RecordBatchReader) -> pyarrow.RecordBatch | None:
    """The next batch; pyarrow calls whatever DuckDB says on the way an error of the disk."""
    try:
        return next(reader, None)
    except OSError as error:
        if "IO Error" in str(error):
            raise
        raise duckdb.InvalidInputException(str(error)) from error


def fitting(statement: duckdb.Statement, params: Params) -> list[object] | dict[str, object]:
    """Lay parameters out as DuckDB takes them; of those with a name, the ones that the query asks for."""
    if isinstance(params, Mapping):
        return {name: value for name, value in params.items() if name in statement.named_parameters}
    return list(params)
