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
        Path, typer.Argument(metavar="LOG", help="One prediction a row: .csv, .jsonl or .parquet.")
    ],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="MITIGATION.toml", help="Settings of the run; options take the place of its keys."),
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="COLUMN", rich_help_panel=LOG,
                     help="A column with text, again for each of a pair; by default as in data.fields."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", rich_help_panel=LOG, help="The true label; by default as in data.label."),
    ] = None,
    predicted: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", rich_help_panel=LOG, help='The predicted label; "predicted" by default.'),
    ] = None,
    confidence: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", rich_help_panel=LOG,
                     help='The largest of the probabilities, from 0 to 1; "confidence" by default.'),
    ] = None,
    tau: Annotated[
        float | None,
        typer.Option(rich_help_panel=LOG, help="Confidence that makes an error a UU; 0.65 by default."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="FOLDER", rich_help_panel=RUN,
                     help="The deployed model, fine-tuned already: a folder or a Hugging Face id."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="FOLDER_OR_FILE", rich_help_panel=RUN,
                     help="A folder with train, validation and test files, one file to divide, or a Hugging Face id."),
    ] = None,
    overrides: SetOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what of the log can be used; nothing is run or written.")
    ] = False,
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", "-w", envvar=WORKSPACE_VARIABLE, help="The folder that holds the runs."),
    ] = None,
    yes: YesOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Start a mitigation from a deployed model's errors, with no attack at all.

    blindspot import-errors log.csv --model deployed/ --data data/

    blindspot import-errors log.csv mitigation.toml --check

    Errors of confidence tau or more are the natural UUs of the first round; a later round keeps those that its model
    version still makes. Without a file of settings the training data have the log's columns of text and label (--set
    data.fields and data.label say otherwise). For attacks beside the errors, write errors.file into the settings and
    use `blindspot run`.
    """
    alone = file is None and data is None
    if alone and not check:
        raise SettingsError(
            "name the training data with --data, or give a file of settings; --check reads the log alone"
        )
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
    found = sort_out(settings, is_alone=alone)
    if check:
        if as_json:
            print_json(as_table(found))
        else:
            print_log(result_console(), found, settings.run.tau)
        return
    if not quiet:
        print_log(progress_console(), found, settings.run.tau)
    start(settings, yes=yes, quiet=quiet, as_json=as_json)


def start(settings: Settings, *, yes: bool, quiet: bool, as_json: bool) -> None:
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
    from blindspot.graphs.shared.logged import log_of
    from blindspot.tools.data.datasets import inspect
    from blindspot.tools.data.logged_errors import read_log, tested_texts

    source = log_of(settings)
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
    used = f"to start from: wrong, and with a confidence of {tau:g} or more"
    console.print(Text(f"{len(log.errors):>9,}  {used}", style="green" if log.errors else "red"), soft_wrap=True)
    for what, count in passed_over(log).items():
        if count:
            console.print(Text(visible(f"{count:>9,}  {what}")), soft_wrap=True)


def as_table(log: Log) -> dict[str, Any]:
    """Lay the counts out for JSON."""
    from dataclasses import asdict

    counts = asdict(replace(log, errors=()))
    del counts["errors"]
    return {**counts, "rows": log.rows, "usable": len(log.errors)}
