"""The operations that make training faster on a CPU are torch's own, up to rounding and the choice of random bits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from blindspot.tools.training.kernels import FastTraining, attention, dropout, fast_training, linear

SIZES = st.integers(1, 40)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def gradients(result: Tensor, *leaves: Tensor) -> list[Tensor]:
    weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(9))
    return list(torch.autograd.grad((result * weights).sum(), leaves))


@settings(deadline=None)
@given(shape=st.lists(SIZES, min_size=1, max_size=2), inputs=SIZES, outputs=SIZES, bias=st.booleans())
def test_a_linear_layer_has_the_values_and_gradients_of_torchs(
    shape: list[int], inputs: int, outputs: int, bias: bool
) -> None:
    rows, weight = drawn(*shape, inputs), drawn(outputs, inputs, seed=1)
    leaves = (rows, weight, drawn(outputs, seed=2)) if bias else (rows, weight)
    ours, theirs = linear(*leaves), F.linear(*leaves)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    for own, other in zip(gradients(ours, *leaves), gradients(theirs, *leaves), strict=True):
        torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-4)


def test_a_linear_layer_takes_rows_and_gradients_as_they_lie() -> None:
    """Transposed inputs, and the gradient of a sum, which is one number in all places."""
    rows, weight = drawn(6, 5, 4), drawn(3, 6, seed=1)
    own, other = (
        torch.autograd.grad(f(rows.permute(2, 1, 0), weight).sum(), [rows, weight]) for f in (linear, F.linear)
    )
    for ours, theirs in zip(own, other, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_a_frozen_layer_gets_no_gradient() -> None:
    rows, weight = drawn(4, 6), drawn(3, 6, seed=1).detach()
    with FastTraining():
        F.linear(rows, weight).sum().backward()
    assert weight.grad is None
    assert rows.grad is not None


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_makes_up_for_it(p: float) -> None:
    torch.manual_seed(0)
    rows = torch.ones(400, 1000, requires_grad=True)
    kept = dropout(rows, p, True)
    n = rows.numel()
    assert abs((kept == 0).float().mean().item() - p) < 5 * (p * (1 - p) / n) ** 0.5 + 1 / 65536
    torch.testing.assert_close(kept[kept != 0], torch.full_like(kept[kept != 0], 1 / (1 - p)), rtol=1e-3, atol=0)
    (gradient,) = torch.autograd.grad(kept.sum(), [rows])
    assert torch.equal(gradient, kept)


def test_dropout_does_not_know_its_neighbours() -> None:
    """Four places share one random number; what is dropped in one says nothing of the next."""
    torch.manual_seed(0)
    gone = (dropout(torch.ones(400_000), 0.3, True) == 0).float()
    for lag in (1, 2, 3, 4):
        assert abs((gone[lag:] * gone[:-lag]).mean().item() - 0.09) < 0.003
    for place in range(4):
        assert abs(gone[place::4].mean().item() - 0.3) < 0.008


def test_dropout_is_off_outside_of_training_and_the_same_from_the_same_seed() -> None:
    rows = torch.ones(100, 100)
    assert torch.equal(dropout(rows, 0.5, False), rows)
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(dropout(rows, 0.5, True))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize("queries", [7, 1])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_has_the_values_and_gradients_of_torchs(queries: int, masked: bool) -> None:
    query, key, value = drawn(3, 2, queries, 8), drawn(3, 2, 7, 8, seed=1), drawn(3, 2, 7, 8, seed=2)
    mask = (torch.arange(7) < torch.tensor([[7], [4], [1]]))[:, None, None, :] if masked else None
    tiny = 1e-9  # too small a share to drop anything, and yet not none
    ours = attention(query, key, value, mask, tiny)
    theirs = F.scaled_dot_product_attention(query, key, value, mask)
    torch.testing.assert_close(ours, theirs)
    leaves = (query, key, value)
    for own, other in zip(gradients(ours, *leaves), gradients(theirs, *leaves), strict=True):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-4)


def test_torchs_functions_are_its_own_again_outside() -> None:
    rows, weight = drawn(4, 6), drawn(3, 6, seed=1)
    with fast_training(torch.device("cpu")):
        inside = F.linear(rows, weight)
    assert "OneDnn" in type(inside.grad_fn).__name__
    assert "OneDnn" not in type(F.linear(rows, weight).grad_fn).__name__
