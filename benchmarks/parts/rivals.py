"""The same attacks twice: with stock TextAttack, one sample after another, and with ours, many at once."""

from __future__ import annotations

import functools
import gc
import random
import time
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from parts.subjects import SEED, Subject

from blindspot.storage.records import Attack, Sample
from blindspot.tools.attack.attacker import Models, Predictor, attack_samples, oracle_of, sample_seed
from blindspot.tools.attack.plan import AttackPlan, SampleLimits
from blindspot.tools.attack.recipes import recipe_class
from blindspot.tools.attack.resources import stock_textattack
from blindspot.tools.attack.sentence_encoder import sentence_oracle
from blindspot.tools.classifier.classifier import Classifier, Text, locate_model

TOGETHER = 64  # samples attacked side by side


@dataclass(frozen=True, slots=True)
class Ours:
    """What our attacks came to."""

    rows: dict[str, Attack]  # by sample
    seconds: float  # the median of all repeats
    asked: list[Text]  # texts that the searched model was given, in the first run

    @property
    def queries(self) -> int:
        return sum(row.queries for row in self.rows.values())

    @property
    def successes(self) -> list[Attack]:
        return [row for row in self.rows.values() if row.status == "flipped"]


@dataclass(frozen=True, slots=True)
class Stock:
    """What stock TextAttack's attacks came to."""

    results: dict[str, Any]  # by sample
    seconds: float

    @property
    def queries(self) -> int:
        return sum(result.num_queries for result in self.results.values())

    @property
    def successes(self) -> int:
        return sum(type(result).__name__ == "SuccessfulAttackResult" for result in self.results.values())


class Recorder:
    """A classifier that remembers the texts it was given."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.texts: list[Text] = []

    def predict(self, texts: Sequence[Text]) -> Any:
        self.texts += texts
        return self.predictor.predict(texts)


def plan_for(subject: Subject, recipe: str, confidence: float | None = None) -> AttackPlan:
    limits = SampleLimits()
    return AttackPlan("bench", "minilm", recipe, SEED, limits, TOGETHER, subject.fields, subject.labels, confidence)


def attack_ours(
    searched: Predictor, judge: Predictor | None, samples: Sequence[Sample], plan: AttackPlan, repeats: int = 1
) -> Ours:
    """Attack with the engine, so many times over; each time it has to ask everything again."""
    recorder = Recorder(searched)
    seconds = []
    for repeat in range(repeats):
        forget()
        asks = recorder if repeat == 0 else searched
        classes = len(plan.labels)
        began = time.perf_counter()
        models = Models(oracle_of(asks, classes), oracle_of(judge, classes) if judge else None)
        rows = {row.sample_id: row for row in attack_samples(models, samples, plan)}
        seconds.append(time.perf_counter() - began)
    return Ours(rows, median(seconds), recorder.texts)


def forget() -> None:
    """Drop what earlier attacks left in memory about texts, so that a run begins as in a fresh process."""
    if sentence_oracle.cache_info().currsize:
        sentence_oracle().forget()
    for each in gc.get_objects():
        if type(each) is functools._lru_cache_wrapper and each.__module__.startswith("blindspot."):
            keeps_models = each.cache_parameters()["maxsize"] is None
            if not keeps_models:
                each.cache_clear()


def attack_stock(classifier: Classifier, samples: Sequence[Sample], recipe: str) -> Stock:
    """Attack with `textattack.Attack.attack` around TextAttack's own wrapper, nothing of ours in it."""
    from textattack.models.wrappers import HuggingFaceModelWrapper
    from textattack.shared import AttackedText

    with stock_textattack():
        wrapper = HuggingFaceModelWrapper(classifier.model, classifier.tokenizer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            attack = recipe_class(recipe).build(wrapper)
        attack.constraints = [without_tensorflow(constraint) for constraint in attack.constraints]
        wrapper([AttackedText(OrderedDict(samples[0].fields)).tokenizer_input])  # warm up
        results = {}
        began = time.perf_counter()
        for sample in samples:
            random.seed(sample_seed(SEED, sample.sample_id))
            np.random.seed(sample_seed(SEED, sample.sample_id))
            truth = classifier.labels.index(sample.label)
            results[sample.sample_id] = attack.attack(OrderedDict(sample.fields), truth)
        return Stock(results, time.perf_counter() - began)


def without_tensorflow(constraint: Any) -> Any:
    """TextAttack's own SBERT constraint, with MiniLM, in place of the Universal Sentence Encoder."""
    from textattack.constraints.semantics.sentence_encoders import SBERT, UniversalSentenceEncoder

    if not isinstance(constraint, UniversalSentenceEncoder):
        return constraint
    names = ("threshold", "metric", "window_size", "skip_text_shorter_than_window", "compare_against_original")
    return SBERT(model_name=locate_model("minilm"), **{name: getattr(constraint, name) for name in names})


def agrees(row: Attack, result: Any) -> bool:
    """Whether a row says what TextAttack's result says: text, success and queries."""
    flipped = type(result).__name__ == "SuccessfulAttackResult"
    perturbed = result.perturbed_result.attacked_text.tokenizer_input if flipped else None
    texts = (perturbed,) if isinstance(perturbed, str) else perturbed
    perturbed = tuple(row.fields.values()) if row.fields else None
    return (row.queries, row.status == "flipped", perturbed) == (result.num_queries, flipped, texts)
