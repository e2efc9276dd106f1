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


def read(workspace: Path, sql: str) -> list[Row]:
    """Ask the published results."""
    with Results.open(workspace) as results:
        return results.query(sql)[1]


def tables(workspace: Path, names: Iterable[str], *, without: Iterable[str] = ()) -> dict[str, list[Row]]:
    """All published rows of tables, without times and other columns in which two runs differ."""
    left_out = (*TIMES, *without)
    wanted = f"COLUMNS(lambda name: name NOT IN {left_out})"
    return {name: read(workspace, f"SELECT {wanted} FROM {name} ORDER BY ALL") for name in names}
