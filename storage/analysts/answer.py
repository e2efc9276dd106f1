"""The answer to one SELECT, computed in this process while it is read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from blindspot.storage.analysts.session import Params
from blindspot.storage.database import disk_errors
from blindspot.storage.errors import StoreError

if TYPE_CHECKING:
    import pandas
    import pyarrow


NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
SOURCES = frozenset(
    {"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT", "SHOW_REF"}
)
MODIFIERS = frozenset({"ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"})
ORDERS = frozenset({"ORDER_DEFAULT", "ASCENDING", "DESCENDING"})
TYPES = NODES | SOURCES | MODIFIERS | ORDERS

EXPRESSIONS = frozenset(
    {
        "BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "DEFAULT",
        "FUNCTION", "LAMBDA", "LAMBDA_REF", "OPERATOR", "PARAMETER", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE",
        "WINDOW",
    }
)  # fmt: skip

TABLE_FUNCTIONS = frozenset(
    {
        "duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_functions", "duckdb_indexes",
        "duckdb_keywords", "duckdb_schemas", "duckdb_settings", "duckdb_tables", "duckdb_types", "duckdb_views",
        "generate_series", "histogram", "histogram_values", "icu_calendar_names", "json_each", "json_tree",
        "pg_timezone_names", "pragma_database_size", "pragma_show", "pragma_storage_info", "pragma_table_info",
        "pragma_version", "range", "repeat", "repeat_row", "summary", "unnest",
    }
)  # fmt: skip

# All that DuckDB says to have side effects; a test compares them with its catalogue.
HARMLESS_EFFECTS = frozenset(
    {
        "current_connection_id", "current_query", "current_query_id", "current_transaction_id", "error",
        "gen_random_uuid", "random", "setseed", "stats", "uuid", "uuidv4", "uuidv7", "vector_type",
    }
)  # fmt: skip
REFUSED_EFFECTS = frozenset({"currval", "nextval", "setval", "sleep_ms", "write_log"})

EXPLAIN = re.compile(r"\s*EXPLAIN\s+(?:ANALYZE\s+)?", re.IGNORECASE)


def check_reads(cursor: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    """Check that a text is one read-only statement: SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN.

    Returns: the statement, ready to be executed.
    Raises: StoreError, for any other. duckdb.Error, where it cannot be parsed.
    """
    if "\0" in sql:  # the statement might end there for one parser and not for the other
        raise StoreError("a query may not contain the character NUL; remove it, or write chr(0) instead")
    statements = cursor.extract_statements(sql)
    kinds = [statement.type for statement in statements]
    selects = sql
    if kinds == [duckdb.StatementType.EXPLAIN] and (explain := EXPLAIN.match(sql)):
        selects = sql[explain.end() :]
        kinds = [statement.type for statement in cursor.extract_statements(selects)]
    if kinds != [duckdb.StatementType.SELECT]:
        raise StoreError(f"only one SELECT at a time can be run here, not: {sql.strip()}")
    try:
        refused = next(refusals(read_tree(cursor, selects)), None)
    except RecursionError:
        refused = "expressions nested this deeply"
    if refused is not None:
        raise StoreError(f"only SQL that reads the results can be run here, not {refused}")
    return statements[0]


def read_tree(cursor: duckdb.DuckDBPyConnection, sql: str) -> Any:
    """The parse tree of SELECT statements, as DuckDB writes it in JSON.

    Raises: StoreError, where DuckDB cannot write it. RecursionError.
    """
    ((text,),) = cursor.execute("SELECT CAST(json_serialize_sql($1) AS VARCHAR)", [sql]).fetchall()
    tree = json.loads(text)
    if tree.get("error") is not False:
        raise StoreError(f"only one SELECT at a time can be run here, not: {sql.strip()}")
    return tree


def refusals(tree: Any) -> Iterator[str]:
    """What in a parse tree does more than read, or is not known to only read."""
    parts = [tree]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts += part
        if not isinstance(part, dict):
            continue
        parts += part.values()
        kind = part.get("type")
        if "class" in part:
            name = str(part.get("function_name", "")).lower()
            if part["class"] not in EXPRESSIONS:
                yield sql_name(part["class"])
            elif name in REFUSED_EFFECTS:
                yield f"{name}()"
        elif isinstance(kind, str) and kind not in TYPES and not kind.endswith("_TYPE_INFO"):
            yield sql_name(kind)
        if kind == "TABLE_FUNCTION":
            name = str(part["function"].get("function_name", "")).lower()
            if name not in TABLE_FUNCTIONS:
                yield f"the table function {name}"


def sql_name(kind: str) -> str:
    """Name a part of the tree as SQL does, e.g. COPY for COPY_QUERY_NODE."""
    return kind.removesuffix("_NODE").removesuffix("_QUERY").replace("_", " ")


T = TypeVar("T")

ROWS_AT_ONCE = 2000
OUT_OF_MEMORY = "the query needs more memory than it is allowed; select fewer rows or columns"


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
            raise StoreError(f"a value in the result is too large to be shown ({error}); CAST it to VARCHAR") from None


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
