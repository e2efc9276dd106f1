"""Linear layers of `UnpaddedBert`: weights as oneDNN wants them, in floating point or in 8-bit integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

Rows = Callable[[Tensor], Tensor]
"""A function of rows, (n, inputs) to (n, outputs); a row's result depends on no other row, as long as n > 1."""

HEADROOM = 1.05  # times the largest value seen: what attacked texts put in may be a little larger
ZERO = 128  # of inputs; unsigned, since signed ones are emulated on many CPUs
LEAST_GELU = -0.17  # the least value of the function
LOUD = 6.0  # neurons that reach more stay in floating point
TINY = 1e-5

Peaks = dict[str, Tensor]
"""Name of a layer's inputs -> the largest absolute value seen in each channel, (inputs,)."""


@dataclass(frozen=True, slots=True)
class Affine:
    """The weights of a linear layer: (outputs, inputs) and (outputs,)."""

    weight: Tensor
    bias: Tensor


def affine_of(module: Any) -> Affine:
    return Affine(module.weight.detach(), module.bias.detach())


def stacked(*parts: Affine) -> Affine:
    """One layer whose outputs are those of several layers, side by side."""
    return Affine(torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts]))


class Packing(Protocol):
    """How weights are made ready."""

    @property
    def dtype(self) -> torch.dtype:
        """Of the rows between the layers."""
        ...

    def linear(self, inputs: str, affine: Affine) -> Rows:
        """Make a linear layer; inputs: a name for what is fed to it, the same for layers that are fed the same."""
        ...

    def projection(self, inputs: str, affine: Affine) -> Rows:
        """Make a linear layer that attention's queries, keys or values come from; they may be of another type."""
        ...

    def feed_forward(self, inputs: str, widen: Affine, narrow: Affine) -> Rows:
        """Make two layers with a GELU between them."""
        ...


class PackedLinear:
    """A linear layer, through a GELU where asked."""

    def __init__(self, affine: Affine, dtype: torch.dtype, *, gelu: bool = False) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(affine.weight.to(dtype).contiguous(), None)
        self.bias = affine.bias.to(dtype)
        self.activation = "gelu" if gelu else "none"

    def __call__(self, rows: Tensor) -> Tensor:
        result: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.weight, self.bias, self.activation, [], "none")
        return result


@dataclass(frozen=True, slots=True)
class FloatPacking:
    """Everything in one floating-point type."""

    dtype: torch.dtype = torch.float32

    def linear(self, inputs: str, affine: Affine) -> Rows:  # noqa: ARG002
        return PackedLinear(affine, self.dtype)

    def projection(self, inputs: str, affine: Affine) -> Rows:
        return self.linear(inputs, affine)

    def feed_forward(self, inputs: str, widen: Affine, narrow: Affine) -> Rows:  # noqa: ARG002
        first, second = PackedLinear(widen, self.dtype, gelu=True), PackedLinear(narrow, self.dtype)
        return lambda rows: second(first(rows))


@dataclass(frozen=True, slots=True)
class WatchfulPacking(FloatPacking):
    """Full precision that notes the largest inputs: for some texts, before they are all computed in integers."""

    peaks: Peaks = field(default_factory=dict)

    def linear(self, inputs: str, affine: Affine) -> Rows:
        return self.watched(inputs, PackedLinear(affine, self.dtype))

    def feed_forward(self, inputs: str, widen: Affine, narrow: Affine) -> Rows:
        first = self.watched(inputs, PackedLinear(widen, self.dtype, gelu=True))
        second = self.watched(between(inputs), PackedLinear(narrow, self.dtype))
        return lambda rows: second(first(rows))

    def watched(self, inputs: str, layer: Rows) -> Rows:
        def watch(rows: Tensor) -> Tensor:
            peak = rows.abs().amax(dim=0)
            self.peaks[inputs] = torch.maximum(peak, self.peaks.get(inputs, peak))
            return layer(rows)

        return watch


def between(inputs: str) -> str:
    """Name the inputs of a feed-forward block's second layer."""
    return f"{inputs}, widened"


@dataclass(frozen=True, slots=True)
class Scale:
    """How numbers are stored in 8 unsigned bits: x as round(x / step) + zero."""

    step: float
    zero: int


class Int8Linear:
    """A linear layer on stored rows; its weights have a step for each output.

    Args:
        inputs: how the rows that it is given are stored.
        outputs: how its results are stored, or the floating-point type that they are of.
        gelu: results pass through a GELU.
    """

    def __init__(
        self, affine: Affine, inputs: Scale, *, outputs: Scale | torch.dtype = torch.float32, gelu: bool = False
    ) -> None:
        self.steps = affine.weight.abs().amax(dim=1).clamp(min=TINY).float() / 127  # (outputs,)
        stored = (affine.weight / self.steps[:, None]).round().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(stored, None)
        self.weight_zeros = torch.zeros(len(stored), dtype=torch.int64)
        self.bias = affine.bias.float()
        self.inputs = inputs
        self.ending: tuple[tuple[float, int, torch.dtype], tuple[str, list[float], str]] = (
            (outputs.step, outputs.zero, torch.uint8) if isinstance(outputs, Scale) else (1.0, 0, outputs),
            ("gelu" if gelu else "none", [], "none"),
        )

    def __call__(self, stored: Tensor) -> Tensor:
        weights = self.weight, self.steps, self.weight_zeros, self.bias
        outputs, activation = self.ending
        result: Tensor = torch.ops.onednn.qlinear_pointwise(
            stored, self.inputs.step, self.inputs.zero, *weights, *outputs, *activation
        )
        return result


@dataclass(frozen=True, slots=True)
class Int8Packing:
    """Products in 8-bit integers, attention in bfloat16 where the CPU has that, everything between them in float32.

    Args:
        peaks: of all layers, from a model made with `WatchfulPacking`.
    """

    peaks: Mapping[str, Tensor]
    dtype: torch.dtype = torch.float32

    def linear(self, inputs: str, affine: Affine, outputs: torch.dtype = torch.float32) -> Rows:
        store, scale, affine = shared_out(affine, self.peaks[inputs])
        layer = Int8Linear(affine, scale, outputs=outputs)
        return lambda rows: layer(store(rows))

    def projection(self, inputs: str, affine: Affine) -> Rows:
        has_bfloat16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return self.linear(inputs, affine, torch.bfloat16 if has_bfloat16 else torch.float32)

    def feed_forward(self, inputs: str, widen: Affine, narrow: Affine) -> Rows:
        peaks = self.peaks[between(inputs)]
        loud = peaks > LOUD
        middle = scale_of_gelu(float(torch.where(loud, 0, peaks).amax()) * HEADROOM)
        store, scale, smoothed = shared_out(widen, self.peaks[inputs])
        first = Int8Linear(smoothed, scale, outputs=middle, gelu=True)
        second = Int8Linear(Affine(narrow.weight * ~loud, narrow.bias), middle)
        if not loud.any():
            return lambda rows: second(first(store(rows)))
        loud_first = PackedLinear(Affine(widen.weight[loud], widen.bias[loud]), self.dtype, gelu=True)
        loud_second = PackedLinear(Affine(narrow.weight[:, loud], torch.zeros_like(narrow.bias)), self.dtype)
        return lambda rows: second(first(store(rows))).add_(loud_second(loud_first(rows)))


def shared_out(affine: Affine, peaks: Tensor) -> tuple[Rows, Scale, Affine]:
    """Share large inputs out between inputs and weights.

    Returns: (what stores rows, how they are stored, the layer that takes them).
    """
    largest = affine.weight.abs().amax(dim=0).clamp(min=TINY)  # (inputs,)
    factors = (peaks.clamp(min=TINY) / largest).sqrt()
    scale = Scale(float((peaks / factors).amax().clamp(min=TINY)) * HEADROOM / 127, ZERO)
    multiplier = 1 / (factors * scale.step)

    def store(rows: Tensor) -> Tensor:
        # By way of int16: torch turns floats into unsigned bytes one by one.
        return (rows.float() * multiplier).add_(scale.zero + 0.5).clamp_(0, 255).to(torch.int16).to(torch.uint8)

    return store, scale, Affine(affine.weight * factors, affine.bias)


def scale_of_gelu(largest: float) -> Scale:
    """The scale for what a GELU gives, up to a largest value."""
    step = (max(largest, TINY) - LEAST_GELU) / 255
    return Scale(step, round(-LEAST_GELU / step))
