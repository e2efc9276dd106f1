"""Where the state machine's place in a run is kept, and letting go of it once nobody goes on from there."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from blindspot.storage.errors import StoreError
from blindspot.storage.records import Run, make_id

if TYPE_CHECKING:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver


def thread_of(run: Run) -> str:
    """Name the thread of checkpoints that is a run's.

    The run's name alone could be that of a run whose store was moved away, and whose checkpoints were not.
    """
    return make_id("thread", run.run_id, run.started_at)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[AsyncSqliteSaver]:
    """Open a file of checkpoints, made for its owner only if it is not there.

    Raises: StoreError, also in the place of what goes wrong with the file in the block.
    """
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    with suppress(OSError):  # SQLite says so too
        path.touch(mode=0o600)
    try:
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
            yield saver
    except sqlite3.Error as error:
        raise StoreError(
            f"{path}: {error}; mend that (space, permissions), or move the file away where it is damaged: a run whose "
            "steps no teacher chooses goes on from its rows alone"
        ) from error


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
        raise StoreError(f"{path}: {error}; mend that (space, permissions) and start again") from error


def forget_all_but(path: Path, threads: Collection[str]) -> None:
    """Remove every thread but those named, and give the space back to the disk.

    Raises: StoreError, when the file cannot be written.
    """
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'checkpoints'").fetchone():
                found = {thread for (thread,) in connection.execute("SELECT DISTINCT thread_id FROM checkpoints")}
                forget(path, found - set(threads))
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}; mend that (space, permissions) and start again") from error
