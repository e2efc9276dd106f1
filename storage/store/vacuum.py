"""Writing a store anew, as small as its rows are."""

from __future__ import annotations

import os
from contextlib import closing

from blindspot.storage.database import connect, disk_errors, literal
from blindspot.storage.store.store import Store
from blindspot.storage.workspace import Workspace


def rewrite(workspace: Workspace) -> None:
    """Write the store anew without the space of deleted rows, upgraded if it is old, and publish it.

    A kill leaves the old file or the new one. A lock is held at any moment: on the old file until the new one, locked
    as it was made, has taken its name.

    Raises: StoreError, when another process has it open, or the disk fails.
    """
    Store.open(workspace.folder).close()
    new = workspace.store.with_name("store.duckdb.new")
    with disk_errors(workspace.store), closing(connect(workspace.store)) as connection:
        for left in (new, new.with_name(f"{new.name}.wal")):  # of a process that was killed
            left.unlink(missing_ok=True)
        connection.execute(f"ATTACH {literal(new)} AS compact")
        new.chmod(0o600)
        connection.execute("COPY FROM DATABASE store TO compact")
        connection.execute("CHECKPOINT compact")
        connection.execute("CHECKPOINT store")  # the log beside it would be taken for the new file's
        os.replace(new, workspace.store)
        connection.execute("USE compact")
        connection.execute("DETACH store")
    with Store.open(workspace.folder) as store:
        store.publish()
