"""BERT's forward pass on a CPU for many texts at once: the numbers of transformers' own, up to rounding, and faster.

Where the time is saved: weights lie in oneDNN's own layout; no token is padding, the tokens of all texts are rows of
one matrix, and only attention looks at texts of one length at a time; the first layer's projections, which hang on a
token and its position alone, are made once for all texts that share them; of the last layer only the first token is
made, all that a classifier reads.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from blindspot.tools.forward import Encoded, even_batches
from blindspot.tools.packed_linear import Affine, FloatPacking, PackedLinear, Packing, affine_of, stacked

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LEAST_ROWS = 2  # a matrix of one row is multiplied by another kernel, and gets other last bits
LONG = 192  # tokens from which float32 attention without its whole table is the faster one
SCORES = 1 << 18  # of attention, computed at a time


def can_run_unpadded(model: PreTrainedModel) -> bool:
    """Whether a model is a BERT classifier that this module computes."""
    return type(model).__name__ == "BertForSequenceClassification" and is_plain_bert(model)


def is_plain_bert(model: PreTrainedModel) -> bool:
    """Whether a BERT is built as this module has it, and lies on a CPU that oneDNN is at home on."""
    config = model.config
    return (
        config.hidden_act == "gelu"
        and getattr(config, "position_embedding_type", "absolute") == "absolute"
        and not config.is_decoder
        and model.device.type == "cpu"
        and model.dtype == torch.float32
        and platform.machine().lower() in ("x86_64", "amd64")
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    )


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer normalization."""

    weight: Tensor
    bias: Tensor
    epsilon: float

    def __call__(self, rows: Tensor) -> Tensor:
        return F.layer_norm(rows, self.weight.shape, self.weight, self.bias, self.epsilon)


def norm_of(module: Any, dtype: torch.dtype) -> Norm:
    return Norm(module.weight.detach().to(dtype), module.bias.detach().to(dtype), module.eps)


class Layer:
    """One layer of the encoder; queries, keys and values come from one product."""

    def __init__(self, name: str, layer: Any, packing: Packing) -> None:
        attention, output = layer.attention.self, layer.attention.output
        self.heads: int = attention.num_attention_heads
        scale = attention.attention_head_size**-0.5
        query = Affine(attention.query.weight * scale, attention.query.bias * scale)
        rest = stacked(affine_of(attention.key), affine_of(attention.value))
        self.project = packing.projection(f"{name} projections", stacked(query, rest))
        self.project_query = packing.projection(f"{name} projections", query)
        self.project_rest = packing.projection(f"{name} projections", rest)
        self.mix = packing.linear(f"{name} context", affine_of(output.dense))
        self.mix_norm = norm_of(output.LayerNorm, packing.dtype)
        widen, narrow = affine_of(layer.intermediate.dense), affine_of(layer.output.dense)
        self.feed = packing.feed_forward(f"{name} feed-forward", widen, narrow)
        self.norm = norm_of(layer.output.LayerNorm, packing.dtype)

    def finish(self, context: Tensor, rows: Tensor) -> Tensor:
        """What follows attention; rows: the layer's input, (n, hidden), which attention's context is added to."""
        rows = self.mix_norm(self.mix(context).add_(rows))
        return self.norm(self.feed(rows).add_(rows))


class UnpaddedEncoder:
    """BERT's encoder.

    Args:
        bert: a `BertModel` that `is_plain_bert`; its weights are copied.
        packing: how its weights are made ready, and so what is computed in; float32 if not given.
    """

    def __init__(self, bert: Any, packing: Packing | None = None) -> None:
        packing = packing or FloatPacking()
        embeddings, dtype = bert.embeddings, packing.dtype
        self.words = embeddings.word_embeddings.weight.detach().to(dtype)
        self.positions = embeddings.position_embeddings.weight.detach().to(dtype)
        self.types = embeddings.token_type_embeddings.weight.detach().to(dtype)
        self.norm = norm_of(embeddings.LayerNorm, dtype)
        with torch.inference_mode():
            self.layers = [Layer(f"layer {i}", layer, packing) for i, layer in enumerate(bert.encoder.layer)]

    def firsts(self, encoded: Encoded) -> Tensor:
        """Compute the last state of each text's first token: (texts, hidden)."""
        texts = Unpadded.of(encoded)
        with torch.inference_mode():
            return texts.unsorted(self.last_of_firsts(texts, *self.before_last(texts)).float())

    def means(self, encoded: Encoded) -> Tensor:
        """Compute the mean of the last states of each text's tokens: (texts, hidden)."""
        texts = Unpadded.of(encoded)
        with torch.inference_mode():
            rows = self.whole(self.layers[-1], texts, *self.before_last(texts)).float()
            means = [rows[tokens_of].view(*shape, -1).mean(dim=1) for tokens_of, _, shape in texts.groups]
            return texts.unsorted(torch.cat(means))

    def before_last(self, texts: Unpadded) -> tuple[Tensor, Tensor | None]:
        """Run all layers but the last: (what goes into it, its projections where they are made already)."""
        rows, projected = self.embed(texts)
        for layer in self.layers[:-1]:
            rows, projected = self.whole(layer, texts, rows, projected), None
        return rows, projected

    def whole(self, layer: Layer, texts: Unpadded, rows: Tensor, projected: Tensor | None) -> Tensor:
        """Run a layer on all tokens."""
        projected = layer.project(rows) if projected is None else projected
        context = torch.empty_like(rows, dtype=projected.dtype)
        for tokens_of, _, shape in texts.groups:
            query, key, value = split_heads(projected[tokens_of], shape, layer.heads, 3)
            context[tokens_of].view(*shape, layer.heads, -1).copy_(attend(query, key, value).transpose(1, 2))
        return layer.finish(context, rows)

    def last_of_firsts(self, texts: Unpadded, rows: Tensor, projected: Tensor | None) -> Tensor:  # noqa: ARG002
        """Run the last layer on first tokens, which look at all tokens."""
        last = self.layers[-1]
        rest, rows = last.project_rest(rows), at_least_two(rows.index_select(0, texts.starts))
        queries = last.project_query(rows)
        context = torch.zeros_like(rows, dtype=queries.dtype)
        for tokens_of, texts_of, shape in texts.groups:
            key, value = split_heads(rest[tokens_of], shape, last.heads, 2)
            (query,) = split_heads(queries[texts_of], (shape[0], 1), last.heads, 1)
            context[texts_of].view(shape[0], 1, last.heads, -1).copy_(attend(query, key, value).transpose(1, 2))
        return last.finish(context, rows)[: len(texts.order)]

    def embed(self, texts: Unpadded) -> tuple[Tensor, Tensor | None]:
        """Make the encoder's input, and the first layer's projections where another layer follows."""
        most_positions, most_types = len(self.positions), len(self.types)
        keys = (texts.tokens * most_positions + texts.positions) * most_types + texts.types
        distinct, place = torch.unique(keys, return_inverse=True)
        parts = (
            distinct // (most_positions * most_types),
            distinct // most_types % most_positions,
            distinct % most_types,
        )
        rows = self.norm(self.words[parts[0]] + self.types[parts[2]] + self.positions[parts[1]])
        projected = self.layers[0].project(rows).index_select(0, place) if len(self.layers) > 1 else None
        return rows.index_select(0, place), projected


class UnpaddedBert:
    """A BERT classifier, ready to answer.

    Args:
        model: one that `can_run_unpadded`; its weights are copied.
        packing: as `UnpaddedEncoder`.
    """

    def __init__(self, model: Any, packing: Packing | None = None) -> None:
        self.encoder = UnpaddedEncoder(model.bert, packing)
        with torch.inference_mode():
            self.pool = PackedLinear(affine_of(model.bert.pooler.dense), torch.float32)
            self.classify = PackedLinear(affine_of(model.classifier), torch.float32)

    def batches(self, lengths: Sequence[int], tokens_per_batch: int) -> list[list[int]]:
        return even_batches(lengths, tokens_per_batch)

    def logits(self, encoded: Encoded) -> Tensor:
        """Compute (texts, classes) logits in float32; a text's are the same, to the last bit, in any company."""
        with torch.inference_mode():
            firsts = self.encoder.firsts(encoded)
            return self.classify(torch.tanh(self.pool(at_least_two(firsts))))[: len(firsts)]


@dataclass(frozen=True, slots=True)
class Unpadded:
    """The tokens of texts below each other, the shortest text first."""

    order: list[int]  # of each text, its place among those that were given
    tokens: Tensor  # (tokens,), as are positions and types
    positions: Tensor
    types: Tensor
    starts: Tensor  # where each text's tokens begin, (texts,)
    groups: list[tuple[slice, slice, tuple[int, int]]]  # of equal length: rows of tokens, of texts, (texts, tokens)

    @classmethod
    def of(cls, encoded: Encoded) -> Unpadded:
        token_ids = encoded["input_ids"]
        type_ids = encoded.get("token_type_ids") or [[0] * len(ids) for ids in token_ids]
        order = sorted(range(len(token_ids)), key=lambda i: len(token_ids[i]))
        lengths = torch.tensor([len(token_ids[i]) for i in order])
        ends = lengths.cumsum(0)
        return cls(
            order,
            torch.tensor([token for i in order for token in token_ids[i]]),
            torch.arange(int(ends[-1])) - (ends - lengths).repeat_interleave(lengths),
            torch.tensor([kind for i in order for kind in type_ids[i]]),
            ends - lengths,
            equal_lengths(lengths.tolist()),
        )

    def unsorted(self, rows: Tensor) -> Tensor:
        """Put one row a text into the order that the texts were given in."""
        back = torch.empty_like(rows)
        back[self.order] = rows
        return back


def at_least_two(rows: Tensor) -> Tensor:
    """Repeat a single row."""
    return rows if len(rows) >= LEAST_ROWS else rows.expand(LEAST_ROWS, -1).contiguous()


def equal_lengths(lengths: Sequence[int]) -> list[tuple[slice, slice, tuple[int, int]]]:
    """Group texts, shortest first: (their tokens' rows, the texts' own rows, (texts, tokens of each))."""
    groups, token, text = [], 0, 0
    for length, members in groupby(lengths):
        count = len(list(members))
        groups.append((slice(token, token + count * length), slice(text, text + count), (count, length)))
        token, text = token + count * length, text + count
    return groups


def split_heads(rows: Tensor, shape: tuple[int, int], heads: int, parts: int) -> tuple[Tensor, ...]:
    """Split (texts x tokens, parts x hidden) into parts of (texts, heads, tokens, hidden / heads)."""
    return rows.view(*shape, parts, heads, -1).permute(2, 0, 3, 1, 4).contiguous().unbind(0)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of (texts, heads, tokens, width), the query scaled already."""
    *places, asking, width = query.shape
    if query.dtype == torch.float32 and asking > LONG:
        return F.scaled_dot_product_attention(query, key, value, scale=1.0)
    queries, keys, values = (part.reshape(-1, part.shape[2], width) for part in (query, key, value))
    context = torch.empty_like(queries)
    step = max(1, SCORES // (asking * key.shape[2]))  # heads of texts, so many that their scores stay in the cache
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        scores = torch.bmm(queries[part], keys[part].transpose(1, 2)).float()  # a softmax of bfloat16 is a slow one
        torch.bmm(scores.softmax(dim=-1).to(values.dtype), values[part], out=context[part])
    return context.view(*places, asking, width)
