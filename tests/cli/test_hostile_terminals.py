"""Terminals, pipes and disks that take no output, encodings that lack characters, texts that mean to be commands.

Each is tried with real processes.
"""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from blindspot.storage import records as rec
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import StoreError
from blindspot.storage.store.store import Store
from support.processes import WarmPython
from support.runs import Table

START = datetime(2026, 1, 2, 3, 4, 5)
EVIL = "\x1b]0;gotcha\x07 \x9b31m \x08\x08 \u202etfel\u202c \u2067left\u2069 naïve “text” \N{SNOWMAN} \U0001f600"
BLINDSPOT = (sys.executable, "-c", "import sys; from blindspot.cli.main import main; sys.exit(main())")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published results of a run that failed with a provider's words, with hypotheses of odd texts."""
    folder = tmp_path_factory.mktemp("hostile") / "ws"
    run = rec.Run(
        "run-1", "run", "failed", {"run": {"rounds": 1}}, 0, "openai:m", "dat-1", 0.65, {}, START,
        finished_at=START, stop_reason=f"TeacherError: {EVIL}", original_model_id="mdl-0",
    )  # fmt: skip
    uu = rec.Uu(
        "uu-1", "run-1", 1, "mdl-0", "natural", None, "smp-1", None, {"text": EVIL}, f"pos{EVIL}", "neg", 0.97, True
    )
    hypothesis = rec.Hypothesis(
        "hyp-1", "run-1", 1, "uu-1", "abstraction", None, EVIL, "so", f"openai:{EVIL}", None, START
    )
    samples = [rec.Sample(f"smp-{i}", "dat-1", "validation", i, {"text": f"{EVIL} {i}"}, "pos") for i in range(20_000)]
    with Store.open(folder) as store:
        store.add(
            [
                run,
                rec.Round("run-1", 1, "mdl-0", START, "mdl-1", True, f"took the new model: {EVIL}; {EVIL * 9}", START),
                rec.ModelVersion("mdl-0", "run-1", 0, None, "original", "/w/mdl-0", 1, 0, {}, None, 1.0, START),
                replace(samples[0], sample_id="smp-1"),
                *samples[2:],
                uu,
                hypothesis,
                replace(hypothesis, hypothesis_id="hyp-2", teacher="rules", text="short"),
                rec.TeacherCall(
                    "call-1", "run-1", 1, "abstract", "uu-1", "k", f"openai:{EVIL}", "?", "h", "!", "m", 10, 5, 0.25,
                    1.0, 1, False, None, START,
                ),
            ]
        )  # fmt: skip
        store.publish()
    return folder


def call(
    workspace: Path, *command: str, shell: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command, with what a shell does to its output, e.g. "| head -1"; its exit code is that of blindspot."""
    script = f'set -o pipefail; "$@" {shell}'
    return subprocess.run(
        ["bash", "-c", f"{script}; exit ${{PIPESTATUS[0]}}", "bash", *BLINDSPOT, *command],
        cwd=workspace.parent,
        env={**os.environ, "BLINDSPOT_WORKSPACE": str(workspace), **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )


PRINTING = [
    ("status",),
    ("status", "--json"),
    ("runs",),
    ("hypotheses",),
    ("query", "FROM samples"),
    ("query", "-f", "csv", "FROM samples"),
    ("query", "-f", "json", "FROM samples"),
]


@pytest.mark.parametrize("shell", ["| head -1", "| true", ">&-", ">&- 2>&-"])
def test_output_that_nobody_reads_ends_a_command_quietly(workspace: Path, shell: str) -> None:
    for command in (("query", "-f", "csv", "FROM samples"), ("hypotheses",), ("status", "--json")):
        done = call(workspace, *command, shell=shell)
        assert (done.returncode, done.stderr) == (0, b""), command


def test_an_answer_that_is_not_complete_is_told_of(workspace: Path) -> None:
    for command in (("query", "-f", "csv", "FROM samples"), ("hypotheses",)):
        done = call(workspace, *command, shell=">/dev/full")
        (line,) = done.stderr.decode().splitlines()
        assert (done.returncode, line) == (
            2,
            "blindspot: standard output cannot be written (No space left on device): what was printed is not complete",
        )


def test_a_query_that_nobody_reads_is_not_answered_to_its_end(workspace: Path) -> None:
    began = time.monotonic()
    call(workspace, "query", "-f", "csv", "FROM samples", shell="| head -1")
    unread = time.monotonic() - began
    endless = "SELECT a.sample_id, b.sample_id AS other FROM samples a, samples b"  # 400 million rows
    began = time.monotonic()
    done = call(workspace, "query", "-f", "csv", endless, shell="| head -1")
    assert done.returncode == 0, done
    assert time.monotonic() - began < unread + 60


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
)
def test_a_standard_output_that_is_not_utf8_takes_every_answer(workspace: Path, env: dict[str, str]) -> None:
    for command in PRINTING:
        done = call(workspace, *command, env=env)
        assert (done.returncode, done.stderr) == (0, b""), (command, done.stderr)
        if "json" in command or "--json" in command:
            assert EVIL.split("\x08")[-1] in json.dumps(json.loads(done.stdout), ensure_ascii=False)


def test_csv_and_json_hold_texts_to_the_letter(workspace: Path) -> None:
    question = "SELECT text FROM hypotheses WHERE hypothesis_id = 'hyp-1'"
    as_csv = call(workspace, "query", "-f", "csv", question).stdout.decode()
    assert list(csv.reader(io.StringIO(as_csv)))[1] == [EVIL]
    assert json.loads(call(workspace, "query", "-f", "json", question).stdout) == [{"text": EVIL}]


def test_redirected_output_has_no_blanks_at_the_ends_of_lines(workspace: Path) -> None:
    for command in (("status",), ("runs",), ("hypotheses",), ("query", "FROM hypotheses"), ("query", "--list")):
        out = call(workspace, *command).stdout.decode()
        assert out.strip()
        assert [line for line in out.splitlines() if line != line.rstrip()] == [], command


OWN = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")  # what rich moves the cursor and colours with


@pytest.mark.parametrize("command", PRINTING)
def test_no_text_reaches_a_terminal_as_a_command(workspace: Path, command: tuple[str, ...]) -> None:
    short = tuple(part.replace("FROM samples", "FROM hypotheses") for part in command)
    host, terminal = pty.openpty()
    process = subprocess.Popen(
        [*BLINDSPOT, *short], cwd=workspace.parent, stdin=terminal, stdout=terminal, stderr=terminal,
        env={**os.environ, "BLINDSPOT_WORKSPACE": str(workspace), "TERM": "xterm", "COLUMNS": "200"},
    )  # fmt: skip
    os.close(terminal)
    shown = read_all(host)
    assert process.wait(timeout=60) == 0
    text = OWN.sub(b"", shown).decode()
    assert text.strip()
    assert re.findall(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text) == []
    assert b"\x1b]" not in shown


def read_all(descriptor: int) -> bytes:
    """Read what a process writes to its terminal until it ends."""
    parts = []
    try:
        while part := os.read(descriptor, 65536):
            parts.append(part)
    except OSError:  # Linux's way to say that nobody holds the terminal any more
        pass
    os.close(descriptor)
    return b"".join(parts)


def run_file(small_run: Table, folder: Path) -> Table:
    """Write the settings of a short run. Returns: they."""
    settings = {**small_run, "run": {**small_run["run"], "workspace": str(folder / "ws")}}
    (folder / "settings.json").write_text(json.dumps(settings))
    return settings


RUN = """
import json, sys
from blindspot.cli.main import main
from blindspot.storage.settings import file
table = json.load(open("settings.json"))
file.read_settings = lambda path: table
sys.argv = ["blindspot", "run", "settings.json"]
SETUP
sys.exit(main())
"""
FULL = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1); os.dup2(1, 2)"
CLOSED = "import os; os.close(1); os.close(2); sys.stdout = sys.stderr = None"
GONE = "import os; gone, end = os.pipe(); os.close(gone); os.dup2(end, 1); os.dup2(end, 2); os.close(end)"


@pytest.mark.parametrize("setup", [FULL, CLOSED, GONE])
def test_a_run_ends_as_it_would_where_nothing_can_be_shown(
    setup: str, small_run: Table, tmp_path: Path, warm_python: WarmPython
) -> None:
    run_file(small_run, tmp_path)
    ended = warm_python.run("-c", RUN.replace("SETUP", setup), folder=tmp_path)
    assert ended.code == 0, ended
    with Results.open(tmp_path / "ws") as results:
        assert results.query("SELECT status FROM runs")[1] == [("finished",)]


def status_of(folder: Path) -> str | None:
    """The state of the only run, if it has begun."""
    try:
        with Results.open(folder) as results:
            rows = results.query("SELECT status FROM runs")[1]
    except StoreError:
        return None
    return rows[0][0] if rows else None


def test_a_terminal_that_is_closed_stops_a_run_in_an_orderly_way(
    small_run: Table, tmp_path: Path, warm_python: WarmPython
) -> None:
    run_file(small_run, tmp_path)
    pid = warm_python.start("-c", RUN.replace("SETUP", ""), folder=tmp_path)
    until = time.monotonic() + 60
    while status_of(tmp_path / "ws") is None and time.monotonic() < until:
        time.sleep(0.05)
    for _ in range(3):  # the shell and the system each send one
        os.kill(pid, signal.SIGHUP)
        time.sleep(0.4)
        if status_of(tmp_path / "ws") == "stopped":
            break
    ended = warm_python.wait(pid)
    assert (ended.code, status_of(tmp_path / "ws")) == (130, "stopped"), ended


def test_a_run_under_nohup_goes_on(small_run: Table, tmp_path: Path, warm_python: WarmPython) -> None:
    run_file(small_run, tmp_path)
    nohup = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    pid = warm_python.start("-c", RUN.replace("SETUP", nohup), folder=tmp_path)
    until = time.monotonic() + 60
    while status_of(tmp_path / "ws") is None and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(pid, signal.SIGHUP)
    ended = warm_python.wait(pid)
    assert (ended.code, status_of(tmp_path / "ws")) == (0, "finished"), ended
