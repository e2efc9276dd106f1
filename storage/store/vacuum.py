"""Rewriting a store, as small as its rows are."""

from __future__ import annotations

import os
from contextlib import closing

from blindspot.storage.database import connect, disk_errors, literal
from blindspot.storage.store.store import Store
from blindspot.storage.workspace import Workspace


def rewrite(workspace: Workspace) -> None:
    """Rewrite the store without the space of deleted rows, upgraded if it is old, and publish it.

    A kill leaves the old file or the new one. A lock is held at any moment: on the old file until the new one, locked
    as it was made, has taken its name.

    Raises: StoreError, when another process has it open, or the disk fails.
    """
    Store.open(workspace.folder).close()
    store_file = workspace.store.resolve()  # a link stays one, and the file that it names is rewritten
    new = store_file.with_name(f"{store_file.name}.new")
    with disk_errors(workspace.store), closing(connect(workspace.store)) as connection:
        for left in (new, new.with_name(f"{new.name}.wal")):  # of a process that was killed
            left.unlink(missing_ok=True)
        ((old,),) = connection.execute("SELECT current_database()").fetchall()  # called as the file is
        connection.execute(f"ATTACH {literal(new)} AS compact")
        new.chmod(0o600)
        connection.execute(f'COPY FROM DATABASE "{old}" TO compact')
        connection.execute("CHECKPOINT compact")
        connection.execute(f'CHECKPOINT "{old}"')  # the log beside it would be taken for the new file's
        os.replace(new, store_file)
        connection.execute("USE compact")
        connection.execute(f'DETACH "{old}"')
    with Store.open(workspace.folder) as store:
        store.publish()
