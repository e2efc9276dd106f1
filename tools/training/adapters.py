"""LoRA: adapters on every linear layer of a classifier, saved with all that no base model holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from transformers.pytorch_utils import Conv1D

from blindspot.tools.classifier.weights import Loaded
from blindspot.tools.training.settings import Lora

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def adapt(start: Loaded, lora: Lora | None) -> PreTrainedModel:
    """Make a model ready to be trained with LoRA or, without, as a whole; one adapter is never put on another."""
    from peft import PeftModel

    if not isinstance(start.model, PeftModel):
        model = add_lora(start, lora) if lora else start.model
    elif lora:
        model = start.model
    else:
        model = start.model.merge_and_unload()
        model.requires_grad_(True)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # steps are too small for a base model's bfloat16
    return model


def add_lora(start: Loaded, lora: Lora) -> PreTrainedModel:
    """Wrap a model with adapters; whole modules that were drawn, the head among them, are trained and saved too.

    What is drawn and not saved would be drawn again at each load, and the predictions with it.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    whole = modules_to_save(start.model, start.drawn)
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=linear_layers(start.model, whole),
        modules_to_save=whole,
        bias="none",
    )
    wrapped: PreTrainedModel = get_peft_model(start.model, config)
    return wrapped


def modules_to_save(model: PreTrainedModel, drawn: Iterable[str]) -> list[str]:
    """Name the modules of the head, whether drawn or not, and those in the base model that were drawn."""
    encoder = model.base_model_prefix
    head = {name.split(".")[0] for name, _ in model.named_parameters()} - {encoder}
    return sorted(head | {name.rpartition(".")[0] for name in drawn if name.split(".")[0] == encoder})


def linear_layers(model: PreTrainedModel, without: Iterable[str]) -> list[str]:
    """Name all linear layers but those in some modules."""
    outside = tuple(f"{name}." for name in without)
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, Conv1D)) and not f"{name}.".startswith(outside)
    ]
