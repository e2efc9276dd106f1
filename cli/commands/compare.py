"""compare-teachers: the same UUs given to several teachers, and a table of what each made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import blindspot
from blindspot.cli.commands.attack import make_settings, refuse_unfinished
from blindspot.cli.commands.run import NoCacheOption, SetOption, carry_out
from blindspot.cli.confirm import YesOption, agree_on_spend
from blindspot.cli.show.comparison_table import print_comparison
from blindspot.cli.terminal import FileWorkspaceOption, JsonOption, QuietOption, SettingsArgument

if TYPE_CHECKING:
    from blindspot.api import RunEnd
    from blindspot.cli.show.display import Show

NAME = "compare"  # of runs that are given none: a file's run.name is that of its mitigation


def compare_teachers(
    file: SettingsArgument,
    teachers: Annotated[
        list[str] | None,
        typer.Option("--teacher", metavar="SPEC", help="A teacher; give two or more. Overrides compare.teachers."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help=f"Runs are called NAME-1, NAME-2, …. Default: {NAME}.")
    ] = None,
    overrides: SetOption = None,
    workspace: FileWorkspaceOption = None,
    no_cache: NoCacheOption = False,
    yes: YesOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Give several teachers the same UUs, and compare what they write, what is accepted and what it costs.

    blindspot compare-teachers mitigation.toml --teacher rules --teacher openai:gpt-4o-mini

    No model is retrained. The settings in [teacher] apply to each teacher, except that max_calls and max_usd
    limit the whole run: they are divided equally among the teachers that they apply to.
    """
    options: dict[str, Any] = {
        "run.name": name or NAME,
        "run.workspace": workspace and str(workspace),
        "compare.teachers": teachers,
    }
    fresh = ["teacher.cache=false"] if no_cache else []
    settings = make_settings(file, None, options, [*(overrides or ()), *fresh])
    folder = Path(settings.run.workspace)
    refuse_unfinished(folder, settings, "comparison")
    forecast = agree_on_spend(settings, yes=yes, kind="comparison")

    def work(show: Show, cancelled: Callable[[], bool]) -> RunEnd:
        return blindspot.compare(settings, agreed=forecast or True, show=show, cancelled=cancelled)

    ended = carry_out(work, folder, quiet=quiet)
    print_comparison(folder, ended.run_id, as_json=as_json)
