"""The forward pass as transformers has it, for any model on any device; `UnpaddedBert` is another, for some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LENGTH_STEP = 8  # a text is padded to a multiple of this many tokens
LEAST_ROWS = 4  # smaller batches run in other kernels, and the same text gets other last bits

Encoded = Mapping[str, list[list[int]]]
"""What a tokenizer says of texts, without padding: token ids and the like, one list a text."""


class Forward(Protocol):
    """From tokens to logits."""

    def batches(self, lengths: Sequence[int], tokens_per_batch: int) -> list[list[int]]:
        """Group texts, by their numbers of tokens, into batches of about this many tokens."""
        ...

    def logits(self, encoded: Encoded) -> Tensor:
        """Compute one batch: (texts, classes) in float32."""
        ...


class PaddedForward:
    """Batches of texts that are padded to the same width.

    A text's width depends on its own length alone, and no batch has fewer than 4 rows: on a CPU its logits are then
    the same, to the last bit, in any company.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
        self.model, self.tokenizer, self.max_tokens = model, tokenizer, max_tokens
        self.least_rows = LEAST_ROWS if model.device.type == "cpu" else 1

    def batches(self, lengths: Sequence[int], tokens_per_batch: int) -> list[list[int]]:
        """Group texts of equal width, shortest last."""
        widths = [self.width(length) for length in lengths]
        batches: list[list[int]] = []
        for width, group in groupby(sorted(range(len(widths)), key=lambda i: (-widths[i], i)), key=widths.__getitem__):
            members = list(group)
            rows = max(1, tokens_per_batch // width)
            batches += [members[start : start + rows] for start in range(0, len(members), rows)]
        return batches

    def width(self, length: int) -> int:
        """The tokens that a text of this length is padded to."""
        return min(-(-length // LENGTH_STEP) * LENGTH_STEP, self.max_tokens)

    def logits(self, encoded: Encoded) -> Tensor:
        count = len(encoded["input_ids"])
        filled = list(range(count)) + [count - 1] * (self.least_rows - count)
        padded = self.tokenizer.pad(
            {key: [rows[i] for i in filled] for key, rows in encoded.items()},
            padding="max_length",
            max_length=self.width(max(map(len, encoded["input_ids"]))),
            return_tensors="pt",
        )
        with torch.inference_mode():
            logits: Any = self.model(**padded.to(self.model.device)).logits
            return logits.float()[:count]  # type: ignore[no-any-return]


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch could not get memory: an error of its own on accelerators, a RuntimeError on a CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def even_batches(lengths: Sequence[int], tokens_per_batch: int) -> list[list[int]]:
    """Group texts of similar length into as few batches of at most this many tokens as possible, of like size.

    A batch holds about half a text more or less than its share.
    """
    total = sum(lengths)
    count = -(-total // tokens_per_batch)
    batches: list[list[int]] = [[] for _ in range(count)]
    before = 0
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        batches[(2 * before + lengths[index]) * count // (2 * total)].append(index)
        before += lengths[index]
    return [batch for batch in batches if batch]


def batches_by_length(lengths: Sequence[int], tokens_per_batch: int) -> list[list[int]]:
    """Group indices of similar length so that a padded batch holds at most this many tokens (and at least one text)."""
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
