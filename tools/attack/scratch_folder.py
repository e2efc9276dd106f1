"""A folder for one process in the temporary directory, which the next process removes where this one is killed.

A process locks a file in its folder. The system lets go of the lock when the process is gone, however it ends, also in
another container: no id is compared that a later process may bear. Folders without that file are somebody else's.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "blindspot-"
LOCK = "in-use.lock"


class ScratchFolder:
    """A folder that is there until `close`, or until the process ends; whoever is forked shares it."""

    def __init__(self) -> None:
        remove_abandoned()
        self._folder = tempfile.TemporaryDirectory(prefix=PREFIX)
        self.path = Path(self._folder.name)
        making = self.path / "lock.new"
        self._lock = os.open(making, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        making.rename(self.path / LOCK)  # locked before anybody can find it

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()
        os.close(self._lock)


def remove_abandoned() -> None:
    """Remove the folders of this user's processes that are gone; what cannot be removed stays."""
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX):
                with suppress(OSError):
                    remove_if_abandoned(entry)


def remove_if_abandoned(entry: os.DirEntry[str]) -> None:
    """Remove one folder, unless its process lives, or it is no such folder of this user's.

    Raises: OSError, where it is none, or its process lives.
    """
    if not entry.is_dir(follow_symlinks=False) or entry.stat(follow_symlinks=False).st_uid != os.getuid():
        return
    lock = os.open(Path(entry) / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for inner in Path(entry).iterdir():
            if inner.name == LOCK:
                continue
            if inner.is_dir() and not inner.is_symlink():
                shutil.rmtree(inner)
            else:
                inner.unlink()
        (Path(entry) / LOCK).unlink()  # last: a folder that is half removed is found again
        Path(entry).rmdir()
    finally:
        os.close(lock)
