"""Runs travel between workspaces as Parquet: every row, with its key, once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import StoreError
from blindspot.storage.ids import make_id
from blindspot.storage.records import Event, ModelVersion, Prediction, Run, Sample, SyntheticSample, ToolCall, Uu
from blindspot.storage.schema.migrations import MIGRATIONS, NOTES
from blindspot.storage.schema.tables import TABLES, Record
from blindspot.storage.store.store import Store
from blindspot.storage.study_records import Study, StudyFigure
from blindspot.storage.transfer.incoming import Brought, bring_in
from blindspot.storage.transfer.manifest import read_manifest, sha256_of
from blindspot.storage.transfer.outgoing import export_runs
from blindspot.storage.transfer.ownership import CONDITIONS
from blindspot.storage.workspace import Workspace
from support.commands import Cli
from support.whole_run import whole_run
from support.workspaces import contents, fill


def by_table(*runs: list[Record]) -> dict[str, list[Any]]:
    found: dict[str, dict[object, Record]] = {table.name: {} for table in TABLES.values()}
    for record in (record for rows in runs for record in rows):
        table = TABLES[type(record)]
        found[table.name].setdefault(tuple(getattr(record, name) for name in table.primary_key), record)
    return {name: [rows[key] for key in sorted(rows)] for name, rows in found.items()}  # type: ignore[type-var]


def export(workspace: Path, folder: Path, run_id: str | None = None, *, models: bool = False) -> Path:
    folder.mkdir(parents=True)
    export_runs(Workspace(workspace), run_id, folder, models=models)
    return folder


def bring(workspace: Path, folder: Path, prefix: str | None = None) -> list[Brought]:
    with Store.open(workspace) as store:
        brought = bring_in(store, folder, read_manifest(folder), prefix)
        store.publish()
    return brought


def test_every_table_is_a_runs_own_or_has_a_condition() -> None:
    without = {table.name for table in TABLES.values() if "run_id" not in [column.name for column in table.columns]}
    assert without == set(CONDITIONS)


def test_a_run_comes_into_another_workspace_with_every_row_and_key(tmp_path: Path) -> None:
    mine, other = whole_run("mine-1", rows=3), whole_run("other-1", begun_s=9, dataset_id=make_id("ds", "another"))
    fill(tmp_path / "there", mine, other)
    folder = export(tmp_path / "there", tmp_path / "out", "mine-1")
    assert {path.name for path in folder.iterdir()} == {f"{t.name}.parquet" for t in TABLES.values()} | {
        "manifest.json"
    }
    fill(tmp_path / "here", whole_run("here-1", begun_s=5))
    (told,) = bring(tmp_path / "here", folder)
    assert (told.run_id, told.what) == ("mine-1", "new")
    assert contents(tmp_path / "here") == by_table(mine, whole_run("here-1", begun_s=5))
    with Results.open(tmp_path / "here") as results:
        assert results.query("SELECT run_id FROM runs ORDER BY started_at")[1] == [("mine-1",), ("here-1",)]


def test_bringing_a_run_in_twice_changes_nothing_and_exports_are_the_same_bytes(tmp_path: Path) -> None:
    fill(tmp_path / "there", whole_run())
    first, second = (export(tmp_path / "there", tmp_path / name) for name in ("one", "two"))
    bring(tmp_path / "here", first)
    before = contents(tmp_path / "here")
    assert [run.what for run in bring(tmp_path / "here", second)] == ["known"]
    assert contents(tmp_path / "here") == before == contents(tmp_path / "there")
    names = [path.name for path in first.glob("*.parquet")]
    assert [sha256_of(first / name) for name in names] == [sha256_of(second / name) for name in names]
    again = export(tmp_path / "here", tmp_path / "three")
    assert [sha256_of(again / name) for name in names] == [sha256_of(first / name) for name in names]


def test_a_cell_of_a_study_takes_the_run_it_repairs_and_the_study_along(tmp_path: Path) -> None:
    origin = whole_run("origin-1", kind="original")
    cells = [whole_run(f"cell-{n}", begun_s=n, study_id="study-1", origin_id="origin-1") for n in (1, 2)]
    fill(tmp_path / "there", origin, *cells, whole_run("lone-1", begun_s=7))
    folder = export(tmp_path / "there", tmp_path / "one", "cell-1")
    assert read_manifest(folder).runs == ("origin-1", "cell-1")
    bring(tmp_path / "here", folder)
    assert contents(tmp_path / "here") == by_table(origin, cells[0])
    whole = export(tmp_path / "there", tmp_path / "all", "study-1")
    assert [(run.run_id, run.what) for run in bring(tmp_path / "here", whole)] == [
        ("origin-1", "known"), ("cell-1", "known"), ("cell-2", "new"),
    ]  # fmt: skip
    assert contents(tmp_path / "here") == by_table(origin, *cells)
    with pytest.raises(StoreError, match=r"no run or study nope; there are: .*lone-1; studies: study-1"):
        export(tmp_path / "there", tmp_path / "nothing", "nope")


def test_a_prefix_takes_the_figures_of_a_study_along(tmp_path: Path) -> None:
    fill(tmp_path / "there", whole_run("origin-1", kind="original"), whole_run("cell-1", study_id="study-1"))
    folder = export(tmp_path / "there", tmp_path / "out", "study-1")
    bring(tmp_path / "here", folder, "anna")
    theirs, ours = (contents(tmp_path / place)["study_figures"] for place in ("there", "here"))
    assert ours == [replace(row, study_id="anna-study-1") for row in theirs] != []


def test_a_study_that_was_extended_is_brought_up_to_date(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    fill(there, whole_run("cell-1", study_id="study-1"))
    bring(here, export(there, tmp_path / "early", "study-1"))
    with Store.open(there) as store:
        (run,), (study,) = store.rows(Run), store.rows(Study)
        later = run.started_at + timedelta(days=1)  # a run that gets more test samples begins anew
        store.put(replace(run, started_at=later, finished_at=later + timedelta(hours=1)))
        store.add([Event("evt-more", run.run_id, 1, later, "evaluate", "info", "more test samples")])
        store.put(replace(study, finished_at=later + timedelta(hours=1)))
        figures = [replace(row, method="renamed") for row in store.rows(StudyFigure)]
        store.renew(StudyFigure, figures, study_id="study-1")
        store.publish()
    assert [run.what for run in bring(here, export(there, tmp_path / "late", "study-1"))] == ["newer"]
    assert contents(here) == contents(there)


def test_an_export_may_lie_in_a_folder_that_looks_like_a_partition(tmp_path: Path) -> None:
    fill(tmp_path / "there", whole_run())
    bring(tmp_path / "here", export(tmp_path / "there", tmp_path / "run_id=zzz" / "split=test"))
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_samples_of_a_split_that_two_data_sets_share_come_along(tmp_path: Path) -> None:
    """They stand in the store under the data set that was there first."""
    first, second = whole_run("run-1"), whole_run("run-2", begun_s=9, dataset_id=make_id("ds", "second"))
    shared = [row for row in first if isinstance(row, Sample)]
    renamed = [replace(row, sample_id=shared[0].sample_id) if isinstance(row, Uu) else row for row in second]
    fill(tmp_path / "there", first, renamed)
    bring(tmp_path / "here", export(tmp_path / "there", tmp_path / "out", "run-2"))
    found = contents(tmp_path / "here")
    assert shared[0] in found["samples"]
    assert {row.dataset_id for row in found["samples"]} == {row.dataset_id for row in found["datasets"]}


def test_another_run_of_that_name_is_refused_in_a_line_and_comes_in_under_a_prefix(tmp_path: Path, cli: Cli) -> None:
    fill(tmp_path / "there", whole_run())
    fill(tmp_path / "here", whole_run(begun_s=50))
    before = contents(tmp_path / "here")
    assert cli("export", "--parquet", "out", "-w", "there").code == 0
    refused = cli("import", "out", "-w", "here")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.count("\n") == 1
    assert "run-1 is a different run here" in refused.err
    assert "--prefix NAME" in refused.err
    assert contents(tmp_path / "here") == before
    assert "anna-run-1: imported" in cli("import", "out", "-w", "here", "--prefix", "anna").out
    assert json.loads(cli("import", "out", "-w", "here", "--prefix", "anna", "--json").out)[0]["what"] == "known"
    found = contents(tmp_path / "here")
    assert {name: [row for row in rows if row in before[name]] for name, rows in found.items()} == before
    assert {name: len(rows) for name, rows in found.items()} == {
        name: len(rows) * (1 if name in ("datasets", "samples") else 2) for name, rows in before.items()
    }


def test_a_prefix_changes_every_reference_to_a_key_with_it(tmp_path: Path) -> None:
    weights = make_id("mod", "cell-1", 0)
    there = tmp_path / "there"
    parts = (whole_run("origin-1"), whole_run("cell-1", begun_s=1, study_id="study-1", origin_id="origin-1"))
    fill(there, *parts)
    (there / "models" / weights).mkdir(parents=True)
    (there / "models" / weights / "model.safetensors").write_bytes(b"weights")
    folder = export(there, tmp_path / "out", "cell-1", models=True)
    bring(tmp_path / "here", folder, "anna")
    text = "\n".join(str(row) for rows in contents(tmp_path / "here").values() for row in rows)
    own = {
        getattr(row, name)
        for row in (*parts[0], *parts[1])
        for name in TABLES[type(row)].primary_key
        if name.endswith("_id") and name not in ("dataset_id", "sample_id", "subject_id")
    }
    assert [key for key in own if key.startswith(("origin", "cell", "study")) and f"'{key}'" in text] == []
    assert [key for key in own if not key.startswith(("origin", "cell", "study")) and key in text] == []
    with Store.open(tmp_path / "here") as store:
        run = store.one(Run, run_id="anna-cell-1")
        assert run is not None
        assert (run.name, run.origin_id, run.study_id) == ("anna-cell", "anna-origin-1", "anna-study-1")
        version = store.one(ModelVersion, model_id=run.original_model_id)
        assert version is not None
        assert version.folder == f"models/{version.model_id}"
        assert (store.workspace.folder / version.folder / "model.safetensors").read_bytes() == b"weights"
        call, uu = store.rows(ToolCall, run_id=run.run_id)[0], store.rows(Uu, run_id=run.run_id)[0]
        assert call.arguments["model_id"] in store.values(ModelVersion, "model_id", run_id=run.run_id)
        assert set(call.arguments["before"]) <= set(store.values(Uu, "uu_id", run_id=run.run_id))
        assert uu.attack_id is not None
        assert store.count(Study, study_id="anna-study-1", name="anna-text") == 1
        assert {row.message for row in store.rows(Event, run_id=run.run_id)} == {
            f"starts with {key}" for key in store.values(ModelVersion, "model_id", run_id=run.run_id)
        }
    counts = (
        "SELECT (SELECT count(*) FROM lineage WHERE hypothesis_id IS NOT NULL AND synthetic_id IS NOT NULL), "
        "(SELECT count(*) FROM predictions JOIN attacks ON attack_id = subject_id), "
        "(SELECT count(*) FROM changed_words JOIN attacks USING (attack_id))"
    )
    answers = []
    for place in (there, tmp_path / "here"):
        with Results.open(place) as results:
            answers.append(results.query(counts)[1])
    assert answers[0] == answers[1]
    assert min(answers[0][0]) > 0


@pytest.mark.parametrize("prefix", ["", "a b", "../x", "-x"])
def test_a_prefix_that_is_no_name_is_refused(tmp_path: Path, prefix: str) -> None:
    fill(tmp_path / "there", whole_run())
    folder = export(tmp_path / "there", tmp_path / "out")
    if prefix:
        with pytest.raises(StoreError, match="is not a name"):
            bring(tmp_path / "here", folder, prefix)
    else:
        assert bring(tmp_path / "here", folder, prefix)[0].run_id == "run-1"


def test_only_finished_runs_get_another_name(tmp_path: Path) -> None:
    fill(tmp_path / "there", whole_run(status="stopped"))
    folder = export(tmp_path / "there", tmp_path / "out")
    with pytest.raises(StoreError, match="run-1 is stopped: only finished runs"):
        bring(tmp_path / "here", folder, "anna")
    assert bring(tmp_path / "here", folder)[0].what == "new"


def test_a_run_that_went_on_is_brought_up_to_date_and_never_back(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    fill(there, whole_run(rows=2, status="stopped"))
    early = export(there, tmp_path / "early")
    bring(here, early)
    later = whole_run(rows=4)
    (run,) = (row for row in later if isinstance(row, Run))
    with Store.open(there) as store:
        store.put_many([*later, replace(run, finished_at=run.started_at + timedelta(hours=1))])
        store.publish()
    late = export(there, tmp_path / "late")
    assert [brought.what for brought in bring(here, late)] == ["newer"]
    assert contents(here) == contents(there)
    assert [brought.what for brought in bring(here, early)] == ["known"]
    assert contents(here) == contents(there)


def test_a_run_that_went_on_in_both_workspaces_stays_as_it_is_here(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    fill(there, whole_run(status="stopped"))
    bring(here, export(there, tmp_path / "early"))
    for place, message in ((there, "there"), (here, "here")):
        with Store.open(place) as store:
            run = store.rows(Run)[0]
            store.add([Event(f"evt-{message}", "run-1", 1, run.started_at, "teach", "info", message)])
            store.put(replace(run, stop_reason=message))
            store.publish()
    before = contents(here)
    with pytest.raises(StoreError, match="run-1 has gone on differently here"):
        bring(here, export(there, tmp_path / "late"))
    assert contents(here) == before


def test_answers_cleared_from_a_cache_do_not_make_another_run(tmp_path: Path) -> None:
    fill(tmp_path / "there", whole_run())
    folder = export(tmp_path / "there", tmp_path / "out")
    bring(tmp_path / "here", folder)
    with Store.open(tmp_path / "here") as store, store.session() as cursor:
        cursor.execute("UPDATE teacher_calls SET cleared = NOT cleared")
    assert bring(tmp_path / "here", folder)[0].what == "known"
    cleared = [call.cleared for call in contents(tmp_path / "here")["teacher_calls"]]
    with Store.open(tmp_path / "there") as store:
        (run,) = store.rows(Run)
        store.add([Event("evt-more", run.run_id, 1, run.started_at, "teach", "info", "more")])
        store.put(replace(run, finished_at=run.started_at + timedelta(days=1)))
        store.publish()
    assert bring(tmp_path / "here", export(tmp_path / "there", tmp_path / "late"))[0].what == "newer"
    assert [call.cleared for call in contents(tmp_path / "here")["teacher_calls"]] == cleared


def older_export(store: Path, folder: Path, version: int) -> list[str]:
    """Write a store's rows as a blindspot of an older version would have. Returns: its tables."""
    folder.mkdir()
    files = {}
    with duckdb.connect() as old:
        for migration in MIGRATIONS[:version]:
            migration(old)
        tables = [name for (name,) in old.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        old.execute(f"ATTACH '{store}' AS now (READ_ONLY)")
        for name in tables:
            columns = [row[0] for row in old.execute(f"DESCRIBE {name}").fetchall()]
            now_called = {"at": 'happened_at AS "at"'}  # of events
            listed = ", ".join(now_called.get(column, f'"{column}"') for column in columns)
            path = folder / f"{name}.parquet"
            ((rows,),) = old.execute(f"COPY (SELECT {listed} FROM now.{name}) TO '{path}'").fetchall()
            files[name] = {"rows": rows, "sha256": sha256_of(path)}
    manifest = {"blindspot": "0.0", "schema_version": version, "exported_at": "2026-01-01T00:00:00", "runs": ["run-1"]}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"tables": files}))
    return tables


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_an_export_of_an_older_version_is_upgraded(tmp_path: Path, version: int) -> None:
    fill(tmp_path / "there", whole_run(kind="mitigation", method="teacher"))
    tables = older_export(Workspace(tmp_path / "there").results, tmp_path / "out", version)
    bring(tmp_path / "here", tmp_path / "out")
    found, there = contents(tmp_path / "here"), contents(tmp_path / "there")
    for name in tables:
        assert len(found[name]) == len(there[name]), name
        assert [row[0] for row in map(keys, found[name])] == [row[0] for row in map(keys, there[name])]
    assert found["predictions"] == there["predictions"]
    assert [row.kind for row in found["runs"]] == ["mitigation"]
    assert [row.origin for row in found["synthetic_samples"]] == [
        row.origin if version >= 5 else "teacher" for row in there["synthetic_samples"]
    ]


def keys(record: Record) -> tuple[object, ...]:
    return tuple(getattr(record, name) for name in TABLES[type(record)].primary_key)


def mend(folder: Path, **changes: Any) -> None:
    """Change a folder's manifest."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_newer_or_not_whole_is_refused_in_one_line(tmp_path: Path, cli: Cli) -> None:
    fill(tmp_path / "there", whole_run())
    fill(tmp_path / "here", whole_run("here-1"))
    before = contents(tmp_path / "here")
    told = []
    for name, break_it in {
        "newer": lambda folder: mend(folder, schema_version=len(MIGRATIONS) + 1, blindspot="9.1", tables="anything"),
        "changed": lambda folder: (folder / "attacks.parquet").write_bytes(b"PAR1"),
        "gone": lambda folder: (folder / "uus.parquet").unlink(),
        "bare": lambda folder: (folder / "manifest.json").unlink(),
        "garbled": lambda folder: (folder / "manifest.json").write_text("{"),
        "lacking": lambda folder: mend(folder, tables={}),
        "outside": lambda folder: mend(folder, models={"mod-1": {"../../../x": "0"}}),
        "upwards": lambda folder: mend(folder, models={"..": {"x": "0"}}),
        "list": lambda folder: (folder / "manifest.json").write_text("[]"),
        "nonsense": nonsense,
        "stray": stray,
    }.items():
        folder = export(tmp_path / "there", tmp_path / name)
        break_it(folder)
        ended = cli("import", folder, "-w", "here")
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), (name, ended)
        told.append(ended.err)
    wanted = (
        "written by blindspot 9.1", "SHA-256 differs", "No such file", "no such file", "cannot be read",
        "name each table", "not a path inside", "String should match", "valid dictionary",
        "cannot be read as the table",
        "belong to none",
    )  # fmt: skip
    assert [text for text, part in zip(told, wanted, strict=True) if part not in text] == []
    assert "it is a workspace" in cli("import", "there", "-w", "here").err
    assert contents(tmp_path / "here") == before


def nonsense(folder: Path) -> None:
    """A file of another table, with a manifest that agrees."""
    (folder / "attacks.parquet").write_bytes((folder / "events.parquet").read_bytes())
    agree(folder, "attacks")


def stray(folder: Path) -> None:
    """Rows of a run that the export is not of."""
    path = folder / "events.parquet"
    with duckdb.connect() as cursor:
        rows = f"SELECT * REPLACE ('run-9' AS run_id) FROM '{path}'"
        cursor.execute(f"COPY ({rows}) TO '{folder / 'new'}' (FORMAT parquet)")
    (folder / "new").replace(path)
    agree(folder, "events")


def agree(folder: Path, table: str) -> None:
    """Have the manifest say what a file is."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["tables"][table]["sha256"] = sha256_of(folder / f"{table}.parquet")
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_an_older_published_file_is_not_exported_as_a_newer_one(tmp_path: Path, cli: Cli) -> None:
    with duckdb.connect(str(tmp_path / "store.duckdb")) as old:
        old.execute(NOTES)
        MIGRATIONS[0](old)
        old.execute("INSERT INTO _migrations VALUES (1, 'create_tables', '2026-01-01')")
    (tmp_path / "results.duckdb").write_bytes((tmp_path / "store.duckdb").read_bytes())
    refused = cli("export", "--parquet", "out", "-w", tmp_path)
    assert refused.code == 2
    assert "`blindspot vacuum -w" in refused.err
    assert not (tmp_path / "out").exists()
    assert cli("vacuum", "-w", tmp_path).code == 0
    assert "no run or study yet" in cli("export", "--parquet", "out", "-w", tmp_path).err


def test_weights_travel_whole_and_are_not_copied_over_those_that_are_there(tmp_path: Path, cli: Cli) -> None:
    fill(tmp_path / "there", whole_run())
    ids = [make_id("mod", "run-1", number) for number in range(2)]
    inner = tmp_path / "there" / "models" / ids[0]
    inner.mkdir(parents=True)
    (inner / "model.safetensors").write_bytes(b"weights")
    said = cli("export", "run-1", "--parquet", "out", "--models", "-w", "there")
    assert "weights of 1 model version" in said.out, said.err
    assert cli("import", "out", "-w", "here").code == 0
    arrived = tmp_path / "here" / "models" / ids[0] / "model.safetensors"
    assert arrived.read_bytes() == b"weights"
    arrived.write_bytes(b"mine")
    refused = cli("import", "out", "-w", "here")
    assert refused.code == 2
    assert f"not the weights that {ids[0]} has in" in refused.err
    assert arrived.read_bytes() == b"mine"
    assert not list((tmp_path / "here" / "models").glob("*.partial"))
    (tmp_path / "out" / "models" / ids[0] / "model.safetensors").write_bytes(b"other")
    assert "SHA-256 differs" in cli("import", "out", "-w", "elsewhere").err
    assert cli("export", "--models", "-w", "there").code == 2
    assert "is not overwritten" in cli("export", "--parquet", "out", "-w", "there").err
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_a_run_that_is_on_can_be_exported_and_nothing_imported_beside_it(tmp_path: Path) -> None:
    fill(tmp_path / "ws", whole_run(status="running"))
    code = "import sys; from pathlib import Path; from blindspot.storage.store.store import Store\n"
    code += "store = Store.open(Path(sys.argv[1])); print('open', flush=True); input()"
    command = [sys.executable, "-c", code, str(tmp_path / "ws")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "open\n"
        folder = export(tmp_path / "ws", tmp_path / "out")
        with pytest.raises(StoreError, match=f"in use by process {run.pid}"):
            bring(tmp_path / "ws", folder)
        run.communicate("\n")


KILLED = """
import os, signal, sys
from pathlib import Path
from blindspot.storage.transfer.incoming import bring_in
from blindspot.storage.transfer.manifest import read_manifest
from blindspot.storage.store.store import Store

def watch(frame, event, what):
    name = what.__name__ if event.startswith("c_") else frame.f_code.co_name
    if f"{event} {name}" == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

with Store.open(Path(sys.argv[1])) as store:
    folder = Path(sys.argv[2])
    manifest = read_manifest(folder)
    sys.setprofile(watch)
    bring_in(store, folder, manifest)
    store.publish()
"""


def test_an_import_that_is_killed_leaves_all_rows_or_none_and_can_be_repeated(tmp_path: Path) -> None:
    there = tmp_path / "there"
    fill(there, whole_run(rows=30))
    weights = there / "models" / make_id("mod", "run-1", 0)
    weights.mkdir(parents=True)
    (weights / "model.safetensors").write_bytes(b"weights" * 1000)
    folder = export(there, tmp_path / "out", models=True)
    for number, moment in enumerate(("return copytree", "return merge_runs", "call publish")):
        here = tmp_path / f"here-{number}"
        ended = subprocess.run([sys.executable, "-c", KILLED, str(here), str(folder), moment], check=False)
        assert ended.returncode == -signal.SIGKILL, moment
        with Store.open(here) as store:
            assert store.count(Prediction) == (30 if moment == "call publish" else 0), moment
            assert store.count(SyntheticSample) == store.count(Prediction)
        bring(here, folder)
        assert contents(here) == contents(there)
        assert [path.name for path in (here / "models").iterdir()] == [weights.name]
