"""init: write a file of settings to start from, with every key and its default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blindspot.storage.errors import SettingsError

TEMPLATE = Path(__file__).parent / "mitigation.toml"  # importlib.resources finds nothing in a namespace package


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")] = Path("mitigation.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a commented file of settings that names every key with its default."""
    text = TEMPLATE.read_text(encoding="utf-8")
    try:
        with file.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise SettingsError(f"{file} is there already; name another file, or overwrite it with --force") from None
    except OSError as error:
        raise SettingsError(f"{file}: cannot be written: {error.strerror}") from None
    typer.echo(f"wrote {file}; set [data] in it, then: blindspot run {file}")
