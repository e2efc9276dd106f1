"""The terminal: consoles for results and for progress, text made safe to print, paths as they are typed."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from blindspot.storage.analysts.results import Results

DEFAULT_WORKSPACE = Path("blindspot-workspace")
WORKSPACE_VARIABLE = "BLINDSPOT_WORKSPACE"
UNCROPPED = 100_000  # columns of an output that is no terminal: whoever reads it crops for themselves

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", envvar=WORKSPACE_VARIABLE, help="The folder that holds the runs.")
]
FileWorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", envvar=WORKSPACE_VARIABLE, help="In place of the file's run.workspace."),
]
SettingsArgument = Annotated[
    Path, typer.Argument(metavar="MITIGATION.toml", help="The settings; `blindspot init` writes them.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only the result and errors.")]

# What a data set or a language model wrote must not move the cursor or set the terminal's title.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def visible(text: str) -> str:
    """Show control characters, of which escape sequences are made, as a replacement character."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def result_console() -> Console:
    """Standard output: what was asked for. Text is printed as it is, `[brackets]` too."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else UNCROPPED
    return Console(width=width, markup=False, highlight=False, emoji=False)


def progress_console() -> Console:
    """Standard error: progress and notes."""
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def print_run(
    folder: Path,
    run_id: str,
    read: Callable[[Results, str], dict[str, Any]],
    show: Callable[[Console, dict[str, Any]], None],
    *,
    as_json: bool,
) -> None:
    """Read what a run found from the published results, and print it as JSON or for people."""
    from blindspot.storage.analysts.results import Results

    with Results.open(folder) as results:
        found = read(results, run_id)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        show(result_console(), found)


def workspace_option(folder: Path) -> str:
    """The option that names a workspace, as it is typed: " -w FOLDER", or nothing for the default one."""
    folder, here = folder.resolve(), Path.cwd()
    if folder == (here / DEFAULT_WORKSPACE).resolve():
        return ""
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    return f" -w {shlex.quote(str(shown))}"
