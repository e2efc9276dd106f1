"""Read one file of a data set into columns, and remember where in the file each row stood."""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blindspot.storage.errors import DataError
from blindspot.tools.data.formats import check_magic, check_regular, check_separator, check_size, plain

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SUFFIXES = (".parquet", ".csv", ".jsonl", ".json")
MAX_NAMES = 30  # of columns, in a message
BATCH_ROWS = 8192  # of a Parquet file


@dataclass(frozen=True, slots=True)
class DataTable:
    """The wanted columns of one split, all of the same length.

    A CSV's values are text, as written; a cell that is not there is None.
    """

    source: str  # the file, or the id and split
    columns: Mapping[str, Sequence[object]]
    lines: Sequence[int] | None = None  # each row's first line in a text file, from 1
    positions: Sequence[int] | None = None  # each row's position in the file, from 0; None: all of them are here

    def position(self, row: int) -> int:
        """Which row of the file a row is, both from 0."""
        return row if self.positions is None else self.positions[row]

    def number(self, row: int) -> str:
        """Say which row or line of the file a row (from 0) is, counting as a person does."""
        return f"line {self.lines[row]}" if self.lines else f"row {self.position(row) + 1}"

    def place(self, row: int) -> str:
        """Say where a row (from 0) stands."""
        return f"{self.source}, {self.number(row)}"

    def take(self, rows: Sequence[int]) -> DataTable:
        """Keep these rows alone; they are still known by their places in the file."""
        columns = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        lines = [self.lines[row] for row in rows] if self.lines else None
        return DataTable(self.source, columns, lines, [self.position(row) for row in rows])

    def stripped(self) -> DataTable:
        """Take the white space off both ends of every text and label."""
        return replace(self, columns={name: [strip(value) for value in row] for name, row in self.columns.items()})


def strip(value: object) -> object:
    """Take the white space off both ends of a text; another value stays."""
    return value.strip() if isinstance(value, str) else value


def read_table(path: Path, wanted: Sequence[str]) -> DataTable:
    """Read the wanted columns of a .parquet, .csv, .jsonl or .json (one object a line) file.

    Raises: DataError, with the file and, where there is one, the line.
    """
    readers = {".parquet": read_parquet, ".csv": read_csv, ".jsonl": read_json_lines, ".json": read_json_lines}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: files of this kind cannot be read; use one of {', '.join(SUFFIXES)}")
    try:
        check_regular(path)
        return reader(path, wanted)
    except FileNotFoundError:
        raise DataError(f"{plain(str(path), 400)}: no such file") from None
    except OSError as error:
        raise DataError(f"{plain(str(path), 400)}: cannot be read: {error.strerror or first_line(error)}") from None


def read_parquet(path: Path, wanted: Sequence[str]) -> DataTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        start = file.read(64)
    if not start.startswith(b"PAR1"):
        check_magic(path, start)
    try:
        with path.open("rb") as file:
            parquet = pq.ParquetFile(file)
            schema = parquet.schema_arrow
            check_columns(wanted, schema.names, str(path))
            check_size(path, uncompressed(parquet.metadata, wanted))
            texts = [name for name in wanted if is_text(schema.field(name).type)]
            # A value that is written once for many rows stays written once, until it is known how much that makes.
            parquet = pq.ParquetFile(file, read_dictionary=texts)
            return from_arrow(read_batches(parquet, path, wanted), wanted, str(path))
    except pa.ArrowException as error:
        raise DataError(f"{path}: not a readable Parquet file: {first_line(error)}") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise DataError(f"{path}: not a readable Parquet file: {first_line(error)}") from None  # torn pages


def read_batches(parquet: pq.ParquetFile, path: Path, wanted: Sequence[str]) -> pa.Table:
    """Read columns a few rows at a time, and stop where they unpack to more than can be read."""
    import pyarrow as pa

    size = 0
    batches: list[pa.RecordBatch] = []
    for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=list(wanted)):
        size += sum(map(unpacked_size, batch.columns)) + 8 * len(batch)  # a row of nulls takes no bytes
        check_size(path, size)
        batches.append(pa.RecordBatch.from_arrays(list(map(unpacked, batch.columns)), batch.schema.names))
    schema = parquet.schema_arrow
    if not batches:
        return pa.schema([schema.field(name) for name in wanted], schema.metadata).empty_table()
    return pa.Table.from_batches(batches).replace_schema_metadata(schema.metadata)


def unpacked(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    return column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column


def uncompressed(metadata: pq.FileMetaData, wanted: Sequence[str]) -> int:
    """Bytes of the wanted columns' pages; a value that is written once for many rows counts once."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    return sum(int(chunk.total_uncompressed_size) for chunk in chunks if chunk.path_in_schema in wanted)


def is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def unpacked_size(column: pa.Array) -> int:
    """Bytes of a column's values, were each written out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(column, pa.DictionaryArray):
        return int(column.nbytes)
    if not is_text(column.dictionary.type):
        return len(column) * (int(column.dictionary.nbytes) // max(1, len(column.dictionary)) + 1)
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    return int(pc.sum(lengths.take(column.indices)).as_py() or 0)


def from_arrow(table: pa.Table, wanted: Sequence[str], source: str) -> DataTable:
    """Take the wanted columns out of an Arrow table; numbers that stand for class names become the names.

    The names are in the schema's metadata, where the `datasets` library writes them, in files of its own too.
    """
    check_columns(wanted, table.schema.names, source)
    columns: dict[str, Sequence[object]] = {}
    for name in wanted:
        values = to_python(table[name], name, source)
        names = column_classes(table.schema.metadata or {}, name, source)
        columns[name] = [class_name(value, names) for value in values] if names else values
    return DataTable(source, columns)


def to_python(column: pa.ChunkedArray, name: str, source: str) -> list[object]:
    """The values of a column. Raises: DataError, with the row of one that Python cannot hold."""
    try:
        values: list[object] = column.to_pylist()
    except (ValueError, OverflowError):  # bytes that are not UTF-8, dates after the year 9999
        for row, value in enumerate(column):
            try:
                value.as_py()
            except (ValueError, OverflowError) as error:
                raise DataError(
                    f'{source}, row {row + 1}: column "{plain(name)}" cannot be read: {plain(first_line(error), 200)}'
                ) from None
        raise
    return values


def column_classes(metadata: Mapping[bytes, bytes], column: str, source: str) -> list[str]:
    """The names of a column's classes in the metadata of the `datasets` library; none where there are none.

    Raises: DataError, when the metadata are malformed: labels would be numbers where names are meant.
    """
    try:
        part: Any = json.loads(metadata.get(b"huggingface", b"{}"))
        for key in ("info", "features", column, "names"):
            if not isinstance(part, dict):
                raise ValueError(f'"{plain(key)}" is not in an object')
            part = part.get(key)
            if part is None:
                return []
        if not isinstance(part, list) or not all(isinstance(name, str) for name in part):
            raise ValueError(f'the class names of "{plain(column)}" are not a list of texts')
    except (ValueError, RecursionError) as error:
        raise DataError(
            f'{source}: malformed "huggingface" metadata: {plain(first_line(error), 200)}; write the file without it'
        ) from None
    return list(part)


def class_name(value: object, names: Sequence[str]) -> object:
    """Name a class by its number; a number without a name (-1 for a hidden label) stays."""
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def read_csv(path: Path, wanted: Sequence[str]) -> DataTable:
    text = decode(path)
    check_separator(path, text, wanted)
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
    return DataTable(str(path), columns, lines[1:])


def read_json_lines(path: Path, wanted: Sequence[str]) -> DataTable:
    rows, lines = read_objects(path)
    check_columns(wanted, list(dict.fromkeys(name for row in rows for name in row)), str(path))
    return DataTable(str(path), {name: [row.get(name) for row in rows] for name in wanted}, lines)


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
            array = text.lstrip().startswith("[") and not rows
            hint = "; the file seems to be one JSON array: write one object a line" if array else ""
            raise DataError(f"{path}, line {line}: broken JSON: {first_line(error)}{hint}") from None
        except ValueError:  # Python reads no integer of more than 4,300 digits
            raise DataError(f"{path}, line {line}: contains a number with too many digits; write it as text") from None
        if not isinstance(row, dict):
            hint = "; the file seems to be one JSON array" if isinstance(row, list) and not rows else ""
            raise DataError(f"{path}, line {line}: not a JSON object; write one object a line{hint}")
        rows.append(row)
        lines.append(line)
    return rows, lines


def decode(path: Path) -> str:
    """Read a text file as UTF-8, with or without a byte order mark."""
    data = path.read_bytes()
    check_magic(path, data)
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
            hint = f'; did you mean "{plain(near[0])}"?' if near else ""
            names = ", ".join([*map(plain, there[:MAX_NAMES]), *(["…"] if len(there) > MAX_NAMES else [])])
            raise DataError(f'{source}: no column "{plain(name)}"; it has {names or "none"}{hint}')
        if there.count(name) > 1:
            raise DataError(f'{source}: column "{plain(name)}" occurs {there.count(name)} times')


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
