"""Answers to queries from outside, by a process that can be ended: the one door for a terminal, a server or a tool.

A single call of a function may compute for minutes without looking whether it was interrupted, and a statement may turn
out to do more than it seems. So queries run in a process of their own, which has no way to the workspace (see
`answering`), a limit of memory, and is killed when its time is over.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from blindspot.storage.errors import Cancelled, StoreError

if TYPE_CHECKING:
    import pyarrow

Params = Sequence[object] | Mapping[str, object]
"""Values for each `?` or `$1`, or for each `$name`; names that the query does not have are left out."""

STARTING_S = 60.0  # until the results are open; a machine under load takes its time
MOST_MEMORY_MB = 4000
MOST_BYTES = 2**31  # of one message
PROCESS = f"from {__package__}.answering import main; main()"

VALUES = frozenset(  # what an answer may hold beside numbers, texts, lists and the like
    {
        ("datetime", "date"), ("datetime", "datetime"), ("datetime", "time"), ("datetime", "timedelta"),
        ("datetime", "timezone"), ("decimal", "Decimal"), ("pytz", "_UTC"), ("pytz", "_p"), ("uuid", "SafeUUID"),
        ("uuid", "UUID"),
    }
)  # fmt: skip


class QuerySession:
    """Answers queries about the results of a workspace, one at a time, as they are when its process starts.

    Args:
        folder: the workspace.
        memory_mb: how much memory a query may take; None: half of the machine's, 4 GB at most.
    """

    def __init__(self, folder: Path, *, memory_mb: int | None = None) -> None:
        self.folder = folder
        self._memory_mb = memory_mb or min(MOST_MEMORY_MB, memory_of_machine_mb() // 2)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Connection | None = None

    @classmethod
    def open(cls, folder: Path, *, memory_mb: int | None = None) -> Self:
        """Start the process; whether there are results is known when it is asked."""
        session = cls(folder, memory_mb=memory_mb)
        session._start()
        return session

    def ask(self, sql: str, params: Params = (), *, timeout_s: float = math.inf) -> SessionAnswer:
        """Begin to answer one statement that reads (SELECT, WITH, FROM, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN).

        Args:
            timeout_s: how long the database may work on it, while it is read too; the process's start does not count.
        Returns: the answer, to be read before the next one is asked for.
        Raises: StoreError, when it is not answered (in time, within its memory). Cancelled, on Ctrl-C.
        """
        self._start()
        return SessionAnswer(self, sql, params, timeout_s)

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None and self._channel is not None and self._process.stdin is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._channel.close()
        self._process = self._channel = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        if self._process is not None:
            return
        self._channel, theirs = Pipe()
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-P", "-c", PROCESS, str(number), str(self._memory_mb), str(self.folder)]
            # Its standard input stays open as long as this process lives: nothing is left behind by a kill. In a
            # session of its own Ctrl-C does not reach it.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=(number,),
                start_new_session=True,
            )
        self._ready = False

    def _send(self, *request: object) -> None:
        if self._channel is None:
            raise StoreError("the answer was closed before its end; ask again")
        try:
            self._channel.send(request)
        except OSError:
            raise StoreError(self._ended()) from None

    def _await_ready(self) -> None:
        """Wait until the results are open.

        Raises: StoreError, when there are none, or they cannot be read.
        """
        if not self._ready:
            self._receive(STARTING_S, f"the process that answers queries did not start within {STARTING_S:g} s")
            self._ready = True

    def _receive(self, within_s: float, too_late: str) -> tuple[str, Any]:
        """Wait for the next message of the process: what it is, and what it holds."""
        if self._channel is None:
            raise StoreError("the answer was closed before its end; ask again")
        try:
            if not self._channel.poll(None if within_s == math.inf else max(0.0, within_s)):
                self.close()
                raise StoreError(too_late)
            kind, content = load(self._channel.recv_bytes(MOST_BYTES))
        except KeyboardInterrupt:
            self.close()
            raise Cancelled("the query was stopped") from None
        except (EOFError, OSError):
            raise StoreError(self._ended()) from None
        if kind == "error":
            raise StoreError(content)
        if kind == "bug":
            self.close()
            raise RuntimeError(content)
        return kind, content

    def _ended(self) -> str:
        """Say why there is no process any more."""
        code = self._process.wait() if self._process is not None else 0
        self.close()
        why = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return (
            f"the process that answers queries ended {why}, perhaps for lack of memory "
            f"(its limit is {self._memory_mb:,} MB); select fewer rows or columns"
        )


class SessionAnswer:
    """The answer to one query, to be read once: as rows or as Arrow. See `QuerySession.ask`."""

    def __init__(self, session: QuerySession, sql: str, params: Params, timeout_s: float) -> None:
        self._session = session
        self._left_s = timeout_s
        self._too_late = (
            f"the query was stopped after {timeout_s:g} s; select less, or allow it more time with --timeout"
        )
        session._await_ready()
        session._send("ask", sql, dict(params) if isinstance(params, Mapping) else list(params))
        self.columns: list[str] = self._next()[1]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows; JSON as text, arrays as lists."""
        for rows in self._messages("rows"):
            yield from rows

    def arrow(self) -> tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]:
        """The rows with their types; JSON as text."""
        import pyarrow as pa

        messages = self._messages("arrow")
        schema = pa.ipc.open_stream(next(messages)).schema
        return schema, (batch for message in messages for batch in pa.ipc.open_stream(message))

    def _messages(self, form: Literal["rows", "arrow"]) -> Iterator[Any]:
        """The parts of the answer; where they are not read to the end, the process is ended."""
        self._session._send(form)
        whole = False
        try:
            while True:
                try:
                    kind, content = self._next()
                except StoreError:
                    whole = True
                    raise
                if kind == "end":
                    whole = True
                    return
                yield content
        finally:
            if not whole:
                self._session.close()

    def _next(self) -> tuple[str, Any]:
        began = time.monotonic()
        try:
            return self._session._receive(self._left_s, self._too_late)
        finally:
            self._left_s -= time.monotonic() - began


class Values(pickle.Unpickler):
    """Reads the values of an answer and nothing else: what ran a query is not believed."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in VALUES:
            raise pickle.UnpicklingError(f"{module}.{name} is not a value of an answer")
        return super().find_class(module, name)


def load(message: bytes) -> tuple[str, Any]:
    """Read a message of the process."""
    kind, content = Values(io.BytesIO(message)).load()
    return kind, content


def memory_of_machine_mb() -> int:
    """How much memory the machine has, in MB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 10**6
