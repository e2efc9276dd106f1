"""How fast are attacks? The same MRPC samples, the same MiniLM, the same seeds, with stock TextAttack and with ours.

Stock is `textattack.Attack.attack` around TextAttack's own HuggingFaceModelWrapper, one sample after another.
Reads ../shared/data/mrpc; keeps the fine-tuned MiniLM in ~/.cache/blindspot/benchmarks.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import time
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from blindspot.storage.records import Attack, Sample
from blindspot.tools.attack import AttackPlan, attack_samples, sample_seed
from blindspot.tools.attack_recipes import recipe_class
from blindspot.tools.attack_resources import prepare_textattack
from blindspot.tools.classifier import Classifier, Text, load_classifier, locate_model
from blindspot.tools.retrain import Example, Weights, choose_training, retrain

SHARED = Path(__file__).parents[2] / "shared"
MRPC, ASSETS = SHARED / "data" / "mrpc", SHARED / "assets"
MODELS = Path("~/.cache/blindspot/benchmarks").expanduser()
FIELDS = ("sentence1", "sentence2")
LABELS = ("equivalent", "not_equivalent")
GOAL = 14  # for DeepWordBug
USE = "UniversalSentenceEncoder"
SEED = 7


class Recorder:
    """A classifier that remembers the texts it was asked."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.texts: list[Text] = []

    def predict(self, texts: Sequence[Text]) -> Any:
        self.texts += texts
        return self.classifier.predict(texts)


class Lengths:
    """A predictor that costs nothing: what is left is the engine and TextAttack."""

    def predict(self, texts: Sequence[Text]) -> Any:
        good = 0.55 + 0.4 * np.array([sum(map(ord, text[0])) % 97 / 97 for text in texts])
        return np.stack([good, 1 - good], axis=1).astype(np.float32)


def read_rows(split: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = pq.read_table(MRPC / f"{split}.parquet").to_pylist()
    return rows


def read_samples(count: int) -> list[Sample]:
    rows = read_rows("test")[:count]
    return [
        Sample(f"mrpc-{i}", "mrpc", "test", i, {name: row[name] for name in FIELDS}, row["label"])
        for i, row in enumerate(rows)
    ]


def fine_tuned_minilm(epochs: float) -> Classifier:
    """Load MiniLM fine-tuned on MRPC, and fine-tune it the first time."""
    folder = MODELS / f"minilm-mrpc-{epochs:g}-epochs"
    if not folder.exists():
        MODELS.mkdir(parents=True, exist_ok=True)
        examples = [Example(tuple(row[n] for n in FIELDS), LABELS.index(row["label"])) for row in read_rows("train")]
        training = choose_training("minilm", epochs=epochs)
        retrain(Weights("minilm", False, LABELS, 128, "cpu"), examples, training, folder)
    return load_classifier(folder, model_id="minilm-mrpc", labels=LABELS, max_tokens=512, device="cpu")


def attack_stock(classifier: Classifier, samples: Sequence[Sample], recipe: str) -> tuple[list[Any], float]:
    """Attack with TextAttack alone. Returns: (its results, seconds)."""
    from textattack.models.wrappers import HuggingFaceModelWrapper
    from textattack.shared import attacked_text, utils

    ours = attacked_text.words_from_text
    attacked_text.words_from_text = utils.words_from_text  # without our memory of words
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stock = recipe_class(recipe).build(HuggingFaceModelWrapper(classifier.model, classifier.tokenizer))
    stock.constraints = [stock_minilm(c) if type(c).__name__ == USE else c for c in stock.constraints]
    results = []
    began = time.perf_counter()
    for sample in samples:
        random.seed(sample_seed(SEED, sample.sample_id))
        np.random.seed(sample_seed(SEED, sample.sample_id))
        results.append(stock.attack(OrderedDict(sample.fields), LABELS.index(sample.label)))
    seconds = time.perf_counter() - began
    attacked_text.words_from_text = ours
    return results, seconds


def stock_minilm(encoder: Any) -> Any:
    """TextAttack's own SBERT constraint in place of the Universal Sentence Encoder, which needs TensorFlow."""
    from textattack.constraints.semantics.sentence_encoders import SBERT

    names = ("threshold", "metric", "window_size", "skip_text_shorter_than_window", "compare_against_original")
    return SBERT(model_name=locate_model("minilm"), **{name: getattr(encoder, name) for name in names})


def attack_ours(predictor: Any, samples: Sequence[Sample], recipe: str) -> tuple[dict[str, Attack], float]:
    """Attack with the engine. Returns: (rows by sample, seconds)."""
    plan = AttackPlan("bench", "minilm-mrpc", recipe, SEED, None, 64, FIELDS, LABELS)
    began = time.perf_counter()
    rows = {row.sample_id: replace(row, seconds=0.0) for row in attack_samples(predictor, samples, plan)}
    return rows, time.perf_counter() - began


def agrees(row: Attack, result: Any) -> bool:
    """Whether a row says what TextAttack's result says: text, success and queries."""
    perturbed = result.perturbed_result.attacked_text.tokenizer_input if row.status == "flipped" else None
    flipped = type(result).__name__ == "SuccessfulAttackResult"
    texts = tuple(row.fields.values()) if row.fields else None
    return (row.queries, row.status == "flipped", texts) == (result.num_queries, flipped, perturbed)


def compare(classifier: Classifier, samples: Sequence[Sample], recipe: str) -> None:
    """Print the figures of one recipe."""
    name = "attack_mrpc_fp32" if recipe == "deepwordbug" else f"attack_mrpc_fp32_{recipe}"
    attack_ours(classifier, samples[:2], recipe)  # warm up
    recorder = Recorder(classifier)
    rows, seconds = attack_ours(recorder, samples, recipe)
    results, stock_seconds = attack_stock(classifier, samples, recipe)
    began = time.perf_counter()
    classifier.predict(recorder.texts)
    raw = len(recorder.texts) / (time.perf_counter() - began)
    queries = sum(row.queries for row in rows.values())
    stock_rate = sum(result.num_queries for result in results) / stock_seconds
    same = sum(agrees(rows[sample.sample_id], result) for sample, result in zip(samples, results, strict=True))
    goal = f" (goal {GOAL})" if recipe == "deepwordbug" else ""
    print(f"{name}: {stock_seconds / seconds:.1f} x{goal}")
    print(f"{name}_rate: {queries / seconds:.1f} queries/s (stock {stock_rate:.1f}, {queries} queries)")
    print(f"{name}_share_of_raw: {queries / seconds / raw:.2f} (the model alone: {raw:.1f} texts/s)")
    print(f"{name}_equal_to_stock: {same} of {len(samples)} samples")


def measure_memory(count: int) -> None:
    """Print what attacks on many samples add to the process's memory, and their cost beside the model."""
    rows = read_samples(1725)
    samples = [replace(rows[i % 1725], sample_id=f"copy-{i}", label=LABELS[0]) for i in range(count)]
    attack_ours(Lengths(), samples[: count // 10], "deepwordbug")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    plan = AttackPlan("bench", "lengths", "deepwordbug", SEED, None, 64, FIELDS, LABELS)
    began = time.perf_counter()
    queries = sum(row.queries for row in attack_samples(Lengths(), samples, plan))
    seconds = time.perf_counter() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024  # KiB on Linux
    print(f"attack_memory_{count}: {grown:.0f} MiB more than after {count // 10} samples")
    print(f"attack_overhead: {1000 * seconds / queries:.2f} ms a query ({queries} queries)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer samples, a model trained for one epoch")
    parser.add_argument("--samples", type=int, help="default: 100, quick 20")
    parser.add_argument("--epochs", type=float, help="of MiniLM's fine-tuning; default: 4, quick 1")
    options = parser.parse_args()
    if not MRPC.exists():
        print(f"attack_mrpc_fp32: not measured, {MRPC} is not there")
        return
    os.environ.setdefault("TA_CACHE_DIR", str(ASSETS / "textattack_cache"))
    os.environ.setdefault("NLTK_DATA", str(ASSETS / "nltk_data"))
    torch.set_num_threads(2)
    prepare_textattack()
    classifier = fine_tuned_minilm(options.epochs or (1 if options.quick else 4))
    compare(classifier, read_samples(options.samples or (20 if options.quick else 100)), "deepwordbug")
    if not options.quick:
        compare(classifier, read_samples(20), "textfooler")
    measure_memory(1000 if options.quick else 5000)


if __name__ == "__main__":
    main()
