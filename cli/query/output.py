"""Where the answer to a query goes: a table for people; complete CSV, JSON or Parquet for programs; a file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from blindspot.cli.query.formats import print_table, unique, write_csv, write_json
from blindspot.cli.query.names import known_tables
from blindspot.cli.terminal import print_json, result_console, terminal_safe, while_read
from blindspot.storage.errors import StoreError

if TYPE_CHECKING:
    from blindspot.storage.analysts.session import SessionAnswer

Style = Literal["table", "csv", "json", "parquet"]
ENDINGS: dict[str, Style] = {".csv": "csv", ".json": "json", ".parquet": "parquet"}


def style_of(output: Style | None, out: Path | None) -> Style:
    """Find out how an answer is to be written: as --format says, or the ending of --out.

    Raises: typer.BadParameter.
    """
    if out is None:
        if output == "parquet":
            raise typer.BadParameter("parquet needs a file; name it with --out", param_hint="--format")
        return output or "table"
    style = output or ENDINGS.get(out.suffix.lower())
    if style is None:
        known = ", ".join(ENDINGS)
        raise typer.BadParameter(f"{out}: the name must end in {known}; or give --format", param_hint="--out")
    if style == "table":
        raise typer.BadParameter("a table can only be printed; use csv, json or parquet", param_hint="--format")
    return style


def write_answer(answer: SessionAnswer, style: Style, out: Path | None) -> None:
    """Print an answer, or write it to a file, whole or not at all.

    Raises: StoreError, when it cannot be computed or written.
    """
    if out is None:
        if style == "table":
            print_table(answer.columns, answer.rows())
        else:
            (write_csv if style == "csv" else write_json)(answer.columns, while_read(answer.rows()), terminal_safe())
        return
    out = out.expanduser()
    if out.is_dir():
        raise StoreError(f"{out}: is a folder; name a file in it")
    new = out.with_name(f"{out.name}.new")
    try:
        if style == "parquet":
            count = write_parquet(answer, new)
        else:
            with new.open("w", encoding="utf-8", newline="") as file:
                count = (write_csv if style == "csv" else write_json)(answer.columns, answer.rows(), file)
        os.replace(new, out)
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({error.strerror or error}); choose another file") from None
    finally:
        with suppress(OSError):  # the first error is the one to tell
            new.unlink(missing_ok=True)
    result_console().print(f"{count:,} row{'' if count == 1 else 's'} in {out}", soft_wrap=True)


def write_parquet(answer: SessionAnswer, path: Path) -> int:
    """Write all rows as Parquet, with their types. Returns: how many there were.

    Raises: StoreError, for a type that Parquet does not know.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schema, batches = answer.arrow()
    names, count = unique(schema.names), 0
    schema = pa.schema([field.with_name(name) for name, field in zip(names, schema, strict=True)])
    try:
        with parquet.ParquetWriter(path, schema) as writer:
            for batch in batches:
                count += batch.num_rows
                writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
    except pa.ArrowNotImplementedError as error:
        raise StoreError(f"{error}: Parquet has no such type; cast that column, e.g. CAST(x AS VARCHAR)") from None
    return count


def print_names(style: Style) -> None:
    """Print the ready queries, the views and the tables, each with what it answers or holds."""
    from blindspot.storage.analysts.ready_queries import QUERIES
    from blindspot.storage.schema.views import VIEWS

    views = {view.name for view in VIEWS}
    rows = [(query.name, "ready query", query.question) for query in QUERIES]
    rows += [(name, "view" if name in views else "table", comment) for name, (comment, _) in known_tables().items()]
    if style == "json":
        print_json([dict(zip(("name", "kind", "about"), row, strict=True)) for row in rows])
    elif style == "csv":
        write_csv(("name", "kind", "about"), rows, terminal_safe())
    else:
        print_table(("name", "kind", "about"), rows)
        result_console().print("blindspot query NAME [RUN] asks it, --show prints its SQL")
