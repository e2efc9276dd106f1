"""What somebody may have meant by a name that a query has and the results have not."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

COLUMN = re.compile(
    r'Referenced column "(?P<name>[^"]+)" not found|does not have a column named "(?P<other>[^"]+)"'
    r'|Column "(?P<joined>[^"]+)" (?:in \w+ list not found|does not exist on)'
)
TABLE = re.compile(r'Table with name (?P<name>\S+) does not exist|Referenced table "(?P<other>[^"]+)" not found')
FUNCTION = re.compile(r"Function with name (?P<name>\S+) does not exist")
KEYWORD = re.compile(r'syntax error at or near "(?P<name>\w+)"')
KEYWORDS = ("SELECT", "FROM", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "JOIN", "USING", "DESCRIBE", "SUMMARIZE")
SAID_BY_DUCKDB = re.compile(r"\s*(?:Candidate (?:bindings|tables)\b|Did you mean\b|LINE \d+:)")
MOST_NAMED = 8
SHORTEST = 2  # a name of one letter is like too many


@dataclass(frozen=True, slots=True)
class Names:
    """What a query may name."""

    tables: Mapping[str, Sequence[str]]  # tables and views -> their columns
    functions: Sequence[str]


def advise(message: str, sql: str, names: Names) -> str:
    """Tell a mistake in one line, with the nearest name that there is.

    Args:
        message: DuckDB's, of several lines.
        sql: the query it is about.
    """
    summary = SAID_BY_DUCKDB.split(message, maxsplit=1)[0]
    summary = " ".join(summary.split("Candidate functions:")[0].split()).rstrip("!. ")
    for pattern, suggest in ((COLUMN, of_column), (TABLE, of_table), (FUNCTION, of_function), (KEYWORD, of_keyword)):
        if match := pattern.search(message):
            (name,) = [group for group in match.groups() if group]
            return summary + suggest(name, sql, names, message)
    return summary


def of_column(name: str, sql: str, names: Names, message: str) -> str:
    """Look for a column in the tables that the query names, among what the query itself defines, then elsewhere."""
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    here = {table: columns for table, columns in names.tables.items() if table in words}
    owners = [table for table, columns in names.tables.items() if name.lower() in columns and table not in here]
    near = nearest(name, [*(column for columns in here.values() for column in columns), *candidates(message)])
    if near:
        return f"; did you mean {near}?"
    if owners:
        return f"; it is a column of {abridged(owners)}"
    others = {column for columns in names.tables.values() for column in columns}
    if near := nearest(name, others):
        return f"; did you mean {near}, of {abridged(t for t, columns in names.tables.items() if near in columns)}?"
    return "".join(f"; {table} has {abridged(columns)}" for table, columns in here.items())


def of_table(name: str, sql: str, names: Names, message: str) -> str:  # noqa: ARG001, one signature for all
    near = nearest(name.strip('"'), [*names.tables, *candidates(message)])
    return f"; did you mean {near}?" if near else "; SHOW TABLES lists the tables"


def of_function(name: str, sql: str, names: Names, message: str) -> str:  # noqa: ARG001
    near = nearest(name.strip('"'), names.functions)
    return f"; did you mean {near}?" if near else "; SELECT * FROM duckdb_functions() lists the functions"


def of_keyword(name: str, sql: str, names: Names, message: str) -> str:  # noqa: ARG001
    near = nearest(name.upper(), KEYWORDS)
    return f"; did you mean {near}?" if near and near != name.upper() else ""


def candidates(message: str) -> list[str]:
    """The names that DuckDB itself puts forward, those that the query defines among them."""
    _, _, names = message.partition("Candidate ")
    return re.findall(r'"(?:\w+\.)?(\w+)"', names.split("LINE ")[0])


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like a given one, whatever the case; None, where none is much like it."""
    if len(name) < SHORTEST:
        return None
    lower = {one.lower(): one for one in known}
    return next((lower[near] for near in difflib.get_close_matches(name.lower(), lower, n=1)), None)


def abridged(names: Iterable[str]) -> str:
    """Some names in a row, cut where there are many."""
    all_of_them = list(names)
    return ", ".join(all_of_them[:MOST_NAMED]) + (", …" if len(all_of_them) > MOST_NAMED else "")
