"""Standard output and error that a command can always write to: what cannot be written is dropped."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

GONE = (errno.EPIPE, errno.EIO, errno.EBADF)  # nobody reads any more: no reader of the pipe, no terminal, closed

Row = TypeVar("Row")

_raw: dict[int, DroppingFile] = {}  # the process's own streams, by file descriptor, once they are opened


class DroppingFile(io.FileIO):
    """A file that takes everything. The first failure is kept; from then on, what is written is dropped.

    It stands below the buffers, so that no flush can fail either, not even the one at the end of the process.
    """

    failure: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        left = memoryview(data).cast("B")
        size = left.nbytes
        while left and self.failure is None:
            try:
                written = super().write(left)
            except OSError as error:
                self.failure = error
                break
            if written is None:  # somebody made the pipe non-blocking, and it is full
                select.select([], [self], [])
            left = left[written or 0 :]
        return size


def open_streams() -> None:
    """Put streams that cannot fail in place of the process's own.

    What an encoding lacks is escaped. A descriptor that was closed leads to nowhere: else the next file that is opened,
    a database perhaps, would get its number and whatever a library prints.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stdout is None or (sys.stdout is sys.__stdout__ and 1 not in _raw):
        sys.stdout = open_stream(1, sys.stdout)
    if sys.stderr is None or (sys.stderr is sys.__stderr__ and 2 not in _raw):
        sys.stderr = open_stream(2, sys.stderr)


def open_stream(descriptor: int, before: io.TextIOWrapper | None) -> io.TextIOWrapper:
    """Open a descriptor as text with the encoding and the buffering that the stream had before."""
    raw = _raw[descriptor] = DroppingFile(descriptor, "w", closefd=False)
    if before is None:  # it was closed
        return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace")
    before.flush()
    return io.TextIOWrapper(
        raw if before.write_through else io.BufferedWriter(raw),  # python -u buffers nothing
        encoding=before.encoding,
        errors="backslashreplace",
        line_buffering=before.line_buffering,
        write_through=before.write_through,
    )


def output_failure() -> OSError | None:
    """What keeps standard output from being written, if anything does."""
    return _raw[1].failure if 1 in _raw else None


def unread_failure() -> str | None:
    """Why the output of a command is not complete, though somebody waits for it: a full disk, for example."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    failure = output_failure()
    return None if failure is None or failure.errno in GONE else str(failure.strerror or failure)


def while_read(rows: Iterable[Row]) -> Iterator[Row]:
    """Pass rows on until standard output cannot be written any more, e.g. in `blindspot query … | head`."""
    for row in rows:
        if output_failure() is not None:
            return
        yield row
