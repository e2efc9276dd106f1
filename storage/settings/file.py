"""Reading settings: the TOML file, overrides from the command line, and the paths in both, made absolute."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from blindspot.storage.errors import SettingsError
from blindspot.storage.settings.sections import RunSection, Settings, check_settings
from blindspot.storage.settings.values import MOST_BYTES, check_path, check_plain, shorten

BUNDLED = "minilm"  # a model's name; a folder that is called so is written ./minilm
DATA = ("data.train", "data.validation", "data.test", "data.unlabelled", "errors.file", "method.file")
FILES = (*DATA, "run.workspace")
TEACHERS = ("teacher.spec", "compare.teachers")
IN_FILES = ("file", "replay")  # teachers that a path names
NAMES = ("data.path", "classifier.model", "filter.encoder")
"""Folders, or ids of Hugging Face: taken for folders where they are there, or can be nothing else (./x, ~/x)."""


def load_settings(path: Path, overrides: Iterable[str] = ()) -> Settings:
    """Read a TOML file and apply `section.key=value` overrides to it.

    Relative paths to data and models begin at the file's own folder, those of overrides, the workspace and a teacher's
    files at the current folder; all become absolute.

    Raises: SettingsError, with the key and what is wrong with it.
    """
    return complete_settings(read_settings(path), overrides, where=str(path))


def read_settings(path: Path) -> dict[str, Any]:
    """Read a TOML file, its paths to data and models made absolute; nothing else is checked.

    Raises: SettingsError, when it cannot be read or is no TOML.
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
        raise SettingsError(f"{path}: larger than {MOST_BYTES:,} bytes, so these are no settings; name another file")
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


def complete_settings(table: dict[str, Any], overrides: Iterable[str], *, where: str) -> Settings:
    """Apply overrides to a table of settings in place, make its paths absolute and validate it.

    Args:
        where: what the table was made from, for messages.
    Raises: SettingsError, with the key and what is wrong with it.
    """
    for override in overrides:
        apply_override(table, override)
    if isinstance(table.setdefault("run", {}), dict):
        table["run"].setdefault("workspace", RunSection().workspace)
    resolve_paths(table, Path.cwd())  # the workspace, and names that are folders here
    return check_settings(table, where=where)


def change_settings(settings: Settings, overrides: Iterable[str]) -> Settings:
    """Apply `section.key=value` overrides to settings that were checked.

    Raises: SettingsError, with the key and what is wrong with it.
    """
    table = settings.model_dump(mode="json")
    for override in overrides:
        apply_override(table, override)
    return check_settings(table, where="--set")


def apply_override(table: dict[str, Any], override: str) -> None:
    """Set one `section.key=value` in place; the value is TOML, or a plain string where that fails.

    A relative path begins at the current folder.
    """
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or len(parts) < 2 or not all(parts):
        raise SettingsError(f"--set {override}: write section.key=value, e.g. --set run.seed=3")
    try:
        value = read_toml(f"v = {text}")["v"]
    except ValueError:
        value = text
    check_plain({key: value}, where="--set")
    value = resolve_path(".".join(parts), value, Path.cwd())
    for part in parts[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise SettingsError(f"--set {override}: {part} is a value, not a section")
        table = inner
    table[parts[-1]] = value


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
