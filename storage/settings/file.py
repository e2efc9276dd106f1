"""Reading settings: a TOML file or a mapping, overrides of single settings, and the paths in them, made absolute."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from blindspot.storage.errors import SettingsError
from blindspot.storage.settings.sections import RunSection, Settings, check_settings
from blindspot.storage.settings.values import MOST_BYTES, check_path, check_plain, rename_settings, shorten

BUNDLED = "minilm"  # a model's name; a folder that is called so is written ./minilm
DATA = ("data.train", "data.validation", "data.test", "data.unlabelled", "errors.file", "method.file")
FILES = (*DATA, "run.workspace", "hypotheses.file")
TEACHERS = ("teacher.spec", "judge.spec", "compare.teachers")
IN_FILES = ("file", "replay")  # teachers that a path names
NAMES = ("data.path", "classifier.model", "filter.encoder")
"""Folders, or ids of Hugging Face: taken for folders where they are there, or can be nothing else (./x, ~/x)."""

Source = str | Path | Mapping[str, Any] | Settings
"""Where settings come from: a TOML file, a mapping of sections such as `{"data": {"path": …}}`, or settings."""

Overrides = Mapping[str, object] | Iterable[str | tuple[str, object]]
"""Single settings to change: `{"run.seed": 3}`, or a list of "run.seed=3" and ("run.seed", 3); the last one holds."""


def load_settings(source: Source, overrides: Overrides = ()) -> Settings:
    """Read and check the settings of a run.

    Relative paths to data and models begin at the file's own folder; those of a mapping and of overrides, of the
    workspace and of a teacher's files begin at the current folder. All become absolute.

    Args:
        source: a TOML file, a mapping of sections (`{"data": {"path": "data", "fields": ["text"]}}`), or settings.
        overrides: single settings to change: `{"run.seed": 3}`, or `["run.seed=3"]`, where the value is TOML.
    Returns: frozen settings, e.g. `settings.run.workspace`.
    Raises: SettingsError, with the key and what is wrong with it.
    """
    if isinstance(source, Settings):
        return change_settings(source, overrides)
    if isinstance(source, Mapping):
        return complete_settings(plain_values(source), overrides, where="settings")
    path = Path(source).expanduser()
    return complete_settings(read_settings(path), overrides, where=str(path))


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a mapping that was made in Python, so that changes to the copy leave it alone; paths become texts."""
    return {name: plain_value(value) for name, value in values.items()}


def plain_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return plain_values(value)
    if isinstance(value, list | tuple):
        return [plain_value(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def read_settings(path: Path) -> dict[str, Any]:
    """Read a TOML file, its paths to data and models made absolute; nothing else is checked.

    Raises: SettingsError, when it cannot be read or is not TOML.
    """
    try:
        with path.open("rb") as file:
            written = file.read(MOST_BYTES + 1)
        table = read_toml(written.decode())
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file; `blindspot init` writes one") from None
    except OSError as error:
        raise SettingsError(f"{shorten(str(path))}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    if len(written) > MOST_BYTES:
        raise SettingsError(
            f"{path}: larger than {MOST_BYTES:,} bytes, so it is not a settings file; name another file"
        )
    check_plain(table, where=str(path))
    resolve_paths(table, path.resolve().parent, DATA + NAMES)
    return table


def read_toml(text: str) -> dict[str, Any]:
    """Parse TOML.

    Raises: ValueError, for all that is wrong with it: also a number of thousands of digits, or lists in lists in lists.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def complete_settings(table: dict[str, Any], overrides: Overrides, *, where: str) -> Settings:
    """Apply overrides to a table of settings in place, make its paths absolute and validate it.

    Args:
        where: what the table was made from, for messages.
    Raises: SettingsError, with the key and what is wrong with it.
    """
    apply_overrides(table, overrides)
    if isinstance(table.setdefault("run", {}), dict):
        table["run"].setdefault("workspace", RunSection().workspace)
    resolve_paths(table, Path.cwd())  # the workspace, and names that are folders here
    return check_settings(rename_settings(table, where=where, warn=True), where=where)


def change_settings(settings: Settings, overrides: Overrides) -> Settings:
    """Apply overrides to settings that were checked.

    Raises: SettingsError, with the key and what is wrong with it.
    """
    table = settings.model_dump(mode="json")
    apply_overrides(table, overrides)
    return check_settings(table, where="overrides" if isinstance(overrides, Mapping) else "--set")


def apply_overrides(table: dict[str, Any], overrides: Overrides) -> None:
    """Set single settings in place; a relative path begins at the current folder.

    Raises: SettingsError, for what is no `section.key`.
    """
    if isinstance(overrides, str):
        raise SettingsError(f"overrides: {shorten(overrides)!r} is a text; write a list of overrides, or a mapping")
    for override in overrides.items() if isinstance(overrides, Mapping) else overrides:
        key, value = read_override(override) if isinstance(override, str) else override
        check_plain({key: value}, where="--set")
        put_setting(table, key, resolve_path(key, plain_value(value), Path.cwd()))


def read_override(override: str) -> tuple[str, object]:
    """Take `section.key=value` apart; the value is TOML, or a plain text where that fails."""
    key, equals, text = override.partition("=")
    if not equals:
        raise SettingsError(f"--set {override}: write section.key=value, e.g. --set run.seed=3")
    try:
        return key.strip(), read_toml(f"v = {text}")["v"]
    except ValueError:
        return key.strip(), text


def put_setting(table: dict[str, Any], key: str, value: object) -> None:
    """Set one `section.key` of a table in place."""
    *sections, name = key.split(".")
    if not (sections and name and all(sections)):
        raise SettingsError(f"--set {key}: write section.key=value, e.g. --set run.seed=3")
    for section in sections:
        inner = table.setdefault(section, {})
        if not isinstance(inner, dict):
            raise SettingsError(f"--set {key}: {section} is a value, not a section")
        table = inner
    table[name] = value


def resolve_path(key: str, value: object, folder: Path) -> object:
    """Make the value of a setting absolute, if it is a path.

    Args:
        key: the setting, e.g. "data.path".
        folder: where a relative path begins.
    """
    if key in TEACHERS:
        specs = value if isinstance(value, list) else [value]
        resolved = [resolve_teacher(spec, folder) for spec in specs]
        return resolved if isinstance(value, list) else resolved[0]
    if key not in FILES + NAMES or not isinstance(value, str) or value in ("", BUNDLED):
        return value
    path = folder / os.path.expanduser(value)  # pathlib's raises for a user who is not there
    check_path(path, key)
    if key in FILES or value.startswith((".", "~")) or os.path.exists(path):
        return str(path.resolve())
    return value


def resolve_teacher(spec: object, folder: Path) -> object:
    """Make the path in the spec of a teacher absolute, if there is one."""
    kind, _, path = spec.strip().partition(":") if isinstance(spec, str) else ("", "", "")
    if kind not in IN_FILES or not path:
        return spec
    file = Path(os.path.abspath(folder / os.path.expanduser(path)))
    check_path(file, "teacher")
    return f"{kind}:{file}"


def resolve_paths(table: dict[str, Any], folder: Path, keys: tuple[str, ...] = FILES + NAMES + TEACHERS) -> None:
    """Make these paths of a table of settings absolute, in place."""
    for key in keys:
        section, _, name = key.partition(".")
        values = table.get(section)
        if isinstance(values, dict) and name in values:
            values[name] = resolve_path(key, values[name], folder)
