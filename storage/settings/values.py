"""What any value of a settings file must be, whatever its key: text that can be stored, 64-bit numbers, no depth."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from blindspot.storage.errors import SettingsError

RENAMED = {"retrain.doubt": "label_smoothing"}
"""Old key -> new name in the same section."""

MOST_BYTES = 2**20  # of a file of settings
MOST_DEPTH = 16  # tables and lists in one another
MOST_CHARACTERS = 10_000  # of a text
MOST_NAME_BYTES = 255  # of a file or folder, on every usual file system
SHOWN = 80  # characters of a wrong value


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


def shorten(text: str) -> str:
    """Cut what an error shows of a value."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def check_plain(table: dict[str, Any], *, where: str) -> None:
    """Refuse values that no setting can have, before anything else is done with them.

    Args:
        where: what the table was read from, for messages.
    Raises: SettingsError, with the key.
    """
    waiting: list[tuple[tuple[str, ...], object]] = [((), table)]
    while waiting:  # a recursion would end where the depth is what is wrong
        place, value = waiting.pop()
        key = shorten(".".join(place))
        if len(place) > MOST_DEPTH:
            raise SettingsError(f"{where}: {key}: nested too deep; no setting has more than {MOST_DEPTH} levels")
        if isinstance(value, dict):
            for name, inner in value.items():
                check_text(str(name), f"{where}: a key")
                waiting.append(((*place, str(name)), inner))
        elif isinstance(value, list | tuple):
            waiting += [((*place, str(number)), inner) for number, inner in enumerate(value)]
        elif isinstance(value, str):
            check_text(value, f"{where}: {key}")
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise SettingsError(f"{where}: {key}: a number of {value.bit_length()} bits; at most 64 are allowed")


def check_text(text: str, what: str) -> None:
    """Refuse a text that cannot be stored, or is so long that it must be a slip.

    Raises: SettingsError.
    """
    if "\0" in text:
        raise SettingsError(f"{what}: contains the character NUL; remove it")
    if len(text) > MOST_CHARACTERS:
        raise SettingsError(f"{what}: {len(text):,} characters; at most {MOST_CHARACTERS:,} are allowed")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SettingsError(f"{what}: not UTF-8: {shorten(ascii(text))}") from None


def check_path(path: Path, key: str) -> None:
    """Refuse a path with a name in it that no file system takes.

    Raises: SettingsError.
    """
    for name in path.parts:
        if len(name.encode()) > MOST_NAME_BYTES:
            raise SettingsError(
                f"{key}: {shorten(name)}: {len(name.encode()):,} bytes; a file name may have at most {MOST_NAME_BYTES}"
            )
