"""Lower precision for searching, where the machine is faster in it; what is found is confirmed in full precision."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from blindspot.tools.classifier import Classifier, Text
from blindspot.tools.forward import Forward
from blindspot.tools.int8_linear import Int8Packing, Peaks, WatchfulPacking
from blindspot.tools.lanes import Lanes
from blindspot.tools.packed_linear import FloatPacking
from blindspot.tools.unpadded_bert import UnpaddedBert, can_run_unpadded

if TYPE_CHECKING:
    from transformers import PreTrainedModel


CALIBRATION = 64  # texts that the scales of 8-bit integers come from


def fast_version(classifier: Classifier, texts: Sequence[Text]) -> Classifier:
    """Make a classifier that answers faster and less exactly, or give it back where the device has no faster way.

    BERT on a CPU with instructions for it: 8-bit integers. Otherwise bfloat16, where the device has that. The choice
    hangs on the model and the device alone, never on a timing: the same machine gives the same search again.

    Args:
        texts: some that are like those to come; the scales of integers come from the first ones.
    """
    model = classifier.model
    if can_run_unpadded(model) and torch.cpu._is_vnni_supported() and texts:
        return with_forward(classifier, UnpaddedBert(model, Int8Packing(peaks_of(classifier, texts[:CALIBRATION]))))
    if not computes_bfloat16(model.device):
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
    copied.tokens_per_batch = 2 * classifier.tokens_per_batch  # of smaller numbers; measured on a CPU
    return copied


def peaks_of(classifier: Classifier, texts: Sequence[Text]) -> Peaks:
    """Note the largest inputs of every layer while some texts are computed in full precision."""
    packing = WatchfulPacking()
    watched = with_forward(classifier, UnpaddedBert(classifier.model, packing))
    watched.lanes = Lanes(1)  # two lanes that note at the same time would lose a peak
    watched.predict(texts)
    return packing.peaks


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device has matrix instructions for bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False
