"""Python in processes of their own, without the price of imports, and runs that are killed in them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parent
KILLED_RUNS = SCRIPTS / "killed_runs.py"
WARM_PYTHON = SCRIPTS / "warm_python.py"


@dataclass(frozen=True)
class Ended:
    """How a process ended, below 0 by a signal, what it wrote, and the CPU time that it used."""

    code: int
    out: str
    err: str
    cpu_s: float


@dataclass
class WarmPython:
    """Runs Python in processes of their own that need not import anything; see warm_python.py."""

    server: subprocess.Popen[str]
    folder: Path  # for what the processes write
    files: dict[int, tuple[Path, Path]] = field(default_factory=dict)

    def start(self, *run: object, folder: Path, env: Mapping[str, str] | None = None) -> int:
        """Start a script with its arguments, or "-c" and code, in a folder. Returns: the process's id."""
        place = self.folder / str(len(self.files))
        out, err = place.with_suffix(".out"), place.with_suffix(".err")
        asked = {"run": [str(part) for part in run], "folder": str(folder), "out": str(out), "err": str(err)}
        pid = int(self._ask(asked | {"env": {**os.environ, **(env or {})}})["pid"])
        self.files[pid] = out, err
        return pid

    def wait(self, pid: int) -> Ended:
        """Wait until a process has ended."""
        ended = self._ask({"wait": pid})
        out, err = (path.read_text() for path in self.files[pid])
        return Ended(ended["code"], out, err, ended["cpu_s"])

    def run(self, *run: object, folder: Path, env: Mapping[str, str] | None = None) -> Ended:
        """Start a process and wait until it has ended."""
        return self.wait(self.start(*run, folder=folder, env=env))

    def kill_run(self, settings: Mapping[str, Any], folder: Path, *moments: object, kind: str = "mitigation") -> None:
        """Start a run, and kill it at each of the moments; see killed_runs.py. It is left to be resumed."""
        file = folder / "killed.json"
        file.write_text(json.dumps(settings))
        for moment in moments:
            ended = self.run(KILLED_RUNS, file, json.dumps(moment), kind, folder=folder)
            assert ended.code == -signal.SIGKILL, f"not killed at {moment}: {ended}"

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(f"{json.dumps(request)}\n")
        self.server.stdin.flush()
        return dict(json.loads(self.server.stdout.readline()))
