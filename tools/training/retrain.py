"""Fine-tune a classifier, fully or with LoRA, on weighted samples; keep the best epoch, whole or not at all."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers.pytorch_utils import Conv1D

from blindspot.storage.errors import Cancelled, ModelError, SettingsError, StoreError
from blindspot.tools.classifier.classifier import Classifier, locate_model, pick_device
from blindspot.tools.classifier.padded import is_out_of_memory
from blindspot.tools.classifier.weights import Loaded, limit_tokens, load_start
from blindspot.tools.progress import IsCancelled, Report, never, silent
from blindspot.tools.training.batches import Step, plan_epochs
from blindspot.tools.training.learner import Learner, TokenizedRows, uses_bf16
from blindspot.tools.training.settings import PRESETS, Example, Lora, Trained, Training, Weights, choose_training

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


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


__all__ = ["PRESETS", "Example", "Lora", "Score", "Trained", "Training", "Weights", "choose_training", "retrain"]

Score = Callable[[Classifier], float]
"""What an epoch is chosen by, the lower the better: UUs on validation, say, or a loss."""


def retrain(
    start: Weights,
    examples: Sequence[Example],
    training: Training,
    folder: Path,
    *,
    score: Score | None = None,
    report: Report = silent,
    cancelled: IsCancelled = never,
) -> Trained:
    """Fine-tune on examples and save weights and tokenizer (safetensors) to a folder, whole or not at all.

    With LoRA the folder holds an adapter and the name of the base model; a start that is an adapter already is trained
    on as it is. Without LoRA an adapter is merged into its base model first, and the whole is trained.
    The same arguments on the same machine give the same weights: the order of samples comes from the training's seed,
    the head and dropout from a forked torch generator.

    Args:
        score: asked after each epoch, of the classifier as it is then, which has no model id; the weights of the epoch
            with the lowest score are kept, of the first one among equals. None: the last epoch's are.
        report: called with (steps done, steps).
    Raises: ModelError, when the start cannot be loaded, memory does not hold it or training diverges. Cancelled, when
        asked to stop; nothing is saved then. SettingsError, when there is patience and nothing to have it with.
    """
    began = time.monotonic()
    if training.patience is not None and score is None:
        raise SettingsError("patience needs a score; give one, or leave patience out")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a training that was killed
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(training.seed)
        try:
            course = Course(start, examples, training, partial, score)
            course.run(report, cancelled)
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, RuntimeError) and is_out_of_memory(error):  # of weights and optimiser, not of samples
                raise ModelError(
                    f"{start.source}: device {start.device} has too little memory for the model and its optimiser; use "
                    "a smaller model or one with LoRA (preset ibs-llama), or free memory"
                ) from error
            raise
    with writing(folder):
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    return course.trained(folder, time.monotonic() - began)


class Course:
    """One training from its first epoch to its last.

    Args:
        folder: where the weights to keep are saved.
    """

    def __init__(
        self, start: Weights, examples: Sequence[Example], training: Training, folder: Path, score: Score | None
    ) -> None:
        self.training, self.folder, self.score, self.labels = training, folder, score, start.labels
        self.source = start.source
        device = pick_device(start.device)
        slim = training.lora is not None and device.type == "cuda" and uses_bf16(training, device)
        loaded = load_start(
            locate_model(start.source),
            start.labels,
            fine_tuned=start.fine_tuned,
            dtype=torch.bfloat16
            if slim
            else torch.float32,  # a base model of billions of weights that stay as they are
        )
        self.tokenizer: PreTrainedTokenizerBase = loaded.tokenizer
        self.model: PreTrainedModel = torch.nn.Module.to(adapt(loaded, training.lora), device).train()
        self.max_tokens = limit_tokens(self.model, self.tokenizer, start.max_tokens)
        rows = TokenizedRows(self.tokenizer, examples, self.max_tokens, device)
        self.plan: list[list[Step]] = plan_epochs(rows.lengths, training)
        self.learner = Learner(self.model, rows, training, sum(map(len, self.plan)))
        self.losses: list[list[float]] = []  # of each epoch, of each step
        self.scores: list[float] = []
        self.kept = 0  # the epoch whose weights are saved, from 1

    def run(self, report: Report, cancelled: IsCancelled) -> None:
        """Train until the last epoch, or until patience is at an end."""
        done, total = 0, sum(map(len, self.plan))
        for number, steps in enumerate(self.plan, start=1):
            self.losses.append([])
            for step in steps:
                self.losses[-1].append(self.learner.take(step))
                self.check(self.losses[-1][-1])
                done += 1
                report(done, total)
                if cancelled():
                    raise Cancelled("stopped while training; no weights were saved")
            if self.is_worth_keeping(number):
                self.save(number)
            if self.training.patience is not None and number - self.kept >= self.training.patience:
                break

    def check(self, loss: float) -> None:
        """Stop where there is nothing left to train: from a loss that is no number on, no weight is one.

        Raises: ModelError.
        """
        if not math.isfinite(loss):
            step = sum(map(len, self.losses))
            raise ModelError(
                f"{self.source}: training diverged, the loss of step {step} is {loss}; lower the learning rate "
                "(classifier.learning_rate, retrain.learning_rate)"
            )

    def is_worth_keeping(self, number: int) -> bool:
        """Whether an epoch that has just ended is the best so far; without a score, whether it is the last."""
        if self.score is None:
            return number == len(self.plan)
        self.scores.append(self.ask(self.score))
        return self.kept == 0 or self.scores[-1] < self.scores[self.kept - 1]

    def ask(self, score: Score) -> float:
        """Have the classifier scored as it is; what is trained afterwards does not depend on it."""
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            classifier = Classifier(
                self.model, self.tokenizer, model_id="", labels=self.labels, max_tokens=self.max_tokens
            )
            value = float(score(classifier))
        self.model.train()
        return value

    def save(self, number: int) -> None:
        """Save the weights of an epoch in place of an earlier one's."""
        self.kept = number
        with writing(self.folder):
            self.model.save_pretrained(self.folder, safe_serialization=True)
            if self.training.lora:
                self.model.config.save_pretrained(self.folder)  # peft leaves it out, and with it the classes' names
            self.tokenizer.save_pretrained(self.folder)

    def trained(self, folder: Path, seconds: float) -> Trained:
        """Say what came of it."""
        taken = [loss for epoch in self.losses[: self.kept] for loss in epoch]
        return Trained(
            folder=folder,
            final_loss=float(np.mean(taken[-max(1, len(taken) // 10) :])),
            seconds=seconds,
            settings=asdict(self.training),
            losses=tuple(float(np.mean(epoch)) for epoch in self.losses),
            scores=tuple(self.scores),
            epoch=self.kept,
            largest_batch=self.learner.most,
            checkpointed=self.learner.checkpointed,
        )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the disk does to weights into a StoreError; safetensors and tokenizers have errors of their own."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and "os error" not in str(error):
            raise
        raise StoreError(
            f"{folder}: the weights cannot be written ({error}); fix that (space, permissions), then go on"
        ) from error
