"""Which SQL only reads: an allow-list over the parse tree of a statement.

DuckDB counts `WITH x AS (COPY … TO …) SELECT 1` as a SELECT, lets table functions run SQL that they are given as text,
and has some that read memory at an address. So it is the tree that is looked at, all of it, and what is not known here
is refused, of a newer DuckDB too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from blindspot.storage.errors import StoreError

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
        raise StoreError("a query may not hold the character NUL; take it out, or write chr(0) for it")
    statements = cursor.extract_statements(sql)
    kinds = [statement.type for statement in statements]
    selects = sql
    if kinds == [duckdb.StatementType.EXPLAIN] and (explain := EXPLAIN.match(sql)):
        selects = sql[explain.end() :]
        kinds = [statement.type for statement in cursor.extract_statements(selects)]
    if kinds != [duckdb.StatementType.SELECT]:
        raise StoreError(f"only one SELECT at a time is answered here, not: {sql.strip()}")
    try:
        refused = next(refusals(read_tree(cursor, selects)), None)
    except RecursionError:
        refused = "expressions nested as deep as this"
    if refused is not None:
        raise StoreError(f"only SQL that reads the results is answered here, not {refused}")
    return statements[0]


def read_tree(cursor: duckdb.DuckDBPyConnection, sql: str) -> Any:
    """The parse tree of SELECT statements, as DuckDB writes it in JSON.

    Raises: StoreError, where DuckDB cannot write it. RecursionError.
    """
    ((text,),) = cursor.execute("SELECT CAST(json_serialize_sql($1) AS VARCHAR)", [sql]).fetchall()
    tree = json.loads(text)
    if tree.get("error") is not False:
        raise StoreError(f"only one SELECT at a time is answered here, not: {sql.strip()}")
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
                yield words(part["class"])
            elif name in REFUSED_EFFECTS:
                yield f"{name}()"
        elif isinstance(kind, str) and kind not in TYPES and not kind.endswith("_TYPE_INFO"):
            yield words(kind)
        if kind == "TABLE_FUNCTION":
            name = str(part["function"].get("function_name", "")).lower()
            if name not in TABLE_FUNCTIONS:
                yield f"the table function {name}"


def words(kind: str) -> str:
    """Name a part of the tree as SQL does, e.g. COPY for COPY_QUERY_NODE."""
    return kind.removesuffix("_NODE").removesuffix("_QUERY").replace("_", " ")
