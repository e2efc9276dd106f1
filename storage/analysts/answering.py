"""The process in which queries are answered (see `session`): it has no way to the workspace, and can write no file.

It has the results open under a name that is gone. DuckDB lets a query at the file that it has open, and at the log
beside it, even where all others are closed to it; here neither can be found.
"""

from __future__ import annotations

import os
import pickle
import resource
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any

from blindspot.storage.analysts.answer import Answer
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import StoreError

BESIDE_MB = 1000  # for Python, and for what DuckDB does not count
STACK_MB = 16  # of a thread


def main() -> None:
    """Answer what is asked, until the process that asks is gone."""
    number, memory_mb, folder = sys.argv[1:]
    channel = Connection(int(number))
    Thread(target=end_with_parent, daemon=True).start()
    try:
        results = Results.open_private(Path(folder), memory_mb=int(memory_mb))
        confine(memory_mb=int(memory_mb))
        send(channel, "ready", None)
    except StoreError as error:
        send(channel, "error", str(error))
        return
    with suppress(EOFError, OSError):
        answer_all(results, channel)


def answer_all(results: Results, channel: Connection) -> None:
    """Answer one request after the other. Raises: EOFError, when there are no more."""
    request = channel.recv()
    while True:
        kind, *rest = request
        assert kind == "ask", kind
        try:
            with results.ask(*rest) as answer:
                send(channel, "columns", answer.columns)
                request = channel.recv()
                if request[0] == "ask":  # the answer is not wanted
                    continue
                for part in parts_of(answer, request[0]):
                    send(channel, "part", part)
            send(channel, "end", None)
        except StoreError as error:
            send(channel, "error", str(error))
        except (EOFError, OSError):
            raise
        except Exception:  # told to the process that asked, which raises it
            send(channel, "bug", traceback.format_exc())
        request = channel.recv()


def parts_of(answer: Answer, form: str) -> Iterator[Any]:
    """The parts of an answer as they are sent: lists of rows, or streams of Arrow, of which the first has no rows."""
    if form == "rows":
        yield from answer.batches()
        return
    import pyarrow as pa

    schema, batches = answer.arrow()
    for batch in chain([None], batches):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as stream:
            if batch is not None:
                stream.write_batch(batch)
        yield sink.getvalue().to_pybytes()


def send(channel: Connection, kind: str, content: object) -> None:
    """Send a message."""
    channel.send_bytes(pickle.dumps((kind, content), protocol=pickle.HIGHEST_PROTOCOL))


def confine(*, memory_mb: int) -> None:
    """Take from this process what an answer does not need: to write files, and more memory than its limit."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    beside = BESIDE_MB + STACK_MB * (os.cpu_count() or 1)
    most = (memory_mb + beside) * 10**6
    with suppress(ValueError, OSError):  # not where a lower limit is set already
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def end_with_parent() -> None:
    """Wait until nobody holds the other end of standard input, then end, in the middle of a computation too."""
    while os.read(0, 1):
        pass
    os._exit(0)
