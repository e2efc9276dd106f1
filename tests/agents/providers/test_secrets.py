"""No key reaches a file or the terminal, whatever a provider repeats of it; what is written is for its owner alone."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import duckdb
import pytest
from aiohttp import web

from blindspot.agents.providers.peer import Peer
from blindspot.tools.data.planted import generate_reviews
from support.processes import WarmPython
from support.runs import Table
from support.teacher_server import TeacherServer

KEY = "0123456789-not/of-the+usual=form"
COMMAND = "import sys; from blindspot.cli.main import main; sys.exit(main())"


def echo(server: TeacherServer) -> None:
    """Have the server teach well, and put the key into all that it sends: texts, names, arguments, errors, headers."""
    statuses = chain((529, 400), repeat(200))

    async def respond(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        key = request.headers.get("x-api-key") or request.headers["Authorization"].removeprefix("Bearer ")
        assert key == KEY
        first = body["messages"][0]["content"]
        prompt = first if isinstance(first, str) else json.dumps(first)
        told = f"The key {key} was used"
        if (status := next(statuses)) != 200:
            refused = {"type": "error", "error": {"type": "overloaded", "message": told}}
            return web.json_response(refused, status=status, headers={"Retry-After": "0"})
        review = generate_reviews(1, planted=1, seed=len(prompt), split="test")[0]
        sample = {"reasoning": told, "fields": {"text": f"{review.text} {key}"}, "label": review.label}
        if body.get("tools") and len(body["messages"]) == 1:
            texts = [{"fields": {"text": f"{told} {review.text}"}, "label": review.label}]
            made: Any = await server.use_tools(("classify", {"texts": texts}), (key, {key: key}), text=told)(request)
        elif '"samples"' in prompt:
            made = await server.say(json.dumps({"samples": [sample]}))(request)
        else:
            made = await server.say(json.dumps({"reasoning": told, "hypothesis": f"{told} ({len(prompt)})."}))(request)
        answer = json.loads(made.body) | {"model": f"small-{key}", "id": key}
        return web.json_response(answer, headers={"x-request-id": key, "x-key": key})

    server.respond = respond


def rows_in(path: Path) -> str:
    """All rows of a database or a Parquet file as text: both are compressed."""
    if path.suffix == ".parquet":
        return str(duckdb.read_parquet(str(path)).fetchall())
    if path.suffix == ".sqlite":
        with closing(sqlite3.connect(path)) as connection:
            return "\n".join(connection.iterdump())
    with duckdb.connect(str(path), read_only=True) as connection:
        names = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return str([connection.execute(f"FROM {name}").fetchall() for name in names])


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_a_key_that_a_provider_repeats_everywhere_is_nowhere_to_be_found(
    provider: str, teacher_server: TeacherServer, warm_python: WarmPython, small_run: Table, tmp_path: Path
) -> None:
    echo(teacher_server)
    spec = teacher_server.spec(provider)
    teacher = {"spec": spec, "autonomy": "probing", "probes": 2, "requests_per_second": 500, "confirm_usd": 1000.0}
    sections = {**small_run, "teacher": teacher, "select": {"share": 1, "most": 3}}
    toml = "".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        for name, values in sections.items()
    )
    (tmp_path / "mitigation.toml").write_text(toml)
    env = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}
    said = ""
    for command in (
        ["run", "mitigation.toml", "--yes"],
        ["report", "-w", "ws", "--out", "out/report.html"],
        ["export", "-w", "ws", "--calls", "out/calls.jsonl", "--data", "out/data"],
        ["export", "-w", "ws", "--parquet", "out/rows", "--models"],
    ):
        ended = await asyncio.to_thread(warm_python.run, "-c", COMMAND, *command, folder=tmp_path, env=env)
        assert ended.code == 0, ended.err
        said += ended.out + ended.err
    assert KEY not in said
    written = [path for folder in ("ws", "out") for path in (tmp_path / folder).rglob("*") if path.is_file()]
    assert {path.suffix for path in written} >= {".duckdb", ".sqlite", ".parquet", ".html", ".jsonl", ".safetensors"}
    for path in written:
        assert KEY.encode() not in path.read_bytes(), path
        assert path.stat().st_mode & 0o077 == 0, path
        if path.suffix in (".duckdb", ".parquet", ".sqlite"):
            assert KEY not in rows_in(path), path
    with duckdb.connect(str(tmp_path / "ws" / "store.duckdb"), read_only=True) as store:
        for table, column in (
            ("teacher_calls", "reply"), ("teacher_calls", "model"), ("teacher_calls", "tool_uses"),
            ("teacher_calls", "error"), ("hypotheses", "text"), ("synthetic_samples", "fields"),
            ("tool_calls", "arguments"), ("events", "message"),
        ):  # fmt: skip
            marked = f"SELECT count(*) FROM {table} WHERE CAST({column} AS VARCHAR) LIKE '%[key]%'"
            assert store.execute(marked).fetchall() != [(0,)], (table, column)


def test_a_proxys_password_is_not_told() -> None:
    told = Peer("openai:m", "host", KEY).redacted("no such proxy: http://somebody:hunter2@proxy.example:8080/")
    assert told == "no such proxy: http://[user]@proxy.example:8080/"
