"""The command `blindspot`: its commands, and how their errors reach the operator."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from blindspot.cli.commands import (
    attack,
    batch,
    cache,
    compare,
    demo,
    doctor,
    export,
    housekeeping,
    import_errors,
    init,
    query,
    report,
    results,
    run,
    runs,
    status,
    study,
    transfer,
)
from blindspot.cli.terminal import visible
from blindspot.storage.errors import Cancelled, OperatorError, Waiting

EXIT_OPERATOR = 2
EXIT_WAITING = 3
EXIT_CANCELLED = 130

app = typer.Typer(
    help="Find the inputs a text classifier gets wrong with confidence, and repair it with a teacher.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
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
app.command("hypotheses")(results.hypotheses)
app.command("query")(query.query)
app.command("report")(report.report)
app.command("export")(export.export)
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
    """Run one command. Returns: the exit code, 0, 2 (the operator can mend it), 3 (waits for answers) or 130 (stopped).

    A wrong command line exits with 2 too; what is a bug keeps its traceback and exits with 1.
    """
    os.umask(0o077)  # what a run writes is for its owner only
    # Threads of libgomp that spin while they wait made training 12 times slower beside one other busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(prog_name="blindspot")
    except OperatorError as error:
        return say(error, EXIT_OPERATOR)
    except Waiting as error:
        return say(error, EXIT_WAITING)
    except Cancelled as error:
        return say(error, EXIT_CANCELLED)
    return 0


def say(error: Exception, code: int) -> int:
    """Print an error in one line."""
    print(f"blindspot: {visible(' '.join(str(error).split()))}", file=sys.stderr)
    return code
