"""Rows, arrays and files that several tests make alike."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from blindspot.storage.records import Event
from blindspot.tools.metrics.outcomes import Outcomes

START = datetime(2026, 1, 2, 3, 4, 5, 678901)


def event(number: int, message: str = "as planned") -> Event:
    return Event(f"evt-{number:05d}", "run-1", 1, START, "attack", "info", message)


def outcomes(ids: str, ones: list[float], flipped: str = "") -> Outcomes:
    """Of a binary task in which class 1 is always the true one; an id is a letter."""
    table = np.stack([1 - np.array(ones), np.array(ones)], axis=1)
    flips = np.array([name in flipped for name in ids], dtype=np.bool_)
    return Outcomes(tuple(ids), np.ones(len(ids), dtype=np.int64), table, flips)


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
