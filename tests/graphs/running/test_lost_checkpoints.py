"""Checkpoints that are damaged or gone: one line says what to do, and no row is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from blindspot.storage.schema.tables import TABLES
from blindspot.storage.store.store import Store
from support.processes import WarmPython

NAME = "checkpoints.sqlite"
UNREADABLE = " is damaged (the checkpoint of small-1 cannot be read, "
NO_PRIVILEGES = """
import ctypes
ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522), (ctypes.c_uint32 * 6)())
"""
RESUME = """
import sys
from blindspot.cli.main import main
sys.argv = ["blindspot", "resume", "-w", "ws"]
sys.exit(main())
"""
CHANGING = ("runs", "rounds", "synthetic_samples", "_migrations")  # tables whose rows a run goes on to write to


@pytest.fixture(scope="module")
def halted(warm_python: WarmPython, small_run: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that was killed before its teacher was asked; its checkpoints are in one file."""
    folder = tmp_path_factory.mktemp("halted")
    warm_python.kill_run(small_run, folder, ["teach", 0])
    with closing(sqlite3.connect(folder / "ws" / NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


def copied(halted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(halted, tmp_path / "place"))


def resume(warm_python: WarmPython, place: Path) -> Any:
    """Go on as anybody but root, whom no permission stops."""
    return warm_python.run("-c", f"{NO_PRIVILEGES}{RESUME}", folder=place)


def rows_of(place: Path) -> dict[str, set[str]]:
    """All rows, times included, of the tables in which a run that goes on changes none."""
    with Store.open(place / "ws") as store:
        return {
            table.name: {repr(row) for row in store.rows(kind)}
            for kind, table in TABLES.items()
            if table.name not in CHANGING
        }


def change(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql, values)
        connection.commit()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scramble(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def scramble_pages(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def close_to_all(path: Path) -> None:
    path.chmod(0)


def close_to_writers(path: Path) -> None:
    path.chmod(0o400)


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def other_table(path: Path) -> None:
    change(path, "DROP TABLE checkpoints")
    change(path, "CREATE TABLE checkpoints (name TEXT)")


def no_message_pack(path: Path) -> None:
    change(path, "UPDATE checkpoints SET checkpoint = ?", b"\xc1\xff\x00")


def a_number(path: Path) -> None:
    change(path, "UPDATE checkpoints SET checkpoint = ?", b"\x07")


def an_empty_mapping(path: Path) -> None:
    change(path, "UPDATE checkpoints SET checkpoint = ?", b"\x80")


def nothing(path: Path) -> None:
    change(path, "UPDATE checkpoints SET checkpoint = NULL, type = NULL")


def of_no_type(path: Path) -> None:
    change(path, "UPDATE checkpoints SET type = 'abacus'")


def no_metadata(path: Path) -> None:
    change(path, "UPDATE checkpoints SET metadata = '{'")


def no_write(path: Path) -> None:
    change(
        path,
        "UPDATE writes SET value = ?, checkpoint_id = (SELECT max(checkpoint_id) FROM checkpoints)",
        b"\xc1\xff\x00",
    )


def of_another_run(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT checkpoint_id, checkpoint FROM checkpoints").fetchall()
        changed = [(whole.replace(b"small-1", b"small-2"), key) for key, whole in rows]
        connection.executemany("UPDATE checkpoints SET checkpoint = ? WHERE checkpoint_id = ?", changed)
        connection.commit()


DAMAGES = {
    cut: " is damaged (database disk image is malformed); move it away, or replace it by an intact copy: without it",
    scramble: " is damaged (file is not a database); move it away, or replace",
    scramble_pages: " is damaged (database disk image is malformed); move it away, or replace",
    other_table: " is damaged (no such column: thread_id); move it away, or replace",
    no_message_pack: UNREADABLE,
    a_number: UNREADABLE,
    an_empty_mapping: UNREADABLE,
    nothing: UNREADABLE,
    of_no_type: UNREADABLE,
    no_metadata: UNREADABLE,
    no_write: UNREADABLE,
    of_another_run: " is damaged (the checkpoint of small-1 belongs to another run or is incomplete); move it away",
    make_folder: " is not a regular file; move it away, or replace",
    make_pipe: " is not a regular file; move it away, or replace",
    close_to_all: ": no permission to read and write it; change that (chmod u+rw) and start again",
    close_to_writers: ": no permission to read and write it; change that (chmod u+rw) and start again",
}


@pytest.mark.parametrize(("damage", "told"), DAMAGES.items())
def test_damaged_checkpoints_are_told_in_one_line_and_no_row_is_lost(
    halted: Path, warm_python: WarmPython, tmp_path: Path, damage: Callable[[Path], None], told: str
) -> None:
    place, before = copied(halted, tmp_path), rows_of(halted)
    damage(place / "ws" / NAME)
    ended = resume(warm_python, place)
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended
    assert ended.err.startswith(f"blindspot: {place}/ws/{NAME}{told}"), ended.err
    assert rows_of(place) == before


def gone(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def without_a_table(path: Path) -> None:
    change(path, "DROP TABLE checkpoints")


def damaged_and_moved_away(path: Path) -> None:
    no_message_pack(path)
    path.rename(path.with_name("elsewhere"))


@pytest.mark.parametrize("lose", [gone, emptied, without_a_table, damaged_and_moved_away])
def test_without_checkpoints_a_run_goes_on_from_its_rows_and_says_so(
    halted: Path, warm_python: WarmPython, tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    place, before = copied(halted, tmp_path), rows_of(halted)
    lose(place / "ws" / NAME)
    ended = resume(warm_python, place)
    assert ended.code == 0, ended
    told = [line[len("12:34:56 ") :] for line in ended.err.splitlines()]
    assert told[0] == f"resume: warning: {NAME} holds no checkpoint of this run: it goes on from its rows"
    after = rows_of(place)
    assert {name: before[name] - after[name] for name in before} == {name: set() for name in before}


def test_writes_that_are_lost_cost_no_more_than_the_step_in_hand(
    halted: Path, warm_python: WarmPython, tmp_path: Path
) -> None:
    place, before = copied(halted, tmp_path), rows_of(halted)
    change(place / "ws" / NAME, "DROP TABLE writes")
    ended = resume(warm_python, place)
    assert ended.code == 0, ended
    assert "resume: " not in ended.err
    assert all(before[name] <= rows for name, rows in rows_of(place).items() if name in before)
