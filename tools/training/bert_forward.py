"""The forward pass of training: transformers' own modules, and no more of BERT's last layer than the head reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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
