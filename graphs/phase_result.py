"""What a phase hands on: to the phases after it by the state, to people by its row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict


class StateChanges(TypedDict, total=False):
    """The values of the state (see `context.State`) that a phase sets again."""

    round: int
    model_id: str
    new_model_id: str | None
    stop: str | None
    step: int
    chosen: str
    knobs: Mapping[str, Any]


class PhaseResult(NamedTuple):
    """What came of a phase."""

    changes: StateChanges
    summary: Mapping[str, Any]  # what is told of it, and recorded in its row: name -> figure or words
