"""Retraining: steps of a true size on little memory, twins, the best epoch, adapters that come back as they were."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertModel,
    LlamaConfig,
    LlamaModel,
    RobertaConfig,
    RobertaModel,
)

from blindspot.storage.errors import Cancelled, ModelError, SettingsError
from blindspot.tools.classifier.classifier import Classifier, load_classifier
from blindspot.tools.classifier.weights import Loaded, load_start, load_weights
from blindspot.tools.data.planted import generate_reviews
from blindspot.tools.training.batches import plan_epochs, split_batches
from blindspot.tools.training.kernels import first_token_logits, reads_first_tokens, training_logits
from blindspot.tools.training.learner import Learner, Logits, TokenizedRows, cross_entropy, divergence
from blindspot.tools.training.retrain import Score, retrain
from blindspot.tools.training.settings import PRESETS, Example, Lora, Trained, Training, Weights
from support.processes import WarmPython

LABELS = ("negative", "positive")
SHORT = Training(epochs=2, batch_size=16, learning_rate=3e-3)
LORA = replace(SHORT, lora=Lora(rank=4, alpha=8, dropout=0.0))


def examples(count: int, *, split: str = "train") -> list[Example]:
    reviews = generate_reviews(count, planted=0, seed=0, split=split)
    return [Example((review.text,), LABELS.index(review.label)) for review in reviews]


def start_of(source: Path, *, fine_tuned: bool = False) -> Weights:
    return Weights(str(source), fine_tuned=fine_tuned, labels=LABELS, max_tokens=64, device="cpu")


def load(folder: Path) -> Classifier:
    return load_classifier(folder, model_id="m", labels=LABELS, max_tokens=64, device="cpu")


def texts(count: int) -> list[tuple[str, ...]]:
    return [row.text for row in examples(count, split="test")]


def bytes_of(trained: Trained) -> bytes:
    return (trained.folder / "model.safetensors").read_bytes()


def still(base: Path) -> tuple[Any, Any]:
    """A classifier without dropout, so that the same samples have the same gradients however they are batched."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, tokenizer = load_weights(str(base), LABELS, fine_tuned=False)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "dropout_prob"):
            setattr(module, "dropout_prob", 0.0)  # noqa: B010 - no parameter, as its type has it
    return model.train(), tokenizer


def learner_of(base: Path, rows: Sequence[Example], training: Training, logits: Logits = training_logits) -> Learner:
    model, tokenizer = still(base)
    return Learner(model, TokenizedRows(tokenizer, rows, 64, model.device), training, 10, logits)


def gradients(learner: Learner, batches: list[list[int]]) -> dict[str, torch.Tensor]:
    learner.accumulate(batches)
    return {name: value.grad for name, value in learner.model.named_parameters() if value.grad is not None}


def assert_equal_gradients(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


def test_the_presets_are_those_of_the_paper() -> None:
    """IBS, section 3.3."""
    shared = {
        "learning_rate": 2e-4,
        "schedule": "cosine",
        "warmup_share": 0.1,
        "max_gradient_norm": 0.3,
        "weight_decay": 0.001,
        "betas": (0.9, 0.999),
    }
    assert PRESETS["ibs-bert"] == Training(epochs=10, batch_size=64, **shared)  # type: ignore[arg-type]
    lora = Lora(rank=64, alpha=16, dropout=0.1)
    assert PRESETS["ibs-llama"] == Training(epochs=3, batch_size=8, accumulate=8, lora=lora, **shared)  # type: ignore[arg-type]


@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=80),
    epochs=st.sampled_from([1, 2, 3.0]),
    size=st.integers(1, 9),
    accumulate=st.integers(1, 4),
    group_by_length=st.booleans(),
)
def test_every_epoch_shows_every_sample_once_in_steps_of_the_true_size(
    lengths: list[int], epochs: float, size: int, accumulate: int, group_by_length: bool
) -> None:
    training = Training(
        epochs=epochs,
        batch_size=size,
        learning_rate=1.0,
        seed=3,
        accumulate=accumulate,
        group_by_length=group_by_length,
    )
    plan = plan_epochs(lengths, training)
    assert len(plan) == epochs
    for steps in plan:
        sizes = [sum(map(len, step)) for step in steps]
        assert sorted(index for step in steps for batch in step for index in batch) == list(range(len(lengths)))
        assert all(count == size * accumulate for count in sizes[:-1])
        assert all(len(batch) <= size for step in steps for batch in step)


@given(batches=st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=9), max_size=5), most=st.integers(1, 9))
def test_splitting_batches_loses_no_sample(batches: list[list[int]], most: int) -> None:
    parts = split_batches(batches, most)
    assert [index for part in parts for index in part] == [index for batch in batches for index in batch]
    assert all(len(part) <= most for part in parts)


def test_grouping_by_length_saves_most_of_the_padding() -> None:
    lengths = np.random.default_rng(0).integers(5, 100, size=2000).tolist()
    padded = {}
    for grouped in (True, False):
        training = replace(SHORT, epochs=1, group_by_length=grouped)
        batches = [batch for step in plan_epochs(lengths, training)[0] for batch in step]
        padded[grouped] = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches) / sum(lengths)
    assert padded[True] < 1.1 < 1.5 < padded[False]


def test_accumulated_batches_have_the_gradients_of_one_large_batch(tiny_base: Path) -> None:
    rows = [replace(row, weight=1.0 + index % 3) for index, row in enumerate(examples(24))]
    whole = gradients(learner_of(tiny_base, rows, SHORT), [list(range(24))])
    parts = gradients(learner_of(tiny_base, rows, SHORT), [list(range(10)), list(range(10, 17)), list(range(17, 24))])
    assert_equal_gradients(parts, whole)


def test_a_weight_of_two_counts_as_the_sample_twice(tiny_base: Path) -> None:
    rows = examples(8)
    weighted = [replace(row, weight=2.0 if index == 3 else 1.0) for index, row in enumerate(rows)]
    once = gradients(learner_of(tiny_base, weighted, SHORT), [list(range(8))])
    twice = gradients(learner_of(tiny_base, [*rows, rows[3]], SHORT), [list(range(9))])
    assert_equal_gradients(once, twice)


@pytest.mark.parametrize("name", ["bert", "bare bert"])
def test_first_tokens_alone_have_the_gradients_of_the_whole_model(bases: dict[str, Path], name: str) -> None:
    """With texts of one length, where nothing is padded, and of many."""
    rows, base = examples(20), bases[name]
    lengths = learner_of(base, rows, SHORT).rows.lengths
    alike = [index for index, length in enumerate(lengths) if length == max(set(lengths), key=lengths.count)]
    assert len(alike) > 1
    for batch in (list(range(20)), alike):
        ours = learner_of(base, rows, SHORT)
        assert reads_first_tokens(ours.model)
        theirs = learner_of(base, rows, SHORT, lambda model, inputs: model(**inputs).logits)
        assert_equal_gradients(gradients(ours, [batch]), gradients(theirs, [batch]))


@pytest.mark.parametrize("changes", [{"attn_implementation": "eager"}, {"chunk_size_feed_forward": 1}])
def test_other_berts_go_the_whole_way(tiny_base: Path, changes: dict[str, Any]) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny_base, **changes)
    assert not reads_first_tokens(model)


def test_dropout_is_on_while_first_tokens_are_trained(tiny_base: Path) -> None:
    model, tokenizer = load_weights(str(tiny_base), LABELS, fine_tuned=False)
    inputs = TokenizedRows(tokenizer, examples(4), 64, model.device).padded(range(4))
    first, again = (first_token_logits(model.train(), inputs) for _ in "ab")
    assert not torch.equal(first, again)


def test_matrices_decay_as_with_the_stock_trainer_and_nothing_else(tiny_base: Path, bases: dict[str, Path]) -> None:
    from transformers import Trainer

    for base in (tiny_base, *bases.values()):
        learner = learner_of(base, examples(4), SHORT)
        wanted = set(Trainer.get_decay_parameter_names(None, learner.model))
        decaying = {id(parameter) for parameter in learner.optimiser.param_groups[0]["params"]}
        assert {name for name, value in learner.model.named_parameters() if id(value) in decaying} == wanted


@given(
    logits=st.lists(st.tuples(*[st.floats(-8, 8)] * 6), min_size=1, max_size=5),
)
def test_a_divergence_is_symmetric_and_nothing_between_equals(logits: list[tuple[float, ...]]) -> None:
    rows = torch.tensor(logits, dtype=torch.float32)
    own, twins = rows[:, :3], rows[:, 3:]
    apart = divergence(own, twins)
    torch.testing.assert_close(apart, divergence(twins, own))
    assert (apart >= -1e-6).all()
    assert torch.equal(divergence(own, own), torch.zeros(len(rows)))
    p, q = own.softmax(-1), twins.softmax(-1)
    both = [torch.nn.functional.kl_div(b.log(), a, reduction="none").sum(-1) for a, b in ((p, q), (q, p))]
    torch.testing.assert_close(apart, sum(both) / 2, atol=1e-4, rtol=1e-3)


@given(
    logits=st.lists(st.tuples(*[st.floats(-8, 8)] * 3), min_size=1, max_size=5),
    smoothing=st.floats(0, 0.99),
)
def test_a_smoothed_target_is_the_label_mixed_with_all_classes(
    logits: list[tuple[float, ...]], smoothing: float
) -> None:
    rows, labels = torch.tensor(logits, dtype=torch.float32), torch.ones(len(logits), dtype=torch.long)
    found = cross_entropy(rows, labels, torch.full((len(rows),), smoothing))
    wanted = torch.nn.functional.cross_entropy(rows, labels, reduction="none", label_smoothing=smoothing)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_a_classifier_is_less_sure_of_samples_that_it_was_taught_to_doubt(tiny_base: Path, tmp_path: Path) -> None:
    rows = examples(200)
    training = replace(SHORT, epochs=12)
    sure = []
    for smoothing in (0.0, 0.8):
        doubted = [replace(row, smoothing=smoothing) for row in rows]
        classifier = load(retrain(start_of(tiny_base), doubted, training, tmp_path / "m").folder)
        sure.append(classifier.predict([row.text for row in rows]).max(axis=1).mean())
    assert sure[1] < 0.62 < 0.7 < sure[0]  # 0.2 + 0.8 / 2 is asked for


def test_only_samples_with_a_twin_are_held_to_it(tiny_base: Path) -> None:
    rows = examples(6)
    rows[2] = replace(rows[2], twin=("the soup was dull .",), weight=3.0)
    rows[4] = replace(rows[4], twin=("lovely",))
    learner = learner_of(tiny_base, rows, replace(SHORT, consistency=0.5))
    with torch.no_grad():
        found = learner.losses([4, 0, 2])
        logits = [learner.logits(learner.model, learner.rows.padded([row])) for row in (4, 0, 2, 7, 6)]
    sure = torch.zeros(1)
    own = zip(logits, (4, 0, 2), strict=False)
    wanted = [cross_entropy(each, torch.tensor([rows[i].label]), sure) for each, i in own]
    wanted[0] = wanted[0] + 0.5 * divergence(logits[0], logits[3])
    wanted[2] = 3 * (wanted[2] + 0.5 * divergence(logits[2], logits[4]))
    torch.testing.assert_close(found, torch.cat(wanted), atol=1e-5, rtol=1e-4)


def test_a_twin_that_is_not_asked_for_changes_nothing(tiny_base: Path, tmp_path: Path) -> None:
    rows = examples(32)
    lengths = [row.text[0].count(" ") for row in rows]
    twins = [replace(row, twin=("lovely",)) for row in rows]  # the shortest: the order of samples stays
    assert min(lengths) > 1
    first, second = (retrain(start_of(tiny_base), some, SHORT, tmp_path / "m") for some in (rows, twins))
    assert first.losses == second.losses


def test_consistency_brings_a_twin_to_its_sample(tiny_base: Path, tmp_path: Path) -> None:
    rows = examples(200)
    parent = retrain(start_of(tiny_base), rows, replace(SHORT, epochs=6), tmp_path / "parent").folder
    rows = [replace(row, twin=(" ".join(row.text[0].split()[::-1][:4]),)) for row in rows]
    apart = []
    for weight in (0.0, 5.0):
        training = replace(SHORT, consistency=weight, learning_rate=1e-3)
        classifier = load(retrain(start_of(parent, fine_tuned=True), rows, training, tmp_path / "m").folder)
        own = classifier.predict([row.text for row in rows])
        twins = classifier.predict([row.twin for row in rows if row.twin])
        apart.append(np.abs(own - twins).mean())
    assert apart[0] > 0.05
    assert apart[1] < apart[0] / 2


class Cramped:
    """A real forward pass on a device that holds so many texts at once, more of them with checkpointing."""

    def __init__(self, holds: int, with_checkpointing: int) -> None:
        self.holds = {False: holds, True: with_checkpointing}
        self.asked: list[int] = []

    def __call__(self, model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        self.asked.append(len(inputs["input_ids"]))
        if self.asked[-1] > self.holds[model.is_gradient_checkpointing]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return training_logits(model, inputs)


@pytest.mark.parametrize(("holds", "with_checkpointing", "most"), [(16, 16, 16), (5, 16, 4), (1, 16, 1), (0, 6, 4)])
def test_less_memory_means_smaller_batches_and_the_same_steps(
    tiny_base: Path, holds: int, with_checkpointing: int, most: int
) -> None:
    rows = examples(40)
    plan = plan_epochs([1] * 40, replace(SHORT, epochs=1))
    cramped, roomy = Cramped(holds, with_checkpointing), learner_of(tiny_base, rows, SHORT)
    learner = learner_of(tiny_base, rows, SHORT, cramped)
    for steps in plan[0]:
        assert learner.take(steps) == pytest.approx(roomy.take(steps), abs=1e-4)
    assert (learner.most, learner.checkpointed) == (most, holds == 0)
    assert_same_weights(learner.model, roomy.model)
    cramped.asked.clear()
    learner.take(plan[0][0])
    assert max(cramped.asked) <= most  # it stays so, and tries nothing again


def assert_same_weights(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    for (name, own), (_, other) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(own, other, atol=1e-3, rtol=1e-2, msg=name)


def test_a_sample_that_memory_does_not_hold_at_all_is_one_line(tiny_base: Path) -> None:
    learner = learner_of(tiny_base, examples(8), SHORT, Cramped(0, 0))
    with pytest.raises(ModelError, match=r"cpu: out of memory while training on one sample.*classifier\.max_tokens"):
        learner.take([list(range(8))])


def test_an_error_that_is_not_of_memory_is_not_hidden(tiny_base: Path) -> None:
    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        learner_of(tiny_base, examples(8), SHORT, broken).take([list(range(8))])


@pytest.mark.parametrize("training", [SHORT, LORA])
@pytest.mark.parametrize("name", ["bare bert", "llama"])
def test_checkpointing_changes_no_weight(bases: dict[str, Path], tmp_path: Path, name: str, training: Training) -> None:
    """The same dropout is drawn when activations are computed again."""
    rows = examples(48)
    plain, spared = (
        retrain(start_of(bases[name]), rows, replace(training, checkpointing=on), tmp_path / f"{on}")
        for on in (False, True)
    )
    assert spared.checkpointed
    assert plain.losses == spared.losses
    file = "adapter_model.safetensors" if training.lora else "model.safetensors"
    assert (plain.folder / file).read_bytes() == (spared.folder / file).read_bytes()


def descending(values: Sequence[float]) -> tuple[Score, list[Classifier]]:
    """A score that says the given figures, one an epoch."""
    asked: list[Classifier] = []

    def score(classifier: Classifier) -> float:
        torch.rand(3)  # a score may draw numbers of its own
        classifier.predict(texts(5))
        asked.append(classifier)
        return values[len(asked) - 1]

    return score, asked


def test_the_epoch_with_the_lowest_score_is_kept_and_training_stops_when_patience_is_at_an_end(
    tiny_base: Path, tmp_path: Path
) -> None:
    rows, training = examples(48), replace(SHORT, epochs=6, patience=2)
    score, asked = descending([5.0, 3.0, 3.0, 4.0, 1.0, 0.0])
    trained = retrain(start_of(tiny_base), rows, training, tmp_path / "best", score=score)
    assert (trained.epoch, trained.scores, len(trained.losses), len(asked)) == (2, (5.0, 3.0, 3.0, 4.0), 4, 4)
    score, _ = descending([2.0, 1.0, 5.0, 5.0, 5.0, 5.0])
    patient = retrain(start_of(tiny_base), rows, replace(training, patience=None), tmp_path / "whole", score=score)
    assert (patient.epoch, len(patient.losses)) == (2, 6)
    assert bytes_of(patient) == bytes_of(trained)
    assert patient.final_loss == trained.final_loss


def test_asking_for_a_score_does_not_change_what_is_trained(tiny_base: Path, tmp_path: Path) -> None:
    rows = examples(48)
    score, asked = descending([2.0, 1.0])
    scored = retrain(start_of(tiny_base), rows, SHORT, tmp_path / "scored", score=score)
    plain = retrain(start_of(tiny_base), rows, SHORT, tmp_path / "plain")
    assert bytes_of(scored) == bytes_of(plain)
    np.testing.assert_allclose(asked[-1].predict(texts(20)), load(plain.folder).predict(texts(20)), atol=1e-6)


def test_a_training_that_diverges_is_one_line_and_leaves_nothing(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r": training diverged, the loss of step \d+ is (nan|inf); lower the"):
        retrain(start_of(tiny_base), examples(8), replace(SHORT, epochs=20, learning_rate=1e30), tmp_path / "m")
    assert not list(tmp_path.glob("m*"))


def test_patience_without_a_score_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="score"):
        retrain(start_of(tiny_base), examples(8), replace(SHORT, patience=1), tmp_path / "m")


def test_what_is_stopped_after_a_good_epoch_leaves_nothing(tiny_base: Path, tmp_path: Path) -> None:
    score, asked = descending([1.0, 0.0])
    with pytest.raises(Cancelled):
        retrain(start_of(tiny_base), examples(48), SHORT, tmp_path / "m", score=score, cancelled=lambda: bool(asked))
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
from blindspot.tools.training.retrain import retrain
from blindspot.tools.training.settings import Example, Training, Weights

def score(classifier):
    if (Path(sys.argv[2]).parent / "m.partial").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return 1.0

start = Weights(sys.argv[1], fine_tuned=False, labels=("negative", "positive"), max_tokens=64, device="cpu")
rows = [Example(("the soup was lovely",), index % 2) for index in range(32)]
retrain(start, rows, Training(epochs=4, batch_size=16, learning_rate=3e-3), Path(sys.argv[2]), score=score)
"""


def test_what_is_killed_after_a_good_epoch_leaves_no_model_and_is_trained_anew(
    tiny_base: Path, warm_python: WarmPython, tmp_path: Path
) -> None:
    folder = tmp_path / "m"
    assert warm_python.run("-c", KILLED, tiny_base, folder, folder=tmp_path).code == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["m.partial"]
    again = retrain(start_of(tiny_base), examples(32), SHORT, folder)
    fresh = retrain(start_of(tiny_base), examples(32), SHORT, tmp_path / "fresh")
    assert bytes_of(again) == bytes_of(fresh)
    assert not (tmp_path / "m.partial").exists()


def bare_bert(vocabulary: int) -> BertForMaskedLM:
    """Without a pooler: it is drawn along with the head."""
    config = BertConfig(
        vocab_size=vocabulary, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64
    )
    return BertForMaskedLM(config)


def three_classes(vocabulary: int) -> BertForSequenceClassification:
    """With a head of another size, which is drawn anew."""
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=3,
    )
    return BertForSequenceClassification(config)


def llama(vocabulary: int) -> LlamaModel:
    return LlamaModel(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=128,
            attention_dropout=0.1,
        )
    )


def distilbert(vocabulary: int) -> DistilBertModel:
    """With a head of two layers."""
    return DistilBertModel(DistilBertConfig(vocab_size=vocabulary, dim=32, n_layers=1, n_heads=2, hidden_dim=64))


def roberta(vocabulary: int) -> RobertaModel:
    """With a head of two layers in one module."""
    config = RobertaConfig(
        vocab_size=vocabulary, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    return RobertaModel(config)


ARCHITECTURES: dict[str, Callable[[int], Any]] = {
    "bare bert": bare_bert,
    "three classes": three_classes,
    "llama": llama,
    "distilbert": distilbert,
    "roberta": roberta,
}


@pytest.fixture(scope="module")
def bases(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny base models of several kinds, with the tokenizer of the tiny BERT; Llama's has no padding token."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    folders = {"bert": tiny_base}
    for name, build in ARCHITECTURES.items():
        folders[name] = tmp_path_factory.mktemp("base")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            build(len(tokenizer)).save_pretrained(folders[name])
        named = {"model_input_names": ["input_ids", "attention_mask"]}
        own = AutoTokenizer.from_pretrained(tiny_base, **named)
        if name == "llama":
            own.eos_token, own.pad_token = "[SEP]", None
        own.save_pretrained(folders[name])
    return folders


@pytest.mark.parametrize("name", ["bert", *ARCHITECTURES])
def test_an_adapter_comes_back_with_the_predictions_it_was_saved_with(
    bases: dict[str, Path], tmp_path: Path, name: str
) -> None:
    """Heads of more than one layer, and what else was drawn, are part of it."""
    told: list[Any] = []

    def score(classifier: Classifier) -> float:
        told.append(classifier.predict(texts(20)))
        return -float(len(told))

    folder = retrain(start_of(bases[name]), examples(64), LORA, tmp_path / "m", score=score).folder
    torch.manual_seed(1)
    first = load(folder).predict(texts(20))
    torch.manual_seed(2)
    np.testing.assert_array_equal(load(folder).predict(texts(20)), first)
    np.testing.assert_allclose(first, told[-1], atol=1e-6)


@pytest.mark.parametrize("name", ["bert", *ARCHITECTURES])
def test_the_base_model_under_an_adapter_stays_as_it_is(bases: dict[str, Path], tmp_path: Path, name: str) -> None:
    folder = retrain(start_of(bases[name]), examples(16), replace(LORA, epochs=1), tmp_path / "m").folder
    adapted = load_start(str(folder), LABELS, fine_tuned=True).model
    frozen = [key for key, value in adapted.named_parameters() if not value.requires_grad]
    assert frozen
    assert all("lora" not in key and "modules_to_save" not in key for key in frozen)
    base = AutoModelForSequenceClassification.from_pretrained(bases[name], ignore_mismatched_sizes=True, num_labels=2)
    held = load_file(bases[name] / "model.safetensors")
    for key, value in base.base_model.named_parameters():
        if key in held:
            assert torch.equal(value, held[key])


@pytest.mark.parametrize("training", [SHORT, LORA])
@pytest.mark.parametrize("name", ["bert", "llama"])
def test_bfloat16_learns_nearly_the_same_with_weights_in_float32(
    bases: dict[str, Path], tmp_path: Path, name: str, training: Training
) -> None:
    rows = examples(64)
    full, half = (
        retrain(start_of(bases[name]), rows, replace(training, precision=precision), tmp_path / precision)
        for precision in ("fp32", "bf16")
    )
    assert full.losses != half.losses
    np.testing.assert_allclose(full.losses, half.losses, rtol=0.05)
    file = "adapter_model.safetensors" if training.lora else "model.safetensors"
    assert {value.dtype for value in load_file(half.folder / file).values()} == {torch.float32}


def test_an_adapter_on_a_base_in_bfloat16_is_trained_in_float32(bases: dict[str, Path]) -> None:
    from blindspot.tools.training.retrain import adapt

    start = load_start(str(bases["llama"]), LABELS, fine_tuned=False, dtype=torch.bfloat16)
    model = adapt(start, LORA.lora)
    assert {value.dtype for value in model.parameters() if value.requires_grad} == {torch.float32}
    assert {value.dtype for value in model.parameters() if not value.requires_grad} == {torch.bfloat16}
    tokenizer = start.tokenizer
    learner = Learner(
        model, TokenizedRows(tokenizer, examples(16), 64, model.device), replace(LORA, precision="bf16"), 10
    )
    first, *_, last = [learner.take([list(range(16))]) for _ in range(10)]
    assert last < first


def test_an_adapter_is_trained_on_in_float32_too(bases: dict[str, Path], tmp_path: Path) -> None:
    from blindspot.tools.training.retrain import adapt

    parent = retrain(start_of(bases["llama"]), examples(16), replace(LORA, epochs=1), tmp_path / "m").folder
    model = adapt(load_start(str(parent), LABELS, fine_tuned=True, dtype=torch.bfloat16), LORA.lora)
    assert {value.dtype for value in model.parameters() if value.requires_grad} == {torch.float32}


def test_a_device_without_memory_for_the_model_is_one_line(tiny_base: Path, tmp_path: Path) -> None:
    def full(_: Classifier) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(ModelError, match="device cpu has too little memory for the model"):
        retrain(start_of(tiny_base), examples(16), SHORT, tmp_path / "m", score=full)
    assert not list(tmp_path.iterdir())


def test_what_was_drawn_is_known(bases: dict[str, Path]) -> None:
    def drawn(name: str) -> frozenset[str]:
        loaded: Loaded = load_start(str(bases[name]), LABELS, fine_tuned=False)
        return loaded.drawn

    assert drawn("bert") == {"classifier.weight", "classifier.bias"}
    assert drawn("three classes") == {"classifier.weight", "classifier.bias"}
    assert drawn("bare bert") == drawn("bert") | {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    assert drawn("llama") == {"score.weight"}


@pytest.mark.parametrize("lora", [False, True])
def test_weights_that_are_pickled_are_not_read(tiny_base: Path, tmp_path: Path, lora: bool) -> None:
    folder = retrain(
        start_of(tiny_base), examples(16), replace(LORA if lora else SHORT, epochs=1), tmp_path / "m"
    ).folder
    name = "adapter_model" if lora else "model"
    file = folder / f"{name}.safetensors"
    torch.save(load_file(file), folder / ("adapter_model.bin" if lora else "pytorch_model.bin"))
    file.unlink()
    with pytest.raises(ModelError, match="safetensors"):
        load(folder)
