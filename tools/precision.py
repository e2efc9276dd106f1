"""Lower precision for searching, where the machine is faster in it; what is found is confirmed in full precision."""

from __future__ import annotations

import copy

import torch

from blindspot.tools.classifier import Classifier


def fast_version(classifier: Classifier) -> Classifier:
    """Make a bfloat16 copy of a classifier, or give it back where the device has no instructions for bfloat16.

    The choice hangs on the device alone, never on a timing: the same machine gives the same search again.
    8-bit integers are no choice: they are scaled by batch, so that a text's answer would hang on its company.
    """
    if not computes_bfloat16(classifier.model.device):
        return classifier
    return Classifier(
        copy.deepcopy(classifier.model).to(dtype=torch.bfloat16),
        classifier.tokenizer,
        model_id=classifier.model_id,
        labels=classifier.labels,
        max_tokens=classifier.max_tokens,
    )


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device has matrix instructions for bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False
