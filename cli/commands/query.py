"""query: ask the published results, in SQL or by the name of a ready query, also while a run is on."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from blindspot.cli.query.names import complete_question, complete_run
from blindspot.cli.terminal import DEFAULT_WORKSPACE, WorkspaceOption
from blindspot.storage.errors import StoreError

if TYPE_CHECKING:
    from blindspot.storage.analysts.session import QuerySession

STATEMENTS = ("SHOW", "DESCRIBE")  # those that are one word


def query(
    question: Annotated[
        str | None,
        typer.Argument(
            metavar="SQL|NAME",
            help="One SELECT, or the name of a ready query, view or table; - or nothing: read from standard input.",
            autocompletion=complete_question,
        ),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="The run, $run in SQL. Default: all runs.", autocompletion=complete_run),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    file: Annotated[Path | None, typer.Option("--file", help="Read the SQL from this file.")] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="A value for $NAME in the SQL; may be repeated."),
    ] = None,
    output: Annotated[
        Literal["table", "csv", "json", "parquet"] | None,
        typer.Option(
            "--format",
            "-f",
            help="How to print rows; a table shows at most 500 of them. Default: by --out's ending, else table.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write to this .csv, .json or .parquet file.")] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0, help="Stop the query after this many seconds; 0: never.")
    ] = 60.0,
    listing: Annotated[bool, typer.Option("--list", "-l", help="List the ready queries, views and tables.")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the SQL and what its columns mean, without running it.")
    ] = False,
) -> None:
    """Query the results, read-only, also during a run: in SQL, or by the name of a ready query (--list)."""
    from blindspot.cli.query import output as query_output
    from blindspot.storage.analysts.session import QuerySession

    style = query_output.style_of(output, out)
    if listing:
        query_output.print_names(style)
        return
    if file is not None and run_id is None:
        question, run_id = None, question
    given = read_values(values or [], run_id)
    sql, about = read_question(question, file, given)
    if show:
        typer.echo(about)
        return
    with QuerySession.open(workspace.expanduser()) as session:
        check_run(session, workspace.expanduser(), run_id)
        query_output.write_answer(session.ask(sql, given, timeout_s=timeout_s or math.inf), style, out)


def read_values(written: list[str], run_id: str | None) -> dict[str, object]:
    """Read NAME=VALUE: numbers, true, false and null are what they are in JSON, the rest is text.

    Raises: typer.BadParameter.
    """
    given: dict[str, object] = {} if run_id is None else {"run": run_id}
    for text in written:
        name, equals, value = text.partition("=")
        if not (equals and name.isidentifier()):
            raise typer.BadParameter(f"write NAME=VALUE, not {text}", param_hint="--param")
        try:
            parsed: Any = json.loads(value)
        except ValueError:
            parsed = value
        given[name] = value if isinstance(parsed, list | dict) else parsed
    return given


def read_question(question: str | None, file: Path | None, given: dict[str, object]) -> tuple[str, str]:
    """Find out what is asked; a ready query's parameters that were not given become NULL in `given`.

    Returns: the SQL with parameters, and the same as it can be carried elsewhere.
    Raises: StoreError, for an unknown name, a file that cannot be read, or a value that the SQL has no use for.
        typer.BadParameter, where nothing is asked.
    """
    from blindspot.storage.analysts.ready_queries import READY
    from blindspot.storage.analysts.ready_query import constant

    if question is not None and re.fullmatch(r"[\w-]+", question) and question != "-":
        ready = READY.get(question.replace("_", "-"))
        if ready is not None:
            check_values(given, f"the ready query {ready.name}", ("run", *ready.parameters))
            text = ready.text(given)
            given.update(ready.values(given))
            return ready.sql, text
        if question.upper() not in STATEMENTS:
            question = from_name(question, given)
    sql = question if question is not None and question != "-" else read_sql(file)
    check_values(given, "the query", re.findall(r"\$(\w+)", sql))
    return sql, re.sub(r"\$(\w+)", lambda match: constant(given[match[1]]) if match[1] in given else match[0], sql)


def from_name(name: str, given: Mapping[str, object]) -> str:
    """Make the SQL that shows a view or a table, or of it what belongs to the run that is meant.

    Raises: StoreError, when there is no such name.
    """
    from blindspot.cli.query.names import known_tables
    from blindspot.storage.analysts.nearest import nearest
    from blindspot.storage.analysts.ready_queries import READY

    if name not in known_tables():
        near = nearest(name, [*READY, *known_tables()])
        meant = f"did you mean {near}?" if near else "`blindspot query --list` lists the names"
        raise StoreError(f"{name} is not a ready query, a view or a table; {meant}")
    _, columns = known_tables()[name]
    if "run" not in given:
        return f"FROM {name}"
    if "run_id" not in columns:
        raise StoreError(f"{name} has no run_id: its rows do not belong to single runs; leave the run out")
    return f"FROM {name} WHERE run_id = $run"


def read_sql(file: Path | None) -> str:
    """Read SQL from a file or from standard input.

    Raises: StoreError, when the file cannot be read. typer.BadParameter, where nobody types.
    """
    if file is None:
        if sys.stdin.isatty():
            raise typer.BadParameter(
                'give a query, e.g. blindspot query "FROM round_summary", or a name from blindspot query --list',
                param_hint="SQL|NAME",
            )
        return read_stdin()
    try:
        return file.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise StoreError(f"{file}: cannot be read ({reason}); name a file with one SELECT") from None


def read_stdin() -> str:
    """Read SQL from standard input.

    Raises: StoreError, where it is not UTF-8.
    """
    try:
        sql = sys.stdin.read()
        sql.encode()  # of bytes that are not text some locales make halves of characters
    except UnicodeError:
        raise StoreError("standard input: cannot be read (not UTF-8); give one SELECT") from None
    return sql


def check_values(given: Mapping[str, object], what: str, wanted: list[str] | tuple[str, ...]) -> None:
    """Refuse a value that would be left out in silence.

    Raises: StoreError.
    """
    for name in given:
        if name not in wanted:
            takes = ", ".join(f"${one}" for one in dict.fromkeys(wanted)) or "no value"
            raise StoreError(f"{what} has no ${name}: it takes {takes}")


def check_run(session: QuerySession, workspace: Path, run_id: str | None) -> None:
    """Check that a run is there.

    Raises: StoreError.
    """
    from blindspot.storage.analysts.nearest import abridged
    from blindspot.storage.workspace import Workspace

    if run_id is None:
        return
    names = [name for (name,) in session.ask("SELECT run_id FROM runs ORDER BY started_at DESC").rows()]
    if run_id not in names:
        raise StoreError(f"{Workspace(workspace).results}: no run {run_id}; there are: {abridged(names) or 'none'}")
