"""The results: whole at every moment, impossible to change, and true to the rows in their views."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from blindspot.storage import records as rec
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import StoreError
from blindspot.storage.ids import make_id
from blindspot.storage.schema.tables import Record
from blindspot.storage.store.store import Store
from blindspot.storage.transfer.outgoing import export_runs
from blindspot.storage.words import AttackStatus, HypothesisKind, UuKind
from blindspot.storage.workspace import Workspace

START = datetime(2026, 1, 2, 3, 4, 5)
RUN = rec.Run("run-1", "run", "running", {}, 0, "rules", "dat-1", 0.65, {}, START)
HARD = {"text": "a fine flim"}


def uu(uu_id: str, kind: UuKind, recipe: str | None, attack_id: str | None, fields: dict[str, str]) -> rec.Uu:
    return rec.Uu(uu_id, "run-1", 1, "mdl-0", kind, recipe, "smp-1", attack_id, fields, "pos", "neg", 0.9, True)


def hypothesis(name: str, uu_id: str, kind: HypothesisKind) -> rec.Hypothesis:
    return rec.Hypothesis(name, "run-1", 1, uu_id, kind, None, f"text of {name}", "because", "rules", None, START)


def synthetic(name: str, hypothesis_id: str, position: int, accepted: bool | None) -> rec.SyntheticSample:
    return rec.SyntheticSample(
        name, "run-1", 1, hypothesis_id, position, {"text": name}, "pos", "so", None, accepted=accepted
    )


def attack(name: str, status: AttackStatus, queries: int) -> rec.Attack:
    fields = HARD if status == "flipped" else None
    after, sure = ("neg", 0.9) if fields else (None, None)
    return rec.Attack(
        name, "run-1", "mdl-0", "smp-1", "test", "typos", status, fields, "pos", after, sure, "pos", 0.8,
        queries, 3, 1 if fields else None, None, 0.5,
    )  # fmt: skip


def call(name: str, cost_usd: float | None, *, cache_hit: bool = False, error: str | None = None) -> rec.TeacherCall:
    return rec.TeacherCall(
        name, "run-1", 1, "abstract", "uu-1", name, "openai:m", "?", "hash", None if error else "!", "m-2026",
        100, 10, cost_usd, 2.0, 1, cache_hit, error, START,
    )  # fmt: skip


def figure(
    metric: str,
    value: float,
    *,
    model_id: str = "mdl-0",
    baseline_id: str | None = None,
    recipe: str | None = None,
    threshold: float | None = None,
) -> rec.Evaluation:
    causes = (metric, model_id, baseline_id, recipe, threshold)
    low, high = (value - 1, value + 1) if baseline_id else (None, None)
    return rec.Evaluation(
        make_id("evl", *causes), "run-1", int(model_id[-1]), model_id, baseline_id, metric, value, low, high,
        None, "test", recipe, threshold, 300,
    )  # fmt: skip


def model(model_id: str, number: int) -> rec.ModelVersion:
    return rec.ModelVersion(model_id, "run-1", number, None, "original", "x", 1, 0, {}, None, 1.0, START)


def round_of_a_run() -> list[Record]:
    """One round: 40 UUs before, 10 after under "typos"; one adversarial UU fixed, one natural UU not."""
    figures = [figure("accuracy", 0.8), figure("accuracy", 0.82, model_id="mdl-1")]
    figures += [figure("majority_share", 0.7), figure("balanced_accuracy", 0.6), figure("recall: a_b", 0.9)]
    figures += [figure("recall: pos", 0.3), figure("recall: pos", 0.5, model_id="mdl-1")]
    for recipe, threshold, before, after in [("typos", 0.65, 40, 10), ("typos", 0.9, 0, 0), ("synonyms", 0.65, 8, 9)]:
        at: dict[str, Any] = {"recipe": recipe, "threshold": threshold}
        figures.append(figure("uus", before, **at))
        figures.append(figure("uus", after, model_id="mdl-1", **at))
        figures.append(figure("uus", after - before, model_id="mdl-1", baseline_id="mdl-0", **at))
    return [
        RUN,
        rec.Round("run-1", 1, "mdl-0", START, "mdl-1", True, "fewer UUs"),
        *(model(f"mdl-{number}", number) for number in (0, 1)),
        rec.Sample("smp-1", "dat-1", "test", 0, {"text": "a fine film"}, "pos"),
        attack("atk-1", "flipped", 20),
        attack("atk-2", "failed", 30),
        attack("atk-3", "skipped", 0),
        uu("uu-1", "adversarial", "typos", "atk-1", HARD),
        uu("uu-2", "natural", None, None, {"text": "a fine film"}),
        hypothesis("hyp-1", "uu-1", "abstraction"),
        hypothesis("hyp-2", "uu-1", "extrapolation"),
        synthetic("syn-1", "hyp-1", 0, True),
        synthetic("syn-2", "hyp-1", 1, False),
        synthetic("syn-3", "hyp-1", 2, None),
        rec.Prediction("mdl-0", "smp-1", "sample", "pos", "neg", 0.7, (0.3, 0.7)),
        rec.Prediction("mdl-1", "smp-1", "sample", "pos", "neg", 0.55, (0.45, 0.55)),
        rec.Prediction("mdl-1", "atk-1", "attack", "pos", "pos", 1.0, (1.0, 0.0)),
        call("call-1", 0.25),
        call("call-2", 9.0, cache_hit=True),
        call("call-3", None, error="refused"),
        figure("attack_success_rate", 0.5, recipe="typos"),
        *figures,
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    folder = tmp_path_factory.mktemp("workspace")
    with Store.open(folder) as store:
        store.add(round_of_a_run())
        store.publish()
    with Results.open(folder) as opened:
        yield opened


def dicts(results: Results, sql: str) -> list[dict[str, Any]]:
    columns, rows = results.query(sql)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_the_hypothesis_log_tells_what_was_explained_and_written(results: Results) -> None:
    first, second = dicts(results, "FROM hypothesis_log ORDER BY hypothesis_id")
    assert (json.loads(first["original"]), json.loads(first["perturbed"])) == ({"text": "a fine film"}, HARD)
    assert (first["kind"], first["text"], first["reasoning"]) == ("abstraction", "text of hyp-1", "because")
    assert (first["uu_kind"], first["recipe"], first["label"], first["predicted"]) == (
        ("adversarial", "typos", "pos", "neg")
    )
    assert (first["samples_written"], first["samples_accepted"]) == (3, 1)
    assert (second["samples_written"], second["samples_accepted"]) == (0, 0)


def test_the_round_summary_tells_before_and_after_in_one_row(results: Results) -> None:
    (row,) = dicts(results, "FROM round_summary")
    assert (row["accuracy_before"], row["accuracy_after"], row["accepted"]) == (0.8, 0.82, True)
    assert (row["majority_share"], row["balanced_accuracy_before"], row["balanced_accuracy_after"]) == (0.7, 0.6, None)
    assert (row["recall_before"], row["recall_after"]) == ({"a_b": 0.9, "pos": 0.3}, {"pos": 0.5})
    assert row["uus_before"] == {"synonyms": 8, "typos": 40}
    assert row["uus_after"] == {"synonyms": 9, "typos": 10}
    assert (row["hypotheses"], row["samples_written"], row["samples_accepted"]) == (2, 3, 1)
    assert (row["teacher_calls"], row["tokens_in"], row["tokens_out"], row["cost_usd"]) == (3, 200, 20, 0.25)


def test_uu_reduction_has_the_difference_with_its_interval(results: Results) -> None:
    columns = "recipe, threshold, uus_before, uus_after, difference, difference_low, difference_high, reduction_percent"
    _, rows = results.query(f"SELECT {columns} FROM uu_reduction ORDER BY recipe, threshold")
    assert rows == [
        ("synonyms", 0.65, 8, 9, 1, 0, 2, -12.5),
        ("typos", 0.65, 40, 10, -30, -31, -29, 75),
        ("typos", 0.9, 0, 0, 0, -1, 1, None),
    ]


def test_views_come_in_the_order_in_which_they_are_read(tmp_path: Path) -> None:
    """Rounds one after another, the clean split before the attacks, an abstraction before what follows from it."""
    rows: list[Record] = []
    for run_id in ("run-2", "run-1"):
        rows += [rec.Round(run_id, number, "mdl-0", START) for number in (2, 1)]
        for recipe, threshold in (("typos", 0.9), ("typos", 0.65), ("all", 0.65), (None, 0.65)):
            evaluation = figure("uus", 4, recipe=recipe, threshold=threshold)
            rows.append(replace(evaluation, run_id=run_id, evaluation_id=f"{run_id}{evaluation.evaluation_id}"))
        by_name: dict[str, HypothesisKind] = {"a": "extrapolation", "b": "abstraction"}
        for name, kind in by_name.items():
            for number, uu_id in ((2, "uu-1"), (1, "uu-3"), (1, "uu-2")):
                stated = hypothesis(f"{run_id}{number}{uu_id}{name}", uu_id, kind)
                rows.append(replace(stated, run_id=run_id, round=number))
    with Store.open(tmp_path) as store:
        store.add(rows)
        store.publish()
    runs, recipes = ("run-1", "run-2"), ((None, 0.65), ("all", 0.65), ("typos", 0.65), ("typos", 0.9))
    uus, kinds = ((1, "uu-2"), (1, "uu-3"), (2, "uu-1")), ("abstraction", "extrapolation")
    with Results.open(tmp_path) as results:
        assert results.query("SELECT run_id, round, recipe, threshold FROM uu_reduction")[1] == [
            (run_id, number, *place) for run_id in runs for number in (1, 2) for place in recipes
        ]
        assert results.query("SELECT run_id, round FROM round_summary")[1] == [
            (run_id, number) for run_id in runs for number in (1, 2)
        ]
        assert results.query("SELECT run_id, round, uu_id, kind FROM hypothesis_log")[1] == [
            (run_id, *place, kind) for run_id in runs for place in uus for kind in kinds
        ]


def test_a_round_under_way_is_summed_up_as_far_as_it_went(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.add([RUN, rec.Round("run-1", 1, "mdl-0", START), figure("uus", 4, recipe="typos", threshold=0.65)])
        store.publish()
    with Results.open(tmp_path) as results:
        (row,) = dicts(results, "FROM round_summary")
        assert (row["uus_before"], row["uus_after"], row["accepted"]) == ({"typos": 4}, None, None)
        assert (row["hypotheses"], row["teacher_calls"], row["cost_usd"]) == (0, 0, 0)
        (row,) = dicts(results, "FROM uu_reduction")
        assert (row["uus_before"], row["uus_after"], row["reduction_percent"]) == (4, None, None)


def test_the_confidence_histogram_puts_certainty_in_the_last_bin(results: Results) -> None:
    columns = "model_id, subject_kind, split, recipe, bin_low, bin_high, predictions, correct, wrong"
    _, rows = results.query(f"SELECT {columns} FROM confidence_histogram ORDER BY ALL")
    assert rows == [
        ("mdl-0", "sample", "test", None, 0.7, 0.75, 1, 0, 1),
        ("mdl-1", "attack", "test", "typos", 0.95, 1.0, 1, 1, 0),
        ("mdl-1", "sample", "test", None, 0.55, 0.6, 1, 0, 1),
    ]


def test_attack_statistics_join_counts_and_computed_figures(results: Results) -> None:
    (row,) = dicts(results, "FROM attack_statistics")
    assert (row["samples"], row["flipped"], row["failed"], row["skipped"], row["errors"]) == (3, 1, 1, 1, 0)
    assert (row["queries"], row["seconds"], row["attack_success_rate"]) == (50, 1.5, 0.5)
    assert row["original_accuracy"] is None


def test_teacher_spend_counts_what_was_paid_and_what_has_no_price(results: Results) -> None:
    (row,) = dicts(results, "FROM teacher_spend")
    assert (row["calls"], row["cache_hits"], row["failed"], row["unpriced"]) == (3, 1, 1, 1)
    assert (row["tokens_in"], row["tokens_out"], row["cost_usd"], row["mean_latency_s"]) == (200, 20, 0.25, 2.0)


def test_lineage_leads_from_a_uu_to_whether_it_was_fixed(results: Results) -> None:
    columns = "uu_id, hypothesis_id, synthetic_id, accepted, new_model_id, predicted_after, fixed"
    _, rows = results.query(f"SELECT {columns} FROM lineage ORDER BY ALL")
    assert rows == [
        ("uu-1", "hyp-1", "syn-1", True, "mdl-1", "pos", True),
        ("uu-1", "hyp-1", "syn-2", False, "mdl-1", "pos", True),
        ("uu-1", "hyp-1", "syn-3", None, "mdl-1", "pos", True),
        ("uu-1", "hyp-2", None, None, "mdl-1", "pos", True),
        ("uu-2", None, None, None, "mdl-1", "neg", False),
    ]


READER = """
import sys
from pathlib import Path
from blindspot.storage.analysts.results import Results
folder, sql = Path(sys.argv[1]), "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM samples)"
first = Results.open(folder)
print(*first.query(sql)[1][0], flush=True)
first.close()
while True:
    with Results.open(folder) as results:
        print(*results.query(sql)[1][0], *results.query(sql)[1][0], flush=True)
"""


def test_a_reader_never_sees_half_a_publish(tmp_path: Path) -> None:
    """Every batch has as many events as samples, and so has every copy."""

    def batch(number: int) -> list[Record]:
        ids = [f"{number:03d}-{k}" for k in range(50)]
        events = [rec.Event(f"evt-{name}", "run-1", 1, START, "attack", "info", "x") for name in ids]
        return [*events, *(rec.Sample(f"smp-{name}", "dat-1", "test", 0, HARD, "pos") for name in ids)]

    with Store.open(tmp_path) as store:
        store.add(batch(0))
        store.publish()
        command = [sys.executable, "-c", READER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "50 50\n"
            for number in range(1, 25):
                store.add(batch(number))
                store.publish()
            last = f"{25 * 50} " * 4
            seen = []
            for line in reader.stdout:
                seen.append([int(part) for part in line.split()])
                if line.split() == last.split():
                    break
            reader.kill()
    assert all(len(set(line)) == 1 for line in seen)
    assert seen == sorted(seen)
    assert len({line[0] for line in seen}) > 3


def test_an_open_reader_keeps_its_copy_while_new_ones_are_published(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from blindspot.storage.analysts.results import Results
with Results.open(Path(sys.argv[1])) as results:
    for _ in sys.stdin:
        print(results.query("SELECT status FROM runs")[1][0][0], flush=True)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    with Store.open(tmp_path) as store:
        store.put(RUN)
        store.publish()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdin is not None
            assert reader.stdout is not None
            for status in ("running", "stopped", "finished"):
                reader.stdin.write("again\n")
                reader.stdin.flush()
                assert reader.stdout.readline() == "running\n"  # what was there when it opened
                store.put(replace(RUN, status=status))
                store.publish()
            reader.stdin.close()
    with Results.open(tmp_path) as results:
        assert results.query("SELECT status FROM runs")[1] == [("finished",)]


def test_publishing_without_a_change_leaves_the_file_alone(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.put(RUN)
        store.publish()
        inode = store.workspace.results.stat().st_ino
        store.add([RUN])
        store.publish()
        assert store.workspace.results.stat().st_ino == inode
        store.put(replace(RUN, status="finished"))
        store.publish_if_due(every_s=3600)
        assert store.workspace.results.stat().st_ino == inode
        store.publish()
        assert store.workspace.results.stat().st_ino != inode


DELETED = Path.unlink


def overwrite(results: Path) -> None:
    results.write_bytes(b"of another program")


def write_to(results: Path) -> None:
    with duckdb.connect(str(results)) as connection:
        connection.execute("DELETE FROM runs")


@pytest.mark.parametrize("disturb", [DELETED, overwrite, write_to])
def test_results_that_are_gone_or_changed_are_published_again_without_a_new_row(
    tmp_path: Path, disturb: Callable[[Path], None]
) -> None:
    with Store.open(tmp_path) as store:
        store.put(RUN)
        store.publish()
        disturb(store.workspace.results)
        wait_s = store.publish_if_due(every_s=0.05)
        assert wait_s > 0
        time.sleep(wait_s + 0.01)
        store.publish_if_due(every_s=0.05)
        with Results.open(tmp_path) as results:
            assert results.query("SELECT run_id FROM runs")[1] == [(RUN.run_id,)]


KILLED_WRITER = """
import os, signal, sys
import duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("SET checkpoint_threshold = '1TB'")
connection.execute("CREATE TABLE IF NOT EXISTS runs (run_id VARCHAR); DELETE FROM runs; CREATE TABLE added (n INT)")
os.kill(os.getpid(), signal.SIGKILL)
"""


def own_log(log: Path) -> None:
    """What a client leaves that opened the results to write, and was killed."""
    subprocess.run([sys.executable, "-c", KILLED_WRITER, log.with_suffix("")])


def log_of_another(log: Path) -> None:
    own_log(log.with_name("other.duckdb.wal"))
    log.with_name("other.duckdb.wal").rename(log)


def no_log(log: Path) -> None:
    log.write_bytes(b"no log" * 1000)


def cut_log(log: Path) -> None:
    own_log(log)
    log.write_bytes(log.read_bytes()[:-7])


def link_to_nowhere(log: Path) -> None:
    log.symlink_to("nowhere")


@pytest.mark.parametrize("leave", [own_log, log_of_another, cut_log, no_log, Path.touch, Path.mkdir, link_to_nowhere])
def test_a_log_beside_the_results_is_read_by_nobody(tmp_path: Path, leave: Callable[[Path], None]) -> None:
    with Store.open(tmp_path) as store:
        store.put(RUN)
        store.publish()
    log = tmp_path / "results.duckdb.wal"
    leave(log)
    assert os.path.lexists(log)
    before = sorted(path.name for path in tmp_path.iterdir())
    with Results.open(tmp_path) as results:
        assert results.path == tmp_path / "results.duckdb"
        assert results.query("SELECT run_id FROM runs")[1] == [(RUN.run_id,)]
        assert results.query("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'added'")[1] == [(0,)]
    (tmp_path / "export").mkdir()
    assert export_runs(Workspace(tmp_path), None, tmp_path / "export", models=False).runs == (RUN.run_id,)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "export") == before


def test_a_half_made_copy_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "results.duckdb.new").write_text("half a copy")
    with Store.open(tmp_path) as store:
        store.publish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.duckdb", "store.duckdb"]


FORBIDDEN = [
    "DELETE FROM runs",
    "WITH gone AS (DELETE FROM runs RETURNING *) FROM gone",
    "CREATE TABLE mine (i INTEGER)",
    "COPY runs TO '{folder}/results.duckdb.wal'",
    "EXPLAIN ANALYZE COPY runs TO '{folder}/results.duckdb.wal'",
    "COPY (PIVOT runs ON name USING count(*)) TO '{folder}/results.duckdb.wal'",
    "SELECT 1; COPY runs TO '{folder}/results.duckdb.wal'",
    "EXPORT DATABASE '{folder}/all'",
    "ATTACH '{folder}/other.duckdb' AS other",
    "SELECT * FROM read_text('/etc/hostname')",
    "SELECT * FROM '{folder}/store.duckdb'",
    "SELECT * FROM glob('/*')",
    "SET enable_external_access = true",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = '{folder}')",
    "INSTALL httpfs",
    "",
]


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_a_query_can_change_nothing_and_see_nothing_else(results: Results, sql: str) -> None:
    folder = results.path.parent
    before = sorted((path.name, path.read_bytes()) for path in folder.iterdir() if path.is_file())
    with pytest.raises(StoreError) as caught:
        results.query(sql.format(folder=folder))
    assert "\n" not in str(caught.value)
    assert sorted((path.name, path.read_bytes()) for path in folder.iterdir() if path.is_file()) == before
    assert results.query("SELECT count(*) FROM runs")[1] == [(1,)]


def test_a_mistake_in_a_query_is_told_in_one_line(results: Results) -> None:
    with pytest.raises(StoreError, match=r'^the query cannot be answered: .*"?statuss"? .*\bstatus\b') as caught:
        results.query("SELECT statuss FROM runs")
    assert "\n" not in str(caught.value)
    here = [1, 2, 3]
    with pytest.raises(StoreError, match="Table with name here does not exist"):
        results.query("FROM here")
    assert here == [1, 2, 3]


def test_parameters_take_the_place_of_question_marks(results: Results) -> None:
    columns, rows = results.query("SELECT uu_id, kind FROM uus WHERE kind = ? AND confidence > ?", ("natural", 0.5))
    assert (columns, rows) == (["uu_id", "kind"], [("uu-2", "natural")])
    with pytest.raises(StoreError, match="parameter"):
        results.query("SELECT ?")


def test_a_workspace_without_results_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"results\.duckdb: no such file; .*`blindspot run`"):
        Results.open(tmp_path / "nowhere")


def test_what_an_older_file_lacks_is_told_with_its_age(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "results.duckdb")) as connection:
        connection.execute("CREATE TABLE _migrations (number BIGINT); INSERT INTO _migrations VALUES (1)")
    with Results.open(tmp_path) as results, pytest.raises(StoreError) as found:
        results.query("SELECT * FROM teacher_comparisons")
    assert "published by an older blindspot, version 1 of" in str(found.value)
    assert "brings it up to date" in str(found.value)
