"""Other names for incoming runs: each key of theirs, and everything that refers to it, is made again."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from blindspot.storage.errors import StoreError
from blindspot.storage.records import ModelVersion, Run
from blindspot.storage.schema.tables import TABLES
from blindspot.storage.study_records import Study, StudyFigure
from blindspot.storage.transfer.ownership import OWN

KEY = re.compile(r"\b[a-z]+-[0-9a-f]{16}\b")  # see ids.make_id
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
NAMED = (*OWN, TABLES[Study], TABLES[StudyFigure])  # whose rows have keys that are made again
PROSE = ("message", "verdict")  # columns of text that blindspot has written, keys among the words


def rename(cursor: duckdb.DuckDBPyConnection, prefix: str, folder: Path) -> dict[str, str]:
    """Put a prefix before the names of the incoming runs and studies.

    The same export with the same prefix gives the same keys. Those of samples and data sets, which come from what the
    rows say, stay as they are.

    Returns: old key -> new key.
    Raises: StoreError, when a run is not finished: it would not find its own rows again if it went on.
    """
    if not NAME.fullmatch(prefix):
        raise StoreError(f"--prefix: {prefix!r} is not a name; use letters, digits, - and _, e.g. --prefix anna")
    going = cursor.execute("SELECT run_id, status FROM incoming.runs WHERE status <> 'finished'").fetchall()
    if going:
        run_id, status = going[0]
        raise StoreError(f"{folder}: {run_id} is {status}: only finished runs can be imported under another name")
    names = make_names(cursor, prefix)
    for table in NAMED:  # a new key may be what another row was called before: not unique in between
        cursor.execute(f"CREATE OR REPLACE TABLE incoming.{table.name} AS FROM incoming.{table.name}")
    cursor.execute("CREATE OR REPLACE TEMP TABLE renamed (was VARCHAR, here VARCHAR)")
    cursor.execute(
        "INSERT INTO renamed SELECT unnest(CAST(? AS VARCHAR[])), unnest(CAST(? AS VARCHAR[]))",
        [list(names), list(names.values())],
    )
    for table in NAMED:
        for column in (column.name for column in table.columns if column.name.endswith("_id")):
            follow(cursor, table.name, column)
    cursor.execute(
        f"UPDATE incoming.{TABLES[ModelVersion].name} SET folder = 'models/' || renamed.here FROM renamed "
        "WHERE folder = 'models/' || renamed.was"
    )
    for kind in (Run, Study):
        cursor.execute(f"UPDATE incoming.{TABLES[kind].name} SET name = ? || '-' || name", [prefix])
    mention(cursor, names)
    return names


def make_names(cursor: duckdb.DuckDBPyConnection, prefix: str) -> dict[str, str]:
    """Give every key of a run's own a new one: old key -> new key."""
    names: dict[str, str] = {}
    for kind in (Run, Study):
        table = TABLES[kind]
        keys = cursor.execute(f"SELECT {table.key_list} FROM incoming.{table.name}").fetchall()
        names |= {key: f"{prefix}-{key}" for (key,) in keys}
    for table in OWN:
        if len(table.primary_key) > 1 or table is TABLES[Run]:
            continue
        names |= cursor.execute(
            f"SELECT {table.key_list}, regexp_extract({table.key_list}, '^[a-z]+') || '-' || "
            f"left(sha256(? || chr(31) || run_id || chr(31) || {table.key_list}), 16) FROM incoming.{table.name}",
            [prefix],
        ).fetchall()
    return names


def follow(cursor: duckdb.DuckDBPyConnection, table: str, column: str) -> None:
    """Put new keys in place of old ones in a column that refers to them."""
    same = f'incoming.{table}."{column}" = renamed.was'
    cursor.execute(f'UPDATE incoming.{table} SET "{column}" = renamed.here FROM renamed WHERE {same}')


def mention(cursor: duckdb.DuckDBPyConnection, names: dict[str, str]) -> None:
    """Put new keys in place of old ones inside JSON, and in the sentences that blindspot has written."""
    for table in OWN:
        if table is TABLES[Run]:  # its settings are what was asked for
            continue
        texts = [column.name for column in table.columns if column.sql_type == "JSON" or column.name in PROSE]
        for name in texts:
            key = ", ".join((table.key_list, f'"{name}"'))
            matches = f'regexp_matches(CAST("{name}" AS VARCHAR), ?)'
            rows = cursor.execute(
                f"SELECT {key} FROM incoming.{table.name} WHERE {matches}",
                [KEY.pattern],
            ).fetchall()
            where = " AND ".join(f'"{part}" = ?' for part in table.primary_key)
            for *key_values, text in rows:
                renamed = KEY.sub(lambda match: names.get(match[0], match[0]), text)
                if renamed != text:
                    cursor.execute(
                        f'UPDATE incoming.{table.name} SET "{name}" = ? WHERE {where}', [renamed, *key_values]
                    )
