"""Torch's own operations, faster in training on a CPU: linear layers, dropout, attention, BERT's last layer.

Measured on one core with MiniLM: oneDNN multiplies matrices in 4/5 of the time of torch's choice, sixteen random bits
a number make a dropout mask in 1/3, and attention with dropout is spared the checks for rows that are masked whole.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from transformers import PreTrainedModel

STEPS = 1 << 16  # a share of dropout is rounded to one of this many values
MANY = 1 << 12  # numbers from which a mask is worth the detour


def training_logits(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """Compute logits that gradients flow back from, (n, classes).

    Args:
        inputs: what the tokenizer says of n padded texts, on the model's device.
    """
    adapted = hasattr(model, "get_base_model")  # by peft; its layers lie in the model that it adapts
    plain: Any = model.get_base_model() if adapted else model  # type: ignore[operator]
    if reads_first_tokens(plain):
        return first_token_logits(plain, inputs)
    logits: Tensor = model(**inputs).logits
    return logits


def reads_first_tokens(model: Any) -> bool:
    """Whether a model is a BERT classifier, whose head reads the first token and nothing else."""
    config = model.config
    return (
        type(model).__name__ == "BertForSequenceClassification"
        and config._attn_implementation == "sdpa"
        and getattr(config, "position_embedding_type", "absolute") == "absolute"
        and not config.is_decoder
        and not config.chunk_size_feed_forward
    )


def first_token_logits(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """Run BERT's last layer on first tokens alone, which look at all tokens.

    The other tokens of that layer have no part in the loss: logits and gradients are those of the whole model, dropout
    apart, which draws other numbers.
    """
    bert, real = model.bert, inputs["attention_mask"].bool()
    mask = None if bool(real.all()) else real[:, None, None, :]  # (n, 1, 1, tokens)
    *layers, last = bert.encoder.layer
    rows = bert.embeddings(input_ids=inputs["input_ids"], token_type_ids=inputs.get("token_type_ids"))
    for layer in layers:
        rows = layer(rows, attention_mask=mask)[0]  # (n, tokens, hidden)
    first = rows[:, :1]
    context = last.attention.self(first, attention_mask=mask, encoder_hidden_states=rows)[0]
    first = last.feed_forward_chunk(last.attention.output(context, first))
    logits: Tensor = model.classifier(model.dropout(bert.pooler(first)))
    return logits


def fast_training(device: torch.device) -> AbstractContextManager[object]:
    """Within this context torch's functions are the ones of this module, where these are faster."""
    suits = (
        device.type == "cpu"
        and platform.machine().lower() in ("x86_64", "amd64")
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    )
    return FastTraining() if suits else nullcontext()


class FastTraining(TorchFunctionMode):
    """Puts this module's functions in place of torch's."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return INSTEAD.get(func, func)(*args, **(kwargs or {}))


class OneDnnLinear(torch.autograd.Function):
    """A linear layer whose products are oneDNN's, forwards and for the inputs' gradient."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return product(rows, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        gradient = gradients[0].contiguous()
        rows, weight = ctx.saved_tensors
        needs_rows, needs_weight, needs_bias = ctx.needs_input_grad
        flat = gradient.flatten(0, -2)  # (n, outputs)
        return (
            product(gradient, weight.t()) if needs_rows else None,
            flat.t() @ rows.flatten(0, -2) if needs_weight else None,
            flat.sum(dim=0) if needs_bias else None,
        )


def product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply (…, inputs) by a weight of (outputs, inputs)."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "none")
    return result


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002
    """As torch's; autocast, other types and single rows go its way."""
    plain = torch.is_autocast_enabled("cpu") or input.dtype != torch.float32 or weight.dtype != torch.float32
    if plain or input.ndim < 2 or not torch.is_grad_enabled():
        return F.linear(input, weight, bias)
    result: Tensor = OneDnnLinear.apply(input, weight, bias)  # type: ignore[no-untyped-call]
    return result


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:  # noqa: A002
    """As torch's, with other random numbers."""
    if not training or inplace or input.numel() < MANY or not 0 < round(p * STEPS) < STEPS:
        return F.dropout(input, p, training, inplace)
    return input * keeping(input, p)


def keeping(like: Tensor, p: float) -> Tensor:
    """Draw what dropout multiplies by: 0 with probability p, else what makes up for it."""
    dropped = round(p * STEPS)
    bits = torch.empty((like.numel() + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
    drawn = bits.view(torch.int16)[: like.numel()].view(like.shape)
    return (drawn >= dropped - STEPS // 2).to(like.dtype).mul_(STEPS / (STEPS - dropped))


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> Tensor:
    """As torch's; with dropout, and a mask that leaves every query something, it is computed here."""
    plain = torch.is_autocast_enabled("cpu") or query.dtype != torch.float32 or is_causal or options
    if plain or not dropout_p or query.ndim != 4 or (attn_mask is not None and attn_mask.dtype != torch.bool):
        return F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, **options)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)  # (n, heads, queries, keys)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, float("-inf"))
    return dropout(scores.softmax(dim=-1), dropout_p) @ value


INSTEAD: dict[Callable[..., Any], Callable[..., Any]] = {
    F.linear: linear,
    F.dropout: dropout,
    F.scaled_dot_product_attention: attention,
}
