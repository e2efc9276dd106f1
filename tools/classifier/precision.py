"""Lower precision for searching, where the machine is faster in it; what is found is confirmed in full precision."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from blindspot.tools.classifier.classifier import Classifier, Text, encode
from blindspot.tools.classifier.lanes import Lanes
from blindspot.tools.classifier.linear import FloatPacking, Int8Packing, Peaks, WatchfulPacking
from blindspot.tools.classifier.padded import Forward
from blindspot.tools.classifier.unpadded_bert import UnpaddedBert, can_run_unpadded

if TYPE_CHECKING:
    from transformers import PreTrainedModel


CALIBRATION = 64  # texts that the scales of 8-bit integers come from
LONG_TEXTS = 128  # tokens on average: in longer texts one word weighs less than the rounding of 8-bit integers


def fast_version(classifier: Classifier, texts: Sequence[Text]) -> Classifier:
    """Make a classifier that answers faster and less exactly, or give it back where the device has no faster way.

    BERT on a CPU with instructions for it: 8-bit integers. Otherwise, and for long texts, bfloat16, where the device
    has that. The choice depends on the model, the device and the texts, never on a timing: the same machine gives the
    same search again.

    Args:
        texts: some that are like those to come; the scales of integers come from the first ones.
    """
    model, texts = classifier.model, texts[:CALIBRATION]
    has_bfloat16 = computes_bfloat16(model.device)
    suits_int8 = bool(texts) and not (has_bfloat16 and are_long(classifier, texts))
    if suits_int8 and can_run_unpadded(model) and torch.cpu._is_vnni_supported():
        return with_forward(classifier, UnpaddedBert(model, Int8Packing(peaks_of(classifier, texts))))
    if not has_bfloat16:
        return classifier
    if can_run_unpadded(model):
        return with_forward(classifier, UnpaddedBert(model, FloatPacking(torch.bfloat16)))
    return with_forward(classifier, None, copy.deepcopy(model).to(dtype=torch.bfloat16))


def with_forward(classifier: Classifier, forward: Forward | None, model: PreTrainedModel | None = None) -> Classifier:
    """Copy a classifier, with another forward pass or another model."""
    copied = Classifier(
        model or classifier.model,
        classifier.tokenizer,
        model_id=classifier.model_id,
        labels=classifier.labels,
        max_tokens=classifier.max_tokens,
        forward=forward,
    )
    copied.temperature = classifier.temperature
    copied.tokens_per_batch = 2 * classifier.tokens_per_batch  # of smaller numbers; measured on a CPU
    return copied


def peaks_of(classifier: Classifier, texts: Sequence[Text]) -> Peaks:
    """Note the largest inputs of every layer while some texts are computed in full precision."""
    packing = WatchfulPacking()
    watched = with_forward(classifier, UnpaddedBert(classifier.model, packing))
    watched.lanes = Lanes(1)  # two lanes that note at the same time would lose a peak
    watched.predict(texts)
    return packing.peaks


def are_long(classifier: Classifier, texts: Sequence[Text]) -> bool:
    """Whether texts have more than `LONG_TEXTS` tokens on average, as the classifier reads them."""
    tokens = encode(classifier.tokenizer, texts, classifier.max_tokens)["input_ids"]
    return sum(map(len, tokens)) > LONG_TEXTS * len(texts)


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device has matrix instructions for bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False
