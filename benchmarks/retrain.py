"""Training samples per second against the stock Hugging Face Trainer, from the same weights with the same settings.

    .venv/bin/python benchmarks/retrain.py [--quick] [--threads N] [--clock wall|cpu] [--samples N] [--epochs N]

Speed: both train one epoch of the same MRPC pairs, tokenizing included, in turns, so that what else runs on the
machine slows both alike; the ratio is the median of the turns. Stock gets its defaults (random batches, padded to
their longest sample, fused AdamW), and in a second line `group_by_length` as well. Loss: whole epochs of both, the
mean of each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from parts.subjects import MRPC, SEED, SHARED, TRAINING_TOKENS
from transformers import DataCollatorWithPadding, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from blindspot.tools.classifier.classifier import locate_model
from blindspot.tools.classifier.weights import load_weights
from blindspot.tools.training.batches import plan_epochs
from blindspot.tools.training.learner import Learner, TokenizedRows
from blindspot.tools.training.settings import Example, Training, choose_training

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
GOAL = 1.5
ENOUGH = 512  # samples; with fewer, oneDNN's compiling weighs too much
TURNS = 3  # in the first one oneDNN compiles, which takes longer than to train few samples


@dataclass(frozen=True, slots=True)
class Bench:
    """What is trained, and how it is timed."""

    start: Path  # MiniLM with a head: both begin with the same
    examples: Sequence[Example]
    training: Training
    clock: Callable[[], float]

    def with_rows(self, count: int) -> Bench:
        """One epoch of a part of the samples."""
        return replace(self, examples=self.examples[:count], training=replace(self.training, epochs=1))

    def load(self) -> tuple[Any, Any]:
        return load_weights(str(self.start), MRPC.labels, fine_tuned=True)


def train_ours(bench: Bench) -> tuple[float, list[list[float]]]:
    """Returns: (seconds, the loss of each step of each epoch)."""
    model, tokenizer = bench.load()
    torch.manual_seed(SEED)
    began = bench.clock()
    rows = TokenizedRows(tokenizer, bench.examples, TRAINING_TOKENS, model.device)
    plan = plan_epochs(rows.lengths, bench.training)
    learner = Learner(model.train(), rows, bench.training, sum(map(len, plan)))
    losses = [[learner.take(step) for step in steps] for steps in plan]
    return bench.clock() - began, losses


class Losses(TrainerCallback):  # type: ignore[misc]
    """Notes the loss of each step, as the Trainer logs it."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_log(self, *_: Any, logs: dict[str, float] | None = None, **__: Any) -> None:
        if logs and "loss" in logs:
            self.losses.append(logs["loss"])


def train_stock(bench: Bench, *, group_by_length: bool = False) -> tuple[float, list[list[float]]]:
    """Returns: (seconds, the loss of each step of each epoch)."""
    model, tokenizer = bench.load()
    training = bench.training
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=training.epochs,
            per_device_train_batch_size=training.batch_size,
            gradient_accumulation_steps=training.accumulate,
            learning_rate=training.learning_rate,
            lr_scheduler_type=training.schedule,
            warmup_ratio=training.warmup_share,
            max_grad_norm=training.max_gradient_norm,
            weight_decay=training.weight_decay,
            adam_beta1=training.betas[0],
            adam_beta2=training.betas[1],
            group_by_length=group_by_length,
            seed=SEED,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        )
        noted = Losses()
        began = bench.clock()
        first, second = zip(*(example.text for example in bench.examples), strict=True)
        encoded = tokenizer(list(first), list(second), truncation=True, max_length=TRAINING_TOKENS)
        rows = [
            {key: values[i] for key, values in encoded.items()} | {"labels": example.label}
            for i, example in enumerate(bench.examples)
        ]
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=rows,
            data_collator=DataCollatorWithPadding(tokenizer),
            callbacks=[noted],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        seconds = bench.clock() - began
    per_epoch = len(noted.losses) // int(training.epochs)
    return seconds, [noted.losses[at : at + per_epoch] for at in range(0, len(noted.losses), per_epoch)]


def speed(bench: Bench, turns: int, count: int) -> None:
    """Time both in turns on a part of the samples."""
    part = bench.with_rows(count)
    rivals: dict[str, Callable[[], float]] = {
        "ours": lambda: train_ours(part)[0],
        "stock": lambda: train_stock(part)[0],
        "grouped": lambda: train_stock(part, group_by_length=True)[0],
    }
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(turns):
        for name, run in rivals.items():
            seconds[name].append(run())
    ratio = {
        name: median(theirs / ours for theirs, ours in zip(seconds[name], seconds["ours"], strict=True))
        for name in ("stock", "grouped")
    }
    rates = {name: f"{count / median(found):.1f}" for name, found in seconds.items()}
    times = {name: f"{each:.2f} x" if count >= ENOUGH else "too small to judge" for name, each in ratio.items()}
    print(f"retrain_speed: {times['stock']} (goal {GOAL}, n {count} samples, {turns} turns)")
    print(f"retrain_speed_rate: {rates['ours']} samples/s (stock {rates['stock']})")
    print(f"retrain_speed_grouped: {times['grouped']} (stock with group_by_length, {rates['grouped']} samples/s)")


def loss_curve(bench: Bench) -> None:
    """Train both for whole epochs, and say the mean loss of each."""
    ours, stock = train_ours(bench)[1], train_stock(bench)[1]
    for number, (own, other) in enumerate(zip(ours, stock, strict=True), start=1):
        means = [sum(losses) / len(losses) for losses in (own, other)]
        print(f"retrain_loss_{number}: {means[0]:.4f} (stock {means[1]:.4f}, n {len(bench.examples)} samples)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="512 samples, one epoch of loss; under 5 minutes on 2 quiet cores"
    )
    parser.add_argument("--threads", type=int, default=2, help="of torch; default: 2")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: processor seconds, for a busy machine")
    parser.add_argument("--samples", type=int, help="timed in each turn; default: 960, quick: 512")
    parser.add_argument("--epochs", type=int, help="of the loss curves; default: 3, quick: 1; 0: none")
    options = parser.parse_args()
    if not (SHARED / "data").exists():
        print(f"retrain: not measured, {SHARED / 'data'} is not there")
        return
    torch.set_num_threads(options.threads)
    samples = MRPC.samples("train", 512 if options.quick else None)
    examples = [
        Example(text, MRPC.labels.index(sample.label))
        for text, sample in zip(MRPC.texts(samples), samples, strict=True)
    ]
    epochs = options.epochs if options.epochs is not None else 1 if options.quick else 3
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
        torch.manual_seed(SEED)
        for part in load_weights(locate_model("minilm"), MRPC.labels, fine_tuned=False):
            part.save_pretrained(folder)
        training = choose_training("minilm", epochs=epochs or 1, seed=SEED)
        bench = Bench(Path(folder), examples, training, CLOCKS[options.clock])
        speed(bench, TURNS, options.samples or (len(examples) if options.quick else 960))
        if epochs:
            loss_curve(bench)
    print(f"machine: {options.threads} threads, {options.clock} seconds, torch {torch.__version__}, seed {SEED}")


if __name__ == "__main__":
    main()
