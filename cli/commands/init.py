"""init: write a file of settings to start from, with every key and its default."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from blindspot.storage.errors import SettingsError

FOLDER = files("blindspot.cli")
TEMPLATE = FOLDER / "mitigation.toml"
STUDY = FOLDER / "study.toml"


def init(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="Where to write the file. Default: mitigation.toml, or study.toml with --study."
        ),
    ] = None,
    study: Annotated[bool, typer.Option("--study", help="Write the settings of a study instead.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented settings file: every key of a run with its default, or the keys of a study.

    Then set data.path to your data: a folder with train, validation and test files, or one file (.csv, .jsonl or
    .parquet), which a run divides into splits. Set data.fields and data.label to the names of its columns.
    """
    template, command = (STUDY, "study") if study else (TEMPLATE, "run")
    file = file or Path(template.name)
    text = template.read_text(encoding="utf-8")
    try:
        with file.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise SettingsError(f"{file} exists already; name another file, or overwrite it with --force") from None
    except OSError as error:
        raise SettingsError(f"{file}: cannot be written: {error.strerror}") from None
    keys = "" if study else " path (a folder of splits, or one file), fields and label under"
    typer.echo(f"wrote {file}; set{keys} [data] in it, then: blindspot {command} {file}")
