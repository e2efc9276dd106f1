"""How well is a provider asked? Against our own server on loopback, in a process of its own, by real SDKs.

One line a figure. The rate: 1,000 questions at once, of 2 s each, at 500 requests and 60,000 tokens a minute, which
the server enforces in strictly sliding windows; the share is the least time in which any client could have got them
through these and what else the settings allow (a second's requests, those in flight), over the time it took. The
faults: one request in five meets one of eight. The kills: a process that asks is killed by SIGKILL three times, and
resumed on its store.
"""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

from parts.teacher_figures import ASKING, SEED, ask_until_killed, faults, kills, rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer calls among the faults and kills")
    parser.add_argument("--only", default="", help='figures of this part: "rate", "faults", "kills"')
    parser.add_argument(ASKING, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS"):
        os.environ.pop(name, None)
    os.environ |= {"OPENAI_API_KEY": "none", "ANTHROPIC_API_KEY": "none", "NO_PROXY": "127.0.0.1"}
    if options.asking:
        folder, url, count = options.asking
        ask_until_killed(Path(folder), url, int(count))
    if options.only in "rate":
        rate(1000)
    if options.only in "faults":
        faults(250 if options.quick else 1000)
    if options.only in "kills":
        kills(200 if options.quick else 1000)
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; seed {SEED}")


if __name__ == "__main__":
    main()
