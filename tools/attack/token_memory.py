"""Answers of a classifier, remembered by what it reads: texts that differ only where they are cut cost one pass."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Encoded = dict[str, list[list[int]]]
"""What a tokenizer makes of n texts: name of an input of the model -> n rows of integers."""


@runtime_checkable
class Reader(Protocol):
    """A classifier that shows what it reads of a text."""

    def encode(self, texts: Sequence[tuple[str, ...]]) -> Encoded:
        """Turn texts, at least one, into the model's inputs, cut to what the model reads."""
        ...

    def predict_encoded(self, encoded: Encoded) -> NDArray[np.float32]:
        """Class probabilities of n encoded texts, (n, classes); a row depends on nothing but its own inputs."""
        ...


class TokenMemory:
    """A classifier that computes no two texts of the same tokens.

    Args:
        remembered: answers kept, the most recently used ones.
    """

    def __init__(self, reader: Reader, *, remembered: int = 20_000) -> None:
        self.reader, self.remembered = reader, remembered
        self.memory: OrderedDict[tuple[bytes, ...], NDArray[np.float32]] = OrderedDict()

    def predict(self, texts: Sequence[tuple[str, ...]]) -> NDArray[np.float32]:
        """Class probabilities of n > 0 texts, (n, classes)."""
        encoded = self.reader.encode(texts)
        keys = [
            tuple(np.asarray(row, dtype=np.int32).tobytes() for row in inputs)
            for inputs in zip(*encoded.values(), strict=True)
        ]
        known = {key: self.memory[key] for key in keys if key in self.memory}
        new = {key: i for i, key in enumerate(keys) if key not in known}
        if new:
            rows = self.reader.predict_encoded(
                {name: [all_[i] for i in new.values()] for name, all_ in encoded.items()}
            )
            known |= {key: row.copy() for key, row in zip(new, rows, strict=True)}  # a view would keep its whole batch
        for key, row in known.items():
            self.memory[key] = row
            self.memory.move_to_end(key)
        while len(self.memory) > self.remembered:
            self.memory.popitem(last=False)
        return np.stack([known[key] for key in keys])
