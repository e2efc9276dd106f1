"""Fine-tune a classifier, fully or with LoRA, on weighted samples."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import get_scheduler

from blindspot.storage.errors import Cancelled
from blindspot.tools.classifier import Text, encode, locate_model, pick_device
from blindspot.tools.progress import IsCancelled, Report, never, silent
from blindspot.tools.weights import limit_tokens, load_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GROUP = 32  # batches whose samples are sorted by length together: little padding, still shuffled


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adaptation of all linear layers. Source: IBS, section 3.3."""

    rank: int = 64
    alpha: int = 16
    dropout: float = 0.1


@dataclass(frozen=True, slots=True)
class Training:
    """How a classifier is fine-tuned."""

    epochs: float
    batch_size: int
    learning_rate: float
    accumulate: int = 1  # batches per optimiser step
    schedule: str = "linear"
    warmup_share: float = 0.06
    max_gradient_norm: float = 1.0
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    lora: Lora | None = None
    seed: int = 0  # of the new head, of dropout and of the order of samples


PRESETS: dict[str, Training] = {
    "minilm": Training(epochs=4, batch_size=32, learning_rate=1e-4),
    # IBS, section 3.3
    "ibs-bert": Training(
        epochs=10, batch_size=64, learning_rate=2e-4, schedule="cosine", warmup_share=0.1,
        max_gradient_norm=0.3, weight_decay=0.001,
    ),
    "ibs-llama": Training(
        epochs=3, batch_size=8, learning_rate=2e-4, accumulate=8, schedule="cosine", warmup_share=0.1,
        max_gradient_norm=0.3, weight_decay=0.001, lora=Lora(),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Example:
    """One training row: its text, its class and its weight in the loss."""

    text: Text
    label: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training left behind."""

    folder: Path
    final_loss: float  # mean of the last tenth of the steps
    seconds: float
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Weights:
    """Where training starts: a base model (new head) or a fine-tuned classifier."""

    source: str
    fine_tuned: bool
    labels: tuple[str, ...]
    max_tokens: int
    device: str = "auto"


def choose_training(
    preset: str,
    *,
    epochs: float | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
) -> Training:
    """Take a preset and override what is given."""
    training = PRESETS[preset]
    return replace(
        training,
        seed=seed,
        epochs=epochs or training.epochs,
        batch_size=batch_size or training.batch_size,
        learning_rate=learning_rate or training.learning_rate,
    )


def retrain(
    start: Weights,
    examples: Sequence[Example],
    training: Training,
    folder: Path,
    *,
    report: Report = silent,
    cancelled: IsCancelled = never,
) -> Trained:
    """Fine-tune on examples and save weights and tokenizer (safetensors) to a folder, whole or not at all.

    With LoRA the folder holds an adapter and the name of the base model; a start that is an adapter already is trained
    on as it is. Without LoRA an adapter is merged into its base model first, and the whole is trained.
    The same arguments on the same machine give the same weights: the order of samples comes from the training's seed,
    the head and dropout from a forked torch generator.

    Args:
        report: called with (steps done, steps).
    Raises: ModelError, when the start cannot be loaded. Cancelled, when asked to stop; nothing is saved then.
    """
    began = time.monotonic()
    devices = [0] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(training.seed)
        model, tokenizer = load_weights(locate_model(start.source), start.labels, fine_tuned=start.fine_tuned)
        model = adapt(model, training.lora)
        torch.nn.Module.to(model, pick_device(start.device)).train()
        max_tokens = limit_tokens(model, tokenizer, start.max_tokens)
        encoded = encode(tokenizer, [example.text for example in examples], max_tokens)
        batches = list(plan_batches([len(ids) for ids in encoded["input_ids"]], training))
        losses = []
        for step, loss in enumerate(optimise(model, tokenizer, encoded, examples, batches, training), start=1):
            losses.append(loss)
            report(step, math.ceil(len(batches) / training.accumulate))
            if cancelled():
                raise Cancelled("stopped while training; no weights were saved")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial, safe_serialization=True)
    if training.lora:
        model.config.save_pretrained(partial)  # peft leaves it out, and with it the names of the classes
    tokenizer.save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    tail = losses[-max(1, len(losses) // 10) :]
    return Trained(folder, float(np.mean(tail)), time.monotonic() - began, asdict(training))


def adapt(model: PreTrainedModel, lora: Lora | None) -> PreTrainedModel:
    """Make a model ready to be trained with LoRA or, without, as a whole; one adapter is never put on another."""
    from peft import PeftModel

    if not isinstance(model, PeftModel):
        return add_lora(model, lora) if lora else model
    adapted: PreTrainedModel = model if lora else model.merge_and_unload()
    if not lora:
        adapted.requires_grad_(True)
    return adapted


def add_lora(model: PreTrainedModel, lora: Lora) -> PreTrainedModel:
    """Wrap a model with adapters on every linear layer; the classification head is trained and saved with them."""
    from peft import LoraConfig, TaskType, get_peft_model

    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        bias="none",
    )
    wrapped: PreTrainedModel = get_peft_model(model, config)
    return wrapped


def plan_batches(lengths: Sequence[int], training: Training) -> Iterator[list[int]]:
    """Draw the batches of all epochs: shuffled, then sorted by length within groups, then shuffled by batch.

    A last fractional epoch takes that share of its batches.
    """
    rng = np.random.default_rng([training.seed, len(lengths)])
    size = training.batch_size
    for epoch in range(math.ceil(training.epochs)):
        order = rng.permutation(len(lengths))
        batches: list[list[int]] = []
        for start in range(0, len(order), size * GROUP):
            group = sorted(order[start : start + size * GROUP], key=lambda index: lengths[index])
            batches += [[int(i) for i in group[at : at + size]] for at in range(0, len(group), size)]
        share = min(1.0, training.epochs - epoch)
        for index in rng.permutation(len(batches))[: math.ceil(share * len(batches))]:
            yield batches[index]


def optimise(
    model: PreTrainedModel,
    tokenizer: Any,
    encoded: dict[str, list[list[int]]],
    examples: Sequence[Example],
    batches: Sequence[list[int]],
    training: Training,
) -> Iterator[float]:
    """Run the optimiser over the batches; yield the loss of each step."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters, lr=training.learning_rate, betas=training.betas, weight_decay=training.weight_decay
    )
    steps = math.ceil(len(batches) / training.accumulate)
    schedule = get_scheduler(training.schedule, optimiser, int(training.warmup_share * steps), steps)
    device = next(model.parameters()).device
    bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    for start in range(0, len(batches), training.accumulate):
        group = batches[start : start + training.accumulate]
        total = sum(examples[index].weight for batch in group for index in batch)
        step_loss = 0.0
        for batch in group:
            padded = tokenizer.pad(
                {key: [rows[i] for i in batch] for key, rows in encoded.items()}, return_tensors="pt"
            )
            labels = torch.tensor([examples[i].label for i in batch], device=device)
            weights = torch.tensor([examples[i].weight for i in batch], device=device)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                logits = model(**padded.to(device)).logits  # (batch, classes)
            losses = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")  # (batch,)
            loss = (losses * weights).sum() / total
            loss.backward()  # type: ignore[no-untyped-call]
            step_loss += loss.item()
        torch.nn.utils.clip_grad_norm_(parameters, training.max_gradient_norm)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        yield step_loss
