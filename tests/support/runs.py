"""Settings of small runs, and runs that show nothing and are never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blindspot.graphs.context import Progress
from blindspot.graphs.running.run import start_run
from blindspot.storage.errors import Cancelled
from blindspot.storage.records import Run
from blindspot.storage.settings.sections import Settings, check_settings
from blindspot.storage.words import RunKindName
from blindspot.tools.progress import never

Table = dict[str, dict[str, Any]]
"""Settings as they stand in a file: by section, the values."""


def nothing(_: Progress) -> None:
    """Show nothing."""


def changed(table: Table, changes: Table) -> Table:
    """Settings of which some are changed; a section may be new."""
    return {section: table.get(section, {}) | changes.get(section, {}) for section in (*table, *changes)}


def settings_with(table: Table, changes: Table) -> Settings:
    """Check settings of which some are changed."""
    return check_settings(changed(table, changes), where="test")


def start_quietly(settings: Settings, cancelled: Callable[[], bool] = never, kind: RunKindName = "mitigation") -> Run:
    """Start a run and wait until it has ended."""
    return start_run(settings, show=nothing, cancelled=cancelled, kind=kind)


def fine_tune_in_a_run(settings: Settings) -> Path:
    """Start a run that fine-tunes a classifier first, and stop it then. Returns: the classifier's folder."""
    workspace = Path(settings.run.workspace)
    with pytest.raises(Cancelled):
        start_quietly(settings, cancelled=lambda: bool(list(workspace.rglob("model.safetensors"))))
    (weights,) = workspace.rglob("model.safetensors")
    return weights.parent
