"""Load a data set and check it: every mistake in it is one line that names the file, the row and the column."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from blindspot.storage.errors import DataError
from blindspot.storage.ids import make_id
from blindspot.storage.records import Dataset, Sample
from blindspot.storage.words import Split
from blindspot.tools.data.columns import SUFFIXES, DataTable, first_line, from_arrow, read_table
from blindspot.tools.data.copies import divide
from blindspot.tools.data.formats import is_folder, is_there, plain
from blindspot.tools.data.review import DataReview, Notice
from blindspot.tools.process import Undo, change, keep_errors_only, one_after_another

SPLITS: tuple[Split, ...] = get_args(Split)
FILE_NAMES = {"train": ("train",), "validation": ("validation", "valid", "dev"), "test": ("test",)}
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")
MAX_HUB_ID = 200  # characters of owner and name; each has 96 at most
SHARES = (0.8, 0.1, 0.1)
SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can say them, UTF-8 and the store cannot


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where a data set lies and how it is to be read."""

    name: str
    path: str | None  # a folder, one file or a Hugging Face id; None where `files` are given
    files: Mapping[str, str]  # split -> file
    fields: tuple[str, ...]
    label: str
    labels: tuple[str, ...] | None  # their order; None: as found in the first split that is read, sorted
    task: str
    limits: Mapping[str, int | None]  # split -> most rows
    seed: int
    splits: tuple[Split, ...] = SPLITS  # those that are read, in the order of SPLITS; others need not be there
    unlabelled: str | None = None  # a file of texts of the deployment
    shares: tuple[float, ...] = SHARES  # of one file's rows, for the splits that it is divided into
    strip: bool = False  # take the white space off both ends of texts and labels

    @property
    def is_drawn(self) -> bool:
        """Whether the seed decides which rows are read, and in which split."""
        return any(self.limits.values()) or whole_file(self) is not None


@dataclass(frozen=True, slots=True)
class Rows:
    """A split that was checked: texts and labels, in the order of the source."""

    table: DataTable
    texts: Sequence[tuple[str, ...]]
    labels: Sequence[str]


def inspect(source: DataSource, notices: list[Notice] | None = None) -> Dataset:
    """Check every row of the splits that are read, and keep none.

    Args:
        notices: takes what is not an error and yet worth knowing; None: nothing looks for it.
    Returns: the record; its id depends on what the rows say and how they are drawn, not on where they lie.
    Raises: DataError.
    """
    content = hashlib.blake2b(digest_size=16)
    labels: tuple[str, ...] = tuple(dict.fromkeys(source.labels or ()))
    counts: dict[str, int] = {}
    review = DataReview(listed=source.labels is not None)
    for split in source.splits:  # the training split comes first: its labels are the ones the others may have
        rows = read_split(source, split)
        labels = labels or order_labels(set(rows.labels))
        check_labels(rows, labels, listed=source.labels is not None)
        if split == "train" and len(set(rows.labels)) < len(labels):
            unseen = next(label for label in labels if label not in rows.labels)
            raise DataError(f'{rows.table.source}: no row has the label "{unseen}" that the setting `labels` lists')
        limit = source.limits.get(split)
        if limit is not None and limit < len(labels):
            raise DataError(f"{split}: a limit of {limit} rows is too few for {len(labels)} classes")
        for text, label in zip(rows.texts, rows.labels, strict=True):
            content.update("\x1f".join((split, label, *text, "\x1e")).encode())
        counts[split] = min(len(rows.labels), limit or len(rows.labels))
        if notices is not None:
            review.add(split, rows.table, rows.texts, rows.labels)
    limits = sorted((split, limit) for split, limit in source.limits.items() if limit is not None)
    draw = (limits, source.seed) if limits else None
    if notices is not None:
        whole = {split: sum(seen.values()) for split, seen in review.labels.items()}
        notices += [*tell_division(source, whole), *review.notices()]
    return Dataset(
        dataset_id=make_id("ds", source.fields, source.label, labels, content.hexdigest(), draw),
        name=source.name,
        source=source.path or ", ".join(source.files[split] for split in source.splits),
        fields=source.fields,
        labels=labels,
        task=source.task,
        rows=counts,
    )


def load_split(source: DataSource, dataset: Dataset, split: str) -> list[Sample]:
    """Load the rows of one split, in the order of the source.

    With a limit they are a random draw from the seed in which every class keeps its share.

    Raises: DataError, also when the split is no longer what `inspect` saw.
    """
    rows = read_split(source, split)
    check_labels(rows, dataset.labels, listed=source.labels is not None)
    chosen = draw_rows(rows.labels, source.limits.get(split), seed=[source.seed, SPLITS.index(split)])
    if len(chosen) != dataset.rows[split]:
        raise DataError(f"{rows.table.source}: it has changed: {len(chosen)} rows instead of {dataset.rows[split]}")
    # An id tells of its own split only: what is drawn by it does not change with the test split.
    content = make_id("rows", source.fields, *((row, rows.labels[row], *rows.texts[row]) for row in chosen))
    return [
        Sample(
            sample_id=make_id("smp", split, content, row),
            dataset_id=dataset.dataset_id,
            split=split,
            row=rows.table.position(row),
            fields=dict(zip(source.fields, rows.texts[row], strict=True)),
            label=rows.labels[row],
        )
        for row in chosen
    ]


def order_labels(labels: set[str]) -> tuple[str, ...]:
    """Sort label names; whole numbers by their value, as models number their classes."""
    if all(re.fullmatch(r"-?\d+", label) for label in labels):
        return tuple(sorted(labels, key=int))
    return tuple(sorted(labels))


def draw_rows(labels: Sequence[str], limit: int | None, *, seed: Sequence[int]) -> list[int]:
    """Draw at most `limit` rows, stratified by class and sorted; a smaller limit draws a part of a larger one's rows.

    Each class is shuffled, its k-th row of n gets the rank k / n, and the lowest ranks are taken: every class
    is there as soon as the limit is no less than the number of classes.
    """
    if limit is None or limit >= len(labels):
        return list(range(len(labels)))
    rng = np.random.default_rng(seed)
    names = np.asarray(labels)
    ranks = np.empty(len(labels))  # in [0, 1)
    for name in sorted(set(labels)):
        members = rng.permutation(np.flatnonzero(names == name))
        ranks[members] = np.arange(len(members)) / len(members)
    return [int(row) for row in sorted(np.argsort(ranks, kind="stable")[:limit])]


def read_split(source: DataSource, split: str) -> Rows:
    """Read one split and check each of its rows by itself."""
    file = whole_file(source)
    if file is None:
        return check_rows(read_split_table(source, split), source)
    rows = check_rows(read_table(file, (*source.fields, source.label)), source)
    parts = divide(rows.texts, rows.labels, source.shares, seed=source.seed, source=plain(str(file), 400))
    part = parts[SPLITS.index(split)]
    return Rows(rows.table.take(part), [rows.texts[row] for row in part], [rows.labels[row] for row in part])


def whole_file(source: DataSource) -> Path | None:
    """The one file that is to be divided into splits: what `path` names, or the only file in its folder.

    A file that is named after a split is that split, where its folder is named and not the file.
    """
    path = Path(source.path).expanduser() if source.path else None
    if path is None or not is_there(path):
        return None
    if not is_folder(path):
        return path
    try:
        files = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()]
    except OSError:  # a folder that may not be listed: its files may be read all the same
        return None
    return files[0] if len(files) == 1 and split_named(files[0]) is None else None


def tell_division(source: DataSource, counts: Mapping[str, int]) -> list[Notice]:
    """Say how one file was divided.

    Args:
        counts: split -> its rows, before a limit.
    """
    file = whole_file(source)
    if file is None:
        return []
    rows = ", ".join(f"{split} {count}" for split, count in counts.items())
    return [
        Notice(
            f"{plain(str(file), 400)}: one file without splits, so it is divided at random (seed {source.seed}, "
            f"data.split = {list(source.shares)}), each label in proportion and copies of a text in the same split: "
            f"{rows}",
            "info",
        )
    ]


def read_split_table(source: DataSource, split: str) -> DataTable:
    """Read the columns of a split that lies by itself."""
    wanted = (*source.fields, source.label)
    folder = Path(source.path).expanduser() if source.path else None
    if folder is None:
        if split not in source.files:
            raise DataError(
                f"no file for the {split} split; name one in data.{split}, or set data.path to a folder with all "
                "splits or to one file, which is divided into splits"
            )
        table = read_table(Path(source.files[split]).expanduser(), wanted)
    elif is_folder(folder):
        table = read_table(find_file(folder, split), wanted)
    elif folder.suffix.lower() in SUFFIXES:
        raise DataError(f"{plain(source.path or '', 400)}: no such file; data.path names it")
    elif not HUB_ID.fullmatch(source.path or "") or len(source.path or "") > MAX_HUB_ID:
        raise DataError(
            f"{plain(source.path or '', 400)}: no such folder or file; give a folder with train, validation and test "
            "files, or one file that is divided into them"
        )
    else:
        table = read_hub(source.path or "", split, wanted)
    return table


def split_named(file: Path) -> Split | None:
    """The split that a file holds, if its name is that of one."""
    return next((split for split in SPLITS if file.stem in FILE_NAMES[split]), None)


def find_file(folder: Path, split: str) -> Path:
    """Find the one file in a folder that holds a split."""
    names = [f"{stem}{suffix}" for stem in FILE_NAMES[split] for suffix in SUFFIXES]
    files = [folder / name for name in names if (folder / name).is_file()]
    if not files:
        raise DataError(
            f"{folder}: no file for the {split} split; looked for {', '.join(names)}; to have one file divided into "
            "splits, name that file"
        )
    if len(files) > 1:
        both = " and ".join(path.name for path in files)
        raise DataError(f"{folder}: {both} are both the {split} split; keep one, or name the files one by one")
    return files[0]


def quieten_datasets() -> Undo:
    """Keep the libraries that read from the hub from writing: retries would fill the screen."""
    import datasets

    bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    undo = datasets.enable_progress_bars if bars else lambda: None
    return one_after_another([undo, keep_errors_only(["huggingface_hub"])])


def read_hub(name: str, split: str, wanted: Sequence[str]) -> DataTable:
    """Read a split of a Hugging Face data set, from its cache where it lies there."""
    import datasets
    from datasets.exceptions import DatasetsError

    change("datasets", quieten_datasets)
    try:
        splits = datasets.load_dataset(name)
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        raise DataError(
            f"{name}: no such folder here, and no data set from Hugging Face: {first_line(error)}"
        ) from None
    names = [alias for alias in FILE_NAMES[split] if alias in splits]
    if not names:
        raise DataError(f"{name}: no {split} split; it has {', '.join(splits)}; give three files instead")
    return from_arrow(splits[names[0]].with_format("arrow")[:], wanted, f"{name} ({split})")


def check_rows(table: DataTable, source: DataSource) -> Rows:
    """Check that texts are text and not empty, and turn labels into strings."""
    table = table.stripped() if source.strip else table
    texts = list(zip(*(table.columns[name] for name in source.fields), strict=True))
    labels: list[str] = []
    for row, (values, label) in enumerate(zip(texts, table.columns[source.label], strict=True)):
        for name, value in zip(source.fields, values, strict=True):
            problem = find_problem(value)
            if problem:
                raise DataError(f'{table.place(row)}: column "{name}" {problem}')
        labels.append(label_name(label, table, row, source.label))
    return Rows(table, texts, labels)


def find_problem(value: object) -> str | None:
    """Say what is wrong with a text, if anything is."""
    if value is None:
        return "holds no text (null)"
    if not isinstance(value, str):
        return f"is not text: {value!r:.60} is of type {type(value).__name__}"
    if not value.strip():
        return "holds an empty text; fill it in or remove the row"
    if SURROGATE.search(value):
        return "contains half a surrogate pair, which is not a character"
    return None


def label_name(value: object, table: DataTable, row: int, column: str) -> str:
    """Turn a label into a string: text stays, a whole number or true/false is written out as CSV writes it."""
    if value is None or (isinstance(value, str) and not value.strip()):
        raise DataError(f'{table.place(row)}: column "{column}" holds no label; fill it in or remove the row')
    whole = isinstance(value, str | int) or (isinstance(value, float) and value.is_integer())
    if not whole:
        kind = type(value).__name__
        raise DataError(f'{table.place(row)}: column "{column}": label {value!r:.60} is of type {kind}; use text')
    name = str(value)
    if SURROGATE.search(name):
        raise DataError(f'{table.place(row)}: column "{column}" contains half a surrogate pair, not a character')
    return name


def check_labels(rows: Rows, labels: Sequence[str], *, listed: bool) -> None:
    """Check that a split has rows, two classes or more, and no label but the known ones."""
    source = rows.table.source
    counts = Counter(rows.labels)
    if not counts:
        raise DataError(f"{source}: no rows")
    for label in counts:
        if label not in labels:
            whose = "the setting `labels` lists" if listed else "the training split has"
            place = rows.table.place(rows.labels.index(label))
            raise DataError(f'{place}: unknown label "{plain(label)}"; {whose} {", ".join(labels)}')
    if len(counts) < 2:
        raise DataError(f'{source}: all {len(rows.labels)} rows have the label "{rows.labels[0]}"; two are needed')
