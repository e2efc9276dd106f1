"""Starts a run and kills it with SIGKILL at each given moment, resuming it in between.

    python killed_runs.py SETTINGS.json WORKSPACE MOMENTS.json [KIND]

A script of its own, since a process that has used torch cannot be forked: this one only imports it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import blindspot.tools.retrain
import blindspot.tools.similarity  # noqa: F401, heavy imports once, before the forks
from blindspot.graphs.run import resume_run, start_run
from blindspot.graphs.state import Progress
from blindspot.storage.settings import check_settings
from blindspot.tools.attack_resources import prepare_textattack


def run_until_killed(
    settings: dict[str, dict[str, object]], workspace: Path, phase: str, items: int, kind: str
) -> None:
    """Start or resume the run, and die when a phase has done so many items; -1: when it has told its result."""

    def show(progress: Progress) -> None:
        if progress.phase == phase and bool(progress.message) == (items < 0) and progress.done >= items:
            os.kill(os.getpid(), signal.SIGKILL)

    if (workspace / "store.duckdb").exists():
        resume_run(workspace, None, show=show, cancelled=lambda: False)
    else:
        start_run(check_settings(settings, where="killed run"), show=show, cancelled=lambda: False, kind=kind)


def main() -> None:
    prepare_textattack()
    settings, workspace, moments, *kind = sys.argv[1:]
    for phase, items in json.loads(Path(moments).read_text()):
        child = os.fork()
        if child == 0:
            table = json.loads(Path(settings).read_text())
            run_until_killed(table, Path(workspace), phase, items, kind[0] if kind else "mitigation")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            sys.exit(f"was not killed in {phase} after {items} items: status {status}")


main()
