"""The answer to a query, as a table for people or as complete CSV or JSON for programs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import chain, islice
from itertools import count as counting
from typing import Any, TextIO

from blindspot.cli.terminal import result_console, takes_unicode, visible

MOST_ROWS = 500  # of a table; nobody reads on, and rendering takes its time
MOST_CHARACTERS = 300  # of one cell on a terminal
BETWEEN = 3  # columns of the terminal between two of the answer
FOLDED = 24  # columns that a text is given at least; where there are fewer, each row gets lines of its own


def write_csv(columns: Sequence[str], rows: Iterable[tuple[Any, ...]], file: TextIO) -> int:
    """Write all rows as CSV. Returns: how many there were."""
    writer = csv.writer(Lines(file), lineterminator="\r\n")  # what a line may end in is what is quoted inside of one
    writer.writerow(columns)
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007
        writer.writerow([csv_value(value) for value in row])
    return count


class Lines:
    """A file that takes lines of CSV, each in one piece, and ends them as everything here does."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, line: str) -> int:
        return self._file.write(line.removesuffix("\r\n") + "\n")


def write_json(columns: Sequence[str], rows: Iterable[tuple[Any, ...]], file: TextIO) -> int:
    """Write all rows as a list of objects. Returns: how many there were."""
    names, count, in_ascii = unique(columns), 0, not takes_unicode(file)
    for count, row in enumerate(rows, start=1):
        plain = dict(zip(names, map(json_value, row), strict=True))
        text = json.dumps(plain, ensure_ascii=in_ascii, indent=2, allow_nan=False).replace("\n", "\n  ")
        file.write(f"{',' if count > 1 else '['}\n  {text}")
    file.write("\n]\n" if count else "[]\n")
    return count


def print_table(columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Print a table, or one line a value where the columns do not fit side by side."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = result_console()
    coming = iter(rows)
    shown = list(islice(coming, MOST_ROWS))
    total = len(shown) + sum(1 for _ in coming)
    most = MOST_CHARACTERS if console.is_terminal else None
    cells = [[cell(value, most) for value in row] for row in shown]
    numeric = [all(isinstance(row[i], int | float | None) for row in shown) for i in range(len(columns))]
    widest = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    least = sum(wide if is_number else min(wide, FOLDED) for wide, is_number in zip(widest, numeric, strict=True))
    if least + len(columns) * BETWEEN <= console.width:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name, is_number in zip(columns, numeric, strict=True):
            table.add_column(Text(name), overflow="fold", justify="right" if is_number else "left")
        for row in cells:
            table.add_row(*map(Text, row))
        console.print(table)
    else:
        for number, row in enumerate(cells, start=1):
            console.print(Text(f"row {number}", style="bold"))
            lines = Table.grid(padding=(0, 2))
            for name, text in zip(columns, row, strict=True):
                lines.add_row(Text(name, style="cyan"), Text(text))
            console.print(lines)
    cut = f"{MOST_ROWS:,} of " if total > MOST_ROWS else ""
    more = "; --format csv or json gives all" if cut else ""
    console.print(Text(f"{cut}{total:,} row{'' if total == 1 else 's'}{more}", style="dim"))


def cell(value: Any, most: int | None) -> str:
    """A value for a table: on one line or a few, cut where it is long."""
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else csv_value(value)
    text = visible(str(text))
    return text if most is None or len(text) <= most else f"{text[: most - 1]}…"


def csv_value(value: Any) -> Any:
    """A value for CSV: lists and mappings as JSON, nothing as nothing."""
    if isinstance(value, list | dict | tuple):
        return json.dumps(json_value(value), ensure_ascii=False)
    return value.isoformat(" ") if isinstance(value, datetime) else value


def json_value(value: Any) -> Any:
    """A value as JSON knows it; NaN and infinities, which it does not know, become null."""
    if isinstance(value, dict):
        return {str(key): json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(inner) for inner in value]
    if isinstance(value, Decimal):
        return json_value(float(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):  # and datetime
        return value.isoformat()
    return value if isinstance(value, str | int | None) else str(value)


def unique(columns: Sequence[str]) -> list[str]:
    """Number the columns that share a name: an object of JSON would keep the last one only."""
    names: list[str] = []
    for name in columns:
        numbered = (f"{name}_{number}" for number in counting(2))
        names.append(next(one for one in chain([name], numbered) if one not in names))
    return names
