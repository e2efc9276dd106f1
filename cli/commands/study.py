"""study: a matrix of runs, its tables with intervals, and a forecast of what is left of it."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import blindspot
from blindspot.cli.commands.run import SetOption
from blindspot.cli.confirm import YesOption
from blindspot.cli.stop import StopSignals
from blindspot.cli.terminal import FileWorkspaceOption, JsonOption, QuietOption, print_json, result_console
from blindspot.storage.errors import Cancelled, OperatorError, SettingsError, Waiting

if TYPE_CHECKING:
    from blindspot.graphs.study.study import StudyEnd
    from blindspot.storage.settings.study_cells import StudyPlan


def study(
    file: Annotated[
        Path,
        typer.Argument(metavar="STUDY.toml", help="The settings of the study; `blindspot init --study` writes them."),
    ],
    overrides: SetOption = None,
    workspace: FileWorkspaceOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="AXIS=VALUE", help="Run only these cells, e.g. seed=0 or method=none; may be repeated."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the remaining cells, with a forecast of time and cost; run nothing.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the tables of what has been measured so far; run nothing.")
    ] = False,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables as Markdown.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every figure as CSV.")] = None,
    yes: YesOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run each combination of data set, classifier, recipe, method and seed, and print what each method changed.

    The same command continues a study that was stopped or killed; cells whose settings have changed are run again.
    """
    from blindspot.storage.settings.study_cells import load_study

    named = [("run.workspace", workspace)] if workspace else []
    plan = load_study(file, [*named, *(overrides or ())])
    if dry_run:
        print_forecast(plan, only or (), as_json=as_json)
        return
    end = None if show else carry_out_study(plan, only or (), file, yes=yes, quiet=quiet)
    print_tables(plan, markdown, csv, as_json=as_json)
    if end:
        raise_unfinished(end, file)


def carry_out_study(plan: StudyPlan, only: list[str] | tuple[()], file: Path, *, yes: bool, quiet: bool) -> StudyEnd:
    """Run what is left of a study under a display, with Ctrl-C and SIGTERM as requests to stop.

    Raises: Cancelled and OperatorError, saying how to go on once the study has begun.
    """
    from blindspot.cli.show.display import display_kind
    from blindspot.cli.study.display import open_study_display
    from blindspot.graphs.study.cells import choose_cells

    choose_cells(only, plan)  # a slip is told before anything is forecast
    agree_on_study(plan, only, yes=yes)
    kind = display_kind(quiet=quiet)
    again = f"the same command continues it: blindspot study {file}"

    def outlook() -> str:
        return f"; what is done is kept, and {again}"

    with (
        StopSignals(announce=kind != "live", outlook=outlook) as stop,
        redirect_stdout(sys.stderr),
        open_study_display(kind, plan.workspace, stop.asked) as display,
    ):
        try:
            return blindspot.study(
                plan, only=only, agreed=True, show=display.show, enter=display.enter, cancelled=stop.asked
            )
        except Cancelled:
            raise Cancelled(f"stopped{outlook()}") from None


def agree_on_study(plan: StudyPlan, only: list[str] | tuple[()], *, yes: bool) -> None:
    """Ask the operator where the teachers of the cells that are left may cost more than `teacher.confirm_usd`."""
    from blindspot.agents.spec import TeacherSpec
    from blindspot.cli.confirm import agree

    teaching = [cell.settings.teacher for cell in plan.cells if cell.settings.method.name == "teacher"]
    if {TeacherSpec.parse(teacher.spec).provider for teacher in teaching} <= {"rules"}:
        return
    from blindspot.graphs.study.study import look_at_study

    _, _, spend = look_at_study(plan, only)
    agree(spend, min(teacher.confirm_usd for teacher in teaching), yes=yes)


def print_forecast(plan: StudyPlan, only: list[str] | tuple[()], *, as_json: bool) -> None:
    """Print the cells that are left, and what they will take."""
    from blindspot.cli.study.display import outlook_in_words
    from blindspot.graphs.study.study import look_at_study

    loaded_cells, outlook, spend = look_at_study(plan, only)
    seconds = outlook.left_s(0.0)
    if as_json:
        forecast = {
            "cells": [str(loaded.cell) for loaded in loaded_cells],
            "seconds": round(seconds),
            "is_rough": outlook.is_rough,
            "teaching": str(spend) if spend else None,
            "usd_most": spend.usd_most if spend else 0.0,
        }
        print_json(forecast)
        return
    for number, loaded in enumerate(loaded_cells, start=1):
        typer.echo(f"{number:>4}  {loaded.cell}")
    if not loaded_cells:
        typer.echo(f"nothing is left to run: all {len(plan.cells)} cells are done")
        return
    left = f"{len(loaded_cells)} of {len(plan.cells)} cells are left: {outlook_in_words(outlook, 0.0)}"
    typer.echo(f"{left}; {spend}" if spend else f"{left}; no teacher costs anything")


def print_tables(plan: StudyPlan, markdown: Path | None, csv: Path | None, *, as_json: bool) -> None:
    """Print a study's tables, and write them where they are asked for."""
    from blindspot.cli.study.read import read_study, study_as_csv, study_as_json
    from blindspot.cli.study.tables import in_markdown, print_study
    from blindspot.storage.analysts.results import Results

    with Results.open(plan.workspace.expanduser()) as results:
        published = read_study(results, plan)
    if markdown:
        write_file(markdown, in_markdown(published))
    if csv:
        write_file(csv, study_as_csv(published))
    if as_json:
        print_json(study_as_json(published))
    else:
        print_study(result_console(), published)


def write_file(path: Path, text: str) -> None:
    """Write a file.

    Raises: SettingsError, where it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written: {error.strerror}") from None


def raise_unfinished(end: StudyEnd, file: Path) -> None:
    """Say what is missing from a study, and how to go on.

    Raises: OperatorError, where a cell failed; Waiting, where one waits for answers in files.
    """
    again = f"`blindspot study {file}` continues it"
    if end.failed:
        cell, reason = next(iter(end.failed.items()))
        others = f" (and {len(end.failed) - 1} more)" if len(end.failed) > 1 else ""
        raise OperatorError(f"a cell failed: {cell}: {reason}{others}; once that is fixed, {again}")
    if end.waiting:
        cell, reason = next(iter(end.waiting.items()))
        raise Waiting(f"{len(end.waiting)} cells wait for answers: {cell}: {reason}; then {again}")
