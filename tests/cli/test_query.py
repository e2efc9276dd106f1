"""`blindspot query`: by name or in SQL, to a terminal or a file, within its time, with a word of help when it fails."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from datetime import datetime
from difflib import SequenceMatcher
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.cli.query.names import complete_question, known_tables
from blindspot.storage import records as rec
from blindspot.storage.analysts.answer import ROWS_AT_ONCE
from blindspot.storage.analysts.nearest import Names, advise, nearest
from blindspot.storage.analysts.ready_queries import READY
from blindspot.storage.analysts.results import Results
from blindspot.storage.analysts.session import QuerySession
from blindspot.storage.errors import StoreError
from blindspot.storage.schema.views import VIEWS
from blindspot.storage.store.store import Store
from support.commands import Cli

START = datetime(2026, 1, 2, 3, 4, 5)
SLOW = "SELECT count(*) FROM range(100000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"


def run(run_id: str) -> rec.Run:
    return rec.Run(run_id, run_id, "finished", {}, 0, "rules", "dat-1", 0.65, {}, START)


def event(number: int, run_id: str = "run-1") -> rec.Event:
    return rec.Event(f"evt-{number}", run_id, 1, START, "attack", "info", "as planned")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    with Store.open(folder) as store:
        store.add([run("run-1"), run("run-2"), event(1), event(2), event(3, "run-2")])
        store.publish()
    return folder


@pytest.fixture
def ask(cli: Cli, workspace: Path) -> Cli:
    """Run `blindspot query` on that workspace."""
    return lambda *arguments, **others: cli("query", *arguments, "-w", workspace, **others)


@pytest.fixture(scope="module")
def results(workspace: Path) -> Results:
    return Results.open(workspace)


def test_the_list_names_everything_that_can_be_asked_by_name(cli: Cli) -> None:
    listed = {row["name"]: row["kind"] for row in json.loads(cli("query", "--list", "-f", "json").out)}
    assert listed.keys() == READY.keys() | known_tables().keys()
    assert {name for name, kind in listed.items() if kind == "view"} == {view.name for view in VIEWS}
    shown = cli("query", "--list").out
    assert all(name in shown for name in listed)


@pytest.mark.parametrize("name", [*READY, *known_tables()])
def test_every_name_of_the_list_is_answered(results: Results, name: str) -> None:
    query = READY.get(name)
    columns, _ = results.query(query.sql, query.values({})) if query else results.query(f"FROM {name}")
    assert columns == list(query.columns if query else known_tables()[name][1])


def test_a_name_takes_one_run_or_all(ask: Cli) -> None:
    def counted(*arguments: str) -> int:
        return len(json.loads(ask(*arguments, "-f", "json").out))

    assert [counted("events"), counted("events", "run-1"), counted("events", "run-2")] == [3, 2, 1]
    assert counted("round_summary", "run-1") == counted("rejected_samples") == counted("rejected-samples", "run-2") == 0


def test_show_prints_sql_that_any_client_takes(ask: Cli, results: Results) -> None:
    text = ask("round-changes", "run-1", "-p", "first=0", "--show").out
    assert text.startswith("-- What changed between two rounds")
    assert "--   difference: After minus before.\n" in text
    assert "'run-1'" in text
    assert "$" not in text
    assert results.query(text) == (list(READY["round-changes"].columns), [])
    assert ask("SELECT $x + $x, $y", "-p", "x=2", "--show").out == "SELECT 2 + 2, $y\n"


def test_sql_comes_from_a_file_too_and_takes_values(ask: Cli, tmp_path: Path) -> None:
    file = tmp_path / "mine.sql"
    file.write_text("SELECT $run AS run, $n + 1 AS n, $text AS text, $none AS none")
    values = ("-p", "n=1.5", "-p", "text=a=b, 7up", "-p", "none=null")
    assert json.loads(ask("--file", file, "run-2", *values, "-f", "json").out) == [
        {"run": "run-2", "n": 2.5, "text": "a=b, 7up", "none": None}
    ]
    assert json.loads(
        ask("-", "run-1", "-f", "json", stdin="FROM events SELECT count(*) n WHERE run_id = $run").out
    ) == [{"n": 2}]


MISTAKES = [
    (["uu"], "uu is not a ready query, a view or a table; did you mean uus?"),
    (["spend-per-u"], "did you mean spend-per-uu?"),
    (["zzzzzz"], "`blindspot query --list` lists the names"),
    (["samples", "run-1"], "samples has no run_id: its rows do not belong to single runs"),
    (["events", "run-3"], "no run run-3; there are: run-1, run-2"),
    (["FROM events", "run-1"], "the query has no $run: it takes no value"),
    (["round-changes", "-p", "frist=1"], "the ready query round-changes has no $frist: it takes $run, $first, $second"),
    (["SELECT $n"], "Values were not provided for the following parameters: n"),
    (["--file", "nowhere.sql"], "nowhere.sql: cannot be read (No such file or directory)"),
    (["FROM runs", "--out", "nowhere/runs.csv"], "nowhere/runs.csv: cannot be written (No such file or directory)"),
    (["SELECT INTERVAL 1 DAY AS i", "--out", "i.parquet"], "cast that column"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_told_in_one_line_that_says_what_to_do(ask: Cli, arguments: list[str], message: str) -> None:
    answer = ask(*arguments)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert message in answer.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["FROM runs", "-f", "parquet"],
        ["FROM runs", "-o", "runs.txt"],
        ["FROM runs", "-o", "runs.csv", "-f", "table"],
        ["FROM runs", "-p", "x"],
        ["FROM runs", "--timeout", "-1"],
    ],
)
def test_a_wrong_command_line_writes_nothing(ask: Cli, tmp_path: Path, arguments: list[str]) -> None:
    assert ask(*arguments).code == 2
    assert list(tmp_path.iterdir()) == []


EVERYTHING = """
SELECT i AS number, i / 7 AS share, CASE WHEN i % 3 > 0 THEN 'é "x", ' || i END AS text, i % 2 = 0 AS even,
       TIMESTAMP '2026-01-02 03:04:05' + to_days(CAST(i AS INTEGER)) AS at, [i, NULL] AS list,
       json_object('i', i) AS doc
FROM range(5000) r(i)
"""


def test_csv_json_and_parquet_hold_the_same_rows(ask: Cli, tmp_path: Path) -> None:
    from pyarrow import parquet

    for name in ("all.csv", "all.json", "all.parquet"):
        answer = ask(EVERYTHING, "--out", tmp_path / name)
        assert (answer.code, answer.out) == (0, f"5,000 rows in {tmp_path / name}\n")
    table = parquet.read_table(tmp_path / "all.parquet").to_pylist()
    assert [type(value).__name__ for value in table[1].values()] == [
        "int", "float", "str", "bool", "datetime", "list", "str",
    ]  # fmt: skip
    plain = [row | {"at": row["at"].isoformat()} for row in table]
    assert json.loads((tmp_path / "all.json").read_text(encoding="utf-8")) == plain
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["number"], line["text"], line["list"]) for line in lines] == [
        (str(row["number"]), row["text"] or "", json.dumps(row["list"])) for row in table
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.csv", "all.json", "all.parquet"]


def test_every_text_survives_csv_and_json(ask: Cli, tmp_path: Path) -> None:
    sql = "SELECT 'a' || chr(13) || 'b' AS a, 'c' || chr(13) || chr(10) AS a, 'd' AS a_2"
    assert ask(sql, "--out", tmp_path / "x.csv").code == 0
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1:] == [["a\rb", "c\r\n", "d"]]
    assert ask(sql, "--out", tmp_path / "x.json").code == 0
    (row,) = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert list(row.values()) == ["a\rb", "c\r\n", "d"]


def test_times_with_a_zone_are_answered(ask: Cli) -> None:
    assert ask("SELECT TIMESTAMPTZ '2026-01-02 03:04:05+00' AS at", "--format", "json").code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("SELECT CASE WHEN i = 900000 THEN error('bad row') END FROM range(1000000) t(i)", "-o", "x.parquet"),
            "bad row",
        ),
        (("SELECT 1", "-f", "csv", "-o", "."), "is a folder"),
        (("SELECT INTERVAL 10000000 YEARS",), "too large to be shown"),
    ],
)
def test_what_cannot_be_answered_is_one_line(ask: Cli, options: tuple[str, ...], said: str) -> None:
    answer = ask(*options)
    assert answer.code == 2
    assert said in answer.err
    assert "what was committed" not in answer.err
    assert answer.err.count("\n") == 1


def test_an_answer_without_rows_is_a_file_with_its_columns(ask: Cli, tmp_path: Path) -> None:
    from pyarrow import parquet

    for ending in ("csv", "json", "parquet"):
        assert ask("SELECT run_id, run_id FROM runs LIMIT 0", "-o", f"none.{ending}").out.startswith("0 rows in")
    assert (tmp_path / "none.csv").read_text() == "run_id,run_id\n"
    assert json.loads((tmp_path / "none.json").read_text()) == []
    assert len(parquet.read_schema(tmp_path / "none.parquet").names) == 2


def test_a_query_that_fails_leaves_the_file_as_it_was(ask: Cli, tmp_path: Path) -> None:
    file = tmp_path / "kept.csv"
    file.write_text("mine")
    broken = "SELECT CASE WHEN i = 9000 THEN error('late') ELSE i END FROM range(10000) r(i)"
    for arguments in ((broken,), (SLOW, "--timeout", "0.2")):
        assert ask(*arguments, "--out", file).code == 2
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_slow_query_is_stopped_in_time(ask: Cli) -> None:
    began = time.monotonic()
    answer = ask(SLOW, "--timeout", "0.3")
    assert (answer.code, answer.err) == (
        2,
        "blindspot: the query was stopped after 0.3 s; select less, or allow it more time with --timeout\n",
    )
    assert time.monotonic() - began < 20


def test_only_the_work_on_an_answer_counts_as_its_time(workspace: Path) -> None:
    with QuerySession.open(workspace) as session:
        answer = session.ask("SELECT * FROM range($n)", {"n": 3 * ROWS_AT_ONCE}, timeout_s=5)
        rows = answer.rows()
        next(rows)
        answer._left_s = 0.4
        time.sleep(0.6)
        assert sum(1 for _ in rows) == 3 * ROWS_AT_ONCE - 1


def test_an_answer_need_not_fit_into_memory(results: Results) -> None:
    with results.ask("SELECT i, repeat('x', 1000) FROM range(1000000000) r(i)") as answer:
        rows = answer.rows()
        assert [next(rows)[0] for _ in range(3)] == [0, 1, 2]
        rows.close()  # type: ignore[attr-defined]
    assert results.query("SELECT 1")[1] == [(1,)]


def test_what_does_not_fit_into_memory_is_spilled_nowhere(results: Results) -> None:
    assert results.query("SELECT current_setting('temp_directory')")[1] == [("",)]


CTRL_C = """
import os, signal, sys, threading, time
from blindspot.cli.main import main

def at_work() -> bool:
    frame = sys._current_frames()[threading.main_thread().ident]
    while frame and frame.f_code.co_name != "rows":
        frame = frame.f_back
    return frame is not None

def press() -> None:
    while not at_work():
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Thread(target=press, daemon=True).start()
sys.exit(main())
"""


def test_ctrl_c_ends_a_query_in_one_line(workspace: Path) -> None:
    command = [sys.executable, "-c", CTRL_C, "query", SLOW, "--timeout", "0", "-w", str(workspace)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "blindspot: the query was stopped\n")


NEAREST = [
    ("SELECT statuss FROM runs", 'Referenced column "statuss" not found', "did you mean status?"),
    ("SELECT e.mesage FROM events e", '"mesage"', "did you mean message?"),
    ("SELECT confidence FROM runs", '"confidence"', "it is a column of attacks, hypothesis_log, predictions, uus"),
    ("SELECT hypotesis_id FROM runs", '"hypotesis_id"', "did you mean hypothesis_id, of "),
    ("SELECT zzzzzz FROM events", '"zzzzzz"', "events has event_id, happened_at, level, message, phase, round, run_id"),
    ("WITH mine AS (SELECT 1 AS quite_long) SELECT quite_lnog FROM mine", '"quite_lnog"', "did you mean quite_long?"),
    ("SELECT * EXCLUDE (staus) FROM runs", '"staus"', "did you mean status?"),
    ("FROM round_sumary", "round_sumary", "did you mean round_summary?"),
    ("FROM qqqqqq", "qqqqqq", "SHOW TABLES lists the tables"),
    ("SELECT cuont(*) FROM runs", "cuont", "did you mean count?"),
    ("SELECT zzzzzz(1)", "zzzzzz", "SELECT * FROM duckdb_functions() lists the functions"),
    ("SELEC 1", '"SELEC"', "did you mean SELECT?"),
    ("SELECT run_id FROM runs, events", "Ambiguous", "'events.run_id'"),
    ("SELECT length(seed) FROM runs", "length(BIGINT)", "explicit type casts"),
]


@pytest.mark.parametrize(("sql", "said", "advice"), NEAREST)
def test_a_wrong_name_is_told_with_the_nearest_one(results: Results, sql: str, said: str, advice: str) -> None:
    with pytest.raises(StoreError, match="the query cannot be answered: ") as caught:
        results.query(sql)
    message = str(caught.value)
    assert said in message
    assert advice in message
    assert "\n" not in message
    assert "Candidate" not in message


@given(st.sampled_from([*known_tables(), *READY]).filter(lambda name: len(name) > 5), st.data())
def test_of_all_names_the_one_most_like_a_slip_is_told(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name) - 1))
    slip = name[:place] + name[place + 1 :].upper()
    found = nearest(slip, [*known_tables(), *READY])
    assert found is not None
    likeness = [SequenceMatcher(None, slip.lower(), one).ratio() for one in (found, name)]
    assert likeness[0] >= likeness[1] > 0.8


@given(st.text(), st.text(max_size=30))
def test_advice_is_one_line_whatever_duckdb_says(message: str, sql: str) -> None:
    assert "\n" not in advise(message, sql, Names({"runs": ["run_id"]}, ["count"]))


def test_names_are_completed_alone_and_within_sql() -> None:
    def completed(text: str) -> list[str]:
        return [name for name, _ in complete_question(text)]

    assert completed("spend") == ["spend-per-uu"]
    assert completed("uu") == ["uus-by-part-of-speech", "uu_reduction", "uus"]
    assert completed("FROM round_s") == ["FROM round_summary"]
    assert completed("FROM events e WHERE e.mes") == ["FROM events e WHERE e.message"]
    assert "SELECT latency_s" in completed("SELECT late")
    assert "FROM runs" in completed("FROM ")
    assert "FROM events WHERE runs" in completed("FROM events WHERE ")
    assert "FROM events WHERE teacher" not in completed("FROM events WHERE t")


def test_the_shell_is_given_names_and_runs(workspace: Path) -> None:
    def completed(line: str, place: int) -> list[str]:
        environment = os.environ | {
            "_BLINDSPOT_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(place),
            "BLINDSPOT_WORKSPACE": "nowhere",
        }  # fmt: skip
        code = "from blindspot.cli.main import main; main()"
        command = [sys.executable, "-c", code]
        lines = subprocess.run(command, env=environment, capture_output=True, text=True).stdout.split("\n")
        return [line for line in lines if line]

    assert completed('blindspot query "FROM events WHERE mes', 2) == ["FROM events WHERE message"]
    assert completed(f"blindspot query -w {workspace} spend-per-uu ru", 5) == ["run-1", "run-2"]
    assert completed("blindspot query spend-per-uu ru", 3) == []
