"""What docs/analysts.md says is so."""

from __future__ import annotations

import re
import shlex
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from blindspot.cli.query.names import known_tables
from blindspot.storage import records as rec
from blindspot.storage.analysts.ready_queries import QUERIES
from blindspot.storage.analysts.results import Results
from blindspot.storage.store.store import Store
from support.commands import Cli
from support.places import ROOT

PAGE = (ROOT / "docs" / "analysts.md").read_text(encoding="utf-8")
RUN = rec.Run("demo-1", "demo", "finished", {}, 0, "rules", "dat-1", 0.65, {}, datetime(2026, 1, 2))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    with Store.open(folder) as store:
        store.add([RUN])
        store.publish()
    return folder


def test_it_names_every_table_view_and_ready_query_with_its_question() -> None:
    assert {name for name in known_tables() if f"`{name}`" not in PAGE} == set()
    sections = dict(re.findall(r"^### (\S+)\n\n(.*?)(?=^##)", PAGE, flags=re.MULTILINE | re.DOTALL))
    assert list(sections) == [query.name for query in QUERIES]
    for query in QUERIES:
        text = " ".join(sections[query.name].split())
        assert query.question.split(" (")[0].removesuffix("?") in text
        header = re.search(r"^     (\S.*)\n     ─", sections[query.name], flags=re.MULTILINE)
        assert header is not None
        assert set(header[1].split()) - set(query.columns) == set(), query.name


def test_its_commands_are_answered(cli: Cli, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLINDSPOT_WORKSPACE", str(workspace))
    (tmp_path / "mine.sql").write_text("FROM uus WHERE confidence >= $tau AND run_id = coalesce($run, run_id)")
    page = PAGE.split("## What there is")[0].replace("\n      ", " ")  # a query may take several lines
    lines = re.findall(r"^    (?:echo (\".*\") \| )?blindspot (query .*)", page, re.MULTILINE)
    assert len(lines) >= 7
    for said, line in lines:
        words = [str(workspace) if word == "blindspot-demo" else word for word in shlex.split(line, comments=True)]
        answer = cli(*words, stdin=said.strip('"'))
        assert answer.code == 0, (line, answer)
    for line, told in re.findall(r"^    \$ blindspot (query .*)\n    (.*)$", PAGE, flags=re.MULTILINE):
        assert cli(*shlex.split(line)).err == f"{told}\n"


def test_its_sql_and_its_python_run(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Results.open(workspace) as results:
        inline = [sql for sql in re.findall(r"`([A-Z]{4,} [^`]+)`", PAGE) if "duckdb" in sql or sql.startswith("DESC")]
        for sql in [*re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL), *inline]:
            assert results.query(sql)[0], sql
    monkeypatch.chdir(workspace)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/analysts.md", "exec"), names)
    assert list(names["frame"].columns)[:2] == ["uu_id", "run_id"]
    assert len(names["taught"]) == 0
