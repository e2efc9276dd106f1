"""The classifier and its training, on a tiny model that learns real words."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

from blindspot.storage.errors import Cancelled, ModelError
from blindspot.tools.classifier.classifier import (
    Classifier,
    load_classifier,
    locate_model,
    pick_device,
)
from blindspot.tools.classifier.padded import batches_by_length
from blindspot.tools.classifier.precision import computes_bfloat16, fast_version
from blindspot.tools.classifier.weights import class_names, load_weights
from blindspot.tools.data.planted import generate_reviews
from blindspot.tools.training.retrain import Example, Lora, Trained, Training, Weights, retrain

LABELS = ("negative", "positive")
FAST = Training(epochs=8, batch_size=16, learning_rate=3e-3)
SMALL_LORA = Training(epochs=3, batch_size=16, learning_rate=1e-2, lora=Lora(rank=4, alpha=8, dropout=0.0))


def examples(count: int, *, split: str = "train") -> list[Example]:
    reviews = generate_reviews(count, planted=0, seed=0, split=split)
    return [Example((review.text,), LABELS.index(review.label)) for review in reviews]


def train(base: Path, folder: Path, rows: Sequence[Example], training: Training = FAST, *, seed: int = 0) -> Trained:
    start = Weights(str(base), fine_tuned=False, labels=LABELS, max_tokens=64, device="cpu")
    return retrain(start, rows, replace(training, seed=seed), folder)


def load(folder: Path) -> Classifier:
    return load_classifier(folder, model_id="m", labels=LABELS, max_tokens=64, device="cpu")


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tiny_base, tmp_path_factory.mktemp("models") / "tiny", examples(300))


def test_training_learns_what_unseen_reviews_say(trained: Trained) -> None:
    classifier = load(trained.folder)
    rows = examples(200, split="test")
    probabilities = classifier.predict([row.text for row in rows])
    assert probabilities.shape == (200, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert np.mean(probabilities.argmax(axis=1) == [row.label for row in rows]) > 0.9


def test_a_prediction_does_not_depend_on_the_company_it_is_made_in(trained: Trained) -> None:
    classifier = load(trained.folder)
    texts = [row.text for row in examples(60, split="test")]
    together = classifier.predict(texts)
    alone = np.concatenate([classifier.predict([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(classifier.predict(texts[::-1])[::-1], together, atol=1e-5)


def test_no_texts_give_no_rows(trained: Trained) -> None:
    classifier = load(trained.folder)
    assert classifier.predict([]).shape == (0, 2)


def test_a_pair_is_not_the_same_as_its_texts_joined(trained: Trained) -> None:
    classifier = load(trained.folder)
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
        retrain(start, examples(64), FAST, tmp_path / "model", cancelled=lambda: True)
    assert not list(tmp_path.iterdir())


def test_a_sample_of_little_weight_teaches_little(tiny_base: Path, tmp_path: Path) -> None:
    rows = examples(100, split="test")
    right = []
    for weight in (1e-6, 1.0):
        lies = [Example(row.text, 1 - row.label, weight) for row in examples(300, split="validation")]
        trained = train(tiny_base, tmp_path / f"weight-{weight}", examples(300) + lies)
        classifier = load(trained.folder)
        right.append(np.mean(classifier.predict([r.text for r in rows]).argmax(axis=1) == [r.label for r in rows]))
    assert right[0] > right[1] + 0.15


def test_an_adapter_predicts_the_same_after_reloading(tiny_base: Path, tmp_path: Path) -> None:
    trained = train(tiny_base, tmp_path / "m", examples(200), SMALL_LORA)
    assert (trained.folder / "adapter_config.json").exists()
    texts = [row.text for row in examples(50, split="test")]
    first, second = (load(trained.folder).predict(texts) for _ in "ab")
    np.testing.assert_array_equal(first, second)
    saved = load_file(trained.folder / "adapter_model.safetensors")
    assert any("classifier" in name for name in saved)  # a new head would differ from load to load


@pytest.fixture(scope="module")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal model of two layers as Llama's come: no padding token, a tokenizer that pads on the left."""
    texts = [row.text[0] for row in examples(300, split="validation")]
    words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]", text)})
    vocabulary = {token: index for index, token in enumerate(["<unk>", "<s>", "</s>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    folder = tmp_path_factory.mktemp("tiny_llama")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapters(tiny_base: Path, tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    """An adapter of each base model, by the base's name."""
    folder = tmp_path_factory.mktemp("adapters")
    bases = {"bert": tiny_base, "llama": tiny_llama}
    return {name: train(base, folder / name, examples(200), SMALL_LORA) for name, base in bases.items()}


def test_a_causal_model_without_padding_token_learns_what_unseen_reviews_say(tiny_llama: Path, tmp_path: Path) -> None:
    classifier = load(train(tiny_llama, tmp_path / "model", examples(300)).folder)
    rows = examples(100, split="test")
    assert np.mean(classifier.predict([row.text for row in rows]).argmax(axis=1) == [row.label for row in rows]) > 0.8


def test_a_causal_model_predicts_alike_with_padding_and_without(adapters: dict[str, Trained]) -> None:
    classifier = load(adapters["llama"].folder)
    texts = [row.text for row in examples(20, split="test")] + [("soup",), ("",)]
    for text, row in zip(texts, classifier.predict(texts), strict=True):
        encoded = classifier.tokenizer(*text, return_tensors="pt")
        with torch.inference_mode():
            alone = classifier.model(**encoded).logits.softmax(dim=-1)
        np.testing.assert_allclose(row, alone[0], atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "llama"])
@pytest.mark.parametrize("lora", [True, False])
def test_training_on_from_an_adapter_begins_with_what_it_predicts(
    adapters: dict[str, Trained], tmp_path: Path, name: str, lora: bool
) -> None:
    """With steps too small to move a weight the predictions stay, head included; a full training merges the adapter."""
    parent = adapters[name].folder
    training = replace(
        SMALL_LORA, epochs=1, learning_rate=1e-12, weight_decay=0.0, lora=SMALL_LORA.lora if lora else None
    )
    start = Weights(str(parent), fine_tuned=True, labels=LABELS, max_tokens=64, device="cpu")
    trained = retrain(start, examples(16), training, tmp_path / "next")
    texts = [row.text for row in examples(40, split="test")]
    np.testing.assert_allclose(load(trained.folder).predict(texts), load(parent).predict(texts), atol=1e-5)
    assert (trained.folder / "adapter_config.json").exists() == lora


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_an_adapter_trained_on_stays_one_adapter_on_its_base(
    adapters: dict[str, Trained], tiny_base: Path, tiny_llama: Path, tmp_path: Path, name: str
) -> None:
    parent = adapters[name].folder
    start = Weights(str(parent), fine_tuned=True, labels=LABELS, max_tokens=64, device="cpu")
    trained = retrain(start, examples(32), replace(SMALL_LORA, epochs=1), tmp_path / "next")
    before, after = (load_file(folder / "adapter_model.safetensors") for folder in (parent, trained.folder))
    assert {key: value.shape for key, value in before.items()} == {key: value.shape for key, value in after.items()}
    assert all(not torch.equal(before[key], after[key]) for key in before if "lora_B" in key or "dense" in key)
    written = json.loads((trained.folder / "adapter_config.json").read_text())
    assert written["base_model_name_or_path"] == str(tiny_base if name == "bert" else tiny_llama)


def test_an_adapter_remembers_its_classes(adapters: dict[str, Trained]) -> None:
    with pytest.raises(ModelError, match="negative, positive"):
        load_classifier(adapters["bert"].folder, model_id="m", labels=LABELS[::-1], max_tokens=64, device="cpu")


@pytest.mark.parametrize(("change", "expected"), [("drop", "no weights for"), ("cut", "weights of another shape")])
@pytest.mark.parametrize(("name", "part"), [("bert", "intermediate.dense.weight"), ("llama", "mlp.up_proj.weight")])
def test_an_adapter_whose_base_model_lacks_a_part_is_refused(
    adapters: dict[str, Trained], tmp_path: Path, name: str, part: str, change: str, expected: str
) -> None:
    """transformers would draw that part at random, and the adapter would predict something else at each load."""
    adapter = shutil.copytree(adapters[name].folder, tmp_path / "adapter")
    config = json.loads((adapter / "adapter_config.json").read_text())
    base = shutil.copytree(config["base_model_name_or_path"], tmp_path / "base")
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(base)}))
    load_weights(str(adapter), LABELS, fine_tuned=True)
    weights = load_file(base / "model.safetensors")
    key = next(key for key in weights if key.endswith(part))
    tensor = weights.pop(key)
    save_file(
        weights | ({key: tensor[:, :-1].clone()} if change == "cut" else {}),
        base / "model.safetensors", metadata={"format": "pt"},
    )  # fmt: skip
    with pytest.raises(ModelError) as caught:
        load_weights(str(adapter), LABELS, fine_tuned=True)
    told = str(caught.value)
    assert told.startswith(f"{adapter}: its base model {base} holds {expected}")
    assert part in told
    assert told.endswith("save or download the whole base model again")
    assert "\n" not in told


def test_an_adapter_that_brings_along_what_its_base_model_lacks_is_taken(tiny_base: Path, tmp_path: Path) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    kept = {key: tensor for key, tensor in weights.items() if "pooler" not in key}
    save_file(kept, base / "model.safetensors", metadata={"format": "pt"})
    adapter = train(base, tmp_path / "adapter", examples(16), replace(SMALL_LORA, epochs=1)).folder
    texts = [row.text for row in examples(10, split="test")]
    np.testing.assert_array_equal(load(adapter).predict(texts), load(adapter).predict(texts))
    held = load_file(adapter / "adapter_model.safetensors")
    others = {key: tensor for key, tensor in held.items() if "pooler" not in key}
    assert len(others) < len(held)
    save_file(others, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"pooler"):
        load(adapter)


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_an_adapter_without_the_head_that_it_was_trained_with_is_refused(
    adapters: dict[str, Trained], tmp_path: Path, name: str
) -> None:
    adapter = shutil.copytree(adapters[name].folder, tmp_path / "adapter")
    weights = load_file(adapter / "adapter_model.safetensors")
    kept = {key: tensor for key, tensor in weights.items() if "lora_" in key}
    assert len(kept) < len(weights)
    save_file(kept, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError) as caught:
        load_weights(str(adapter), LABELS, fine_tuned=True)
    assert str(caught.value).startswith(f"{adapter}: ")
    assert "\n" not in str(caught.value)


def test_an_adapter_is_no_base_model(adapters: dict[str, Trained]) -> None:
    with pytest.raises(ModelError, match="fine_tune = false"):
        load_weights(str(adapters["bert"].folder), LABELS, fine_tuned=False)


def cut_in_half(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def overwrite(name: str, text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(text)

    return write


@pytest.mark.parametrize(
    "spoil",
    [
        cut_in_half,
        overwrite("model.safetensors", "no weights"),
        overwrite("config.json", '{"model_type": "bert", "hidden_size": "wide"}'),
        overwrite("config.json", '{"model_type": "bert", "vocab_size": 7}'),
        overwrite("config.json", '{"model_type": "brain"}'),
        overwrite("tokenizer.json", '{"model": 3}'),
        overwrite("adapter_config.json", "{}"),
    ],
)
def test_a_model_that_cannot_be_read_is_one_line(
    trained: Trained, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    folder = shutil.copytree(trained.folder, tmp_path / "model")
    spoil(folder)
    with pytest.raises(ModelError, match="cannot be loaded") as found:
        load_classifier(folder, model_id="m", labels=LABELS, max_tokens=64, device="cpu")
    assert "\n" not in str(found.value)
    assert str(folder) in str(found.value)


def test_a_model_without_a_head_is_no_fine_tuned_classifier(tiny_base: Path) -> None:
    """transformers would draw a head at random, another one at each load."""
    with pytest.raises(ModelError, match=r"classifier\.weight.*fine_tune = true"):
        load_weights(str(tiny_base), LABELS, fine_tuned=True)


@pytest.mark.parametrize(("change", "expected"), [("drop", "no weights for"), ("cut", "another shape")])
def test_a_base_model_whose_files_lack_a_part_is_refused(
    tiny_base: Path, tmp_path: Path, change: str, expected: str
) -> None:
    """transformers would draw that part at random, and it would be trained without a word."""
    folder = shutil.copytree(tiny_base, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    name = next(key for key in weights if key.endswith("intermediate.dense.weight"))
    tensor = weights.pop(name)
    if change == "cut":
        weights[name] = tensor[:, :-1].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"{expected}.*intermediate\.dense\.weight.*random numbers") as caught:
        load_weights(str(folder), LABELS, fine_tuned=False)
    assert "\n" not in str(caught.value)


def test_a_base_model_saved_without_a_pooler_is_taken(tiny_base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    kept = {key: tensor for key, tensor in weights.items() if "pooler" not in key}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    load_weights(str(folder), LABELS, fine_tuned=False)


def test_a_model_says_whether_its_classes_have_names(trained: Trained, tmp_path: Path) -> None:
    assert class_names(load_weights(str(trained.folder), LABELS, fine_tuned=True)[0]) == LABELS
    folder = shutil.copytree(trained.folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    del config["id2label"], config["label2id"]
    (folder / "config.json").write_text(json.dumps(config))
    assert class_names(load_weights(str(folder), LABELS, fine_tuned=True)[0]) is None


def test_a_text_is_cut_to_what_the_tokenizer_says_the_model_takes(trained: Trained, tmp_path: Path) -> None:
    """RoBERTa's 514 positions take 512 tokens, and only its tokenizer says so."""
    folder = shutil.copytree(trained.folder, tmp_path / "model")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 126}))
    loads = [
        load_classifier(path, model_id="m", labels=LABELS, max_tokens=500, device="cpu")
        for path in (trained.folder, folder)
    ]
    assert [classifier.max_tokens for classifier in loads] == [128, 126]
    assert loads[1].predict([("soup " * 300,)]).shape == (1, 2)


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


def test_the_fast_version_says_nearly_the_same_and_leaves_the_classifier_as_it_was(trained: Trained) -> None:
    classifier = load_classifier(trained.folder, model_id="m", labels=LABELS, max_tokens=64, device="cpu")
    texts = [row.text for row in examples(100, split="test")]
    before = classifier.predict(texts)
    fast = fast_version(classifier, texts)
    probabilities = fast.predict(texts)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.abs(probabilities - before).max() < 0.1
    assert (fast is classifier) != computes_bfloat16(classifier.model.device)
    np.testing.assert_array_equal(classifier.predict(texts), before)
