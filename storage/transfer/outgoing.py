"""Runs as Parquet: every row that belongs to them, one file a table, with a manifest and, if wanted, the weights."""

from __future__ import annotations

import shutil
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import duckdb

from blindspot.storage.clock import now
from blindspot.storage.database import connect, disk_errors, literal, without_log
from blindspot.storage.errors import StoreError
from blindspot.storage.records import ModelVersion
from blindspot.storage.schema.migrations import MIGRATIONS
from blindspot.storage.schema.tables import TABLES
from blindspot.storage.transfer.manifest import MODELS, NAME, Manifest, TableFile, sha256_of
from blindspot.storage.transfer.ownership import belonging, select_runs
from blindspot.storage.workspace import Workspace


def export_runs(workspace: Workspace, wanted: str | None, folder: Path, *, models: bool) -> Manifest:
    """Write runs as they are published, which a run that is on does not notice.

    A run that repairs the model version of another takes that one along.

    Args:
        wanted: a run, or a study for all its runs; None: the newest run.
        folder: is there, and empty.
        models: the weights of their model versions too, as far as they are in the workspace.
    Raises: StoreError, when there is no such run, an older or newer blindspot has published it, or the disk fails.
    """
    if not workspace.results.is_file():
        raise StoreError(f"{workspace.results}: no such file; nothing is published in this workspace yet")
    # A connection of its own, in memory: the published file cannot be written, whatever is asked of it.
    with closing(connect(Path(":memory:"))) as cursor, disk_errors(workspace.results):
        with without_log(workspace.results) as opened:
            cursor.execute(f"ATTACH {literal(opened)} AS store (READ_ONLY)")
        check_version(cursor, workspace)
        run_ids = find_runs(cursor, wanted, workspace)
        select_runs(cursor, run_ids)
        tables = {}
        for table in TABLES.values():
            path = folder / f"{table.name}.parquet"
            rows = f"SELECT {table.column_list} {belonging(table)} ORDER BY {table.key_list}"
            copy = f"COPY ({rows}) TO {literal(path)} (FORMAT parquet, COMPRESSION zstd)"
            ((written,),) = cursor.execute(copy).fetchall()
            tables[table.name] = TableFile(rows=written, sha256=sha256_of(path))
        sources = weights_of(cursor, workspace) if models else []
    manifest = Manifest(
        blindspot=version("blindspot"),
        schema_version=len(MIGRATIONS),
        exported_at=now(),
        runs=tuple(run_ids),
        tables=tables,
        models={source.name: copy_weights(source, folder / MODELS / source.name) for source in sources},
    )
    (folder / NAME).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def check_version(cursor: duckdb.DuckDBPyConnection, workspace: Workspace) -> None:
    """Check that the published tables are of this blindspot's shape.

    Raises: StoreError.
    """
    ((version,),) = cursor.execute("SELECT max(number) FROM store._migrations").fetchall()
    if version > len(MIGRATIONS):
        raise StoreError(f"{workspace.results} was published by a newer blindspot; upgrade this one")
    if version < len(MIGRATIONS):
        raise StoreError(
            f"{workspace.results} was published by an older blindspot: `blindspot vacuum -w {workspace.folder}` brings "
            "it up to date"
        )


def find_runs(cursor: duckdb.DuckDBPyConnection, wanted: str | None, workspace: Workspace) -> list[str]:
    """Find the runs that are meant, and those whose model version they repair, the oldest first.

    Raises: StoreError, when there are none.
    """
    rows = cursor.execute("SELECT run_id, study_id, origin_id FROM store.runs ORDER BY started_at, run_id").fetchall()
    names = [run_id for run_id, _, _ in rows]
    newest = names[-1] if names else None
    asked = {run_id for run_id, _, _ in rows if run_id == (wanted or newest)}
    asked = asked or {run_id for run_id, study_id, _ in rows if study_id == wanted and wanted}
    if not asked:
        studies = sorted({study_id for _, study_id, _ in rows if study_id})
        known = ", ".join(names) + (f"; studies: {', '.join(studies)}" if studies else "")
        raise StoreError(f"{workspace.results}: no run or study {wanted or 'yet'}; there are: {known or 'none'}")
    asked |= {origin for run_id, _, origin in rows if run_id in asked and origin}
    return [name for name in names if name in asked]


def weights_of(cursor: duckdb.DuckDBPyConnection, workspace: Workspace) -> list[Path]:
    """The folders of the chosen runs' weights that are in the workspace; others were brought along or are gone."""
    rows = cursor.execute(f"SELECT DISTINCT folder {belonging(TABLES[ModelVersion])} ORDER BY ALL").fetchall()
    folders = [workspace.weights(folder) for (folder,) in rows]
    return [path for path in folders if path and path.is_dir()]


def copy_weights(source: Path, target: Path) -> dict[str, str]:
    """Copy a folder of weights. Returns: each file's path in it -> its SHA-256."""
    with disk_errors(source):
        shutil.copytree(source, target, copy_function=shutil.copyfile)  # for the owner alone, by the umask
        files = sorted(path for path in target.rglob("*") if path.is_file())
        return {path.relative_to(target).as_posix(): sha256_of(path) for path in files}
