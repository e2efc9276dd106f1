"""The figures of the storage benchmark that need runs: the real graph, in a process of its own, on a tiny model.

A deployed model's log of 2,000 errors makes 2,000 UUs at no cost; the `rules` teacher explains some. Readers are
processes too, each with results.duckdb open most of the time.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
from parts.store_figures import say

from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import StoreError
from blindspot.storage.records import Uu
from blindspot.storage.schema.views import VIEWS
from blindspot.storage.settings.sections import check_settings
from blindspot.storage.store.store import Store
from blindspot.storage.workspace import Workspace

RUNNING, READING = "--running", "--reading"
UUS = 2_000
CHECKPOINT_GOAL_MB, SLOWER_GOAL = 5, 0.03
ENOUGH_TURNS = 3  # of runs; fewer differ by more than the goal, whatever reads
READERS = 20
QUERIES_PER_S = 20  # of all readers together
HELD = 5  # queries that a reader puts to one copy before it opens the newest
ROWS = {"train": UUS, "validation": 100, "test": 120}  # as many UUs are taught as there are training rows, at most


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run took, and left."""

    seconds: float
    cpu_s: float
    uus: int
    taught: int
    checkpoint_bytes: int  # the most there was at any moment


@dataclass(frozen=True, slots=True)
class Read:
    """What one reader saw."""

    queries: int
    errors: int
    last_error: str
    slowest_s: float
    seconds: float  # from the first query to the end


def checkpoints(taught: int) -> None:
    """Run once, and tell how large the state machine's checkpoints became."""
    with TemporaryDirectory() as folder:
        ran, _ = run_beside(Path(folder), taught)
    say(
        "checkpoint_mb",
        f"{ran.checkpoint_bytes / 1e6:.2f} (goal {CHECKPOINT_GOAL_MB}; the most at any moment of a run of {ran.uus:,} "
        f"UUs, {ran.taught:,} of them taught, {ran.seconds:.0f} s)",
    )


def readers(turns: int, taught: int) -> None:
    """Run alone, beside readers of another workspace, and among its own readers, in turn; a median of each.

    Readers take a share of few cores wherever they read: what they cost a run by reading its own results is the
    difference between the last two.
    """
    alone: list[Ran] = []
    beside: list[Ran] = []
    among: list[Ran] = []
    read: list[Read] = []
    with TemporaryDirectory() as other:
        run_beside(Path(other), taught)
        for _ in range(turns):
            for count, elsewhere, ran in (
                (0, None, alone),
                (READERS, Path(other) / "w", beside),
                (READERS, None, among),
            ):
                with TemporaryDirectory() as folder:
                    one, seen = run_beside(Path(folder), taught, readers=count, elsewhere=elsewhere)
                ran.append(one)
                read += seen if ran is among else []
    asked, errors = sum(one.queries for one in read), sum(one.errors for one in read)
    last = next((f", e.g. {one.last_error}" for one in read if one.last_error), "")
    rate = sum(one.queries / one.seconds for one in read) / turns
    say(
        "reader_errors",
        f"{errors} (goal 0; {asked:,} queries of {READERS} readers, {rate:.0f} a second in all, the slowest "
        f"{max(one.slowest_s for one in read):.1f} s{last})",
    )
    wall = {name: median(one.seconds for one in ran) for name, ran in (("alone", alone), ("beside", beside))}
    own = median(one.seconds for one in among)
    slower = f"{own / wall['beside'] - 1:+.1%}" if turns >= ENOUGH_TURNS else "too small to judge"
    cpu, cpu_beside = (median(one.cpu_s for one in ran) for ran in (among, beside))
    say(
        "reader_slow_down",
        f"{slower} (goal {SLOWER_GOAL:.0%}; {own:.1f} s among {READERS} readers, "
        f"{wall['beside']:.1f} s beside as many that read another workspace; alone {wall['alone']:.1f} s, so on this "
        f"machine's cores any such readers cost {wall['beside'] / wall['alone'] - 1:+.1%}; medians of {turns} runs "
        f"each, in turn; readers at nice 19; the run's own CPU time {cpu:.1f} and {cpu_beside:.1f} s, "
        f"{cpu / cpu_beside - 1:+.1%})",
    )


def run_beside(folder: Path, taught: int, *, readers: int = 0, elsewhere: Path | None = None) -> tuple[Ran, list[Read]]:
    """Do one run with so many readers beside it; both have their modules imported before the clock starts.

    Args:
        elsewhere: the workspace that is read; None: the run's own.
    """
    with ExitStack() as stack:
        read = elsewhere or folder / "w"
        reading = [stack.enter_context(child(READING, read, number)) for number in range(readers)]
        run = stack.enter_context(child(RUNNING, folder, taught))
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
        ran = Ran(**answer(run))
        return ran, [Read(**answer(one)) for one in reading]


@contextmanager
def child(flag: str, *arguments: object) -> Iterator[Popen[str]]:
    """This benchmark in another process, once it says that it is ready."""
    with Popen(
        [sys.executable, sys.argv[0], flag, *map(str, arguments)], stdin=PIPE, stdout=PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", f"{flag} did not start"
        yield process


def answer(process: Popen[str]) -> dict[str, Any]:
    """What a child prints at its end, which the end of its stdin brings on."""
    out, _ = process.communicate()
    report: dict[str, Any] = json.loads(out.splitlines()[-1])
    return report


def read_until_told(folder: Path, number: int) -> None:
    """Ask for a view every second (`READERS` over `QUERIES_PER_S`), of one copy for a while, then of the newest."""
    os.nice(19)
    queries = errors = 0
    last_error, slowest = "", 0.0
    pause_s = READERS / QUERIES_PER_S
    print("ready", flush=True)
    due = time.monotonic() + pause_s * number / READERS
    first = due
    results: Results | None = None
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        due = max(due + pause_s, time.monotonic())
        if not Workspace(folder).results.exists():
            first = due  # the run has not begun
            continue
        began = time.monotonic()
        try:
            if results is None or queries % HELD == 0:
                if results is not None:
                    results.close()
                results = Results.open(folder)
            results.query(f"FROM {VIEWS[(number + queries) % len(VIEWS)].name}")
        except (StoreError, duckdb.Error) as error:
            errors += 1
            last_error = str(error)
        queries += 1
        slowest = max(slowest, time.monotonic() - began)
    print(json.dumps(asdict(Read(queries, errors, last_error, slowest, time.monotonic() - first))))


def run_when_told(folder: Path, taught: int) -> None:
    """Import what a run needs, wait for a word, run, and tell how it went."""
    import blindspot.tools.additions.filter
    import blindspot.tools.training.retrain  # noqa: F401, heavy imports before the clock starts
    from blindspot.graphs.context import Progress
    from blindspot.graphs.running.run import start_run

    settings = check_settings(make_settings(folder, taught), where="benchmark")
    workspace = Workspace(Path(settings.run.workspace))
    most = 0

    def show(_: Progress) -> None:
        nonlocal most
        most = max(most, sum(file.stat().st_size for file in workspace.folder.glob("checkpoints.sqlite*")))

    print("ready", flush=True)
    sys.stdin.readline()
    wall, cpu = time.perf_counter(), time.process_time()
    start_run(settings, show=show, cancelled=lambda: False)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    with Store.open(workspace.folder) as store:
        uus, shown = store.count(Uu), store.count(Uu, selected=True)
    print(json.dumps(asdict(Ran(wall, cpu, uus, shown, most))))


def make_settings(folder: Path, taught: int) -> dict[str, dict[str, Any]]:
    """Write the data, the log and the model of a run, and make its settings: nothing is attacked."""
    from blindspot.tools.data.planted import FIELD, NEGATIVE, POSITIVE, generate_reviews, write_dataset

    write_dataset(folder / "data", seed=0, rows=ROWS, planted_share=0.3)
    errors = generate_reviews(UUS, planted=UUS, seed=1, split="validation")
    lines = [
        {
            FIELD: f"{review.text} Review {number}.",
            "label": review.label,
            "predicted": NEGATIVE if review.label == POSITIVE else POSITIVE,
            "confidence": 0.9,
        }
        for number, review in enumerate(errors)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    make_tiny_model(folder / "tiny", [review.text for review in errors])
    return {
        "run": {"name": "busy", "workspace": str(folder / "w")},
        "data": {"path": str(folder / "data"), "task": "sentiment of reviews"},
        "errors": {"file": str(folder / "log.jsonl")},
        "classifier": {"model": str(folder / "tiny"), "epochs": 1, "max_tokens": 64, "device": "cpu"},
        "attack": {"recipes": [], "samples": 0},
        "select": {"share": taught / ROWS["train"]},
        "filter": {"references": 40, "bertscore": 0.0},
        "evaluate": {"samples": 0, "resamples": 100},
    }


def make_tiny_model(folder: Path, texts: list[str]) -> None:
    """Save a base model of a few kilobytes: a one-layer BERT that knows the words of the texts."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    words = sorted({word.strip(".,'").lower() for text in texts for word in text.split()})
    vocabulary = {token: index for index, token in enumerate([*special.values(), *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=128, **special).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
