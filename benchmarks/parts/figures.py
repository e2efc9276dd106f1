"""The figures of the attack benchmark: one function each, one printed line a number."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import torch
from parts.rivals import TOGETHER, Ours, Stock, agrees, attack_ours, attack_stock, plan_for
from parts.subjects import MRPC, SEED, Lengths, Subject

from blindspot.tools.attack.attacker import Models, attack_samples, oracle_of
from blindspot.tools.attack.plan import SampleLimits
from blindspot.tools.classifier.classifier import Classifier
from blindspot.tools.classifier.precision import CALIBRATION, fast_version
from blindspot.tools.uu import is_adversarial_uu

TAU = 0.65
SHARE_GOAL = 0.90  # of the raw forward rate


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison of speed with stock."""

    name: str
    subject: Subject
    recipe: str
    precision: str  # fp32 | fast
    samples: int
    enough: int  # samples from which on batches are as full as in long runs, so that a ratio says something
    goals: Mapping[str, int]  # device -> times as fast as stock


@dataclass(frozen=True, slots=True)
class Bench:
    """Where figures are taken."""

    device: str
    is_quick: bool
    repeats: int  # of ours; stock runs once
    stock_samples: int | None = None  # that stock attacks at most; None: all

    def say(self, name: str, value: str) -> None:
        print(f"{name}{'_gpu' if self.device == 'cuda' else ''}: {value}", flush=True)

    def classifier(self, subject: Subject) -> Classifier:
        return classifier_of(subject.quick() if self.is_quick else subject, self.device)


@cache
def classifier_of(subject: Subject, device: str) -> Classifier:
    return subject.classifier(device)


@cache
def fast_version_of(classifier: Classifier, subject: Subject) -> tuple[Classifier, float]:
    """Returns: (the classifier that a fast search asks, seconds it took to make)."""
    texts = subject.texts(subject.samples("train", CALIBRATION))
    began = time.perf_counter()
    return fast_version(classifier, texts), time.perf_counter() - began


@cache
def stock_of(classifier: Classifier, subject: Subject, recipe: str, count: int, few: int | None) -> Stock:
    """Stock's attacks on the first few of so many samples, run once for all lines that compare with them."""
    return attack_stock(classifier, subject.samples("test", count)[:few], recipe)


@cache
def queries_of_stock(classifier: Classifier, subject: Subject, recipe: str, count: int) -> int:
    """How many queries stock asks for so many samples: as many as a search of ours in full precision."""
    return attack_ours(classifier, None, subject.samples("test", count), plan_for(subject, recipe)).queries


def stock_seconds(stock: Stock, classifier: Classifier, line: Line) -> float:
    """Stock's time for all samples of a line, its own or worked out from its time a query."""
    if len(stock.results) == line.samples:
        return stock.seconds
    queries = queries_of_stock(classifier, line.subject, line.recipe, line.samples)
    return stock.seconds / stock.queries * queries


def speed(bench: Bench, line: Line) -> None:
    """Attack with both, and say how they compare."""
    classifier, plan = bench.classifier(line.subject), plan_for(line.subject, line.recipe)
    samples = line.subject.samples("test", line.samples)
    searched, made_s = fast_version_of(classifier, line.subject) if line.precision == "fast" else (classifier, 0.0)
    judge = classifier if searched is not classifier else None
    attack_ours(searched, judge, samples[:1], replace(plan, limits=SampleLimits(max_queries=20)))  # warm up
    ours = attack_ours(searched, judge, samples, plan, bench.repeats)
    stock = stock_of(classifier, line.subject, line.recipe, line.samples, bench.stock_samples)
    goal = f"goal {line.goals[bench.device]}, " if bench.device in line.goals else ""
    rate = ours.queries / ours.seconds
    if len(samples) < line.enough:
        bench.say(line.name, f"too small to judge ({goal}n {len(samples)} samples, a ratio needs {line.enough})")
    else:
        ratio = stock_seconds(stock, classifier, line) / ours.seconds
        by_stock = "" if len(stock.results) == len(samples) else f", {len(stock.results)} of them by stock"
        bench.say(line.name, f"{ratio:.1f} x ({goal}n {len(samples)} samples{by_stock})")
    bench.say(
        f"{line.name}_rate",
        f"{rate:.1f} queries/s, {ours.queries} queries "
        f"(stock {stock.queries / stock.seconds:.1f}, {stock.queries} queries)",
    )
    if len(samples) >= line.enough:
        raw = raw_rate(searched, ours, 1 if bench.is_quick else bench.repeats)
        bench.say(
            f"{line.name}_share_of_raw",
            f"{rate / raw:.2f} (goal {SHARE_GOAL:.2f}, the model alone: {raw:.1f} texts/s of {len(ours.asked)})",
        )
    if line.precision == "fast":
        bench.say(f"{line.name}_prepared", f"{made_s:.1f} s, once for a model")
        successes(bench, line, ours, stock)
    else:
        same = sum(agrees(ours.rows[sample_id], result) for sample_id, result in stock.results.items())
        bench.say(f"{line.name}_equal_to_stock", f"{same} of {len(stock.results)} samples")


def raw_rate(searched: Classifier, ours: Ours, repeats: int) -> float:
    """Texts per second of the model alone: the very texts that it was asked, in its own length-sorted batches."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        searched.predict(ours.asked)
        seconds.append(time.perf_counter() - began)
    return len(ours.asked) / median(seconds)


def successes(bench: Bench, line: Line, ours: Ours, stock: Stock) -> None:
    """Ask the classifier in full precision about each success of a fast search, apart from the search's own judge."""
    texts = [tuple(row.fields[name] for name in line.subject.fields) for row in ours.successes if row.fields]
    predicted = bench.classifier(line.subject).predict_labels(texts)[0]
    wrong = sum(label != row.label for label, row in zip(predicted, ours.successes, strict=True))
    bench.say(
        f"{line.name}_successes",
        f"{len(texts)} of {len(ours.rows)} samples, {wrong} of them confirmed in fp32 "
        f"(stock {stock.successes} of {len(stock.results)})",
    )


def uus_per_query(bench: Bench, subject: Subject, count: int) -> None:
    """Compare what the two goals find, in fp32, with no limit, on the same samples."""
    rates = {}
    for goal, confidence in (("flip", None), ("confident", TAU)):
        plan = plan_for(subject, "deepwordbug", confidence)
        ours = attack_ours(bench.classifier(subject), None, subject.samples("test", count), plan)
        uus = sum(is_adversarial_uu(row, TAU) for row in ours.rows.values())
        rates[goal] = 1000 * uus / ours.queries
        bench.say(
            f"attack_{subject.name}_uus_{goal}",
            f"{rates[goal]:.2f} UUs per 1,000 queries "
            f"({uus} UUs at tau {TAU}, {len(ours.successes)} flips, {ours.queries} queries, n {count} samples)",
        )
    gain = f"{rates['confident'] / rates['flip']:.2f} x as many per query" if rates["flip"] else "no flip was a UU"
    bench.say(f"attack_{subject.name}_uus_gain", gain)


def memory(bench: Bench, few: int, many: int) -> None:
    """Compare the peak memory of fresh processes that attack few and many samples of a model that costs nothing."""
    peaks = []
    for count in (few, many):
        command = [sys.executable, sys.argv[0], "--memory", str(count)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        peak, queries, seconds = map(float, done.stdout.split())
        peaks.append(peak)
        bench.say(
            f"attack_memory_{count}", f"{peak:.0f} MiB, {1000 * seconds / queries:.2f} ms beside the model a query"
        )
    bench.say("attack_memory_growth", f"{peaks[1] - peaks[0]:+.0f} MiB from {few} to {many} samples")


def measure_memory(count: int) -> None:
    """Print for `memory`: the most MiB that this process held, queries, seconds."""
    both = [*MRPC.samples("train", None), *MRPC.samples("test", None)]
    samples = [both[i] for i in np.random.default_rng(SEED).permutation(len(both))[:count]]
    began = time.perf_counter()
    rows = attack_samples(Models(oracle_of(Lengths(), 2)), samples, plan_for(MRPC, "deepwordbug"))
    queries = sum(row.queries for row in rows)
    seconds = time.perf_counter() - began
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, queries, seconds)  # KiB on Linux


def machine(bench: Bench) -> None:
    """Say what the figures were taken on, and how."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    place = [
        (names or [platform.machine()])[0],
        f"{os.cpu_count()} cores",
        f"load {os.getloadavg()[0]:.1f} at the end",
        f"{torch.get_num_threads()} threads",
    ]
    if bench.device == "cuda":
        place.append(torch.cuda.get_device_name())
    how = f"seed {SEED}, {TOGETHER} samples at once, ours the median of {bench.repeats}, stock once"
    print(f"machine: {', '.join(place)}, torch {torch.__version__}; {how}")
