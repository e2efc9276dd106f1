"""The terminal: consoles for results and for progress, text made safe to print, paths as they are typed."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import select
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar, cast

import typer

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from rich.console import Console, ConsoleOptions, RenderableType

    from blindspot.storage.analysts.results import Results


GONE = (errno.EPIPE, errno.EIO, errno.EBADF)  # nobody reads any more: no reader of the pipe, no terminal, closed

Row = TypeVar("Row")

_raw: dict[int, DroppingFile] = {}  # the process's own streams, by file descriptor, once they are opened

DEFAULT_WORKSPACE = Path("blindspot-workspace")
WORKSPACE_VARIABLE = "BLINDSPOT_WORKSPACE"
UNCROPPED = 100_000  # columns of an output that is not a terminal: whoever reads it crops for themselves

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", envvar=WORKSPACE_VARIABLE, help="The folder that holds the runs.")
]
FileWorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace", "-w", envvar=WORKSPACE_VARIABLE, help="The folder that holds the runs; overrides run.workspace."
    ),
]
SettingsArgument = Annotated[
    Path, typer.Argument(metavar="MITIGATION.toml", help="The settings file; `blindspot init` writes one.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print only JSON on standard output.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only the result and errors.")]

# What a data set or a language model wrote must not move the cursor, set the terminal's title or turn the order of
# letters around (embeddings, overrides and isolates: the marks that letters of Arabic or Hebrew need stay).
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PADDING = re.compile(r" +(?=\n)")


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


def visible(text: str) -> str:
    """Show control characters, of which escape sequences are made, and bidi controls as a replacement character."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


class UnpaddedFile:
    """A file that takes what rich draws for people, without the blanks that fill its lines up."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.encoding = file.encoding

    def write(self, text: str) -> int:
        return self._file.write(PADDING.sub("", text))

    def flush(self) -> None:
        self._file.flush()

    def isatty(self) -> bool:
        return self._file.isatty()


class VisibleFile(UnpaddedFile):
    """A file on a terminal, where control characters are shown as replacement characters."""

    def write(self, text: str) -> int:
        return self._file.write(visible(text))


def result_console() -> Console:
    """Standard output: what was asked for. Text is printed as it is, `[brackets]` too."""
    width = None if sys.stdout.isatty() else UNCROPPED
    return new_console(sys.stdout, width)


def progress_console() -> Console:
    """Standard error: progress and notes."""
    return new_console(sys.stderr, None)


def new_console(file: TextIO, width: int | None) -> Console:
    """Make a console that prints text as it is, up to control characters, which it shows as replacement characters."""
    from rich.console import Console
    from rich.segment import Segment

    class SafeConsole(Console):
        """All that it prints passes `render`: no text can move the cursor or set the terminal's title."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                is_safe = segment.control or not CONTROL.search(segment.text)
                yield segment if is_safe else Segment(visible(segment.text), segment.style)

    to = file if file.isatty() else cast("TextIO", UnpaddedFile(file))
    # In the kernel of a notebook, too, it prints to its file.
    return SafeConsole(file=to, width=width, markup=False, highlight=False, emoji=False, force_jupyter=False)


def terminal_safe() -> TextIO:
    """Standard output for CSV and JSON: exactly what is written, but for control characters on a terminal."""
    return cast("TextIO", VisibleFile(sys.stdout)) if sys.stdout.isatty() else sys.stdout


def print_json(value: object) -> None:
    """Print JSON on standard output; an encoding other than UTF-8 gets it in ASCII."""
    file = terminal_safe()
    file.write(f"{json.dumps(value, ensure_ascii=not takes_unicode(file), indent=2)}\n")


def takes_unicode(file: TextIO) -> bool:
    """Whether a file takes every character as it is."""
    return (file.encoding or "utf-8").lower().startswith("utf")


def print_run(
    folder: Path,
    run_id: str,
    read: Callable[[Results, str], dict[str, Any]],
    show: Callable[[Console, dict[str, Any]], None],
    *,
    as_json: bool,
) -> None:
    """Read what a run found from the published results, and print it as JSON or for people."""
    from blindspot.storage.analysts.results import Results

    with Results.open(folder) as results:
        contents = read(results, run_id)
    if as_json:
        print_json(contents)
    else:
        show(result_console(), contents)


def workspace_option(folder: Path) -> str:
    """The option that names a workspace, as it is typed: " -w FOLDER", or nothing for the default one."""
    folder, here = folder.resolve(), Path.cwd()
    if folder == (here / DEFAULT_WORKSPACE).resolve():
        return ""
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    return f" -w {shlex.quote(str(shown))}"
