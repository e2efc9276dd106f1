"""The answer to one SELECT, computed in this process while it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from blindspot.storage.analysts.reading import check_reads
from blindspot.storage.analysts.session import Params
from blindspot.storage.database import disk_errors
from blindspot.storage.errors import StoreError

if TYPE_CHECKING:
    import pandas
    import pyarrow

T = TypeVar("T")

ROWS_AT_ONCE = 2000
OUT_OF_MEMORY = "the query needs more memory than it may take; ask for less, or for less at once"


class Answer:
    """The answer to one SELECT (also WITH, FROM, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN), read once: as rows or as Arrow.

    Args:
        cursor: of this answer alone, on a database at `path`.
        explain: turns a mistake in the query into the error that says what to do.
    Raises: StoreError, also while it is read.
    """

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        path: Path,
        sql: str,
        params: Params,
        explain: Callable[[duckdb.Error], StoreError],
    ) -> None:
        self._cursor = cursor
        self._path = path
        self._explain = explain
        self._statement = self._work(lambda: check_reads(cursor, sql))
        self._params = fitting(self._statement, params)
        self.columns: list[str] = self._work(lambda: cursor.sql(self._statement, params=self._params).columns)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows; JSON as text, arrays as lists."""
        for rows in self.batches():
            yield from rows

    def batches(self) -> Iterator[list[tuple[Any, ...]]]:
        """The rows, as many at once as DuckDB hands out cheaply."""
        self._work(lambda: self._cursor.execute(self._statement, self._params))
        while rows := self._work(lambda: self._cursor.fetchmany(ROWS_AT_ONCE)):
            yield rows

    def arrow(self) -> tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]:
        """The rows with their types; JSON as text."""
        reader = self._work(lambda: self._cursor.sql(self._statement, params=self._params).to_arrow_reader())
        return reader.schema, iter(lambda: self._work(lambda: next_of(reader)), None)

    def frame(self) -> pandas.DataFrame:
        """The rows as a data frame; JSON as text."""
        return self._work(lambda: self._cursor.sql(self._statement, params=self._params).df())

    def _work(self, task: Callable[[], T]) -> T:
        """Let the database work, and turn its errors into ours."""
        try:
            with disk_errors(self._path):
                return task()
        except StoreError as error:
            if isinstance(error.__cause__, duckdb.OutOfMemoryException):
                raise StoreError(OUT_OF_MEMORY) from None
            raise
        except MemoryError:
            raise StoreError(OUT_OF_MEMORY) from None
        except duckdb.Error as error:
            raise self._explain(error) from error
        except OverflowError as error:
            raise StoreError(f"a value of the answer is too large to be shown ({error}); CAST it to VARCHAR") from None


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
