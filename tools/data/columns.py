"""Read one file of a data set into columns, and remember where in the file each row stood."""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blindspot.storage.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".csv", ".jsonl", ".json")


@dataclass(frozen=True, slots=True)
class Table:
    """The wanted columns of one split, all of the same length.

    A CSV's values are text, as written; a cell that is not there is None.
    """

    source: str  # the file, or the id and split
    columns: Mapping[str, Sequence[object]]
    lines: Sequence[int] | None = None  # each row's first line in a text file, from 1

    def place(self, row: int) -> str:
        """Say where a row (from 0) stands, counting as a person does."""
        return f"{self.source}, line {self.lines[row]}" if self.lines else f"{self.source}, row {row + 1}"


def read_table(path: Path, wanted: Sequence[str]) -> Table:
    """Read the wanted columns of a .parquet, .csv, .jsonl or .json (one object a line) file.

    Raises: DataError, with the file and, where there is one, the line.
    """
    readers = {".parquet": read_parquet, ".csv": read_csv, ".jsonl": read_json_lines, ".json": read_json_lines}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: not a kind of file that can be read; use one of {', '.join(SUFFIXES)}")
    try:
        return reader(path, wanted)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or first_line(error)}") from None


def read_parquet(path: Path, wanted: Sequence[str]) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            parquet = pq.ParquetFile(file)
            check_columns(wanted, parquet.schema_arrow.names, str(path))
            return from_arrow(parquet.read(columns=list(wanted)), wanted, str(path))
    except pa.ArrowException as error:
        raise DataError(f"{path}: not a readable Parquet file: {first_line(error)}") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise DataError(f"{path}: not a readable Parquet file: {first_line(error)}") from None  # torn pages


def from_arrow(table: pa.Table, wanted: Sequence[str], source: str) -> Table:
    """Take the wanted columns out of an Arrow table; numbers that stand for class names become the names.

    The names are in the schema's metadata, where the `datasets` library writes them, in files of its own too.
    """
    check_columns(wanted, table.schema.names, source)
    written = (table.schema.metadata or {}).get(b"huggingface", b"{}")
    features: dict[str, Any] = json.loads(written).get("info", {}).get("features", {})
    columns: dict[str, Sequence[object]] = {}
    for name in wanted:
        values = table[name].to_pylist()
        feature = features.get(name)
        names = feature.get("names") if isinstance(feature, dict) else None
        columns[name] = [named(value, names) for value in values] if names else values
    return Table(source, columns)


def named(value: object, names: Sequence[str]) -> object:
    """Name a class by its number; a number without a name (-1 for a hidden label) stays."""
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def read_csv(path: Path, wanted: Sequence[str]) -> Table:
    text = decode(path)
    # The limit of 131,072 characters a cell is global to the module and too low for long documents.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    line = 1
    try:
        for cells in reader:
            if cells:  # not a blank line
                rows.append(cells)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: broken CSV: {error}") from None
    header = rows[0] if rows else []
    check_columns(wanted, header, str(path))
    for cells, line in zip(rows, lines, strict=True):
        if len(cells) != len(header):
            raise DataError(f"{path}, line {line}: broken CSV: {len(cells)} cells, the header has {len(header)}")
    columns = {name: [cells[header.index(name)] for cells in rows[1:]] for name in wanted}
    return Table(str(path), columns, lines[1:])


def read_json_lines(path: Path, wanted: Sequence[str]) -> Table:
    rows, lines = read_objects(path)
    check_columns(wanted, list(dict.fromkeys(name for row in rows for name in row)), str(path))
    return Table(str(path), {name: [row.get(name) for row in rows] for name in wanted}, lines)


def read_objects(path: Path) -> tuple[list[dict[str, object]], list[int]]:
    """Read the objects of a file with one a line, and the line of each.

    Raises: DataError. OSError, where it cannot be read at all.
    """
    rows: list[dict[str, object]] = []
    lines: list[int] = []
    for line, text in enumerate(decode(path).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(f"{path}, line {line}: broken JSON: {first_line(error)}") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {line}: not a JSON object; write one object a line")
        rows.append(row)
        lines.append(line)
    return rows, lines


def decode(path: Path) -> str:
    """Read a text file as UTF-8, with or without a byte order mark."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise DataError(
            f"{path}, line {line}: not UTF-8: byte 0x{byte:02x} at position {error.start}; save the file as UTF-8"
        ) from None


def check_columns(wanted: Sequence[str], there: Sequence[str], source: str) -> None:
    """Refuse a table that lacks a wanted column, or has it twice."""
    for name in wanted:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            raise DataError(f'{source}: no column "{name}"; there is {", ".join(there) or "none"}{hint}')
        if there.count(name) > 1:
            raise DataError(f'{source}: column "{name}" is there {there.count(name)} times')


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
