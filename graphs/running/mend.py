"""Changing the settings of a run under way: those that no row of it depends on yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from blindspot.agents.spec import TeacherSpec
from blindspot.graphs.kinds.kinds import KINDS
from blindspot.storage.clock import now
from blindspot.storage.errors import SettingsError
from blindspot.storage.ids import make_id
from blindspot.storage.records import Event, Hypothesis, Round, Run, ToolCall
from blindspot.storage.settings.file import Overrides, change_settings
from blindspot.storage.settings.sections import check_settings
from blindspot.storage.store.store import Store

MENDABLE: Mapping[str, str | None] = {
    "run.publish_s": None,
    "teacher.spec": "teach",
    "teacher.temperature": "teach",
    "teacher.requests_per_minute": None,
    "teacher.requests_per_second": None,
    "teacher.concurrency": None,
    "teacher.tokens_per_minute": None,
    "teacher.timeout_s": None,
    "teacher.longest_pause_s": None,
    "teacher.attempts": None,
    "teacher.max_tokens": None,
    "teacher.max_calls": None,
    "teacher.max_usd": None,
    "teacher.confirm_usd": None,
    "teacher.usd_per_million_in": None,
    "teacher.usd_per_million_out": None,
    "teacher.cache": None,
    "teacher.steps": None,
    "filter.encoder": "filter",
    "attack.together": None,
    "classifier.device": None,
}
"""Settings that may change, and the phase whose rows fix them; None: how the work is done, not what comes of it."""


def mend_settings(store: Store, run: Run, overrides: Overrides) -> tuple[Run, list[Event]]:
    """Change settings of a run so that the rows it has already stay true. Nothing is written.

    Returns: the run with its new settings, and the events that say what changed.
    Raises: SettingsError, for a setting that is wrong or that rows of the run depend on.
    """
    before = check_settings(dict(run.settings), where=f"settings of {run.run_id}")
    after = change_settings(before, overrides)
    kind = KINDS[run.kind]
    asks = bool(kind.teachers(before)) or (kind.judges and bool(before.judge.spec))
    teacher = run.teacher if "teacher.spec" in kind.fixed else kind.teacher_of(after)
    mended = replace(run, settings=after.model_dump(mode="json"), teacher=teacher)
    changed = setting_changes(before.model_dump(mode="json"), mended.settings)
    for key in changed:
        if not asks and key.startswith("teacher."):
            why = kind.unasked or f'has the method "{run.method}", which asks no teacher'
            raise SettingsError(f"--set {key}: {run.run_id} {why}; leave it out")
        if key not in MENDABLE or key in kind.fixed:
            raise SettingsError(
                f"--set {key}: rows of {run.run_id} depend on it, so it cannot change; start a new run with another "
                f"value (resume can change {', '.join(MENDABLE)})"
            )
        phase = MENDABLE[key]
        moved = key == "teacher.spec" and teacher_model(run) == teacher_model(mended)
        if phase and not moved and has_rows_of(store, run.run_id, phase):
            raise SettingsError(
                f"--set {key}: rows of {run.run_id} depend on it since its {phase} phase; start a new run to change it"
            )
    number, at = store.count(Round, run_id=run.run_id), now()
    return mended, [
        Event(make_id("evt", run.run_id, key, at), run.run_id, number, at, "resume", "info", f"{key}: {change}")
        for key, change in changed.items()
    ]


def setting_changes(before: Mapping[str, Any], after: Mapping[str, Any], inside: str = "") -> dict[str, str]:
    """Say which settings differ, and how: "section.key" -> "old -> new"."""
    changed: dict[str, str] = {}
    for name, value in after.items():
        old = before.get(name)
        if isinstance(value, Mapping):
            changed |= setting_changes(old if isinstance(old, Mapping) else {}, value, f"{inside}{name}.")
        elif old != value:
            changed[f"{inside}{name}"] = f"{old} -> {value}"
    return changed


def teacher_model(run: Run) -> TeacherSpec:
    """Whose answers a run takes, at whatever address."""
    return replace(TeacherSpec.parse(run.teacher), base_url=None, path=None)


def has_rows_of(store: Store, run_id: str, phase: str) -> bool:
    """Whether a phase of any round has left rows."""
    if phase == "teach":  # its rows come one by one
        return store.count(Hypothesis, run_id=run_id) > 0
    return store.count(ToolCall, run_id=run_id, tool=phase, caller="graph") > 0
