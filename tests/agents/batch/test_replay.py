"""`replay:FILE`: recorded calls answer again in another workspace; the cache is seen and cleared."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from blindspot.agents.batch.replay import ReplayProvider
from blindspot.agents.calls.log import Attempt, Question, Recorder
from blindspot.agents.chat import Message, Reply, Tool, ToolResult, ToolUse
from blindspot.graphs.teaching.cache import clear_cache
from blindspot.graphs.teaching.teachers import StoredCalls
from blindspot.storage.clock import now
from blindspot.storage.errors import SettingsError, Unanswered
from blindspot.storage.records import Run, TeacherCall
from blindspot.storage.store.store import Store
from blindspot.storage.words import RunStatus
from support.commands import Cli

USE = ToolUse("use-1", "classify", '{"texts": ["a"]}')
ASKED = Question("abstract", "uu-1", "Why?", "hash", tools=(Tool("classify", "labels", {"type": "object"}),))
PROBED = Question(
    "abstract",
    "uu-1",
    "Why?",
    "hash",
    turns=(Message("assistant", "I look.", uses=(USE,)), Message("user", "", results=(ToolResult("use-1", "[1]"),))),
)
AGAIN = (Message("user", "Else?"), Message("assistant", "{"), Message("user", "It is cut off."))


def run_row(run_id: str, status: RunStatus) -> Run:
    return Run(run_id, "r", status, {}, 0, "openai:m", "data-1", 0.65, {}, now())


async def record(workspace: Path, *runs: str, spec: str = "openai:m") -> None:
    """Have runs ask a model three questions: with a tool, after its result, and one that took two attempts."""
    with Store.open(workspace) as store:
        for run_id in runs:
            store.put(run_row(run_id, "finished"))
            recorder = Recorder(spec, StoredCalls(store, spec))
            recorder.begin_round(run_id, 1)
            used = Reply("I look.", "m-1", 30, 5, uses=(USE,))
            await recorder.add(ASKED, "k1", Attempt(1, ASKED.messages, reply=used, cost_usd=0.5))
            done = Reply("Since it counts.", "m-1", 40, 6)
            await recorder.add(PROBED, "k2", Attempt(1, PROBED.messages, reply=done, cost_usd=0.25))
            other = Question("generate", "uu-1", "Else?", "hash")
            cut = Reply("{", "m-1", 7, 1)
            await recorder.add(other, "k3", Attempt(1, other.messages, reply=cut, error="malformed: cut", cost_usd=0.1))
            await recorder.add(other, "k3", Attempt(2, AGAIN, reply=Reply("Yes.", "m-1", 8, 2), cost_usd=0.1))
            declined = Question("abstract", "uu-2", "May I?", "hash")
            await recorder.add(declined, "k4", Attempt(1, declined.messages, error="declined"))
        store.publish()


@pytest.fixture
def exported(cli: Cli, tmp_path: Path) -> Path:
    asyncio.run(record(tmp_path / "ws", "r-1"))
    ended = cli("export", "--calls", "calls.jsonl", "-w", "ws")
    assert (ended.code, "5 calls of r-1" in ended.out) == (0, True)
    return tmp_path / "calls.jsonl"


async def test_a_recorded_conversation_gets_its_answer_with_the_tools_it_asked_for(exported: Path) -> None:
    provider = ReplayProvider(exported)
    first = await provider.complete(ASKED.messages, ASKED.tools)
    assert (first.text, first.uses, first.tokens_in) == ("I look.", (USE,), 30)
    assert (await provider.complete(PROBED.messages)).text == "Since it counts."
    await provider.aclose()


async def test_a_question_that_took_two_attempts_is_answered_at_once(exported: Path) -> None:
    assert (await ReplayProvider(exported).complete(AGAIN[:1])).text == "Yes."


async def test_a_question_that_was_not_recorded_or_not_answered_fails_alone(exported: Path) -> None:
    provider = ReplayProvider(exported)
    with pytest.raises(Unanswered, match=r"has no call with this question: 'Something new\?'"):
        await provider.complete([Message("user", "Something\nnew?")])
    with pytest.raises(Unanswered, match="recorded no answer: declined"):
        await provider.complete([Message("user", "May I?")])
    assert (await provider.complete(PROBED.messages)).text == "Since it counts."


def test_a_file_that_cannot_be_replayed_is_told_by_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no such file; `blindspot export --calls"):
        ReplayProvider(tmp_path / "none.jsonl")
    path = tmp_path / "bad.jsonl"
    path.write_text('{"prompt": "[user]\\nWhy?", "reply": "So."}\n\n{"reply": "So."}\n')
    with pytest.raises(SettingsError, match=r"line 3 is not a recorded call \(prompt: Field required\)"):
        ReplayProvider(path)


def test_what_is_no_regular_file_is_not_replayed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "calls.jsonl")
    for path in (tmp_path / "calls.jsonl", tmp_path, Path("/dev/zero")):
        with pytest.raises(SettingsError, match=f"replay:{path}: not a regular file"):
            ReplayProvider(path)


def test_export_writes_the_named_run_and_tells_the_others_where_there_is_none(exported: Path, cli: Cli) -> None:
    assert cli("export", "r-1", "--calls", "-", "-w", "ws").out == exported.read_text()
    assert {json.loads(line)["run_id"] for line in exported.read_text().splitlines()} == {"r-1"}
    ended = cli("export", "r-9", "--calls", "x", "-w", "ws")
    assert (ended.code, "no calls of r-9; runs that asked a teacher: r-1" in ended.err) == (2, True)


async def hit(workspace: Path, run_id: str, status: RunStatus) -> None:
    """Have a run find the answer of an earlier one."""
    with Store.open(workspace) as store:
        store.put(run_row(run_id, status))
        log = StoredCalls(store, "openai:m")
        recorder = Recorder("openai:m", log)
        recorder.begin_round(run_id, 1)
        found = await log.find("k1")
        assert found
        await recorder.add_hit(ASKED, "k1", found)
        store.publish()


async def find(workspace: Path, *keys: str) -> list[bool]:
    with Store.open(workspace) as store:
        return [await StoredCalls(store, "openai:m").find(key) is not None for key in keys]


def test_the_cache_tells_what_it_holds_and_what_it_saved(cli: Cli, tmp_path: Path) -> None:
    asyncio.run(record(tmp_path / "ws", "r-1"))
    asyncio.run(hit(tmp_path / "ws", "r-2", "finished"))
    (row,) = json.loads(cli("cache", "-w", "ws", "--json").out)
    assert row == {
        "teacher": "openai:m", "answers": 3, "tokens_in": 78, "tokens_out": 13, "cost_usd": pytest.approx(0.85),
        "found_again": 1, "saved_usd": 0.5,
    }  # fmt: skip
    assert "0.5000" in cli("cache", "-w", "ws").out


def test_cleared_answers_are_not_found_and_stay_as_rows(cli: Cli, tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    asyncio.run(record(workspace, "r-1"))
    assert asyncio.run(find(workspace, "k1", "k2", "k3")) == [True, True, True]
    assert cli("cache", "-w", "ws", "--clear").code == 2  # nobody is there to confirm it
    assert cli("cache", "-w", "ws", "--clear", "--teacher", "openai:other", "--yes").out.startswith("0 answers")
    assert cli("cache", "-w", "ws", "--clear", "--yes").out == "3 answers of every teacher are cleared\n"
    assert asyncio.run(find(workspace, "k1", "k2", "k3")) == [False, False, False]
    assert cli("cache", "-w", "ws").out == "no answers yet\n"
    with Store.open(workspace) as store:
        assert store.count(TeacherCall) == 5


def test_answers_that_a_run_to_be_resumed_has_used_are_kept(tmp_path: Path) -> None:
    asyncio.run(record(tmp_path, "r-1"))
    asyncio.run(hit(tmp_path, "r-2", "waiting"))
    assert clear_cache(tmp_path, None) == (2, 1)
    assert asyncio.run(find(tmp_path, "k1", "k2", "k3")) == [True, False, False]
