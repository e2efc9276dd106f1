"""The log of a deployed model: which of its predictions are errors that a run can start from."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from blindspot.storage.errors import DataError
from blindspot.storage.ids import make_id
from blindspot.storage.records import Dataset, Sample
from blindspot.storage.words import LOGGED
from blindspot.tools.data.columns import DataTable, read_table
from blindspot.tools.data.datasets import DataSource, find_problem, label_name, order_labels, read_split
from blindspot.tools.uu import is_uu

Text = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogSource:
    """Where a log lies and which of its columns is what."""

    file: str
    fields: tuple[str, ...]  # columns with text, in the order of the data set's fields
    label: str  # the true one
    predicted: str
    confidence: str
    tau: float
    strip: bool = False  # take the white space off both ends of texts and labels


@dataclass(frozen=True, slots=True)
class LoggedError:
    """A prediction of the deployed model that was wrong with confidence >= tau."""

    row: int  # in the log, from 0
    text: Text
    label: str
    predicted: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Log:
    """A log that was checked: each row is counted once."""

    source: str
    errors: tuple[LoggedError, ...]  # usable ones
    right: int
    unsure: int  # wrong, with less confidence than tau
    unlabelled: int  # without a true label
    unknown: int  # with a label that is none of the data set's
    repeated: int  # errors whose text came before
    tested: int  # errors whose text is one of the test split: a teacher who sees them spoils what is measured there
    first_unknown: str | None  # the first label that is none of the data set's, and where it stands

    @property
    def rows(self) -> int:
        passed_over = self.right + self.unsure + self.unlabelled + self.unknown + self.repeated + self.tested
        return len(self.errors) + passed_over

    def content(self) -> str:
        """A hash of the usable errors."""
        digest = hashlib.blake2b(digest_size=16)
        for error in self.errors:
            digest.update("\x1f".join((str(error), "\x1e")).encode())
        return digest.hexdigest()


def read_log(source: LogSource, labels: Sequence[str] | None = None, tested: Collection[Text] = ()) -> Log:
    """Read a .csv, .jsonl or .parquet log and sort its rows out.

    Args:
        labels: the data set's; None: those that the log has as true ones.
        tested: texts of the test split.
    Raises: DataError, with the file, the row and the column, for a text or a confidence that is none.
    """
    table = read_table(Path(source.file), check_names(source))
    table = table.stripped() if source.strip else table
    true = label_column(table, source.label, labels)
    predicted = label_column(table, source.predicted, labels)
    known = set(order_labels({label for label in true if label}) if labels is None else labels)
    counts: Counter[str] = Counter()
    errors: list[LoggedError] = []
    seen: set[Text] = set()
    first_unknown = None
    for row, values in enumerate(zip(*(table.columns[name] for name in source.fields), strict=True)):
        text = checked_text(values, table, row, source)
        confidence = checked_confidence(table.columns[source.confidence][row], table, row, source.confidence)
        label, prediction = true[row], predicted[row]
        strange = [name for name in (label, prediction) if name is not None and name not in known]
        if strange and first_unknown is None:
            first_unknown = f'"{strange[0]}" in {table.place(row)}'
        if label is None or prediction is None or strange:
            counts["unknown" if strange else "unlabelled"] += 1
        elif not is_uu(label, prediction, confidence, source.tau):
            counts["right" if label == prediction else "unsure"] += 1
        elif text in tested or text in seen:
            counts["tested" if text in tested else "repeated"] += 1
        else:
            seen.add(text)
            errors.append(LoggedError(row, text, label, prediction, confidence))
    names = ("right", "unsure", "unlabelled", "unknown", "repeated", "tested")
    return Log(table.source, tuple(errors), **{name: counts[name] for name in names}, first_unknown=first_unknown)


def check_names(source: LogSource) -> tuple[str, ...]:
    """The columns that are read. Raises: DataError, when one of them is named twice."""
    names = (*source.fields, source.label, source.predicted, source.confidence)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f'{source.file}: the column "{twice[0]}" is named twice; fields, label, predicted and confidence '
            "must be different columns (errors.fields, errors.label, errors.predicted, errors.confidence)"
        )
    return names


def label_column(table: DataTable, name: str, known: Collection[str] | None = None) -> list[str | None]:
    """The labels of a column; None where there is none.

    Whole numbers that pandas made floats are whole again, unless the data set has them as floats too.
    """
    labels: list[str | None] = []
    for row, value in enumerate(table.columns[name]):
        if isinstance(value, float) and value.is_integer() and str(value) not in (known or ()):
            value = int(value)
        missing = value is None or (isinstance(value, float) and math.isnan(value)) or not str(value).strip()
        labels.append(None if missing else label_name(value, table, row, name))
    return labels


def checked_text(values: Sequence[object], table: DataTable, row: int, source: LogSource) -> Text:
    """The text of a row. Raises: DataError, when a field holds none."""
    for name, value in zip(source.fields, values, strict=True):
        problem = find_problem(value)
        if problem:
            raise DataError(f'{table.place(row)}: column "{name}" {problem}')
    return tuple(map(str, values))


def checked_confidence(value: object, table: DataTable, row: int, column: str) -> float:
    """The confidence of a row. Raises: DataError, when it is not a number in [0, 1]."""
    try:
        number = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise DataError(
            f'{table.place(row)}: column "{column}": {value!r:.60} is not a confidence, which is a number from 0 to 1: '
            "the largest of the model's probabilities"
        )
    return number


def inspect_log(source: DataSource, log_source: LogSource, dataset: Dataset) -> tuple[Log, Dataset]:
    """Read a log beside the data set that it belongs to.

    Returns: the log, and the data set with its errors as a split of its own, under another id.
    Raises: DataError, also when no row can be used.
    """
    log = read_log(log_source, dataset.labels, tested_texts(source))
    if not log.errors:
        raise DataError(
            f"{log.source}: {log.rows} rows, but no usable error with a confidence of {log_source.tau:g} or more: "
            f"{', '.join(f'{count} {what}' for what, count in passed_over(log).items() if count) or 'the log is empty'}"
        )
    dataset_id = make_id("ds", dataset.dataset_id, LOGGED, log.content())
    return log, replace(dataset, dataset_id=dataset_id, rows={**dataset.rows, LOGGED: len(log.errors)})


def load_log(source: DataSource, log_source: LogSource, dataset: Dataset) -> Log:
    """Read a log again. Raises: DataError, also when it is no longer what `inspect_log` saw."""
    log = read_log(log_source, dataset.labels, tested_texts(source))
    if len(log.errors) != dataset.rows[LOGGED]:
        was = dataset.rows[LOGGED]
        raise DataError(f"{log.source}: it has changed: {len(log.errors)} usable errors instead of {was}")
    return log


def tested_texts(source: DataSource) -> frozenset[Text]:
    """The texts of the test split, where it is read at all."""
    return frozenset(read_split(source, "test").texts) if "test" in source.splits else frozenset()


def passed_over(log: Log) -> Mapping[str, int]:
    """How many rows are not used, by the reason why."""
    first = f" (first {log.first_unknown})" if log.first_unknown else ""
    return {
        "right": log.right,
        "wrong with less confidence": log.unsure,
        "without a label": log.unlabelled,
        f"with a label that the data set lacks{first}": log.unknown,
        "with a text that an earlier row has": log.repeated,
        "with a text of the test split, which only measures": log.tested,
    }


def error_samples(log: Log, dataset: Dataset) -> list[Sample]:
    """Make samples of a log's errors, in the log's order."""
    content = log.content()
    return [
        Sample(
            sample_id=make_id("smp", LOGGED, content, error.row),
            dataset_id=dataset.dataset_id,
            split=LOGGED,
            row=error.row,
            fields=dict(zip(dataset.fields, error.text, strict=True)),
            label=error.label,
        )
        for error in log.errors
    ]
