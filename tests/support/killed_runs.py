"""Carries a run out as the command line does, or goes on with it, and lets something befall it at a given moment.

    python killed_runs.py SETTINGS.json MOMENT [KIND]

A moment, as JSON, is
    ["teach", 3]        once a phase has done so many items; -1: once it has told its result
    ["teach", 3, CODE]  the same, with Python code to run there; without, the process is killed with SIGKILL
    ["point", 17]       at the 17th of the points around whatever reaches the disk: rows, copies, checkpoints, renames
    ["cpu", 0.7]        after so many seconds of CPU time, whatever is being done
    null                never

The workspace is the one of the settings, seen from the current folder.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from blindspot.api import RunEnd
from blindspot.cli import main
from blindspot.cli.commands.run import carry_out
from blindspot.cli.show.display import Show
from blindspot.graphs.context import Progress
from blindspot.graphs.running.run import resume_run, start_run
from blindspot.storage.errors import StoreError
from blindspot.storage.records import Run
from blindspot.storage.settings.sections import Settings, check_settings
from blindspot.storage.store import store
from blindspot.storage.store.store_file import StoreFile

WRITES = (
    (store, "insert"),  # between the tables of one transaction
    (store.Store, "add"),
    (store.Store, "put_many"),
    (StoreFile, "copy_to"),
    (AsyncSqliteSaver, "aput"),
    (AsyncSqliteSaver, "aput_writes"),
)
FILE, MOMENT = sys.argv[1:3]
KIND: Any = [*sys.argv[3:], "mitigation"][0]  # of run


def give_up_privileges() -> None:
    """Be stopped by permissions, as anybody but root is."""
    header, none = (ctypes.c_uint32 * 2)(0x20080522), (ctypes.c_uint32 * 6)()
    ctypes.CDLL(None).capset(header, none)


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def watch(last: int) -> None:
    """Count the points, and die at the last one."""
    left = iter(range(last - 1, -1, -1))

    def pass_by() -> None:
        if not next(left):
            die()

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def wrapped(*given: Any, **named: Any) -> Any:
            pass_by()
            result = call(*given, **named)
            pass_by()
            return result

        @functools.wraps(call)
        async def awaited(*given: Any, **named: Any) -> Any:
            pass_by()
            result = await call(*given, **named)
            pass_by()
            return result

        return awaited if inspect.iscoroutinefunction(call) else wrapped

    for owner, name in WRITES:
        setattr(owner, name, around(getattr(owner, name)))
    sys.addaudithook(lambda event, _: pass_by() if event == "os.rename" else None)


def deeds(code: str = "") -> Iterator[None]:
    """What befalls the run: once."""
    if code:
        exec(code, {})
    else:
        die()
    yield


def work(outer: Show, cancelled: Callable[[], bool]) -> RunEnd:
    """Start the run, or go on with it."""
    settings = check_settings(json.loads(Path(FILE).read_text()), where="killed run")
    return RunEnd(run_of(settings, outer, cancelled), Path(settings.run.workspace))


def run_of(settings: Settings, outer: Show, cancelled: Callable[[], bool]) -> Run:
    """Start the run, or go on with it. Returns: its row."""
    phase, count, *code = json.loads(MOMENT) or ("never", 0)
    deed = deeds(*code)
    if phase == "point":
        watch(count)
    elif phase == "cpu":
        signal.signal(signal.SIGPROF, die)
        signal.setitimer(signal.ITIMER_PROF, count)

    def show(progress: Progress) -> None:
        outer(progress)
        if progress.phase == phase and bool(progress.message) == (count < 0) and progress.done >= count:
            next(deed, None)

    folder = Path(settings.run.workspace)
    run = run_in(folder)
    if run is None:
        return start_run(settings, show=show, cancelled=cancelled, kind=KIND)
    try:
        return resume_run(folder, None, show=show, cancelled=cancelled)
    except StoreError:
        if run.status != "finished":
            raise
        return run  # what was left to do, publishing, is done now


def run_in(folder: Path) -> Run | None:
    """The run of a workspace; None where it has not begun: it may have been killed before that."""
    if not (folder / "store.duckdb").exists() and not (folder / "results.duckdb").exists():
        return None
    with store.Store.open(folder) as opened:
        return opened.one(Run)


@main.app.command("work")
def command() -> None:
    carry_out(work, Path(check_settings(json.loads(Path(FILE).read_text()), where="").run.workspace), quiet=True)


give_up_privileges()
sys.argv = ["blindspot", "work"]
sys.exit(main.main())
