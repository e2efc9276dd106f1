"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from blindspot.storage.errors import StoreError


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader, or a kill, never sees half of it.

    Raises: StoreError, when the disk fails.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}): fix this, then go on") from None
