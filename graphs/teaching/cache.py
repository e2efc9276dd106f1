"""Taking answers out of the cache of a workspace; their rows stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from blindspot.storage.errors import StoreError
from blindspot.storage.records import Run, TeacherCall
from blindspot.storage.store.store import Store
from blindspot.storage.workspace import Workspace


def clear_cache(folder: Path, teacher: str | None) -> tuple[int, int]:
    """Have answers not be found again by later runs.

    Args:
        teacher: whose, as a spec; None: everybody's.
    Returns: how many questions lost their answers, and how many keep theirs, since a run that can be resumed would buy
        them twice.
    Raises: StoreError, when there is no store, or a run is on.
    """
    if not Workspace(folder).store.exists():
        raise StoreError(f"{folder}: has no store.duckdb, so there is no cache to clear")
    of_teacher = {"teacher": teacher} if teacher else {}
    with Store.open(folder) as store:
        unfinished = {run.run_id for run in store.rows(Run) if run.status != "finished"}
        calls = store.rows(TeacherCall, error=None, cleared=False, **of_teacher)
        kept = {(call.teacher, call.cache_key) for call in calls if call.run_id in unfinished}
        cleared = [call for call in calls if (call.teacher, call.cache_key) not in kept]
        store.put_many([replace(call, cleared=True) for call in cleared])
        store.publish()
    return len({(call.teacher, call.cache_key) for call in cleared}), len(kept)
