"""Settings that have another name now: the old one still works, and says so in a line."""

from __future__ import annotations

import warnings
from typing import Any

from blindspot.storage.errors import SettingsError

RENAMED = {"retrain.doubt": "label_smoothing"}
"""Old key -> new name in the same section."""


class RenamedSetting(FutureWarning):
    """A setting was given by a name that it no longer has."""


def rename_settings(table: dict[str, Any], *, where: str, warn: bool) -> dict[str, Any]:
    """Give settings their present names.

    Args:
        table: sections by name; left as it is.
        warn: false for settings that a run has stored, which nobody can write again.
    Returns: the table, or a copy where a name has changed.
    Raises: SettingsError, where a setting is given by both of its names.
    """
    for old, new in RENAMED.items():
        name, _, key = old.partition(".")
        section = table.get(name)
        if not isinstance(section, dict) or key not in section:
            continue
        if new in section:
            raise SettingsError(f"{where}: {old} is the old name of {name}.{new}, which is set too; remove {old}")
        if warn:
            warnings.warn(f"{old} is called {name}.{new} now; the old name still works", RenamedSetting, stacklevel=2)
        table = table | {name: {new if each == key else each: value for each, value in section.items()}}
    return table
