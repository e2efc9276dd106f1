"""The command `blindspot`: its commands, and how their errors reach the operator."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

from blindspot.cli.commands import (
    attack,
    batch,
    cache,
    compare,
    demo,
    doctor,
    housekeeping,
    hypotheses,
    import_errors,
    init,
    query,
    report,
    run,
    runs,
    status,
    study,
    transfer,
)
from blindspot.cli.terminal import open_streams, unread_failure, visible
from blindspot.storage.errors import Cancelled, OperatorError, Waiting
from blindspot.storage.settings.values import RenamedSetting

EXIT_OPERATOR = 2
EXIT_WAITING = 3
EXIT_CANCELLED = 130
WORK = {"demo", "run", "import-errors", "attack", "compare-teachers", "study", "resume"}  # not done in order to print

app = typer.Typer(
    help="Find inputs that a text classifier gets wrong with confidence, and repair it with the help of a teacher.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # the default takes what is in [brackets] for markup and leaves it out
)
app.command("demo")(demo.demo)
app.command("init")(init.init)
app.command("run")(run.run)
app.command("import-errors")(import_errors.import_errors)
app.command("attack")(attack.attack)
app.command("compare-teachers")(compare.compare_teachers)
app.command("study")(study.study)
app.command("resume")(run.resume)
app.command("status")(status.status)
app.command("hypotheses")(hypotheses.hypotheses)
app.command("query")(query.query)
app.command("report")(report.report)
app.command("export")(transfer.export)
app.command("import")(transfer.import_runs)
app.command("runs")(runs.runs)
app.command("delete")(housekeeping.delete)
app.command("vacuum")(housekeeping.vacuum)
app.command("cache")(cache.cache)
app.add_typer(batch.app, name="batch")
app.command("doctor")(doctor.doctor)


def print_version(wanted: bool) -> None:
    """Answer --version."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"blindspot {version('blindspot')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before any command."""


def main() -> int:
    """Run one command. Returns: the exit code, 0, 2 (the operator can fix it), 3 (waits for answers) or 130 (stopped).

    A wrong command line exits with 2 too; what is a bug keeps its traceback and exits with 1. Output that nobody reads
    changes none of these; where it cannot be written for another reason, only a command that does nothing else fails.
    """
    os.umask(0o077)  # what a run writes is for its owner only
    # Threads of libgomp that spin while they wait made training 12 times slower beside one other busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    open_streams()
    code = run_command()
    reason = unread_failure()
    if reason is None or code:
        return code
    lost = OperatorError(f"standard output cannot be written ({reason}): what was printed is not complete")
    return print_error(lost, 0 if set(sys.argv[1:2]) & WORK else EXIT_OPERATOR)


def run_command() -> int:
    """Run the command that the command line names. Returns: its exit code."""
    stock = warnings.showwarning
    try:
        with warnings.catch_warnings():
            warnings.showwarning = partial(show_warning, stock)
            warnings.simplefilter("once", RenamedSetting)
            app(prog_name="blindspot")
    except SystemExit as end:  # how every command ends that is not interrupted
        return end.code if isinstance(end.code, int) else 0 if end.code is None else EXIT_OPERATOR
    except OperatorError as error:
        return print_error(error, EXIT_OPERATOR)
    except Waiting as error:
        return print_error(error, EXIT_WAITING)
    except Cancelled as error:
        return print_error(error, EXIT_CANCELLED)
    return 0


def show_warning(stock: Callable[..., None], message: Warning | str, kind: type[Warning], *place: Any) -> None:
    """Show in one line what the operator can fix, and all else as Python does.

    Args:
        stock: shows a warning as Python does.
        place: file, line and what else Python knows of a warning.
    """
    if issubclass(kind, RenamedSetting):
        print(f"blindspot: {visible(str(message))}", file=sys.stderr)
    else:
        stock(message, kind, *place)


def print_error(error: Exception, code: int) -> int:
    """Print an error in one line."""
    print(f"blindspot: {visible(' '.join(str(error).split()))}", file=sys.stderr)
    return code
