"""The classifier and its training, on a tiny model that learns real words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from blindspot.storage.errors import Cancelled, ModelError
from blindspot.tools.classifier import batches_by_length, load_classifier, locate_model, pick_device
from blindspot.tools.planted import generate_reviews
from blindspot.tools.retrain import Example, Lora, Trained, Training, Weights, plan_batches, retrain

LABELS = ("negative", "positive")
FAST = Training(epochs=6, batch_size=16, learning_rate=1e-2)


def examples(count: int, *, split: str = "train") -> list[Example]:
    reviews = generate_reviews(count, planted=0, seed=0, split=split)
    return [Example((review.text,), LABELS.index(review.label)) for review in reviews]


def train(base: Path, folder: Path, rows: Sequence[Example], training: Training = FAST, *, seed: int = 0) -> Trained:
    start = Weights(str(base), fine_tuned=False, labels=LABELS, max_tokens=64, device="cpu")
    return retrain(start, rows, training, folder, seed=seed)


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tiny_base, tmp_path_factory.mktemp("models") / "tiny", examples(300))


def test_training_learns_what_unseen_reviews_say(trained: Trained) -> None:
    classifier = load_classifier(trained.folder, model_id="m", labels=LABELS, max_tokens=64, device="cpu")
    rows = examples(200, split="test")
    probabilities = classifier.predict([row.text for row in rows])
    assert probabilities.shape == (200, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert np.mean(probabilities.argmax(axis=1) == [row.label for row in rows]) > 0.9


def test_a_prediction_does_not_depend_on_the_company_it_is_made_in(trained: Trained) -> None:
    classifier = load_classifier(trained.folder, model_id="m", labels=LABELS, max_tokens=64, device="cpu")
    texts = [row.text for row in examples(60, split="test")]
    together = classifier.predict(texts)
    alone = np.concatenate([classifier.predict([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(classifier.predict(texts[::-1])[::-1], together, atol=1e-5)


def test_no_texts_give_no_rows(trained: Trained) -> None:
    classifier = load_classifier(trained.folder, model_id="m", labels=LABELS, max_tokens=64, device="cpu")
    assert classifier.predict([]).shape == (0, 2)


def test_a_pair_is_not_the_same_as_its_texts_joined(trained: Trained) -> None:
    classifier = load_classifier(trained.folder, model_id="m", labels=LABELS, max_tokens=64, device="cpu")
    pair, joined = (
        classifier.predict([("The soup was lovely.", "The pool was dull.")]),
        classifier.predict([("The soup was lovely. The pool was dull.",)]),
    )
    assert not np.allclose(pair, joined, atol=1e-6)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tiny_base: Path, tmp_path: Path) -> None:
    short = Training(epochs=1, batch_size=16, learning_rate=1e-2)
    rows = examples(64)
    torch.manual_seed(1)
    first = train(tiny_base, tmp_path / "a", rows, short)
    torch.manual_seed(2)
    again, other = (train(tiny_base, tmp_path / name, rows, short, seed=seed) for name, seed in (("b", 0), ("c", 1)))
    read = [(trained.folder / "model.safetensors").read_bytes() for trained in (first, again, other)]
    assert read[0] == read[1]
    assert read[0] != read[2]


def test_training_leaves_the_callers_random_generator_alone(tiny_base: Path, tmp_path: Path) -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    train(tiny_base, tmp_path / "a", examples(16), Training(epochs=1, batch_size=16, learning_rate=1e-3))
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_stopped_training_leaves_no_folder(tiny_base: Path, tmp_path: Path) -> None:
    start = Weights(str(tiny_base), fine_tuned=False, labels=LABELS, max_tokens=64, device="cpu")
    with pytest.raises(Cancelled):
        retrain(start, examples(64), FAST, tmp_path / "model", seed=0, cancelled=lambda: True)
    assert not list(tmp_path.iterdir())


def test_a_sample_of_little_weight_teaches_little(tiny_base: Path, tmp_path: Path) -> None:
    rows = examples(100, split="test")
    right = []
    for weight in (1e-6, 1.0):
        lies = [Example(row.text, 1 - row.label, weight) for row in examples(300, split="validation")]
        trained = train(tiny_base, tmp_path / f"weight-{weight}", examples(300) + lies)
        classifier = load_classifier(trained.folder, model_id="m", labels=LABELS, max_tokens=64, device="cpu")
        right.append(np.mean(classifier.predict([r.text for r in rows]).argmax(axis=1) == [r.label for r in rows]))
    assert right[0] > right[1] + 0.15


def test_an_adapter_predicts_the_same_after_reloading(tiny_base: Path, tmp_path: Path) -> None:
    training = Training(epochs=3, batch_size=16, learning_rate=1e-2, lora=Lora(rank=4, alpha=8, dropout=0.0))
    trained = train(tiny_base, tmp_path / "m", examples(200), training)
    assert (trained.folder / "adapter_config.json").exists()
    texts = [row.text for row in examples(50, split="test")]
    loads = [load_classifier(trained.folder, model_id="m", labels=LABELS, max_tokens=64, device="cpu") for _ in "ab"]
    first, second = (classifier.predict(texts) for classifier in loads)
    np.testing.assert_array_equal(first, second)
    saved = load_file(trained.folder / "adapter_model.safetensors")
    assert any("classifier" in name for name in saved)  # a new head would differ from load to load


@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=80),
    epochs=st.sampled_from([1, 2, 3.0]),
    size=st.integers(1, 9),
)
def test_every_epoch_shows_every_sample_once(lengths: list[int], epochs: float, size: int) -> None:
    training = Training(epochs=epochs, batch_size=size, learning_rate=1.0)
    seen = [index for batch in plan_batches(lengths, training, seed=3) for index in batch]
    assert sorted(seen) == sorted(list(range(len(lengths))) * int(epochs))


@given(lengths=st.lists(st.integers(1, 500), max_size=60), budget=st.integers(1, 2000))
def test_batches_hold_every_text_once_and_keep_to_their_budget(lengths: list[int], budget: int) -> None:
    batches = batches_by_length(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget for batch in batches)


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        locate_model(str(tmp_path / "absent"))
    with pytest.raises(ModelError, match=r"config\.json"):
        locate_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_classifier(tmp_path, model_id="m", labels=LABELS, max_tokens=64, device="cpu")


def test_a_model_with_other_classes_is_refused(trained: Trained) -> None:
    with pytest.raises(ModelError, match="negative, positive"):
        load_classifier(trained.folder, model_id="m", labels=("ham", "spam"), max_tokens=64, device="cpu")


def test_an_unknown_device_is_one_line() -> None:
    with pytest.raises(ModelError, match="quantum"):
        pick_device("quantum")
