"""What a file seems to be that is not what its name says, and how to show what it holds on one line."""

from __future__ import annotations

import csv
import stat
from collections.abc import Sequence
from pathlib import Path

from blindspot.storage.errors import DataError

MAX_BYTES = 2 * 2**30  # of one file, unpacked: as Python objects it takes several times as much memory
MAX_SHOWN = 80  # characters of a name from a file
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
MAGIC = {
    b"\x1f\x8b": "is compressed with gzip; unpack it",
    b"PK\x03\x04": "is a zip archive or a spreadsheet; unpack it, or export it as CSV",
    b"\xff\xfe": "is UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "is UTF-16 text; save it as UTF-8",
    b"\xef\xbb\xbf\xef\xbb\xbf": "begins with two byte order marks; save it as UTF-8 with one or none",
    b"PAR1": "is a Parquet file; let its name end in .parquet",
    b"version https://git-lfs": "is a pointer of Git LFS; fetch the file itself with `git lfs pull`",
}


def check_regular(path: Path) -> None:
    """Refuse what is no file of a size that can be read.

    Raises: DataError. OSError, where it cannot be looked at.
    """
    try:
        state = path.stat()
    except ValueError:  # a NUL, or half a surrogate pair
        raise DataError(f"{plain(str(path))}: no file can have this name") from None
    if stat.S_ISDIR(state.st_mode):
        raise DataError(f"{path}: is a folder; name a file")
    if not stat.S_ISREG(state.st_mode):
        raise DataError(f"{path}: is not a regular file; save its content to a file first, because it is read twice")
    check_size(path, state.st_size)


def check_size(path: Path, size: int) -> None:
    """Refuse a file that takes, or unpacks to, more bytes than can be read. Raises: DataError."""
    if size > MAX_BYTES:
        limit = f"{MAX_BYTES / 2**30:g} GiB"
        raise DataError(f"{path}: holds more than {limit} of data, unpacked; keep fewer rows or shorter texts")


def check_magic(path: Path, data: bytes) -> None:
    """Refuse a text file that begins as another kind of file does. Raises: DataError."""
    for start, what in MAGIC.items():
        if data.startswith(start):
            raise DataError(f"{path}: it {what}")


def check_separator(path: Path, text: str, wanted: Sequence[str]) -> None:
    """Refuse a CSV whose header holds the wanted columns only if it is split otherwise than by commas.

    Raises: DataError.
    """
    header = text[: text.find("\n") + 1 or len(text)]
    for separator, name in SEPARATORS.items():
        cells = next(csv.reader([header.strip("\r\n")], delimiter=separator), [])
        if len(cells) > 1 and set(wanted) <= set(cells):
            raise DataError(f"{path}, line 1: its cells seem to be separated by {name}; save the file with commas")


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; a name that no folder can have names none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; a name that none can have names none."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def plain(text: str, limit: int = MAX_SHOWN) -> str:
    """A text from a file as it can stand in a message: on one line, printable and not long."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)
