"""Bringing exported runs into a store: loaded beside it, upgraded, compared, and then added in one transaction."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import duckdb

from blindspot.storage.database import disk_errors, literal, transaction
from blindspot.storage.errors import StoreError
from blindspot.storage.schema.migrations import MIGRATIONS
from blindspot.storage.schema.tables import TABLES, Table
from blindspot.storage.store.store import Store
from blindspot.storage.transfer.manifest import MODELS, Manifest, sha256_of
from blindspot.storage.transfer.ownership import OWN, belonging, count_rows, select_runs
from blindspot.storage.transfer.rename import rename
from blindspot.storage.workspace import PARTIAL

NOT_COMPARED = ("cleared",)  # of a teacher call: whether a workspace finds its answer again is that workspace's own


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of one exported run."""

    run_id: str
    what: Literal["new", "newer", "known"]  # newer: than the same run in the store, which it brings up to date
    rows: int  # of its own in the export


def bring_in(store: Store, folder: Path, manifest: Manifest, prefix: str | None = None) -> list[Brought]:
    """Add exported runs to a store, with their keys; what is there already stays as it is.

    Killed at any moment, it has added all rows or none, and can be repeated.

    Args:
        folder: what `export_runs` has filled, in this version of the tables or an older one.
        manifest: the folder's, as `read_manifest` gives it.
        prefix: what the runs are called by here, before their own names; their keys are made again then.
    Returns: each run of the export, the oldest first.
    Raises: StoreError, when a file is no such table, another run of the same name is in the store, or the disk fails.
    """
    with store.session() as cursor:
        cursor.execute("ATTACH ':memory:' AS incoming")
        try:
            stage(cursor, folder, manifest)
            check_runs(cursor, folder)
            names = rename(cursor, prefix, folder) if prefix else {}
            runs = [compare_run(cursor, run_id, folder) for run_id in run_ids_of(cursor)]
            check_studies(cursor, folder)
            copy_models(store, folder, manifest, names)
            with transaction(cursor):
                merge_runs(cursor, [run.run_id for run in runs if run.what != "known"])
        finally:
            cursor.execute("USE store")
            cursor.execute("DETACH incoming")
    return runs


def stage(cursor: duckdb.DuckDBPyConnection, folder: Path, manifest: Manifest) -> None:
    """Load the files into tables of the version they were written in, and upgrade those.

    Raises: StoreError, when a file is no such table.
    """
    cursor.execute("USE incoming")
    for migration in MIGRATIONS[: manifest.schema_version]:
        migration(cursor)
    known = cursor.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'incoming'").fetchall()
    unlike = {name for (name,) in known} ^ set(manifest.tables)
    if unlike:
        raise StoreError(f"{folder}: its manifest should name each table once: {', '.join(sorted(unlike))}")
    for name, file in manifest.tables.items():
        path = folder / f"{name}.parquet"
        try:
            ((loaded,),) = cursor.execute(
                f"INSERT INTO {name} BY NAME SELECT * FROM read_parquet({literal(path)}, hive_partitioning = false)"
            ).fetchall()
        except duckdb.Error as error:
            reason, _, _ = str(error).partition("\n")
            raise StoreError(f"{path}: cannot be read as the table {name}: {reason}; export the runs again") from None
        if loaded != file.rows:
            raise StoreError(f"{path}: {loaded} rows, its manifest says {file.rows}; export the runs again")
    for migration in MIGRATIONS[manifest.schema_version :]:
        migration(cursor)
    cursor.execute("USE store")


def check_runs(cursor: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Check that the runs are called as runs are, and that every row belongs to them.

    Raises: StoreError.
    """
    odd = cursor.execute(
        "SELECT run_id FROM incoming.runs WHERE NOT regexp_full_match(name, '[A-Za-z0-9][A-Za-z0-9_-]*') "
        "OR NOT starts_with(run_id, name || '-') OR try_cast(substr(run_id, length(name) + 2) AS UBIGINT) IS NULL"
    ).fetchall()
    if odd:
        raise StoreError(f"{folder}: {odd[0][0]!r} is not the name and number of a run; export the runs again")
    select_runs(cursor, run_ids_of(cursor))
    for table in TABLES.values():
        strange = count_rows(cursor, f"FROM incoming.{table.name}") - count_rows(cursor, belonging(table, "incoming"))
        if strange:
            raise StoreError(f"{folder}/{table.name}.parquet: {strange} rows belong to none of its runs; export again")


def run_ids_of(cursor: duckdb.DuckDBPyConnection) -> list[str]:
    return [key for (key,) in cursor.execute("SELECT run_id FROM incoming.runs ORDER BY started_at, run_id").fetchall()]


def compare_run(cursor: duckdb.DuckDBPyConnection, run_id: str, folder: Path) -> Brought:
    """Compare an incoming run with what the store has under its name.

    The same run may come again, further than it was: it then has every row that the store has of it, and more or a
    later end. It may also come as it was before it went on here; then what is here stays.

    Raises: StoreError, for another run of that name, and where both have gone on from the same one.
    """
    select_runs(cursor, [run_id])
    rows = sum(count_rows(cursor, belonging(table, "incoming")) for table in OWN)
    began = "SELECT started_at, finished_at FROM {}.runs WHERE run_id = ?"
    ((start, end),) = cursor.execute(began.format("incoming"), [run_id]).fetchall()
    ours = cursor.execute(began.format("store"), [run_id]).fetchall()
    if not ours:
        return Brought(run_id, "new", rows)
    ((own_start, own_end),) = ours
    changed, extra, lacking = (
        sum(each) for each in zip(*(count_differences(cursor, table) for table in OWN), strict=True)
    )
    same = start == own_start or not changed or is_of_one_study(cursor, run_id)
    if same and not lacking and (extra or (changed and is_later(end, own_end))):
        return Brought(run_id, "newer", rows)
    if same and not extra:
        return Brought(run_id, "known", rows)
    what = "has gone on differently here than" if same else "is a different run here than"
    raise StoreError(
        f"{run_id} {what} in {folder}: --prefix NAME imports the one in the folder as NAME-{run_id}, or "
        f"`blindspot delete {run_id}` makes room for it"
    )


def is_of_one_study(cursor: duckdb.DuckDBPyConnection, run_id: str) -> bool:
    """Whether a run belongs to the same study here and there; an extended study begins its runs again."""
    source = "FROM {0}.runs JOIN {0}.studies s USING (study_id) WHERE run_id = ?"
    theirs, ours = (
        cursor.execute(f"SELECT study_id, s.started_at {source.format(database)}", [run_id]).fetchall()
        for database in ("incoming", "store")
    )
    return bool(ours) and theirs == ours


def is_later(end: datetime | None, other: datetime | None) -> bool:
    """Whether an end is later than another; None has none yet."""
    return end is not None and (other is None or end > other)


def count_differences(cursor: duckdb.DuckDBPyConnection, table: Table) -> tuple[int, int, int]:
    """Compare the chosen runs' rows of a table.

    Returns: how many are other than the store's, how many the store lacks, and how many only the store has.
    """
    columns = [f'"{column.name}"' for column in table.columns if column.name not in NOT_COMPARED]
    theirs, ours = (f"row({', '.join(f'{side}.{name}' for name in columns)})" for side in ("i", "s"))
    incoming, stored = (f"(SELECT * {belonging(table, database)})" for database in ("incoming", "store"))
    other = f"store.{table.name} s USING ({table.key_list}) WHERE {theirs} IS DISTINCT FROM {ours}"
    return (
        count_rows(cursor, f"FROM {incoming} i JOIN {other}"),
        count_rows(cursor, f"FROM {incoming} i ANTI JOIN store.{table.name} s USING ({table.key_list})"),
        count_rows(cursor, f"FROM {stored} s ANTI JOIN incoming.{table.name} i USING ({table.key_list})"),
    )


def check_studies(cursor: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Check that a study of the same name is the same study.

    Raises: StoreError.
    """
    other = cursor.execute(
        "SELECT study_id FROM incoming.studies i JOIN store.studies s USING (study_id) "
        "WHERE i.started_at <> s.started_at"
    ).fetchall()
    if other:
        raise StoreError(
            f"{other[0][0]} is a different study in this workspace than in {folder}: --prefix NAME imports it as "
            f"NAME-{other[0][0]}"
        )


def names_of(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def copy_models(store: Store, folder: Path, manifest: Manifest, names: Mapping[str, str]) -> None:
    """Copy weights into the workspace, each folder whole or not at all; what is there stays.

    Args:
        names: folder in the export -> folder here, where it is called something else.
    Raises: StoreError, before anything is copied, where other weights are here under the same id.
    """
    targets = {name: store.workspace.models / names.get(name, name) for name in manifest.models}
    for name, target in targets.items():
        if target.exists():
            check_same(target, manifest.models[name], folder)
    for name, target in targets.items():
        if target.exists():
            continue
        partial = target.with_name(f"{target.name}{PARTIAL}")
        with disk_errors(target):
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(folder / MODELS / name, partial, copy_function=shutil.copyfile)
            partial.rename(target)


def check_same(target: Path, files: Mapping[str, str], folder: Path) -> None:
    """Check that weights which are here already are those of the export.

    Args:
        files: each file of the export's weights -> its SHA-256.
    Raises: StoreError.
    """
    for name, digest in files.items():
        if not name.endswith(".safetensors"):  # others say how to read them
            continue
        with disk_errors(target):
            same = (target / name).is_file() and sha256_of(target / name) == digest
        if not same:
            raise StoreError(
                f"{target}: not the weights that {target.name} has in {folder} (SHA-256 of {name} differs): "
                "--prefix NAME imports those under another id"
            )


def merge_runs(cursor: duckdb.DuckDBPyConnection, run_ids: Sequence[str]) -> None:
    """Add the rows of runs, and of what they share with others what is not there yet.

    A study is as it was when it last ended.
    """
    select_runs(cursor, run_ids)
    for table in OWN:
        own = ", ".join(f"coalesce(s.{name}, i.{name}) AS {name}" for name in NOT_COMPARED if name in names_of(table))
        rows = (
            f"SELECT i.*{f' REPLACE ({own})' if own else ''} FROM (SELECT {table.column_list} "
            f"{belonging(table, 'incoming')}) i LEFT JOIN store.{table.name} s USING ({table.key_list})"
        )
        cursor.execute(f"INSERT OR REPLACE INTO store.{table.name} ({table.column_list}) {rows}")
    newer = (
        "study_id IN (SELECT i.study_id FROM incoming.studies i LEFT JOIN store.studies s USING (study_id) WHERE "
        "s.study_id IS NULL OR coalesce(i.finished_at, i.started_at) > coalesce(s.finished_at, s.started_at))"
    )
    cursor.execute(f"DELETE FROM store.study_figures WHERE {newer}")  # of methods that the study has no more
    verbs = {
        "datasets": ("INSERT OR IGNORE", "true"),
        "samples": ("INSERT OR IGNORE", "true"),
        "study_figures": ("INSERT OR REPLACE", newer),
        "studies": ("INSERT OR REPLACE", newer),
    }
    tables = {table.name: table for table in TABLES.values()}
    for name, (verb, condition) in verbs.items():
        columns = tables[name].column_list
        rows = f"SELECT {columns} FROM incoming.{name} WHERE {condition}"
        cursor.execute(f"{verb} INTO store.{name} ({columns}) {rows}")
