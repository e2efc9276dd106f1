"""Workspaces in odd places: each is one line, or works."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from blindspot.storage import records as rec
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import StoreError
from blindspot.storage.store.store import Store
from blindspot.storage.store.vacuum import rewrite
from blindspot.storage.workspace import Workspace

RUN = rec.Run("run-1", "run", "finished", {}, 0, "rules", "dat-1", 0.65, {}, datetime(2026, 1, 2))


@pytest.mark.parametrize("name", ["a?b", "a\\b", "what?/ws"])
def test_a_path_that_duckdb_does_not_take_is_told_at_once(tmp_path: Path, name: str) -> None:
    for opening in (Store.open, Results.open):
        with pytest.raises(StoreError, match="in its path; choose another"):
            opening(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_working_folder_that_was_deleted_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for opening in (Store.open, Results.open):
        with pytest.raises(StoreError, match="the working folder was deleted"):
            opening(Path("ws"))


def test_a_store_that_is_a_link_is_rewritten_where_it_lies(tmp_path: Path) -> None:
    workspace, other = Workspace(tmp_path / "ws"), tmp_path / "big-disk.duckdb"
    with Store.open(workspace.folder) as store:
        store.add([RUN])
    os.replace(workspace.store, other)
    workspace.store.symlink_to(other)
    before = other.stat().st_ino
    rewrite(workspace)
    assert workspace.store.is_symlink()
    assert other.stat().st_ino != before
    with Store.open(workspace.folder) as store:
        assert store.count(rec.Run) == 1
