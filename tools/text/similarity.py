"""How much alike two texts are: in meaning (BERTScore) and in characters (near duplicates)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from blindspot.storage.errors import Cancelled, ModelError
from blindspot.storage.records import Fields
from blindspot.tools.classifier.classifier import FloatArray, locate_model, pick_device
from blindspot.tools.classifier.padded import batches_by_length
from blindspot.tools.classifier.weights import loading
from blindspot.tools.progress import IsCancelled, Report, never, silent

Block = tuple[list[int], torch.Tensor, torch.Tensor]
"""Embedded texts of similar length: where they stood, vectors (n, tokens, size + 2), token weights (n, tokens).

A token's vector is of length 1, followed by 1 and 0; padding is zeros, followed by 1 and -2 (see `greedy_f1`).
"""

MINILM_LAYERS = 6
# Bounds the tokens of a block, and with them the similarities of two blocks that are held at once.
CHARACTERS_PER_BLOCK = {"cpu": 8_192, "cuda": 65_536, "mps": 16_384}
NEAR_CHUNK = 16  # texts compared between two reports of progress


class BertScorer:
    """BERTScore F1 of texts against many references, each of which is embedded once.

    Values are those of `bert_score.score` without idf and rescaling, in batches of one pair, to 0.001.

    Args:
        encoder: "minilm", a local folder or a Hugging Face id.
        num_layers: the layer whose vectors are compared; None: the best one in bert_score's own table.
        device: "cpu", "auto", "cuda", …
    Raises: ModelError, when the encoder cannot be loaded or its layer is not known.
    Source: Zhang et al. (2020), BERTScore; IBS, section 3.3.
    """

    def __init__(self, encoder: str = "minilm", num_layers: int | None = None, device: str = "cpu") -> None:
        from bert_score.utils import get_tokenizer

        source = locate_model(encoder)
        layers = num_layers if num_layers is not None else find_layer(encoder)
        with loading(source, "encoder"):
            self.tokenizer = get_tokenizer(source, use_fast=True)
            model = load_encoder(source, layers)
        self.device = pick_device(device)
        self.model = model.to(self.device)
        if self.tokenizer.model_max_length > 1_000_000:  # not set; the model's positions are then the limit
            self.tokenizer.model_max_length = getattr(model.config, "max_position_embeddings", 512)
        self.weights: defaultdict[int | None, float] = defaultdict(lambda: 1.0)
        self.weights |= {self.tokenizer.sep_token_id: 0.0, self.tokenizer.cls_token_id: 0.0}
        self.kept: tuple[tuple[str, ...], list[Block]] = ((), [])

    def f1(
        self,
        candidates: Sequence[str],
        references: Sequence[str],
        report: Report = silent,
        cancelled: IsCancelled = never,
    ) -> FloatArray:
        """Score every candidate against every reference, (candidates, references).

        The references' vectors are kept until other references come. Progress counts the texts that are embedded as
        references, then the candidates, in parts: long texts against many others take a while each.

        Raises: Cancelled.
        """
        scores = np.zeros((len(candidates), len(references)), dtype=np.float32)
        ahead = 0 if self.kept[0] == tuple(references) else len(references)
        total = ahead + len(candidates)
        if ahead:
            blocks: list[Block] = []
            for block in self.embed(references, cancelled):
                blocks.append(block)
                report(sum(len(rows) for rows, _, _ in blocks), total)
            self.kept = (tuple(references), blocks)
        pairs = 0
        for rows, vectors, weights in self.embed(candidates, cancelled):
            for columns, reference_vectors, reference_weights in self.kept[1]:
                if cancelled():
                    raise Cancelled("stopped while BERTScore was computed")
                match = greedy_f1(vectors, weights, reference_vectors, reference_weights)
                scores[np.ix_(rows, columns)] = match.cpu().numpy()
                pairs += match.numel()
                report(ahead + pairs // len(references), total)
        return scores

    def nearest(
        self,
        candidates: Sequence[str],
        references: Sequence[str],
        report: Report = silent,
        cancelled: IsCancelled = never,
    ) -> tuple[FloatArray, NDArray[np.intp]]:
        """Find each candidate's best reference: its F1 (candidates,) and its index; the first one of equals.

        Raises: ModelError, without a reference; Cancelled.
        """
        if not references:
            raise ModelError("BERTScore needs at least one reference text; filter.references draws them")
        scores = self.f1(candidates, references, report, cancelled)
        return scores.max(axis=1), scores.argmax(axis=1)

    def best_f1(
        self,
        candidates: Sequence[str],
        references: Sequence[str],
        report: Report = silent,
        cancelled: IsCancelled = never,
    ) -> FloatArray:
        """Score each candidate by its best reference, (candidates,)."""
        return self.nearest(candidates, references, report, cancelled)[0]

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], cancelled: IsCancelled) -> Iterator[Block]:
        """Embed texts, shortest first; padding has no weight."""
        from bert_score.utils import get_bert_embedding

        device = self.device
        for batch in batches_by_length([len(text) for text in texts], CHARACTERS_PER_BLOCK.get(device.type, 8_192)):
            if cancelled():
                raise Cancelled("stopped while BERTScore was computed")
            vectors, mask, weights = get_bert_embedding(
                [texts[index] for index in batch], self.model, self.tokenizer, self.weights, device=device
            )
            unit = vectors / vectors.norm(dim=-1, keepdim=True) * mask.unsqueeze(-1)
            padding = 2.0 * (mask - 1).unsqueeze(-1)
            unit = torch.cat([unit, torch.ones_like(padding), padding], dim=-1)
            share = weights.to(device) / weights.to(device).sum(dim=1, keepdim=True)  # an empty text: NaN, becomes 0
            yield batch, unit, share


def greedy_f1(
    vectors: torch.Tensor, weights: torch.Tensor, reference_vectors: torch.Tensor, reference_weights: torch.Tensor
) -> torch.Tensor:
    """Match each token with its most similar one on the other side, for all pairs of two blocks at once.

    The same as bert_score's `greedy_cos_idf` on each pair by itself, as one matrix product. (In a batch of pairs that
    function lets padding match with 0, which moved the F1 of unlike texts by up to .008.) Only where precision or
    recall is not positive the F1 is 0: the formula, and bert_score with it, gives 1.57 for .034 and -.036.

    Returns: F1, (n, m), in [0, 1].
    """
    n, tokens, size = vectors.shape
    m, reference_tokens, _ = reference_vectors.shape
    # With the last two values of one side swapped, two tokens give their cosine, padding gives -2 and never matches.
    swapped = torch.cat([reference_vectors[..., :-2], reference_vectors[..., -2:].flip(-1)], dim=-1)
    flat = vectors.reshape(n * tokens, size) @ swapped.reshape(m * reference_tokens, size).T
    similarities = flat.view(n, tokens, m, reference_tokens)
    precision = torch.einsum("ntm,nt->nm", similarities.amax(dim=3), weights)
    recall = torch.einsum("nmt,mt->nm", similarities.amax(dim=1), reference_weights)
    f1 = 2 * precision * recall / (precision + recall)
    return torch.where((precision > 0) & (recall > 0), f1, 0.0)  # NaN compares as false


def find_layer(encoder: str) -> int:
    """Look up the layer to compare; a folder is known by the model's name at its end.

    Raises: ModelError, when bert_score does not know the encoder.
    """
    from bert_score.utils import model2layers

    if encoder == "minilm":
        return MINILM_LAYERS
    parts = Path(encoder).parts
    for name in (encoder, "/".join(parts[-2:]), parts[-1]):
        if name in model2layers:
            return int(model2layers[name])
    raise ModelError(
        f"{encoder}: bert_score knows no layer for this encoder; use minilm, a model that it knows, such as "
        "roberta-large, or a folder with the name of one"
    )


def load_encoder(source: str, layers: int) -> torch.nn.Module:
    """Load an encoder up to a layer.

    bert_score takes anything with "t5" in its name for a T5 model, a folder's path included.
    """
    from bert_score.utils import get_model
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(source)
    model: torch.nn.Module
    if "t5" not in source or "t5" in config.model_type:
        model = get_model(source, layers)
    elif 0 <= layers <= config.num_hidden_layers:
        model = AutoModel.from_pretrained(source, num_hidden_layers=layers)
    else:
        raise ModelError(f"{source}: has {config.num_hidden_layers} layers, not {layers}")
    return model


def text_of(fields: Fields, field_names: Sequence[str]) -> str:
    """Join a sample's fields into the text that similarity is measured on; a field that is not there is left out."""
    return "\n".join(fields[name] for name in field_names if name in fields)


def normalise(text: str) -> str:
    """Make texts equal that differ only in case and white space."""
    return " ".join(text.split()).casefold()


def nearest_ratios(
    texts: Sequence[str], others: Sequence[str], report: Report = silent, cancelled: IsCancelled = never
) -> FloatArray:
    """Find how near each text's nearest among others is, by characters: 1 for equal ones, 0 without others.

    Args:
        texts, others: normalised.
    Returns: the largest share of characters in common, in order (indel ratio), (texts,), in [0, 1].
    Raises: Cancelled.
    """
    from rapidfuzz import fuzz, process

    best = np.zeros(len(texts), dtype=np.float32)
    for start in range(0, len(texts) if others else 0, NEAR_CHUNK):
        if cancelled():
            raise Cancelled("stopped while near duplicates were looked for")
        chunk = texts[start : start + NEAR_CHUNK]
        # cdist lets other threads run while it computes; extractOne does not.
        ratios = process.cdist(chunk, others, scorer=fuzz.ratio, workers=1, dtype=np.float32)  # 0 to 100
        best[start : start + len(chunk)] = ratios.max(axis=1) / 100
        report(start + len(chunk), len(texts))
    return best
