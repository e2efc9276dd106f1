"""Data files as nobody should write them: each gets one line that says what is wrong, and none a traceback."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blindspot.storage.errors import DataError
from blindspot.tools.data import formats
from blindspot.tools.data.datasets import DataSource, inspect

CSV = b"text,label\na fine film,good\na poor film,bad\n"
JSON = b'{"text": "a fine film", "label": "good"}\n{"text": "a poor film", "label": "bad"}\n'
Write = Callable[[Path], object]
PEAK = """
import sys
from pathlib import Path
import pyarrow as pa
from blindspot.storage.errors import DataError
from blindspot.tools.data import formats
from blindspot.tools.data.columns import read_table
formats.MAX_BYTES = 60 * 2**20
try:
    read_table(Path(sys.argv[1]), ("text", "label"))
except DataError:
    print(pa.default_memory_pool().max_memory())
"""


def source_of(train: str, other: str) -> DataSource:
    files = {"train": train, "validation": other, "test": other}
    return DataSource("films", None, files, ("text",), "label", None, "is a film good?", {}, 0)


def bytes_of(content: bytes) -> Write:
    return lambda path: path.write_bytes(content)


def parquet_of(*, metadata: object = None, **columns: object) -> Write:
    table = pa.table({"text": ["a fine film", "a poor film"], "label": ["good", "bad"], **columns})
    if metadata is not None:
        raw = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
        table = table.replace_schema_metadata({b"huggingface": raw})
    return lambda path: pq.write_table(table, path)


def not_utf8() -> pa.Array:
    offsets, data = pa.py_buffer(bytes([0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0])), pa.py_buffer(b"ok\xff\xfe")
    return pa.Array.from_buffers(pa.string(), 2, [None, offsets, data])


HOSTILE: dict[str, tuple[str, Write, str]] = {
    "half a pair in a label": (".jsonl", bytes_of(JSON + b'{"text": "x", "label": "\\ud800"}'), "line 3: .*surrogate"),
    "half a pair, column": (".jsonl", bytes_of(b'{"t": "x", "\\ud800": 1}'), r'no column "text"; it has t, \\ud8'),
    "a newline in a column": (".jsonl", bytes_of(b'{"t\\n\\u001b": "x"}'), r"it has t\\n\\x1b"),
    "5,000 digits": (".jsonl", bytes_of(JSON + b'{"text": ' + b"9" * 5000 + b"}"), "line 3: .*too many digits"),
    "infinity": (".jsonl", bytes_of(JSON + b'{"text": "x", "label": 1e999}'), "line 3: .*label inf is of type"),
    "a fraction": (".jsonl", bytes_of(JSON + b'{"text": "x", "label": 0.5}'), "line 3: .*label 0.5 is of type"),
    "an array": (".jsonl", bytes_of(b'[{"text": "x", "label": "y"}]'), "line 1: .*one JSON array"),
    "an array on lines": (".json", bytes_of(b'[\n{"text": "x",\n"label": "y"}]'), "line 1: .*one JSON array"),
    "deep": (".jsonl", bytes_of(b"[" * 200_000), "line 1: broken JSON"),
    "semicolons": (".csv", bytes_of(CSV.replace(b",", b";")), "line 1: .*separated by semicolons"),
    "semicolons and quotes": (".csv", bytes_of(b'text;label\n"so" it "is";x\n'), "line 1: .*separated by semicolons"),
    "tabs": (".csv", bytes_of(CSV.replace(b",", b"\t")), "line 1: .*separated by tabs"),
    "two marks, CSV": (".csv", bytes_of(b"\xef\xbb\xbf" * 2 + CSV), "two byte order marks"),
    "two marks, JSON": (".jsonl", bytes_of(b"\xef\xbb\xbf" * 2 + JSON), "two byte order marks"),
    "gzip, CSV": (".csv", bytes_of(gzip.compress(CSV)), "compressed with gzip; unpack it"),
    "gzip, JSON": (".jsonl", bytes_of(gzip.compress(JSON)), "compressed with gzip; unpack it"),
    "gzip, Parquet": (".parquet", bytes_of(gzip.compress(CSV)), "compressed with gzip; unpack it"),
    "spreadsheet": (".csv", bytes_of(b"PK\x03\x04..."), "zip archive or a spreadsheet"),
    "UTF-16": (".csv", bytes_of(CSV.decode().encode("utf-16")), "UTF-16 text; save it as UTF-8"),
    "Parquet by another name": (".csv", parquet_of(), "is a Parquet file"),
    "CSV named Parquet": (".parquet", bytes_of(CSV), "not a readable Parquet file"),
    "bytes in text": (".parquet", parquet_of(text=not_utf8()), 'row 2: column "text" cannot be read: .*utf-8'),
    "bytes in label": (".parquet", parquet_of(label=not_utf8()), 'row 2: column "label" cannot be read: .*utf-8'),
    "dates": (".parquet", parquet_of(label=pa.array([0, 2**60], pa.timestamp("ms"))), 'row 2: column "label" cannot'),
    "metadata, no JSON": (".parquet", parquet_of(metadata=b"{"), 'malformed "huggingface" metadata'),
    "metadata, bytes": (".parquet", parquet_of(metadata=b"\xff\xfe\xfd"), 'malformed "huggingface" metadata'),
    "metadata, list": (".parquet", parquet_of(metadata=[]), 'malformed "huggingface" metadata'),
    "metadata, info": (".parquet", parquet_of(metadata={"info": 3}), 'malformed "huggingface" metadata'),
    "metadata, names": (
        ".parquet",
        parquet_of(metadata={"info": {"features": {"label": {"names": {"0": "a"}}}}}),
        'malformed "huggingface" metadata: the class names of "label"',
    ),
    "folder": (".csv", Path.mkdir, "is a folder; name a file"),
    "pipe": (".csv", os.mkfifo, "not a regular file"),
}  # fmt: skip


def line_of(source: DataSource) -> str:
    with pytest.raises(DataError) as caught:
        inspect(source)
    message = str(caught.value)
    assert message.encode().decode().isprintable()  # one line, and one that a terminal can show
    return message


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_gets_one_line(tmp_path: Path, case: str) -> None:
    suffix, write, expected = HOSTILE[case]
    path = tmp_path / f"train{suffix}"
    write(path)
    other = tmp_path / "other.csv"
    other.write_bytes(CSV)
    with pytest.raises(DataError, match=expected):
        inspect(source_of(str(path), str(other)))
    assert line_of(source_of(str(path), str(other))).startswith(str(path))


@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + ".csv", "a/" * 5000 + "x.csv", "a\0b.csv", "a\nb.csv"])
def test_a_name_that_no_file_can_have_gets_one_line(tmp_path: Path, name: str) -> None:
    other = tmp_path / "other.csv"
    other.write_bytes(CSV)
    assert len(line_of(source_of(name, str(other)))) < 600
    assert len(line_of(replace(source_of(name, str(other)), path=name, files={}))) < 600


@pytest.mark.parametrize("kind", ["dictionary", "packed", "plain"])
def test_a_small_file_that_unpacks_to_very_much_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path, other = tmp_path / "train.parquet", tmp_path / "other.csv"
    other.write_bytes(CSV)
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int32()), pa.array(["long " * 200_000]))
    table = pa.table({"text": text.dictionary_decode() if kind == "plain" else text, "label": ["a", "b"] * 100})
    # A dictionary that the file's own schema does not speak of is packed all the same.
    written = {"store_schema": kind == "dictionary", "use_dictionary": kind != "plain"}
    pq.write_table(table, path, compression="zstd", write_batch_size=1, data_page_size=1000, **written)
    del table, text
    assert path.stat().st_size < 2**20
    monkeypatch.setattr(formats, "MAX_BYTES", 60 * 2**20)  # it unpacks to 190 MiB
    peak = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True).stdout
    assert "holds more than 0.0585938 GiB" in line_of(source_of(str(path), str(other)))
    assert int(peak) < 80 * 2**20


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_whole_floats_are_labels_in_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"data{suffix}"
    rows = [{"text": "a fine film", "label": 1.0}, {"text": "a poor film", "label": 0.0}]
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == ".csv":
        path.write_text("text,label\na fine film,1.0\na poor film,0.0\n")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert inspect(source_of(str(path), str(path))).labels == ("0.0", "1.0")
