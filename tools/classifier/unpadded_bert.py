"""BERT's forward pass on a CPU for many texts at once: the numbers of transformers' own, up to rounding, and faster.

Where the time is saved: weights lie in oneDNN's own layout; no token is padding, the tokens of all texts are rows of
one matrix, and only attention looks at texts of one length at a time; the first layer's projections, which depend on a
token and its position alone, are made once for all texts that share them; of the last layer only the first token is
made, all that a classifier reads.

oneDNN compiles code for every shape that it meets, and keeps the last 1,024: thousands of batches that are all of
different sizes would have it compile more than compute. So numbers of rows are rounded up, with copies of real rows,
and where it computes attention, lengths are, with keys that nothing looks at.
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

from blindspot.tools.classifier.linear import Affine, FloatPacking, PackedLinear, Packing, affine_of, stacked
from blindspot.tools.classifier.padded import Encoded, even_batches

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LEAST_ROWS = 32  # few shapes; and a matrix of one row is multiplied by another kernel, and gets other last bits
STEP = 8  # lengths are rounded up to multiples of it where oneDNN computes attention
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
            projected = self.layers[0].project(torch.zeros(LEAST_ROWS, self.words.shape[1], dtype=dtype))
        self.step = 1 if projected.dtype == torch.float32 else STEP  # MKL, which takes float32, compiles nothing

    def firsts(self, encoded: Encoded) -> Tensor:
        """Compute the last state of each text's first token: (texts, hidden)."""
        texts = Unpadded.of(encoded, self.step)
        with torch.inference_mode():
            return texts.unsorted(self.last_of_firsts(texts, *self.before_last(texts)).float())

    def means(self, encoded: Encoded) -> Tensor:
        """Compute the mean of the last states of each text's tokens: (texts, hidden)."""
        texts = Unpadded.of(encoded)
        with torch.inference_mode():
            rows = self.whole(self.layers[-1], texts, *self.before_last(texts)).float()
            means = [rows[group.tokens].view(*group.shape, -1).mean(dim=1) for group in texts.groups]
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
        for group in texts.groups:
            query, key, value = split_heads(group.padded(projected), group.shape, layer.heads, 3)
            attended = attend(query, key, value, group.hidden).transpose(1, 2)
            if group.own is None:
                context[group.tokens].view(attended.shape).copy_(attended)
            else:
                context[group.tokens] = attended.flatten(0, 1).flatten(1)[group.own]
        return layer.finish(repeated(context, len(texts.tokens)), rows)

    def last_of_firsts(self, texts: Unpadded, rows: Tensor, projected: Tensor | None) -> Tensor:  # noqa: ARG002
        """Run the last layer on first tokens, which look at all tokens."""
        last = self.layers[-1]
        rest, rows = last.project_rest(rows), rounded_up(rows.index_select(0, texts.starts))
        queries = last.project_query(rows)
        context = torch.empty_like(rows, dtype=queries.dtype)
        for group in texts.groups:
            count = group.shape[0]
            key, value = split_heads(group.padded(rest), group.shape, last.heads, 2)
            (query,) = split_heads(queries[group.texts], (count, 1), last.heads, 1)
            attended = attend(query, key, value, group.hidden).transpose(1, 2)
            context[group.texts].view(attended.shape).copy_(attended)
        return last.finish(repeated(context, len(texts.order)), rows)[: len(texts.order)]

    def embed(self, texts: Unpadded) -> tuple[Tensor, Tensor | None]:
        """Make the encoder's input, and the first layer's projections where another layer follows."""
        most_positions, most_types = len(self.positions), len(self.types)
        keys = (texts.tokens * most_positions + texts.positions) * most_types + texts.types
        distinct, place = map(rounded_up, torch.unique(keys, return_inverse=True))
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
            return self.classify(torch.tanh(self.pool(rounded_up(firsts))))[: len(firsts)]


@dataclass(frozen=True, slots=True)
class Unpadded:
    """The tokens of texts below each other, the shortest text first."""

    order: list[int]  # of each text, its place among those that were given
    tokens: Tensor  # (tokens,), as are positions and types
    positions: Tensor
    types: Tensor
    starts: Tensor  # where each text's tokens begin, (texts,)
    groups: list[Group]

    @classmethod
    def of(cls, encoded: Encoded, step: int = 1) -> Unpadded:
        """Put the tokens of texts below each other; step: texts whose lengths round up to the same are one group."""
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
            grouped(lengths.tolist(), step),
        )

    def unsorted(self, rows: Tensor) -> Tensor:
        """Put one row a text into the order that the texts were given in."""
        back = torch.empty_like(rows)
        back[self.order] = rows
        return back


@dataclass(frozen=True, slots=True)
class Group:
    """Texts whose attention is computed together; where they are not equally long, the shorter ones are padded."""

    tokens: slice  # their rows among all tokens
    texts: slice
    shape: tuple[int, int]  # (texts, tokens of each, padding included)
    places: Tensor | None = None  # the row of tokens at each place, (texts x tokens,); None: nothing is padded
    own: Tensor | None = None  # places that are not padding, of (texts x tokens,)
    hidden: Tensor | None = None  # added to scores: 0 for tokens, -inf for padding, (texts, 1, tokens)

    def padded(self, rows: Tensor) -> Tensor:
        """Take the group's rows, (texts x tokens, …)."""
        return rows[self.tokens] if self.places is None else rows.index_select(0, self.places)


def grouped(lengths: Sequence[int], step: int) -> list[Group]:
    """Group texts, the shortest first, whose lengths round up to the same multiple of `step`."""
    groups: list[Group] = []
    token = text = 0
    for longest, members in groupby(lengths, key=lambda length: -(-length // step) * step):
        own = list(members)
        count, total = len(own), sum(own)
        rows, texts = slice(token, token + total), slice(text, text + count)
        if total == count * longest:
            groups.append(Group(rows, texts, (count, longest)))
        else:
            sizes = torch.tensor(own)[:, None]
            column = torch.arange(longest)[None]
            places = token + (sizes.cumsum(0) - sizes) + torch.minimum(column, sizes - 1)
            is_own = column < sizes
            hidden = torch.zeros(count, 1, longest).masked_fill_(~is_own[:, None], -torch.inf)
            kept = is_own.flatten().nonzero().flatten()
            groups.append(Group(rows, texts, (count, longest), places.flatten(), kept, hidden))
        token, text = token + total, text + count
    return groups


def rounded_up(rows: Tensor) -> Tensor:
    """Add copies of rows until their number is one of few: 16 between a power of two and the next."""
    count = len(rows)
    step = max(LEAST_ROWS, 1 << max(0, count.bit_length() - 5))
    more = -count % step
    return rows if not more else rows.index_select(0, torch.arange(count + more) % count)


def repeated(rows: Tensor, count: int) -> Tensor:
    """Fill what follows the first `count` rows with copies of them, as `rounded_up` did."""
    if count < len(rows):
        rows[count:] = rows.index_select(0, torch.arange(count, len(rows)) % count)
    return rows


def split_heads(rows: Tensor, shape: tuple[int, int], heads: int, parts: int) -> tuple[Tensor, ...]:
    """Split (texts x tokens, parts x hidden) into parts of (texts, heads, tokens, hidden / heads)."""
    return rows.view(*shape, parts, heads, -1).permute(2, 0, 3, 1, 4).contiguous().unbind(0)


def attend(query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None) -> Tensor:
    """Attention of (texts, heads, tokens, width), the query scaled already; hidden: as a group has it."""
    texts, heads, asking, _ = query.shape
    if query.dtype == torch.float32 and asking > LONG:
        return F.scaled_dot_product_attention(query, key, value, scale=1.0)
    context = torch.empty_like(query)
    most = max(1, SCORES // (heads * asking * key.shape[2]))  # texts whose scores stay in the cache
    start = 0
    while start < texts:
        # By powers of two, so that there are few shapes.
        end = start + min(1 << (most.bit_length() - 1), 1 << ((texts - start).bit_length() - 1))
        queries, keys, values, output = (part[start:end].flatten(0, 1) for part in (query, key, value, context))
        scores = torch.bmm(queries, keys.transpose(1, 2)).float()  # a softmax of bfloat16 is a slow one
        if hidden is not None:
            scores.view(end - start, heads, asking, -1).add_(hidden[start:end, None])
        torch.bmm(scores.softmax(dim=-1).to(values.dtype), values, out=output)
        start = end
    return context
