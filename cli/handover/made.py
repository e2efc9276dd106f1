"""What the cards of a hand-over tell of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blindspot.cli.show.summary import Summary


@dataclass(frozen=True, slots=True)
class Made:
    """What the cards tell of a run."""

    summary: Summary
    settings: Mapping[str, Any]
    versions: Mapping[str, str]  # package -> version
    fields: tuple[str, ...]
    labels: tuple[str, ...]
    task: str
    rows: Mapping[str, int]  # split -> rows
