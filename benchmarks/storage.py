"""How fast is the store, how small, and who gets in whose way? On a store of 1,000,000 predictions and 100,000 attacks.

One line a figure. The rows are made up and added as a run adds them, by `Store.add`; a publish is the whole of
`Store.publish`, after changes; queries are asked of the published copy, all views and all ready queries, all rows of
all runs. Checkpoints are those of a run of the real graph with 2,000 UUs. Readers: 20 processes that ask, at a fixed
rate, a run's results while it runs; what they cost it is given in wall clock, where on few cores it holds the cores
that they take, and in the run's own CPU time.
"""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
from parts.store_figures import inserts, publishes, queries
from parts.store_rows import SEED, Size
from parts.store_runs import READING, RUNNING, UUS, checkpoints, read_until_told, readers, run_when_told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer runs, in which fewer UUs are taught")
    parser.add_argument("--only", default="", help='figures of this part: "rows", "checkpoints", "readers"')
    parser.add_argument(RUNNING, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument(READING, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.running:
        run_when_told(Path(options.running[0]), int(options.running[1]))
        return
    if options.reading:
        read_until_told(Path(options.reading[0]), int(options.reading[1]))
        return
    if options.only in "rows":
        with TemporaryDirectory() as folder:
            inserts(Path(folder), Size())
            publishes(Path(folder), Size())
            queries(Path(folder))
    if options.only in "checkpoints":
        checkpoints(UUS // 20 if options.quick else UUS)
    if options.only in "readers":
        readers(1 if options.quick else 5, UUS // 20)
    place = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end"
    print(f"machine: {place}, Python {platform.python_version()}, DuckDB {duckdb.__version__}; seed {SEED}")


if __name__ == "__main__":
    main()
