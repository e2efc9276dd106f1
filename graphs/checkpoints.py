"""Where the state machine's place in a run is kept, and letting go of it once nobody goes on from there."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blindspot.storage.errors import StoreError
from blindspot.storage.ids import make_id
from blindspot.storage.records import Run

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    from langgraph.graph.state import CompiledStateGraph

    from blindspot.graphs.context import State

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)  # the last: lacks a table or a column

WAY_OUT = (
    "move it away, or replace it by an intact copy: without it, a run goes on from its rows, unless a teacher chooses "
    "its steps"
)


def thread_of(run: Run) -> str:
    """Name the thread of checkpoints that is a run's.

    The run's name alone could be that of a run whose store was moved away, and whose checkpoints were not.
    """
    return make_id("thread", run.run_id, run.started_at)


@asynccontextmanager
async def open_checkpoints(path: Path) -> AsyncIterator[AsyncSqliteSaver]:
    """Open a file of checkpoints, made for its owner only if it is not there.

    Raises: StoreError, also in place of what goes wrong with the file in the block.
    """
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    make_ready(path)
    try:
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
            yield saver
    except sqlite3.Error as error:
        raise unusable(path, error) from error


def make_ready(path: Path) -> None:
    """Check that a file of checkpoints can be read and written; SQLite says of all that hinders it "unable to open".

    Raises: StoreError.
    """
    try:
        if not path.exists():
            path.touch(mode=0o600)
    except OSError as error:
        raise StoreError(f"{path}: cannot be created ({error.strerror}); fix that and start again") from None
    if not path.is_file():
        raise StoreError(f"{path} is not a regular file; {WAY_OUT}")
    if not os.access(path, os.R_OK | os.W_OK):
        raise StoreError(f"{path}: no permission to read and write it; change that (chmod u+rw) and start again")


def unusable(path: Path, error: sqlite3.Error) -> StoreError:
    """Say in one line what is wrong with a file of checkpoints, and what to do."""
    code = getattr(error, "sqlite_errorcode", None)  # none where Python, not SQLite, is at fault
    if code is None or code & 0xFF in DAMAGED:  # above these bits is where in SQLite it was noticed
        return damaged_error(path, str(error))
    return StoreError(f"{path}: {error}; fix that (space, permissions) and start again: what was committed is kept")


def damaged_error(path: Path, reason: str) -> StoreError:
    return StoreError(f"{path} is damaged ({reason}); {WAY_OUT}")


async def is_known(
    graph: CompiledStateGraph[Any, Any, Any, Any], config: RunnableConfig, start: State, path: Path
) -> bool:
    """Whether a run has a checkpoint; one that is there is read whole, so that the graph can go on from it.

    Args:
        graph: compiled with a saver of the file.
        config: which thread it is.
        start: the state that the run began with.
        path: the file.
    Raises: StoreError, when what the file holds is no checkpoint of the run.
    """
    run_id = start["run_id"]
    try:
        snapshot = await graph.aget_state(config)
    except sqlite3.Error:
        raise
    except Exception as error:  # any, by what the bytes happen to be: LangGraph reads them without a check
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise damaged_error(path, f"the checkpoint of {run_id} cannot be read, {reason}") from error
    if snapshot.created_at is None:
        return False
    values = snapshot.values  # none before the first step
    if values and not (start.keys() <= values.keys() and values["run_id"] == run_id):
        raise damaged_error(path, f"the checkpoint of {run_id} belongs to another run or is incomplete")
    return True


def forget(path: Path, threads: Collection[str]) -> None:
    """Remove threads, as far as they are there.

    Args:
        path: the file of checkpoints, which need not be there.
    Raises: StoreError, when it cannot be written.
    """
    if not threads or not path.exists():
        return
    from langgraph.checkpoint.sqlite import SqliteSaver

    try:
        with SqliteSaver.from_conn_string(str(path)) as saver:
            for thread in threads:
                saver.delete_thread(thread)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}; fix that (space, permissions) and start again") from error


def forget_all_but(path: Path, threads: Collection[str]) -> None:
    """Remove every thread but those named, and give the space back to the disk.

    Raises: StoreError, when the file cannot be written.
    """
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'checkpoints'").fetchone():
                known = {thread for (thread,) in connection.execute("SELECT DISTINCT thread_id FROM checkpoints")}
                forget(path, known - set(threads))
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}; fix that (space, permissions) and start again") from error
