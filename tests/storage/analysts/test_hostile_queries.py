"""Hostile queries: none may change a file, see another one, run on, or end in more than one line.

The table is for every door that queries come in by: another one (a server, a tool) is a line in `DOORS`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from blindspot.storage import records as rec
from blindspot.storage.analysts.answer import HARMLESS_EFFECTS, REFUSED_EFFECTS, TABLE_FUNCTIONS
from blindspot.storage.analysts.ready_queries import QUERIES
from blindspot.storage.analysts.results import Results
from blindspot.storage.analysts.session import QuerySession
from blindspot.storage.errors import StoreError
from blindspot.storage.store.store import Store

if TYPE_CHECKING:
    Ask = Callable[[str], list[tuple[Any, ...]]]

PWN = "(SELECT 'pwn') TO '{folder}/results.duckdb' (FORMAT csv, USE_TMP_FILE false)"
LOG = "(SELECT 'pwn') TO '{folder}/results.duckdb.wal' (FORMAT csv, USE_TMP_FILE false)"

WRITING = [
    f"WITH x AS (COPY {PWN}) SELECT 1",
    f"WITH x AS (COPY {LOG}) SELECT 1",
    f"WITH x AS MATERIALIZED (COPY {PWN}) FROM x",
    f"WITH RECURSIVE x AS (COPY {PWN}) SELECT 1",
    f"FROM (WITH x AS (COPY {PWN}) SELECT 1)",
    f"SELECT (WITH x AS (COPY {PWN}) SELECT 1)",
    f"SELECT 1 WHERE EXISTS (WITH x AS (COPY {PWN}) SELECT 1)",
    f"SELECT 1 UNION ALL (WITH x AS (COPY {PWN}) SELECT 1)",
    f"SELECT 1 ORDER BY (WITH x AS (COPY {PWN}) SELECT 1)",
    f"SELECT 1 LIMIT (WITH x AS (COPY {PWN}) SELECT 1)",
    f"SELECT list_transform([1], lambda a: (WITH x AS (COPY {PWN}) SELECT 1))",
    f"VALUES ((WITH x AS (COPY {PWN}) SELECT 1))",
    f"FROM runs JOIN (WITH x AS (COPY {PWN}) SELECT 1) ON true",
    f"FROM (PIVOT (WITH x AS (COPY {PWN}) SELECT 1 a) ON a IN (1) USING count(*))",
    f"WITH a AS (WITH b AS (WITH c AS (COPY {PWN}) SELECT 1) SELECT 1) SELECT 1",
    f"DESCRIBE WITH x AS (COPY {PWN}) SELECT 1",
    f"SUMMARIZE WITH x AS (COPY {PWN}) SELECT 1",
    f"EXPLAIN WITH x AS (COPY {PWN}) SELECT 1",
    f"EXPLAIN ANALYZE WITH x AS (COPY {PWN}) SELECT 1",
    f"EXPLAIN ANALYZE COPY {PWN}",
    f"/* SELECT */ EXPLAIN ANALYZE COPY {PWN}",
    "FROM query('WITH x AS (COPY (SELECT 1) TO ''{folder}/results.duckdb'' (FORMAT csv)) SELECT 1')",
    "FROM main.query('SELECT 1')",
    "FROM \"QUERY\"('SELECT 1')",
    "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT nextval('numbers')",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = '{folder}')",
    "SELECT write_log('x')",
    "FROM checkpoint()",
    "FROM force_checkpoint()",
    "FROM truncate_duckdb_logs()",
    "FROM arrow_scan(1, 1, 1)",
    "FROM pandas_scan(1)",
    "WITH gone AS (DELETE FROM runs RETURNING *) FROM gone",
    "WITH more AS (INSERT INTO runs FROM runs RETURNING *) FROM more",
    "WITH other AS (UPDATE runs SET name = 'x' RETURNING *) FROM other",
    "WITH other AS (MERGE INTO runs USING runs r ON false WHEN NOT MATCHED THEN INSERT RETURNING *) FROM other",
    "DELETE FROM runs",
    "CREATE TABLE mine (i INTEGER)",
    "CREATE TEMP TABLE mine AS SELECT 1",
    f"COPY {PWN}",
    "COPY (PIVOT runs ON name USING count(*)) TO '{folder}/results.duckdb.wal'",
    "SELECT 1; COPY runs TO '{folder}/results.duckdb.wal'",
    "EXPORT DATABASE '{folder}/all'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{folder}/other.duckdb' AS other",
    "DETACH results",
    "USE memory",
    "CHECKPOINT",
    "PRAGMA enable_profiling",
    "PRAGMA json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "CALL checkpoint()",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PREPARE p AS COPY runs TO '{folder}/results.duckdb.wal'",
    "EXECUTE p",
    "INSTALL httpfs",
    "LOAD httpfs",
    "BEGIN",
    "VACUUM",
    "",
    ";",
    "--",
]

PEEPING = [
    "SELECT * FROM read_text('/etc/hostname')",
    "SELECT * FROM read_blob('{folder}/store.duckdb')",
    "SELECT * FROM '{folder}/store.duckdb'",
    "SELECT * FROM 'secret.csv'",
    'SELECT * FROM "{folder}/secret.csv"',
    "SELECT * FROM read_csv('{folder}/secret.csv')",
    "SELECT * FROM sniff_csv('{folder}/secret.csv')",
    "SELECT * FROM parquet_metadata('{folder}/x.parquet')",
    "SELECT * FROM glob('/*')",
    "SELECT getenv('HOME')",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
]

BROKEN = [
    "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "SELECT " + "NOT " * 20000 + "true",
    "SELECT " + "1+" * 20000 + "1",
    "SELECT [" * 2000,
    "SELECT '\x00'\x00",
    "SELECT chr(0) || \x00",
    "SELEC",
    "SELECT 'open",
    "SELECT $n",
]

READING = [
    "SELECT 1",
    "FROM runs",
    "TABLE runs",
    "VALUES (1), (2)",
    "  -- a comment\n SELECT 1;",
    "DESCRIBE runs",
    "DESCRIBE SELECT 1",
    "SHOW TABLES",
    "SHOW ALL TABLES",
    "SUMMARIZE runs",
    "EXPLAIN SELECT * FROM runs",
    "EXPLAIN ANALYZE FROM runs",
    "WITH RECURSIVE t AS (SELECT 1 a UNION ALL SELECT a + 1 FROM t WHERE a < 5) FROM t",
    "FROM (PIVOT runs ON name IN ('run-1') USING count(*))",
    "FROM (UNPIVOT (SELECT 1 a, 2 b) ON a, b)",
    "SELECT DISTINCT ON (kind) kind, name FROM runs ORDER BY ALL LIMIT 10%",
    "SELECT count(*) FILTER (tau > 0.5) OVER (PARTITION BY kind ORDER BY tau DESC) FROM runs QUALIFY true",
    "SELECT CAST(tau AS DECIMAL(3, 1)), TRY_CAST(name AS INTEGER), tau::ENUM ('a'), [x + 1 FOR x IN [1]] FROM runs"
    " WHERE false",
    "SELECT {{'a': 1}}.a, MAP {{'k': 1}}['k'], list_filter([1, 2], lambda x: x > 1), COLUMNS('name') FROM runs",
    "SELECT CASE WHEN tau BETWEEN 0 AND 1 THEN 'a' END, name IN ('a'), EXISTS (FROM runs) FROM runs",
    "SELECT r.name FROM runs r ASOF JOIN runs s ON r.started_at >= s.started_at",
    "SELECT * FROM runs, LATERAL (SELECT runs.tau) t, range(2) r(i), unnest([1]) u(j)",
    "SELECT * FROM json_each('[1]'), generate_series(1, 2)",
    "SELECT name FROM runs GROUP BY GROUPING SETS ((name), ())",
    "FROM runs TABLESAMPLE 50%",
    "SELECT run_id FROM runs UNION BY NAME SELECT name FROM runs EXCEPT SELECT 'a', 'b'",
    "FROM duckdb_columns()",
    "FROM information_schema.tables",
    "SELECT random() < 2, uuid() IS NOT NULL, current_setting('threads') > 0",
    "SELECT min(x) FROM histogram_values(runs, tau) t(x, y)",
]

SLOW = {
    "one long call": "SELECT levenshtein(repeat('ab', 150000), repeat('ba', 150000 + CAST(tau AS INTEGER))) FROM runs",
    "many rows": "SELECT count(*) FROM range(100000) a, range(10000000) b WHERE a.range * b.range % 7 = 3",
    "no end": "WITH RECURSIVE t AS (SELECT 1 a UNION ALL SELECT a + 1 FROM t) SELECT count(*) FROM t",
}
GREEDY = [
    "SELECT length(list(repeat('x', 1000000) || i)::VARCHAR) FROM range(1000000) t(i)",
    "SELECT length(string_agg(repeat('x', 1000000), '')) FROM range(1000000)",
    "SELECT repeat('x', 4000000000)",
    "SELECT a.range FROM range(2000000000) a ORDER BY random()",
]


def make_workspace(folder: Path) -> Path:
    began = datetime(2026, 1, 2)
    with Store.open(folder) as store:
        store.add([rec.Run("run-1", "run-1", "finished", {}, 0, "rules", "dat-1", 0.65, {}, began)])
        store.publish()
    (folder / "secret.csv").write_text("secret\n1\n")
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def process(workspace: Path) -> Iterator[QuerySession]:
    with QuerySession.open(workspace) as session:
        yield session


def ask_process(workspace: Path, request: pytest.FixtureRequest) -> Ask:
    process: QuerySession = request.getfixturevalue("process")
    assert process.folder == workspace

    def ask(sql: str) -> list[tuple[Any, ...]]:
        return list(process.ask(sql, timeout_s=60).rows())

    return ask


def ask_here(workspace: Path, request: pytest.FixtureRequest) -> Ask:
    results = Results.open(workspace)
    request.addfinalizer(results.close)
    return lambda sql: results.query(sql)[1]


DOORS = {"process": ask_process, "in-process": ask_here}


@pytest.fixture(params=DOORS)
def ask(workspace: Path, request: pytest.FixtureRequest) -> Ask:
    return DOORS[request.param](workspace, request)


def contents(folder: Path) -> list[tuple[str, bytes]]:
    return sorted((path.name, path.read_bytes()) for path in folder.iterdir() if path.is_file())


@pytest.mark.parametrize("sql", [*WRITING, *PEEPING, *BROKEN], ids=lambda sql: sql[:60])
def test_a_hostile_query_gets_one_line_and_changes_nothing(ask: Ask, workspace: Path, sql: str) -> None:
    before = contents(workspace)
    with pytest.raises(StoreError) as caught:
        ask(sql.format(folder=workspace))
    assert "\n" not in str(caught.value)
    assert contents(workspace) == before
    assert ask("SELECT count(*) FROM runs") == [(1,)]


@pytest.mark.parametrize("sql", READING, ids=lambda sql: sql[:60])
def test_a_query_that_reads_is_answered(ask: Ask, sql: str) -> None:
    assert isinstance(ask(sql.format()), list)


def test_every_ready_query_reads(ask: Ask) -> None:
    for query in QUERIES:
        ask(query.text({}))


@pytest.mark.parametrize("sql", SLOW.values(), ids=SLOW)
def test_a_slow_query_ends_within_a_second_of_its_limit(workspace: Path, sql: str) -> None:
    with QuerySession.open(workspace) as session:
        began = time.monotonic()
        with pytest.raises(StoreError, match=r"stopped after 1 s"):
            list(session.ask(sql, timeout_s=1).rows())
        assert time.monotonic() - began < 2
        assert list(session.ask("SELECT count(*) FROM runs", timeout_s=60).rows()) == [(1,)]


@pytest.mark.parametrize("sql", GREEDY)
def test_a_greedy_query_ends_at_its_limit_of_memory(workspace: Path, sql: str) -> None:
    with (
        QuerySession.open(workspace, memory_mb=256) as session,
        pytest.raises(StoreError, match=r"more memory than|too large|maximum") as caught,
    ):
        list(session.ask(sql, timeout_s=120).rows())
    assert "\n" not in str(caught.value)


CONFINED = """
import sys
from pathlib import Path
import duckdb
from blindspot.storage.analysts.answering import confine
from blindspot.storage.analysts.results import Results

folder = Path(sys.argv[1])
results = Results.open_private(folder, memory_mb=256)
confine(memory_mb=256)
with results._cursor() as cursor:
    ((opened,),) = cursor.execute("SELECT path FROM duckdb_databases() WHERE path IS NOT NULL").fetchall()
    assert not Path(opened).parent.exists()
    for target in (opened, f"{opened}.wal", folder / "results.duckdb", folder / "results.duckdb.wal"):
        copy = f"COPY (SELECT 'pwn') TO '{target}' (FORMAT csv, USE_TMP_FILE false)"
        for sql in (copy, f"WITH x AS ({copy}) SELECT 1"):
            try:
                cursor.execute(sql).fetchall()
            except duckdb.Error:
                continue
            sys.exit(f"written: {sql}")
    assert cursor.execute("SELECT count(*) FROM runs").fetchall() == [(1,)]
"""


def test_the_process_can_write_nothing_of_the_workspace(workspace: Path) -> None:
    """Were the tree of a query misread, there would still be no path to the results, and no byte to write."""
    before = contents(workspace)
    ended = subprocess.run([sys.executable, "-c", CONFINED, workspace], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert contents(workspace) == before


def test_the_functions_that_have_effects_are_all_known() -> None:
    with duckdb.connect() as connection:
        names = connection.execute("SELECT DISTINCT function_name FROM duckdb_functions() WHERE has_side_effects")
        assert {name for (name,) in names.fetchall()} == HARMLESS_EFFECTS | REFUSED_EFFECTS
        names = connection.execute("SELECT function_name FROM duckdb_functions() WHERE function_type LIKE 'table%'")
        assert {name for (name,) in names.fetchall()} >= TABLE_FUNCTIONS


@pytest.mark.parametrize("log", [b"", b"half a log", b"\x00" * 4096])
def test_a_log_left_beside_the_results_is_read_by_no_query_and_gone_when_published(tmp_path: Path, log: bytes) -> None:
    make_workspace(tmp_path)
    left = tmp_path / "results.duckdb.wal"
    left.write_bytes(log)
    with QuerySession.open(tmp_path) as session:
        assert list(session.ask("SELECT count(*) FROM runs").rows()) == [(1,)]
    with Store.open(tmp_path) as store:
        store.publish()
    assert not left.exists()
    with Results.open(tmp_path) as results:
        assert results.query("SELECT count(*) FROM runs")[1] == [(1,)]


def test_a_link_planted_where_the_copy_is_made_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    workspace = tmp_path / "ws"
    workspace.mkdir()
    (workspace / "results.duckdb.new").symlink_to(precious)
    make_workspace(workspace)
    assert precious.read_text() == "mine"
    assert not (workspace / "results.duckdb").is_symlink()
