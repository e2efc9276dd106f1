"""Runs that are killed, stopped, starved and robbed: nothing is lost, nothing is listed twice.

A run that is killed and resumed is compared, table by table and file by file, with one that was left alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from blindspot.graphs.kinds.mitigation import WITHOUT_PROGRAMS
from blindspot.storage.analysts.results import Results
from support.processes import KILLED_RUNS, WarmPython
from support.runs import Table
from support.workspaces import TIMES

TOLD = -1
KILLED = -9


class Place:
    """A folder in which a run is started, and gone on with, in processes of their own."""

    def __init__(self, warm: Any, table: dict[str, dict[str, Any]], folder: Path) -> None:
        self.warm, self.folder, self.workspace = warm, folder, folder / "ws"
        (folder / "settings.json").write_text(json.dumps(table))

    def start(self, *moment: object) -> int:
        """Start the run or go on with it, with something that befalls it at a moment, if any. Returns: the process."""
        return int(self.warm.start(KILLED_RUNS, "settings.json", json.dumps(moment or None), folder=self.folder))

    def run(self, *moment: object) -> Any:
        """The same until the process ends."""
        return self.warm.wait(self.start(*moment))

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        with Results.open(self.workspace) as results:
            return results.query(sql)[1]

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables, up to times and latencies."""
        found = {}
        with Results.open(self.workspace) as results:
            for (name,) in results.query("SELECT table_name FROM duckdb_tables()")[1]:
                rows = results.query(f"SELECT COLUMNS(lambda name: name NOT IN {TIMES}) FROM {name}")[1]
                found[name] = sorted((tuple(map(untimed, row)) for row in rows), key=repr)
        return found

    def files(self) -> dict[str, str]:
        """The files of the workspace; of weights, their contents."""
        paths = [path for path in self.workspace.rglob("*") if path.is_file() and ".sqlite-" not in path.name]
        return {
            str(path.relative_to(self.workspace)): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.suffix == ".safetensors"
            else ""
            for path in paths
        }


def untimed(value: Any) -> Any:
    """A value without the seconds that it tells of."""
    return re.sub(r" \(\d+\.\d s\)$", "", value) if isinstance(value, str) else value


@pytest.fixture(scope="module")
def whole(warm_python: WarmPython, small_run: Table, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run that nobody disturbed."""
    place = Place(warm_python, small_run, tmp_path_factory.mktemp("whole"))
    ended = place.run()
    assert ended.code == 0, ended.err
    return place


@pytest.fixture
def place(warm_python: WarmPython, small_run: Table, tmp_path: Path) -> Place:
    return Place(warm_python, small_run, tmp_path)


def check_same(place: Place, whole: Place) -> None:
    """See that a run has ended as one that nobody disturbed."""
    found, wanted = place.tables(), whole.tables()
    for name in wanted:
        assert found[name] == wanted[name], name
    assert found.keys() == wanted.keys()
    assert place.files() == whole.files()


def test_a_run_killed_as_each_phase_begins_and_as_it_has_told_its_result_ends_as_one_that_was_not(
    place: Place, whole: Place
) -> None:
    for phase in WITHOUT_PROGRAMS:
        for done in (0, TOLD):
            assert place.run(phase, done).code == KILLED, (phase, done)
    assert place.run().code == 0
    check_same(place, whole)


def test_a_run_killed_at_random_points_around_its_writes_ends_as_one_that_was_not(place: Place, whole: Place) -> None:
    draw, kills = random.Random(6), 0
    while (ended := place.run("point", draw.randint(5, 70))).code == KILLED:
        kills += 1
    assert ended.code == 0, ended.err
    assert kills >= 10
    check_same(place, whole)


def test_a_run_killed_at_random_moments_of_its_time_ends_as_one_that_was_not(place: Place, whole: Place) -> None:
    draw, kills = random.Random(6), 0
    while (ended := place.run("cpu", draw.uniform(0.1, 0.6 + 0.1 * kills))).code == KILLED:
        kills += 1  # ever later: what cannot be cut in two, as a training, takes longer on some machines
    assert ended.code == 0, ended.err
    assert kills >= 3
    check_same(place, whole)


FULL = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (20_000, r.RLIM_INFINITY))"
READ_ONLY = "import os; os.chmod('ws', 0o500)"
TERMINATED = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
DELETED = "import os; os.unlink('ws/store.duckdb')"
MOVED = "import os; os.rename('ws/store.duckdb', 'elsewhere.duckdb')"
CUT = "import os; os.truncate('ws/store.duckdb', 9000)"
RESUME = "go on with `blindspot resume small-1 -w ws`"

MISHAPS = [
    ("attack", 0, FULL, "File too large; "),
    ("attack", 0, DELETED, "store.duckdb was deleted while it was in use; its rows are in results.duckdb: resume "),
    ("attack", 1, TERMINATED, "stopped; what is done is kept: "),
    ("teach", 1, READ_ONLY, "Permission denied"),
    ("teach", 1, MOVED, "store.duckdb was moved away while it was in use; its rows are in results.duckdb"),
    ("teach", 1, TERMINATED, "stopped; what is done is kept: "),
    ("filter", 0, CUT, "was cut short while it was in use; the rows published last are in results.duckdb"),
    ("retrain", 3, FULL, "File too large"),
    ("retrain", 3, READ_ONLY, "Permission denied"),
    ("retrain", 3, TERMINATED, "stopped; what is done is kept: "),
    ("close_round", TOLD, READ_ONLY, "Permission denied"),
]


@pytest.mark.parametrize(("phase", "done", "mishap", "said"), MISHAPS)
def test_a_run_says_of_a_mishap_in_one_line_and_goes_on_once_it_is_mended(
    place: Place, whole: Place, phase: str, done: int, mishap: str, said: str
) -> None:
    ended = place.run(phase, done, mishap)
    assert ended.code == (130 if mishap == TERMINATED else 2), ended
    *heard, told = ended.err.splitlines()
    assert len(heard) == (mishap == TERMINATED), ended
    assert said in told
    assert RESUME in told
    place.workspace.chmod(0o700)
    assert place.run().code == 0
    for path in place.workspace.glob("*.damaged"):
        path.unlink()
    check_same(place, whole)


def test_without_its_checkpoints_a_run_goes_on_from_its_rows(place: Place, whole: Place) -> None:
    assert place.run("filter", TOLD).code == KILLED
    for path in place.workspace.glob("checkpoints.sqlite*"):
        path.unlink()
    assert place.run().code == 0
    check_same(place, whole)


def test_a_second_run_is_told_who_is_at_work_and_a_dead_ones_lock_does_not_count(place: Place, whole: Place) -> None:
    first = place.start("attack", 1, "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)")
    while STOPPED not in Path(f"/proc/{first}/status").read_text():
        time.sleep(0.01)
    second = place.run()
    assert (second.code, second.err.count("\n")) == (2, 1)
    assert f"store.duckdb is in use by process {first}; wait until it ends" in second.err
    assert place.read("SELECT status FROM runs") == [("running",)]
    os.kill(first, signal.SIGKILL)
    assert place.warm.wait(first).code == KILLED
    assert place.run().code == 0
    check_same(place, whole)


STOPPED = "State:\tT"
CLOCK_BACK = """
import time
from datetime import timedelta
from blindspot.storage import clock
real, wall = clock.datetime, time.time

class Earlier(real):
    @classmethod
    def now(cls, tz=None):
        return real.now(tz) - timedelta(days=400)

clock.datetime, time.time = Earlier, lambda: wall() - 400 * 86400
"""


def test_a_clock_that_is_set_back_changes_no_row_and_no_order(place: Place, whole: Place) -> None:
    assert place.run("select", 0, CLOCK_BACK).code == 0
    check_same(place, whole)
    phases = "SELECT phase FROM events WHERE level = 'info' ORDER BY happened_at"
    assert place.read(phases) == whole.read(phases)
    assert place.read("SELECT finished_at > started_at FROM runs") == [(True,)]
