"""A workspace is kept small, and nothing goes that somebody still needs."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from blindspot.graphs.checkpoints import thread_of
from blindspot.graphs.housekeeping import delete_runs, vacuum
from blindspot.graphs.kinds.kinds import KINDS
from blindspot.graphs.preflight.preflight import Checked
from blindspot.graphs.preflight.source import source_of
from blindspot.graphs.running.run import new_run, start_run
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import StoreError
from blindspot.storage.ids import make_id
from blindspot.storage.records import Attack, Dataset, Event, ModelVersion, Prediction, Run, Sample, Uu
from blindspot.storage.schema.tables import TABLES, Record
from blindspot.storage.settings.sections import check_settings
from blindspot.storage.store.store import Store
from blindspot.storage.transfer.delete import plan_deletion
from blindspot.storage.workspace import Workspace, size_of
from blindspot.tools.data.planted import write_dataset
from support.commands import Cli
from support.whole_run import whole_run
from support.workspaces import contents, fill


def make_workspace(folder: Path, *runs: Iterable[Record]) -> None:
    """Make a workspace with the rows of runs, weights for each of their model versions, and a checkpoint of each."""
    fill(folder, *runs)
    with Store.open(folder) as store:
        for version in store.rows(ModelVersion):
            (folder / version.folder).mkdir(parents=True)
            (folder / version.folder / "model.safetensors").write_bytes(b"weights")
        add_checkpoints(folder, store.rows(Run))


def add_checkpoints(folder: Path, runs: Sequence[Run]) -> None:
    from langgraph.checkpoint.base import empty_checkpoint
    from langgraph.checkpoint.sqlite import SqliteSaver

    with SqliteSaver.from_conn_string(str(folder / "checkpoints.sqlite")) as saver:
        for run in runs:
            checkpoint = empty_checkpoint()
            checkpoint["channel_values"] = {"padding": "x" * 200_000}
            config: Any = {"configurable": {"thread_id": thread_of(run), "checkpoint_ns": ""}}
            saver.put_writes(saver.put(config, checkpoint, {}, {}), [("channel", "value")], "task")


def threads(folder: Path) -> set[str]:
    connection = sqlite3.connect(folder / "checkpoints.sqlite")
    rows = connection.execute("SELECT thread_id FROM checkpoints UNION SELECT thread_id FROM writes").fetchall()
    connection.close()
    return {thread for (thread,) in rows}


def weights(folder: Path) -> set[str]:
    return {path.name for path in (folder / "models").iterdir()}


def run_of(rows: Sequence[Record]) -> Run:
    (run,) = (row for row in rows if isinstance(row, Run))
    return run


def test_a_deleted_run_takes_its_rows_weights_and_checkpoints_along_and_nothing_else(tmp_path: Path, cli: Cli) -> None:
    gone, stays = whole_run("gone-1"), whole_run("stays-1", begun_s=9)
    about = next(row for row in stays if isinstance(row, Prediction))  # another's model version, of a text that goes
    both = replace(about, subject_id=make_id("atk", "gone-1", 0), subject_kind="attack")
    make_workspace(tmp_path / "alone", stays)
    make_workspace(tmp_path / "ws", gone, [*stays, both])
    said = cli("delete", "gone-1", "--yes", "-w", "ws")
    assert said.code == 0, said.err
    assert "gone-1: deleted" in said.out
    assert contents(tmp_path / "ws") == contents(tmp_path / "alone")
    assert weights(tmp_path / "ws") == weights(tmp_path / "alone")
    assert threads(tmp_path / "ws") == {thread_of(run_of(stays))}
    with Results.open(tmp_path / "ws") as results:
        assert results.query("SELECT run_id FROM runs")[1] == [("stays-1",)]


def test_shared_rows_go_with_the_last_run_that_needs_them(tmp_path: Path) -> None:
    runs = [whole_run(f"cell-{number}", begun_s=number, study_id="study-1") for number in (1, 2)]
    make_workspace(tmp_path, *runs)
    with Store.open(tmp_path) as store:
        delete_runs(store, plan_deletion(store, ["cell-1"]))
        assert [store.count(kind) for kind in (Dataset, Sample)] == [1, 2]
        with store.session() as cursor:
            assert cursor.execute("SELECT count(*) FROM studies").fetchall() == [(1,)]
        delete_runs(store, plan_deletion(store, ["cell-2"]))
        assert {table.name: store.count(kind) for kind, table in TABLES.items() if store.count(kind)} == {}


def test_samples_that_another_data_sets_run_names_stay(tmp_path: Path) -> None:
    """A split that two data sets share stands in the store once, under the first of them."""
    first, second = whole_run("run-1", rows=3), whole_run("run-2", begun_s=9, dataset_id=make_id("ds", "second"))
    named = make_id("smp", make_id("ds", "shared"), 2)
    second = [replace(row, sample_id=named) if isinstance(row, (Attack, Uu)) else row for row in second]
    make_workspace(tmp_path, first, second)
    with Store.open(tmp_path) as store:
        delete_runs(store, plan_deletion(store, ["run-1"]))
        kept = store.rows(Sample, dataset_id=make_id("ds", "shared"))
        assert [row.sample_id for row in kept] == [named]
        assert store.count(Dataset) == 2


def test_a_run_whose_model_others_repair_goes_only_along_with_them(tmp_path: Path) -> None:
    cells = [whole_run(f"cell-{number}", begun_s=number, origin_id="origin-1") for number in (1, 2)]
    make_workspace(tmp_path, whole_run("origin-1"), *cells)
    before = contents(tmp_path)
    with Store.open(tmp_path) as store:
        with pytest.raises(StoreError, match="origin-1 trained the model version that cell-2 repaired; delete"):
            plan_deletion(store, ["origin-1", "cell-1"])
        with pytest.raises(StoreError, match="no run nope; there are: cell-1, cell-2, origin-1"):
            plan_deletion(store, ["cell-1", "nope"])
    assert contents(tmp_path) == before
    with Store.open(tmp_path) as store:
        delete_runs(store, plan_deletion(store, ["origin-1", "cell-1", "cell-2", "cell-1"]))
        assert store.count(Run) == 0


def test_weights_that_another_version_shares_or_that_were_brought_along_stay(tmp_path: Path) -> None:
    brought = tmp_path / "elsewhere" / "classifier"
    brought.mkdir(parents=True)
    gone, stays = whole_run("gone-1", rows=4), whole_run("stays-1", begun_s=9, rows=1)
    own, shared, outside, escaping = (row for row in gone if isinstance(row, ModelVersion))
    version = next(row for row in stays if isinstance(row, ModelVersion))
    mended = [
        replace(version, folder=shared.folder), replace(outside, folder=str(brought)),
        replace(escaping, folder="models/../../elsewhere"),
    ]  # fmt: skip
    with Store.open(tmp_path / "ws") as store:
        store.add([*gone, *stays])
        store.put_many(mended)
        for row in (own, shared):
            (store.workspace.folder / row.folder).mkdir(parents=True)
        deletion = plan_deletion(store, ["gone-1"])
        assert deletion.folders == (store.workspace.folder / own.folder,)
        delete_runs(store, deletion)
    assert brought.is_dir()
    assert weights(tmp_path / "ws") == {Path(shared.folder).name}


def test_deleting_asks_first(tmp_path: Path, cli: Cli) -> None:
    make_workspace(tmp_path / "ws", whole_run())
    before = contents(tmp_path / "ws")
    refused = cli("delete", "run-1", "-w", "ws")
    assert (refused.code, refused.out) == (2, "")
    assert "add --yes" in refused.err
    assert contents(tmp_path / "ws") == before
    assert cli("delete", "run-1", "-w", "nowhere", "--yes").code == 2
    assert not (tmp_path / "nowhere").exists()


HOLDER = """
import sys; from pathlib import Path; from blindspot.storage.store.store import Store
with Store.open(Path(sys.argv[1])):
    print("open", flush=True); input()
"""


def test_nothing_is_deleted_or_vacuumed_while_a_run_is_on(tmp_path: Path, cli: Cli) -> None:
    make_workspace(tmp_path / "ws", whole_run(status="running"))
    size = size_of(tmp_path / "ws")
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "ws")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "open\n"
        for arguments in (("delete", "run-1", "--yes"), ("vacuum",)):
            refused = cli(*arguments, "-w", "ws")
            assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
            assert f"in use by process {run.pid}" in refused.err
        assert cli("runs", "-w", "ws").code == 0
        run.communicate("\n")
    assert len(weights(tmp_path / "ws")) == 2
    assert len(threads(tmp_path / "ws")) == 1
    assert size_of(tmp_path / "ws") == size


KILLED = """
import os, signal, sys
from pathlib import Path
from blindspot.graphs.housekeeping import delete_runs, vacuum
from blindspot.storage.transfer.delete import plan_deletion
from blindspot.storage.store.store import Store

def watch(frame, event, what):
    name = what.__name__ if event.startswith("c_") else frame.f_code.co_name
    if f"{event} {name}" == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
if sys.argv[2] == "vacuum":
    sys.setprofile(watch)
    vacuum(folder)
else:
    with Store.open(folder) as store:
        deletion = plan_deletion(store, [sys.argv[2]])
        sys.setprofile(watch)
        delete_runs(store, deletion)
"""


def killed(folder: Path, what: str, moment: str) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(folder), what, moment], check=False)
    assert ended.returncode == -signal.SIGKILL, moment


def test_a_deletion_that_is_killed_can_be_repeated(tmp_path: Path, cli: Cli) -> None:
    make_workspace(tmp_path / "alone", whole_run("stays-1"))
    for number, moment in enumerate(("c_return rename", "call delete_rows", "return delete_rows")):
        folder = tmp_path / f"ws-{number}"
        make_workspace(folder, whole_run("gone-1"), whole_run("stays-1"))
        killed(folder, "gone-1", moment)
        again = cli("delete", "gone-1", "--yes", "-w", folder)
        assert again.code == (2 if moment.startswith("return") else 0), again.err  # it is gone already
        assert contents(folder) == contents(tmp_path / "alone")
        assert weights(folder) == weights(tmp_path / "alone")
        with Results.open(folder) as results:
            assert results.query("SELECT run_id FROM runs")[1] == [("stays-1",)]


def shape(folder: Path) -> list[Any]:
    """What a store's file holds beside its rows: columns, comments, keys, views."""
    queries = (
        "SELECT table_name, column_name, data_type, is_nullable, column_default, comment FROM duckdb_columns() "
        "WHERE NOT internal ORDER BY ALL",
        "SELECT table_name, comment FROM duckdb_tables() ORDER BY ALL",
        "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY ALL",
        "SELECT table_name, constraint_text FROM duckdb_constraints() ORDER BY ALL",
    )
    with duckdb.connect(str(Workspace(folder).store), read_only=True) as connection:
        return [connection.execute(query).fetchall() for query in queries]


def test_vacuum_makes_the_files_smaller_and_keeps_every_row_comment_view_and_key(tmp_path: Path, cli: Cli) -> None:
    ws = tmp_path / "ws"
    many = [
        Event(f"evt-{n:05d}", "big-1", 1, datetime(2026, 1, 1), "attack", "info", f"{n} " * 50) for n in range(9000)
    ]
    make_workspace(ws, whole_run("big-1"), many, whole_run("stays-1", begun_s=9))
    assert cli("delete", "big-1", "--yes", "-w", "ws").code == 0
    rows, was = contents(ws), shape(ws)
    sizes = [size_of(path) for path in (Workspace(ws).store, Workspace(ws).results)]
    told = json.loads(cli("vacuum", "-w", "ws", "--json").out)
    assert contents(ws) == rows
    assert shape(ws) == was
    for name, size in zip(("store.duckdb", "results.duckdb"), sizes, strict=True):
        assert told[name]["before"] == size
        assert told[name]["after"] == size_of(ws / name) < size
    assert told["checkpoints.sqlite"]["after"] < told["checkpoints.sqlite"]["before"]
    assert (ws / "store.duckdb").stat().st_mode & 0o077 == 0
    assert {path.name for path in ws.iterdir()} == {"store.duckdb", "results.duckdb", "checkpoints.sqlite", "models"}
    with Store.open(ws) as store:
        assert store.add(whole_run("stays-1", begun_s=9)) == 0  # its keys are known
        assert store.add(many[:1]) == 1
    assert re.search(r"store\.duckdb: [\d,]+ -> [\d,]+ bytes", cli("vacuum", "-w", "ws").out)


def test_vacuum_removes_what_killed_processes_left_and_nothing_that_is_needed(tmp_path: Path) -> None:
    stopped, finished = whole_run("stopped-1", status="stopped"), whole_run("finished-1")
    make_workspace(tmp_path, stopped, finished)
    gone = replace(run_of(finished), run_id="gone-1")
    add_checkpoints(tmp_path, [gone])
    for name in (make_id("mod", "nobody"), f"{make_id('mod', 'nobody')}.partial", "my-own-model"):
        (tmp_path / "models" / name).mkdir()
    before = weights(tmp_path)
    vacuum(tmp_path)
    assert before - weights(tmp_path) == {make_id("mod", "nobody"), f"{make_id('mod', 'nobody')}.partial"}
    assert threads(tmp_path) == {thread_of(run_of(stopped))}


def test_a_vacuum_that_is_killed_leaves_a_whole_store(tmp_path: Path) -> None:
    make_workspace(tmp_path, whole_run("run-1", status="stopped"))
    rows = contents(tmp_path)
    for moment in ("call rewrite", "c_call replace", "c_return replace"):
        killed(tmp_path, "vacuum", moment)
        assert contents(tmp_path) == rows, moment
    vacuum(tmp_path)
    assert contents(tmp_path) == rows
    assert not list(tmp_path.glob("*.new*"))


def test_runs_are_listed_with_what_they_are_and_what_they_take(tmp_path: Path, cli: Cli) -> None:
    make_workspace(
        tmp_path / "ws",
        whole_run("taught-1", kind="mitigation", method="teacher", teacher="rules"),
        whole_run("base-1", begun_s=1, kind="mitigation", method="relabel", teacher="none", status="stopped"),
        whole_run("probe-1", begun_s=2, kind="attack", teacher="none"),
    )
    told = json.loads(cli("runs", "-w", "ws", "--json").out)
    assert [(row["run_id"], row["status"], row["seconds"]) for row in told["runs"]] == [
        ("taught-1", "finished", 60.0), ("base-1", "stopped", 60.0), ("probe-1", "finished", 60.0),
    ]  # fmt: skip
    assert [row["weights_bytes"] for row in told["runs"]] == [14, 14, 14]
    assert told["bytes"]["models"] == 42
    assert told["bytes"]["store.duckdb"] == size_of(tmp_path / "ws" / "store.duckdb")
    table = cli("runs", "-w", "ws").out
    for part in ("taught-1", "rules", "relabel", "attack", "2026-01-02 03:04", "0:01:00", "14 B", "store.duckdb"):
        assert part in table, part
    assert cli("runs", "-w", "nowhere").code == 2


def settings_of(folder: Path, **sections: dict[str, Any]) -> dict[str, Any]:
    table: dict[str, dict[str, Any]] = {
        "run": {"name": "tiny", "workspace": str(folder / "ws")},
        "data": {"path": str(folder / "data")},
        "classifier": {"epochs": 1, "batch_size": 16, "learning_rate": 3e-3, "max_tokens": 64, "device": "cpu"},
        "attack": {"samples": 2},
        "evaluate": {"samples": 2, "resamples": 100},
    }  # fmt: skip
    return {name: table.get(name, {}) | sections.get(name, {}) for name in (*table, *sections)}


def test_a_new_run_never_takes_the_number_of_one_that_is_there(tmp_path: Path) -> None:
    settings = check_settings(settings_of(tmp_path), where="test")
    make_workspace(tmp_path, *(whole_run(f"tiny-{number}", begun_s=number) for number in (1, 2, 3)))
    with Store.open(tmp_path) as store:
        delete_runs(store, plan_deletion(store, ["tiny-2"]))
        source, (dataset, *_) = source_of(settings), store.rows(Dataset)
        assert new_run(store, Checked(settings, KINDS["mitigation"], source, dataset)).run_id == "tiny-4"
        delete_runs(store, plan_deletion(store, ["tiny-1", "tiny-3"]))


def test_a_finished_run_keeps_no_checkpoint_and_only_the_weights_that_its_settings_want(
    tiny_base: Path, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "data", seed=0, rows={"train": 48, "validation": 24, "test": 24}, planted_share=0.3)
    table = settings_of(tmp_path, classifier={"model": str(tiny_base)}, method={"name": "none"})
    table |= {"accept": {"keep_rejected": False}}
    run = start_run(check_settings(table, where="test"), show=lambda _: None, cancelled=lambda: False)
    assert (run.status, run.final_model_id) == ("finished", run.original_model_id)
    assert threads(tmp_path / "ws") == set()
    with Store.open(tmp_path / "ws") as store:
        versions = store.rows(ModelVersion, run_id=run.run_id)
        assert {row.kind: (tmp_path / "ws" / row.folder).is_dir() for row in versions} == {
            "original": True, "retrained": False,
        }  # fmt: skip
        assert sum("accept.keep_rejected" in row.message for row in store.rows(Event, run_id=run.run_id)) == 1
