"""How blindspot talks to DuckDB: connections, transactions, and the one mapping of its errors."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from blindspot.storage.errors import StoreError

# Nothing is fetched over the network, and a mistyped table never turns out to be a Python variable. Each column takes
# a block at least: by DuckDB's own 256 KiB a store of a hundred rows has 8 MB, by these 2, at the same speed. A file
# keeps the size of blocks that it was made with.
CONFIG: Mapping[str, bool | int] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "default_block_size": 64 * 2**10,  # bytes
}

DISK_ERRORS = (
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.SerializationException,
    duckdb.FatalException,
    OSError,
)


def connect(
    path: Path,
    *,
    read_only: bool = False,
    config: Mapping[str, bool | str] | None = None,
    called: Path | None = None,
) -> duckdb.DuckDBPyConnection:
    """Open a database file.

    Args:
        called: how errors call the file; None: by its path.
    Raises: StoreError, when it is in use, is not a database or cannot be read.
    """
    with disk_errors(called or path):
        return duckdb.connect(str(path), read_only=read_only, config={**CONFIG, **(config or {})})


@contextmanager
def private_name(path: Path) -> Iterator[Path]:
    """Give a database file that is only read another name for as long as it is being opened; none lies beside it.

    Raises: OSError.
    """
    with TemporaryDirectory(prefix="blindspot-query-") as private:
        opened = Path(private).resolve() / path.name
        try:
            os.link(path.resolve(), opened)  # published files are replaced, never written in their place
        except OSError:  # on another disk
            shutil.copyfile(path, opened)
        yield opened


@contextmanager
def without_log(path: Path) -> Iterator[Path]:
    """Give the name by which to open a database file that is only read, so that no write-ahead log beside it is.

    DuckDB would add its rows, or fail where it does not fit; through symbolic links, too.

    Raises: OSError.
    """
    if not os.path.lexists(path.with_name(f"{path.name}.wal")):
        yield path
        return
    with private_name(path) as opened:
        yield opened


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the block did, or undo all of it."""
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException:
        # A failed commit has rolled back by itself; committing after a failed statement would lose rows in silence.
        with suppress(duckdb.TransactionException):
            connection.rollback()
        raise


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the machine did to a database file into a StoreError; a mistake in SQL stays what it is."""
    try:
        yield
    except DISK_ERRORS as error:
        raise StoreError(explain(path, str(error))) from error
    except duckdb.TransactionException as error:
        if "Failed to commit" not in str(error):
            raise
        raise StoreError(explain(path, str(error))) from error
    except duckdb.Error as error:
        if type(error) is not duckdb.Error:  # what has no class of its own is about the file
            raise
        raise StoreError(explain(path, str(error))) from error


def explain(path: Path, message: str) -> str:
    """Say in one line what is wrong with a database file, and what to do."""
    _, _, first = message.rpartition("Original error: ")  # of a connection that an earlier error has broken
    reason = first.strip('"').partition("\n")[0]
    if "Conflicting lock" in reason:
        holder = re.search(r"PID (\d+)", reason)
        who = f"process {holder[1]}" if holder else "another process"
        return f"{path} is in use by {who}; wait until it ends, stop it, or choose another workspace"
    if "Corrupt database file" in reason:
        return f"{path} is damaged ({reason}); move it away: a new store then starts from the rows published last"
    if "not a valid DuckDB database" in reason:
        return f"{path} is not a DuckDB database; move it away or choose another workspace"
    return f"{path}: {reason}; fix that (space, permissions, memory) and start again: what was committed is kept"


def literal(text: object) -> str:
    """Quote a text for the statements that take no parameters (ATTACH, COMMENT ON)."""
    return "'" + str(text).replace("'", "''") + "'"
