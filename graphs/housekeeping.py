"""Keeping a workspace small: deleting runs, and giving the space of what is gone back to the disk."""

from __future__ import annotations

import re
from pathlib import Path

from blindspot.graphs.checkpoints import forget, forget_all_but, thread_of
from blindspot.storage.errors import StoreError
from blindspot.storage.records import ModelVersion, Run
from blindspot.storage.store.store import Store
from blindspot.storage.store.vacuum import rewrite
from blindspot.storage.transfer.delete import Deletion, delete_rows
from blindspot.storage.workspace import PARTIAL, Workspace, size_of

OURS = re.compile(rf"mod-[0-9a-f]{{16}}|.*{re.escape(PARTIAL)}")  # folders that runs make; others are somebody else's


def delete_runs(store: Store, deletion: Deletion) -> None:
    """Delete runs: their checkpoints, their weights, and last their rows, which tell of the others; then publish.

    Killed at any moment, it can be repeated.

    Raises: StoreError, when the disk fails.
    """
    forget(store.workspace.checkpoints, [thread_of(run) for run in deletion.runs])
    for folder in deletion.folders:
        store.workspace.remove_weights(folder)
    delete_rows(store, [run.run_id for run in deletion.runs])
    store.publish()


def vacuum(folder: Path) -> dict[str, tuple[int, int]]:
    """Make the files of a workspace as small as what they hold.

    Checkpoints of runs that are finished or gone are removed, and weights that no row tells of, which killed processes
    have left.

    Returns: file or folder -> bytes before and after.
    Raises: StoreError, when there is no store, a run is on, or the disk fails.
    """
    workspace = Workspace(folder)
    if not workspace.store.exists():
        raise StoreError(f"{folder}: has no store.duckdb, so there is nothing to vacuum")
    paths = (workspace.store, workspace.results, workspace.checkpoints, workspace.models)
    before = [size_of(path) for path in paths]
    with Store.open(folder) as store:
        threads = [thread_of(run) for run in store.rows(Run) if run.status != "finished"]
        forget_all_but(workspace.checkpoints, threads)
        named = {workspace.weights(version.folder) for version in store.rows(ModelVersion)}
        for path in sorted(workspace.models.iterdir()) if workspace.models.is_dir() else ():
            if path not in named and OURS.fullmatch(path.name):
                workspace.remove_weights(path)
    rewrite(workspace)
    return {path.name: (size, size_of(path)) for path, size in zip(paths, before, strict=True)}
