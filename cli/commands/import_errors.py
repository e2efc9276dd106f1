"""import-errors: logged predictions of a deployed model as natural UUs, and a run that starts from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import blindspot
from blindspot.cli.commands.attack import make_settings
from blindspot.cli.commands.run import SetOption, carry_out, print_result
from blindspot.cli.confirm import YesOption, agree_on_spend
from blindspot.cli.terminal import (
    WORKSPACE_VARIABLE,
    JsonOption,
    QuietOption,
    print_json,
    progress_console,
    result_console,
    visible,
)
from blindspot.storage.errors import SettingsError

if TYPE_CHECKING:
    from rich.console import Console

    from blindspot.api import RunEnd
    from blindspot.cli.show.display import Show
    from blindspot.storage.settings.sections import Settings
    from blindspot.tools.data.logged_errors import Log

LOG, RUN = "The log", "The run"


def import_errors(  # each option is one setting
    log: Annotated[
        Path, typer.Argument(metavar="LOG", help="The log, one prediction per row: .csv, .jsonl or .parquet.")
    ],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="MITIGATION.toml", help="Settings of the run; options override its keys."),
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="COLUMN", rich_help_panel=LOG,
                     help="A column with text; repeat it for a pair. Default: the names in data.fields."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", rich_help_panel=LOG,
                     help="The column with the true label. Default: the name in data.label."),
    ] = None,
    predicted: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", rich_help_panel=LOG,
                     help='The column with the predicted label. Default: "predicted".'),
    ] = None,
    confidence: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", rich_help_panel=LOG,
                     help='The column with the largest probability, from 0 to 1. Default: "confidence".'),
    ] = None,
    tau: Annotated[
        float | None,
        typer.Option(rich_help_panel=LOG, help="An error with at least this confidence is a UU. Default: 0.65."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="FOLDER", rich_help_panel=RUN,
                     help="The deployed, fine-tuned model: a folder or a Hugging Face id."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="FOLDER_OR_FILE", rich_help_panel=RUN,
                     help="A folder with train, validation and test files, one file to divide, or a Hugging Face id."),
    ] = None,
    overrides: SetOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only report which rows of the log can be used; run and write nothing.")
    ] = False,
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", "-w", envvar=WORKSPACE_VARIABLE, help="The folder that holds the runs."),
    ] = None,
    yes: YesOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Start a mitigation run from the logged errors of a deployed model, without attacks.

    blindspot import-errors log.csv --model deployed/ --data data/

    blindspot import-errors log.csv mitigation.toml --check

    Errors with a confidence of tau or more are the natural UUs of the first round; a later round keeps those that its
    model version still makes. Without a settings file, the training data must have text and label columns of the same
    names as the log; if not, use --set data.fields=… and --set data.label=…. To attack samples as well, set errors.file
    in the settings and use `blindspot run`.
    """
    alone = file is None and data is None
    if alone and not check:
        raise SettingsError("name the training data with --data, or give a settings file; --check needs only the log")
    options: dict[str, Any] = {
        "errors.file": str(log), "errors.fields": fields, "errors.label": label, "errors.predicted": predicted,
        "errors.confidence": confidence, "run.tau": tau, "run.workspace": workspace and str(workspace),
        "classifier.model": model, "classifier.fine_tune": False if model else None,
    }  # fmt: skip
    if file is None:
        options |= {"data.fields": fields, "data.label": label}
    settings = make_settings(
        file, "." if alone else data, options, ["attack.recipes=[]", *(overrides or ())], divides=True
    )
    predictions = sort_out(settings, is_alone=alone)
    if check:
        if as_json:
            print_json(log_as_json(predictions))
        else:
            print_log(result_console(), predictions, settings.run.tau)
        return
    if not quiet:
        print_log(progress_console(), predictions, settings.run.tau)
    start_mitigation(settings, yes=yes, quiet=quiet, as_json=as_json)


def start_mitigation(settings: Settings, *, yes: bool, quiet: bool, as_json: bool) -> None:
    """Carry the run out, and print what it changed."""
    forecast = agree_on_spend(settings, yes=yes)

    def work(show: Show, cancelled: Callable[[], bool]) -> RunEnd:
        return blindspot.run(settings, agreed=forecast or True, show=show, cancelled=cancelled)

    folder = Path(settings.run.workspace).expanduser()
    ended = carry_out(work, folder, quiet=quiet)
    print_result(folder, ended.run_id, as_json=as_json)


def sort_out(settings: Settings, *, is_alone: bool) -> Log:
    """Read the log and sort its rows out, beside the data set that it belongs to or by itself.

    Raises: DataError.
    """
    from blindspot.graphs.preflight.source import source_of
    from blindspot.graphs.shared.logged import log_source
    from blindspot.tools.data.datasets import inspect
    from blindspot.tools.data.logged_errors import read_log, tested_texts

    source = log_source(settings)
    assert source is not None
    if is_alone:
        return read_log(source)
    data = source_of(settings)
    return read_log(source, inspect(data).labels, tested_texts(data))


def print_log(console: Console, log: Log, tau: float) -> None:
    """Say what of a log can be used."""
    from rich.text import Text

    from blindspot.tools.data.logged_errors import passed_over

    console.print(Text(visible(f"{log.source}: {log.rows:,} predictions"), style="bold"), soft_wrap=True)
    used = f"usable: wrong, with a confidence of {tau:g} or more"
    console.print(Text(f"{len(log.errors):>9,}  {used}", style="green" if log.errors else "red"), soft_wrap=True)
    for what, count in passed_over(log).items():
        if count:
            console.print(Text(visible(f"{count:>9,}  {what}")), soft_wrap=True)


def log_as_json(log: Log) -> dict[str, Any]:
    """Lay the counts out for JSON."""
    from dataclasses import asdict

    counts = asdict(replace(log, errors=()))
    del counts["errors"]
    return {**counts, "rows": log.rows, "usable": len(log.errors)}
