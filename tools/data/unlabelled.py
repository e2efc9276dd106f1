"""Texts of the deployment without labels: what the classifier meets, for the filter to compare samples with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from blindspot.storage.errors import DataError
from blindspot.storage.ids import make_id
from blindspot.storage.records import Dataset, Fields
from blindspot.tools.data.columns import read_table
from blindspot.tools.data.datasets import DataSource, find_problem
from blindspot.tools.data.logged_errors import tested_texts


def load_unlabelled(source: DataSource) -> list[Fields]:
    """Read the file of unlabelled texts, in its order; a column of labels in it is not looked at.

    Texts that the test split has too are left out: nothing but evaluation may read those.

    Args:
        source: names the file and the columns with text.
    Raises: DataError, with the file, the row and the column; also when no text is left.
    """
    assert source.unlabelled is not None
    table = read_table(Path(source.unlabelled).expanduser(), source.fields)
    table = table.stripped() if source.strip else table
    count = len(table.columns[source.fields[0]])
    if not count:
        raise DataError(f"{source.unlabelled}: no rows; data.unlabelled names a file of texts")
    for row in range(count):
        for name in source.fields:
            if problem := find_problem(table.columns[name][row]):
                raise DataError(f'{table.place(row)}: column "{name}" {problem}')
    tested = tested_texts(source)
    rows = list(zip(*(map(str, table.columns[name]) for name in source.fields), strict=True))
    texts: list[Fields] = [dict(zip(source.fields, row, strict=True)) for row in rows if row not in tested]
    if not texts:
        raise DataError(
            f"{source.unlabelled}: all its texts are also in the test split, which only evaluation may read; "
            "name other texts in data.unlabelled"
        )
    return texts


def inspect_unlabelled(source: DataSource, dataset: Dataset) -> Dataset:
    """Check the file of unlabelled texts, if there is one, beside a data set that was checked.

    Returns: the data set's record, whose id depends on those texts too.
    Raises: DataError, as `load_unlabelled`.
    """
    if source.unlabelled is None:
        return dataset
    texts = load_unlabelled(source)
    return replace(dataset, dataset_id=make_id("ds", dataset.dataset_id, "unlabelled", *map(str, texts)))
