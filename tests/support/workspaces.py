"""What is in a workspace, and putting it there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from blindspot.storage.analysts.results import Results
from blindspot.storage.schema.tables import TABLES, Record
from blindspot.storage.store.store import Store

Row = tuple[Any, ...]
TIMES = ("seconds", "created_at", "started_at", "finished_at", "happened_at", "at", "latency_s", "applied_at")
"""Columns in which two runs of the same settings differ."""


def fill(workspace: Path, *runs: Iterable[Record]) -> Path:
    """Add rows and publish them. Returns: the workspace."""
    with Store.open(workspace) as store:
        store.add([record for rows in runs for record in rows])
        store.publish()
    return workspace


def contents(workspace: Path) -> dict[str, list[Any]]:
    """Every row of a store, by table."""
    with Store.open(workspace) as store:
        return {table.name: store.rows(kind) for kind, table in TABLES.items()}


def read(workspace: Path | str, sql: str) -> list[Row]:
    """Ask the published results."""
    with Results.open(Path(workspace)) as results:
        return results.query(sql)[1]


def tables(workspace: Path, names: Iterable[str], *, without: Iterable[str] = ()) -> dict[str, list[Row]]:
    """All published rows of tables, in an order of their own.

    Args: without: further columns in which two runs differ, beside the times, as "column" or "table.column".
    """
    rows = {}
    for table in names:
        known = (name.rpartition(".") for name in (*TIMES, *without))
        left_out = tuple(column for of_table, _, column in known if of_table in ("", table))
        rows[table] = read(workspace, f"SELECT COLUMNS(lambda name: name NOT IN {left_out}) FROM {table} ORDER BY ALL")
    return rows
