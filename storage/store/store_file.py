"""The file under an open store: what it holds as bytes, and whether it is still the file that was opened."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import BinaryIO

from blindspot.storage.errors import StoreError
from blindspot.storage.workspace import Workspace, size_of

FileState = tuple[int, int, int, int]
"""Which file it is, its size in bytes, and when it was last written to: another one after every change."""

CHUNK = 8 * 2**20  # bytes copied at once
GONE = ("was deleted", "was moved away")  # damage that leaves the bytes as they are
CUT = "was cut short"


class StoreFile:
    """A second way to the bytes of a database that this process has open.

    The locks of a process on a file go when it closes *any* descriptor of it. So there is one descriptor, it is held
    as long as the database is open, and `close` comes after the database's own.
    """

    def __init__(self, path: Path) -> None:
        """Raises: OSError."""
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        self._size = 0  # the least that it may be of, by what the database has left there

    def note(self, *, smaller: bool = False) -> None:
        """Take note of the file as the database has left it; smaller: it may have given bytes back."""
        size = os.fstat(self._descriptor).st_size
        self._size = size if smaller else max(self._size, size)

    def damage(self) -> str | None:
        """What somebody else has done to the file since the last note, in words; None: nothing."""
        here = os.fstat(self._descriptor)
        if here.st_nlink == 0:
            return GONE[0]
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return GONE[1]
        if not os.path.samestat(here, there):
            return "was replaced by another file"
        return CUT if here.st_size < self._size else None

    def copy_to(self, new: BinaryIO) -> None:
        """Copy the bytes. Raises: OSError."""
        start = 0
        while chunk := os.pread(self._descriptor, CHUNK, start):
            start += new.write(chunk)

    def close(self) -> None:
        """Release the file; the database must be closed."""
        os.close(self._descriptor)
        self._descriptor = -1


def state_of(path: Path) -> FileState | None:
    """The state of a file; None where there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def restore(workspace: Workspace) -> None:
    """Take the published copy in place of a store that is gone, or of which nothing is left.

    An empty store, published, would take the rows with it that only the copy has. What is left of a write-ahead log
    fits no other file; it is put aside.

    Raises: OSError.
    """
    if workspace.store.exists() and workspace.store.stat().st_size:
        return
    log = log_of(workspace)
    if log.exists():
        os.replace(log, damaged(log))
    if workspace.results.exists():
        new = workspace.store.with_name(f"{workspace.store.name}.new")
        with workspace.results.open("rb") as results, open_new(new) as copy:
            shutil.copyfileobj(results, copy)
        os.replace(new, workspace.store)


def check_room(workspace: Workspace) -> None:
    """Check that the disk has room for a copy of the store, before anything is begun that needs it.

    A checkpoint that a full disk cuts short ends the connection, and with it what the run is about to write.

    Raises: StoreError.
    """
    need = size_of(workspace.store) + 2 * size_of(log_of(workspace))  # what the log holds goes to the store, then on
    room = shutil.disk_usage(workspace.folder).free
    if room < need:
        raise StoreError(
            f"{workspace.results}: no room for a copy of the store, which takes {need / 1e6:.1f} MB, while "
            f"{room / 1e6:.1f} MB are free; free some space, then go on: what was committed is kept"
        )


def log_of(workspace: Workspace) -> Path:
    """The write-ahead log of the store."""
    return workspace.store.with_name(f"{workspace.store.name}.wal")


def damaged(path: Path) -> Path:
    """Where a file is put that is of no use any more, but may not be thrown away."""
    return path.with_name(f"{path.name}.damaged")


def open_new(path: Path) -> BinaryIO:
    """Make a file that its owner alone may read; what stands there, a link to elsewhere too, makes room for it.

    Raises: OSError, also where somebody is quicker to put something there.
    """
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def put_log_aside(workspace: Workspace) -> None:
    """Put a log aside that lies beside the results: a client opened them to write, and was killed.

    With the next results it would not fit, and nobody could read them; or it would add rows that no run has written.

    Raises: OSError.
    """
    log = workspace.results.with_name(f"{workspace.results.name}.wal")
    if os.path.lexists(log):
        os.replace(log, damaged(log))


def explain_damage(workspace: Workspace, damage: str) -> str:
    """Say in one line what happened to a store under a run, and what to do."""
    if damage not in (*GONE, CUT):
        return f"{workspace.store} {damage} while it was in use; move the new file away, or choose another workspace"
    kept = "its rows" if damage in GONE else "the rows published last"
    return f"{workspace.store} {damage} while it was in use; {kept} are in {workspace.results.name}: resume uses them"
