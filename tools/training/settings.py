"""What a training is told and what it leaves behind: samples with weights, settings, presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from blindspot.tools.classifier.classifier import Text

Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adaptation of all linear layers, biases left alone. Source: IBS, section 3.3."""

    rank: int = 64
    alpha: int = 16  # the paper's scaling factor; the update is scaled by alpha / rank
    dropout: float = 0.1


@dataclass(frozen=True, slots=True)
class Training:
    """How a classifier is fine-tuned."""

    epochs: float
    batch_size: int  # samples of one forward pass, at the most
    learning_rate: float
    accumulate: int = 1  # batches per optimiser step, which so takes batch_size x accumulate samples
    schedule: str = "linear"
    warmup_share: float = 0.06
    max_gradient_norm: float = 1.0
    weight_decay: float = 0.01  # of matrices; biases and norms are left alone
    betas: tuple[float, float] = (0.9, 0.999)
    lora: Lora | None = None
    seed: int = 0  # of the new head, of dropout and of the order of samples
    order: int = 0  # another one takes the samples of the same seed in another order
    group_by_length: bool = True  # batches of samples of similar length: little padding
    precision: Precision = "auto"  # of the forward pass; auto: bf16 on a GPU that has it, else fp32
    checkpointing: bool = False  # compute activations twice, not keep them; also begun where memory runs out
    consistency: float = 0.0  # weight of the divergence between a sample and its twin, beside the cross-entropy
    patience: int | None = None  # epochs in a row without a lower score before training stops; None: never


PRESETS: dict[str, Training] = {
    "minilm": Training(epochs=4, batch_size=32, learning_rate=1e-4),
    # IBS, section 3.3; the paper's AdamW, its warm-up, decay and gradient norm are those of both
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
    """One training row: its text, its class and its weight in the loss.

    Args:
        twin: the same sample perturbed; it is held to the sample's prediction, not to the label.
        smoothing: how much of the target is spread evenly over all classes, in [0, 1): 0 asks for certainty of the
            label, more asks the classifier to doubt. Source: Szegedy et al. (2016).
    """

    text: Text
    label: int
    weight: float = 1.0
    twin: Text | None = None
    smoothing: float = 0.0


@dataclass(frozen=True, slots=True)
class Weights:
    """Where training starts: a base model (new head) or a fine-tuned classifier."""

    source: str
    fine_tuned: bool
    labels: tuple[str, ...]
    max_tokens: int
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training left behind."""

    folder: Path
    final_loss: float  # mean of the last tenth of the steps up to the epoch that was kept
    seconds: float
    settings: Mapping[str, Any]
    losses: tuple[float, ...]  # mean of each epoch's steps
    scores: tuple[float, ...]  # of each epoch, the lower the better; none where nothing was asked
    epoch: int  # whose weights were kept, from 1
    largest_batch: int  # samples that went through one forward pass, once memory held them
    checkpointed: bool  # whether activations were computed twice in the end


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
