"""run and resume: carry a mitigation run out under a display, and tell how it ended."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import blindspot
from blindspot.cli.confirm import YesOption, agree_on_spend
from blindspot.cli.show.attack_table import print_attacks
from blindspot.cli.show.comparison_table import print_comparison
from blindspot.cli.stop import StopSignals
from blindspot.cli.terminal import (
    DEFAULT_WORKSPACE,
    FileWorkspaceOption,
    JsonOption,
    QuietOption,
    SettingsArgument,
    WorkspaceOption,
    print_json,
    result_console,
    workspace_option,
)
from blindspot.storage.errors import Cancelled, ModelError, OperatorError, SettingsError, TeacherError, Waiting

if TYPE_CHECKING:
    from blindspot.api import RunEnd
    from blindspot.cli.show.display import Show
    from blindspot.graphs.context import Progress

BY_SETTING = (ModelError, SettingsError, TeacherError)  # what a change of the settings may fix

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="section.key=value", help="Override one setting; may be repeated."),
]

NoCacheOption = Annotated[
    bool, typer.Option("--no-cache", help="Do not reuse answers of earlier runs: teacher.cache = false.")
]

Work = Callable[["Show", Callable[[], bool]], "RunEnd"]
"""Carries a run out: (show, cancelled) -> the run as it ended."""


def run(
    file: SettingsArgument,
    overrides: SetOption = None,
    workspace: FileWorkspaceOption = None,
    no_cache: NoCacheOption = False,
    yes: YesOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find UUs, have a teacher explain them, retrain and measure, round by round; then print what changed."""
    named = [("run.workspace", workspace)] if workspace else []
    fresh = ["teacher.cache=false"] if no_cache else []
    settings = blindspot.load_settings(file, [*named, *(overrides or ()), *fresh])
    forecast = agree_on_spend(settings, yes=yes)

    def work(show: Show, cancelled: Callable[[], bool]) -> RunEnd:
        return blindspot.run(settings, agreed=forecast or True, show=show, cancelled=cancelled)

    folder = Path(settings.run.workspace).expanduser()
    ended = carry_out(work, folder, quiet=quiet)
    print_result(folder, ended.run_id, as_json=as_json)


def resume(
    run_id: Annotated[
        str | None, typer.Argument(metavar="RUN", help="The run. Default: the newest that is not finished.")
    ] = None,
    overrides: SetOption = None,
    skip_unanswered: Annotated[
        bool, typer.Option("--skip-unanswered", help="Skip the questions that still wait for answers in files.")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Continue a run that waits, failed, or was stopped or killed. Finished work is not done again.

    --set can change settings that no stored row depends on yet: teacher.timeout_s, teacher.max_calls or
    classifier.device, say, and teacher.spec before the teacher has answered. Others are refused.
    """

    def work(show: Show, cancelled: Callable[[], bool]) -> RunEnd:
        return blindspot.resume(
            workspace,
            run_id,
            show=show,
            cancelled=cancelled,
            overrides=overrides or (),
            skip_unanswered=skip_unanswered,
        )

    ended = carry_out(work, workspace.expanduser(), quiet=quiet)
    if ended.kind == "attack":
        print_attacks(workspace.expanduser(), ended.run_id, as_json=as_json)
    elif ended.kind == "comparison":
        print_comparison(workspace.expanduser(), ended.run_id, as_json=as_json)
    else:
        print_result(workspace.expanduser(), ended.run_id, as_json=as_json)


def carry_out(work: Work, folder: Path, *, quiet: bool) -> RunEnd:
    """Do the work of a run under a display, with Ctrl-C and SIGTERM as requests to stop.

    Args:
        folder: the run's workspace, for the counts of the display and for what to type next.
    Raises: Cancelled and OperatorError, saying how to go on once the run has begun.
    """
    from blindspot.cli.show.display import display_kind, open_display

    began: list[str] = []
    kind = display_kind(quiet=quiet)

    def seen(progress: Progress) -> None:
        began[:] = [progress.run_id]
        show(progress)

    def outlook(first: str = "") -> str:
        if not began:
            return " before any work was done"
        return f"; what is done is kept: {first}go on with `blindspot resume {began[0]}{workspace_option(folder)}`"

    # What libraries print must not stand among the results.
    with (
        StopSignals(announce=kind != "live", outlook=outlook) as stop,
        redirect_stdout(sys.stderr),
        open_display(kind, folder, stop.asked) as show,
    ):
        try:
            return work(seen, stop.asked)
        except Cancelled:
            raise Cancelled(f"stopped{outlook()}") from None
        except Waiting as error:
            again = f"`blindspot resume {began[0]}{workspace_option(folder)}`"
            raise Waiting(f"{began[0]} waits: {error}; then {again} (--skip-unanswered skips them)") from None
        except OperatorError as error:
            if not began:
                raise
            by_setting = " (--set section.key=value changes a setting)" if isinstance(error, BY_SETTING) else ""
            raise type(error)(f"{error}{outlook('once that is fixed, ')}{by_setting}") from error


def print_result(folder: Path, run_id: str, *, as_json: bool) -> None:
    """Print what a run changed."""
    from blindspot.cli.show.summary import read_summary, summary_as_json
    from blindspot.cli.show.table import print_summary
    from blindspot.storage.analysts.results import Results

    with Results.open(folder) as results:
        summary = read_summary(results, run_id)
    if as_json:
        print_json(summary_as_json(summary))
    else:
        print_summary(result_console(), summary)
