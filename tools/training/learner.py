"""A model that is being trained: one optimiser step after another, on as many samples at a time as memory holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import get_scheduler

from blindspot.storage.errors import ModelError
from blindspot.tools.classifier.classifier import encode
from blindspot.tools.classifier.padded import is_out_of_memory
from blindspot.tools.training.batches import Step, split_batches
from blindspot.tools.training.kernels import fast_training, training_logits
from blindspot.tools.training.settings import Example, Training

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: Tensor) -> Tensor:
    """Compute the cross-entropy of each sample against its label, of which a part is spread over all classes.

    Args:
        logits: (n, classes).
        labels: class indices, (n,).
        smoothing: the part of each sample's target that is spread evenly, (n,) in [0, 1).
    Returns: (n,) in nats.
    """
    log_p = logits.float().log_softmax(dim=-1)
    return torch.lerp(F.nll_loss(log_p, labels, reduction="none"), -log_p.mean(dim=-1), smoothing)


def divergence(logits: Tensor, twins: Tensor) -> Tensor:
    """Compute the symmetric Kullback-Leibler divergence between predictions: the mean of its two directions.

    Gradients flow into both: the twin is drawn to the sample and the sample to the twin.

    Args:
        logits: of samples, (n, classes).
        twins: of the samples' twins, (n, classes).
    Returns: (n,) in nats; 0 where both predict the same.
    """
    log_p, log_q = logits.float().log_softmax(dim=-1), twins.float().log_softmax(dim=-1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim=-1) / 2


Logits = Callable[["PreTrainedModel", Mapping[str, Tensor]], Tensor]
"""A forward pass that gradients flow back from."""


class TokenizedRows:
    """Training samples in tokens, and those of their twins behind them.

    Args:
        max_tokens: longer texts are truncated.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], max_tokens: int, device: torch.device
    ) -> None:
        self.tokenizer, self.device = tokenizer, device
        twins = [index for index, example in enumerate(examples) if example.twin is not None]
        texts = [example.text for example in examples] + [twin for example in examples if (twin := example.twin)]
        self.twin_of = {index: len(examples) + place for place, index in enumerate(twins)}
        self.encoded = encode(tokenizer, texts, max_tokens)
        self.labels = torch.tensor([example.label for example in examples])
        self.weights = torch.tensor([example.weight for example in examples])
        self.smoothing = torch.tensor([example.smoothing for example in examples])
        tokens = [len(ids) for ids in self.encoded["input_ids"]]
        self.lengths = [max(tokens[i], tokens[self.twin_of.get(i, i)]) for i in range(len(examples))]

    def padded(self, indices: Sequence[int]) -> Mapping[str, Tensor]:
        """Make what a model is given of some rows."""
        encoded = {key: [rows[i] for i in indices] for key, rows in self.encoded.items()}
        padded: Any = self.tokenizer.pad(encoded, return_tensors="pt")
        return {key: rows.to(self.device) for key, rows in padded.items()}


class Learner:
    """Takes optimiser steps.

    Args:
        model: on its device; its parameters that require gradients are trained.
        rows: the training samples.
        steps: how many there will be, which the learning rate's schedule depends on.
        logits: the forward pass.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        rows: TokenizedRows,
        training: Training,
        steps: int,
        logits: Logits = training_logits,
    ) -> None:
        self.model, self.rows, self.training, self.logits = model, rows, training, logits
        self.most = training.batch_size  # samples that go through one forward pass
        self.checkpointed = False
        if training.checkpointing:
            self.checkpoint()
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.parameters = trained
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": training.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas, fused=True)
        warmup = math.ceil(training.warmup_share * steps)
        self.schedule = get_scheduler(training.schedule, self.optimiser, warmup, steps)
        self.bf16 = uses_bf16(training, model.device)

    def take(self, batches: Step) -> float:
        """Take a step on some batches, the weighted mean of whose samples' losses it makes smaller.

        Where memory runs out, the same samples go through in smaller batches; where a single one is too much,
        activations are computed twice in place of being kept.

        Returns: the loss before the step.
        Raises: ModelError, when all that is not enough.
        """
        while True:
            try:
                loss = self.accumulate(split_batches(batches, self.most))
                break
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self.spare_memory(error)
            self.optimiser.zero_grad()  # out here, where the error no longer holds what the memory is full of
            if self.model.device.type == "cuda":
                torch.cuda.empty_cache()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.training.max_gradient_norm)
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()
        return loss

    def accumulate(self, batches: Step) -> float:
        """Add up the gradients of all batches; the weights of their samples are made to add up to 1."""
        total = float(self.rows.weights[[index for batch in batches for index in batch]].sum())
        summed = torch.zeros((), device=self.model.device)
        for batch in batches:
            with fast_training(self.model.device):
                loss = self.losses(batch).sum() / total
            loss.backward()  # type: ignore[no-untyped-call]
            summed += loss.detach()
        return float(summed)

    def losses(self, batch: Sequence[int]) -> Tensor:
        """Compute the weighted loss of each sample; its twin, if it has one, goes through the same forward pass."""
        device, rows = self.model.device, self.rows
        asks = [place for place, i in enumerate(batch) if self.training.consistency and i in rows.twin_of]
        inputs = rows.padded([*batch, *(rows.twin_of[batch[place]] for place in asks)])
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.bf16):
            logits = self.logits(self.model, inputs)
        own, twins = logits[: len(batch)], logits[len(batch) :]
        losses = cross_entropy(own, rows.labels[batch].to(device), rows.smoothing[batch].to(device))
        if asks:
            apart = divergence(own[asks], twins)
            losses = losses.index_add(0, torch.tensor(asks, device=device), self.training.consistency * apart)
        return losses * rows.weights[batch].to(device)

    def spare_memory(self, error: Exception) -> None:
        """Halve the batches, and after the last half begin again with checkpointing.

        Raises: ModelError, when there is nothing left to spare.
        """
        if self.most > 1:
            self.most //= 2
        elif not self.checkpointed and self.model.supports_gradient_checkpointing:
            self.most = self.training.batch_size
            self.checkpoint()
        else:
            raise ModelError(
                f"{self.model.device}: out of memory while training on one sample at a time; lower "
                "classifier.max_tokens, use a smaller model or one with LoRA (preset ibs-llama), or free memory"
            ) from error

    def checkpoint(self) -> None:
        """Compute activations again when they are needed, as they were computed first and with the same dropout."""

        def contexts() -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
            return nullcontext(), fast_training(self.model.device)  # of the first time, which has it, and of the second

        how = {"use_reentrant": False, "context_fn": contexts}
        self.model.gradient_checkpointing_enable(how)  # type: ignore[no-untyped-call]
        self.checkpointed = True


def uses_bf16(training: Training, device: torch.device) -> bool:
    """Whether a training on a device computes in bfloat16; weights that are trained stay in float32."""
    if training.precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return training.precision == "bf16"
