"""Linear layers whose weights lie as oneDNN wants them, in floating point: what `UnpaddedBert` is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

Rows = Callable[[Tensor], Tensor]
"""A function of rows, (n, inputs) to (n, outputs); a row's result depends on no other row, as long as n > 1."""


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
