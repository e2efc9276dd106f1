"""The records of studies; see `records`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from blindspot.storage.words import StudyStatus


@dataclass(frozen=True, slots=True)
class Study:
    """A matrix of runs: data sets x classifiers x recipes x methods x seeds."""

    study_id: str
    name: str
    status: StudyStatus
    settings: Mapping[str, Any]
    started_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StudyFigure:
    """One figure of a study over its seeds, long form."""

    study_id: str
    dataset: str
    classifier: str
    recipe: str
    method: str
    metric: str
    threshold: float
    baseline: str
    value: float
    std: float | None
    low: float | None
    high: float | None
    seeds: int
    n: int
