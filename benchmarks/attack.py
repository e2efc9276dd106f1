"""How fast are attacks? The same samples, the same fine-tuned MiniLM, the same seeds: stock TextAttack, and ours.

One line a figure. A line of speed is a ratio over the same samples in the same run; stock is `textattack.Attack.attack`
around TextAttack's own wrapper, one sample after another. With --quick stock attacks a part of the samples: its time on
all of them is its time a query times the queries that it would ask, which are those of our search in full precision.
With few samples batches are small, and no ratio is given. On a machine with a GPU all of it runs there, and the names
end in _gpu. Reads ../shared/data and ../shared/assets; keeps fine-tuned models in ~/.cache/blindspot/benchmarks.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")  # as blindspot has it: before torch

import torch
from parts.figures import Bench, Line, machine, measure_memory, memory, speed, uus_per_query
from parts.rivals import TOGETHER
from parts.subjects import IMDB, MRPC, SHARED, SST2

from blindspot.tools.attack.resources import prepare_textattack

LINES = [
    Line("attack_mrpc_fp32", MRPC, "deepwordbug", "fp32", 100, TOGETHER, {"cpu": 14, "cuda": 20}),
    Line("attack_mrpc_fast", MRPC, "deepwordbug", "fast", 100, TOGETHER, {"cpu": 30, "cuda": 40}),
    Line("attack_sst2_textfooler_fp32", SST2, "textfooler", "fp32", 30, 30, {"cpu": 10}),
    Line("attack_imdb_fast", IMDB, "deepwordbug", "fast", 10, 10, {"cpu": 4, "cuda": 10}),
]
QUICK = {"attack_mrpc_fp32": TOGETHER, "attack_mrpc_fast": TOGETHER}  # samples; the others take longer
QUICK_STOCK = 8  # of them attacked by stock, one after another, each query as slow as any other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="two lines, few samples for stock, models trained for a minute"
    )
    parser.add_argument("--only", default="", help='figures whose names hold this, e.g. "mrpc_fast", "uus", "memory"')
    parser.add_argument("--samples", type=int, help="of each line, in place of its own number")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2, help="of torch on the CPU; default: 2")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not (SHARED / "data").exists():
        print(f"attack: not measured, {SHARED / 'data'} is not there")
        return
    os.environ.setdefault("TA_CACHE_DIR", str(SHARED / "assets" / "textattack_cache"))
    os.environ.setdefault("NLTK_DATA", str(SHARED / "assets" / "nltk_data"))
    torch.set_num_threads(options.threads)
    prepare_textattack()
    if options.memory:
        measure_memory(options.memory)
        return
    stock = QUICK_STOCK if options.quick else None
    bench = Bench(options.device, options.quick, repeats=3, stock_samples=stock)

    def is_wanted(name: str) -> bool:
        return options.only in name if options.only else not options.quick or name in QUICK

    for line in LINES:
        if not is_wanted(line.name):
            if options.quick and not options.only:
                bench.say(line.name, "too small to judge in 5 minutes, not measured with --quick")
            continue
        own = QUICK.get(line.name, 6) if options.quick else line.samples
        speed(bench, replace(line, samples=options.samples or own))
    for subject in (MRPC, SST2):
        if is_wanted(f"attack_{subject.name}_uus"):
            uus_per_query(bench, subject, options.samples or 100)
    if is_wanted("attack_memory"):
        memory(bench, 100, options.samples or 5_000)
    machine(bench)


if __name__ == "__main__":
    main()
