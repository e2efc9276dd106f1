"""Which table holds which record, and how a value travels between the two."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from blindspot.storage import records, study_records

if TYPE_CHECKING:
    import pyarrow

Record = (
    records.Run
    | records.Round
    | records.Dataset
    | records.Sample
    | records.ModelVersion
    | records.Prediction
    | records.Attack
    | records.ChangedWord
    | records.Uu
    | records.Hypothesis
    | records.Program
    | records.ProgramTest
    | records.Judgement
    | records.SyntheticSample
    | records.TeacherCall
    | records.ToolCall
    | records.TeacherComparison
    | records.Evaluation
    | records.BlindSpot
    | study_records.Study
    | study_records.StudyFigure
    | records.Event
)
R = TypeVar("R", bound=Record)

NAMES: Mapping[type[Record], str] = {
    records.Run: "runs",
    records.Round: "rounds",
    records.Dataset: "datasets",
    records.Sample: "samples",
    records.ModelVersion: "model_versions",
    records.Prediction: "predictions",
    records.Attack: "attacks",
    records.ChangedWord: "changed_words",
    records.Uu: "uus",
    records.Hypothesis: "hypotheses",
    records.Program: "programs",
    records.ProgramTest: "program_tests",
    records.Judgement: "judgements",
    records.SyntheticSample: "synthetic_samples",
    records.TeacherCall: "teacher_calls",
    records.ToolCall: "tool_calls",
    records.TeacherComparison: "teacher_comparisons",
    records.Evaluation: "evaluations",
    records.BlindSpot: "blind_spots",
    study_records.Study: "studies",
    study_records.StudyFigure: "study_figures",
    records.Event: "events",
}

KEY_LENGTHS: Mapping[type[Record], int] = {
    records.Round: 2,
    records.Prediction: 2,
    records.ChangedWord: 2,
    records.ProgramTest: 2,
    records.TeacherComparison: 2,
    records.BlindSpot: 3,
    study_records.StudyFigure: 8,
}  # others: the first field

SQL_TYPES: Mapping[object, str] = {
    str: "VARCHAR",
    int: "BIGINT",
    float: "DOUBLE",
    bool: "BOOLEAN",
    datetime: "TIMESTAMP",  # UTC, see clock.now
    tuple[str, ...]: "VARCHAR[]",
    tuple[float, ...]: "FLOAT[]",
}

# One encoder for all values: json.dumps makes one for each.
TO_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a record as the database sees it."""

    name: str
    sql_type: str
    optional: bool

    @property
    def coded(self) -> bool:
        """Whether a record holds something else than the database does."""
        return self.sql_type == "JSON" or self.sql_type.endswith("[]")

    def encode(self, value: Any) -> Any:
        """Turn a record's value into the database's."""
        if value is None or not self.coded:
            return value
        return TO_JSON(dict(value)) if self.sql_type == "JSON" else list(value)

    def decode(self, value: Any) -> Any:
        """Turn the database's value into a record's; a list inside a mapping stays a list."""
        if value is None or not self.coded:
            return value
        return json.loads(value) if self.sql_type == "JSON" else tuple(value)


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of record as the database sees it; the primary key comes first among the columns."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]

    @property
    def column_list(self) -> str:
        return ", ".join(f'"{column.name}"' for column in self.columns)

    @property
    def key_list(self) -> str:
        return ", ".join(f'"{name}"' for name in self.primary_key)

    def column(self, name: str) -> Column:
        """Find a column by its name.

        Raises: ValueError, when the table has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise ValueError(f"{self.name} has no column {name!r}")

    def encode(self, rows: Sequence[Record]) -> list[list[Any]]:
        """Lay records out as one list of values for each column."""
        by_column = [(column, list(map(attrgetter(column.name), rows))) for column in self.columns]
        return [[column.encode(value) for value in values] if column.coded else values for column, values in by_column]

    def decode(self, rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
        """Turn the database's rows into the values of records."""
        by_column = zip(self.columns, zip(*rows, strict=True), strict=bool(rows))
        return zip(
            *(map(column.decode, values) if column.coded else values for column, values in by_column), strict=True
        )

    def arrow(self, columns: Sequence[Sequence[Any]]) -> pyarrow.Table:
        """Make an Arrow table of encoded columns: the fastest way into DuckDB, once it is imported."""
        import pyarrow as pa

        types = {
            "VARCHAR": pa.string(),
            "BIGINT": pa.int64(),
            "DOUBLE": pa.float64(),
            "BOOLEAN": pa.bool_(),
            "TIMESTAMP": pa.timestamp("us"),
            "VARCHAR[]": pa.list_(pa.string()),
            "FLOAT[]": pa.list_(pa.float32()),
            "JSON": pa.string(),
        }
        named = zip(self.columns, columns, strict=True)
        return pa.table({column.name: pa.array(values, types[column.sql_type]) for column, values in named})


def derive(kind: type[Record]) -> Table:
    """Derive a record's table from its fields."""
    hints = get_type_hints(kind)
    columns = tuple(column_of(field.name, hints[field.name]) for field in fields(kind))
    key = tuple(column.name for column in columns[: KEY_LENGTHS.get(kind, 1)])
    return Table(NAMES[kind], columns, key)


def column_of(name: str, hint: Any) -> Column:
    """Derive a column from a field's type, e.g. `float | None` -> DOUBLE, optional; a Literal is one of its words."""
    optional = NoneType in get_args(hint)
    if optional:
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    hint = str if get_origin(hint) is Literal else hint
    sql_type = "JSON" if get_origin(hint) is Mapping else SQL_TYPES[hint]
    return Column(name, sql_type, optional)


TABLES: Mapping[type[Any], Table] = {kind: derive(kind) for kind in NAMES}
