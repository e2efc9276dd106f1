"""Taking runs out of a store: what would go, and the rows themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from blindspot.storage.database import transaction
from blindspot.storage.errors import StoreError
from blindspot.storage.records import ModelVersion, Run, TeacherCall
from blindspot.storage.store.store import Store
from blindspot.storage.transfer.ownership import OWN, belonging, count_rows, select_runs
from blindspot.storage.workspace import PARTIAL, size_of

ORPHANS = """
DELETE FROM samples WHERE dataset_id IN (FROM left_datasets) AND dataset_id NOT IN (SELECT dataset_id FROM runs)
AND sample_id NOT IN (
    SELECT sample_id FROM attacks UNION SELECT sample_id FROM uus
    UNION SELECT subject_id FROM predictions WHERE subject_kind = 'sample'
    UNION SELECT source_id FROM synthetic_samples WHERE source_id IS NOT NULL
);
DELETE FROM datasets WHERE dataset_id IN (FROM left_datasets) AND dataset_id NOT IN (SELECT dataset_id FROM runs)
AND dataset_id NOT IN (SELECT dataset_id FROM samples);
DELETE FROM study_figures WHERE study_id IN (FROM left_studies)
AND study_id NOT IN (SELECT study_id FROM runs WHERE study_id IS NOT NULL);
DELETE FROM studies WHERE study_id IN (FROM left_studies)
AND study_id NOT IN (SELECT study_id FROM runs WHERE study_id IS NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Deletion:
    """What goes with runs that are deleted."""

    runs: tuple[Run, ...]
    rows: int
    folders: tuple[Path, ...]  # of weights
    weights_bytes: int
    answers: int  # bought from teachers, and found again by later runs so far


def plan_deletion(store: Store, run_ids: Sequence[str]) -> Deletion:
    """See what would go with runs.

    Raises: StoreError, when one is not there, or has a model version that another run repairs.
    """
    runs = {run.run_id: run for run in store.rows(Run)}
    for run_id in run_ids:
        if run_id not in runs:
            store.publish()  # a deletion that was killed may have left it in the results
            raise StoreError(f"{store.workspace.folder}: no run {run_id}; there are: {', '.join(runs) or 'none'}")
    for run in runs.values():
        if run.origin_id in run_ids and run.run_id not in run_ids:
            needing = [each.run_id for each in runs.values() if each.origin_id == run.origin_id]
            others = ", ".join(name for name in needing if name not in run_ids)
            raise StoreError(
                f"{run.origin_id} trained the model version that {others} repaired; delete them along with it"
            )
    versions = store.rows(ModelVersion)
    kept = {store.workspace.weights(version.folder) for version in versions if version.run_id not in run_ids}
    gone = {store.workspace.weights(version.folder) for version in versions if version.run_id in run_ids}
    folders = tuple(sorted(folder for folder in gone - kept if folder and any(map(Path.is_dir, with_partial(folder)))))
    calls = [call for run_id in run_ids for call in store.rows(TeacherCall, run_id=run_id, error=None, cleared=False)]
    with store.session() as cursor:
        select_runs(cursor, run_ids)
        rows = sum(count_rows(cursor, belonging(table)) for table in OWN)
    return Deletion(
        runs=tuple(runs[run_id] for run_id in dict.fromkeys(run_ids)),
        rows=rows,
        folders=folders,
        weights_bytes=sum(size_of(path) for folder in folders for path in with_partial(folder)),
        answers=sum(not call.cache_hit and call.reply is not None for call in calls),
    )


def with_partial(folder: Path) -> tuple[Path, Path]:
    """A folder of weights, and what it is called while it is removed: a kill may have left it so."""
    return folder, folder.with_name(f"{folder.name}{PARTIAL}")


def delete_rows(store: Store, run_ids: Sequence[str]) -> None:
    """Delete the rows of runs in one transaction, and of what they shared what no other run needs."""
    with store.session() as cursor:
        select_runs(cursor, run_ids)
        for name, key in (("left_datasets", "dataset_id"), ("left_studies", "study_id")):
            left = f"SELECT DISTINCT {key} FROM runs WHERE run_id IN (FROM chosen) AND {key} IS NOT NULL"
            cursor.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {left}")
        with transaction(cursor):
            delete_own(cursor)
            cursor.execute(ORPHANS)


def delete_own(cursor: duckdb.DuckDBPyConnection) -> None:
    """Delete the chosen runs' own rows, and what other runs' model versions were asked about their texts."""
    cursor.execute(
        "DELETE FROM predictions WHERE subject_id IN (SELECT attack_id FROM attacks WHERE run_id IN (FROM chosen) "
        "UNION SELECT synthetic_id FROM synthetic_samples WHERE run_id IN (FROM chosen))"
    )
    for table in sorted(OWN, key=lambda table: table.name != "predictions"):  # they are found by their model versions
        cursor.execute(f"DELETE {belonging(table)}")
