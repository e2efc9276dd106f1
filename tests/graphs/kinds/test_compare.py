"""`blindspot compare-teachers`: the same UUs for all, one that fails among them, caps, kills, and what is printed."""

from __future__ import annotations

import asyncio
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from blindspot.cli.show.comparison_table import print_comparison_results, read_comparison
from blindspot.cli.show.display import LiveDisplay
from blindspot.graphs.context import Progress
from blindspot.graphs.kinds.comparison import teacher_settings
from blindspot.graphs.running.run import resume_run, start_run
from blindspot.storage import records as rec
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import Cancelled, SettingsError, TeacherError, Waiting
from blindspot.storage.settings.sections import Settings, check_settings
from blindspot.storage.store.store import Store
from blindspot.tools.data.planted import generate_reviews, write_dataset
from blindspot.tools.metrics.statistics import share_interval
from blindspot.tools.metrics.teacher_comparison import Taught, bought_for, count_taught
from support.commands import Cli
from support.processes import WarmPython
from support.runs import Table
from support.teacher_server import TeacherServer, prompt_of
from support.workspaces import read, tables

MakeTable = Callable[..., Table]

LABELS = ("negative", "positive")
UUS = 5
QUESTIONS = 4 * UUS  # two hypotheses about each UU, samples after both
START = datetime(2026, 1, 2, 3, 4, 5)
TABLES = (
    "runs", "datasets", "samples", "model_versions", "predictions", "attacks", "uus", "hypotheses",
    "synthetic_samples", "teacher_calls", "tool_calls", "teacher_comparisons",
)  # fmt: skip
rows_of = partial(tables, names=TABLES, without=["settings"])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Splits to train and validate on: a comparison has no use for a test split."""
    folder = tmp_path_factory.mktemp("planted") / "data"
    write_dataset(folder, seed=0, rows={"train": 60, "validation": 60, "test": 10}, planted_share=0.3)
    (folder / "test.parquet").unlink()
    return folder


@pytest.fixture
def table(tuned: Path, data: Path, tmp_path: Path) -> MakeTable:
    """Makes the settings of a comparison of some teachers, in a workspace of the test's own."""

    def make(*teachers: str, **changes: dict[str, Any]) -> Table:
        made: Table = {
            "run": {"name": "compare", "workspace": str(tmp_path / "ws")},
            "data": {"path": str(data), "task": "sentiment of reviews"},
            "classifier": {"model": str(tuned), "fine_tune": False, "max_tokens": 64, "device": "cpu"},
            "attack": {"samples": 6},
            "select": {"share": 1, "most": UUS},
            "teacher": {"attempts": 2, "requests_per_second": 1000, "requests_per_minute": 10_000,
                        "tokens_per_minute": 10_000_000},
            "filter": {"references": 20, "bertscore": 0.0},
            "compare": {"teachers": list(teachers)},
        }  # fmt: skip
        for section, values in changes.items():
            made[section] |= values
        return made

    return make


def teach_well(server: TeacherServer, *, repeating: str = "") -> None:
    """Let the server answer every question in its form.

    Args:
        repeating: a path whose samples are all one text.
    """

    async def behave(request: web.Request) -> web.StreamResponse:
        asked = prompt_of(await request.json())
        seed = 0 if request.path == repeating else zlib.crc32(asked.encode())
        return await server.say(good_answer(asked, seed))(request)

    server.respond = behave


def good_answer(asked: str, seed: int) -> str:
    """Answer a prompt in its form."""
    review = generate_reviews(1, planted=1, seed=seed, split="test")[0]
    sample = {"reasoning": "it follows", "fields": {"text": review.text}, "label": review.label}
    explained = {"reasoning": "It counts words.", "hypothesis": f"Negated dislike reads as dislike ({seed})."}
    return json.dumps({"samples": [sample]} if '"samples"' in asked else explained)


async def compare(settings: dict[str, dict[str, Any]] | Settings, **options: Any) -> rec.Run:
    """Carry a comparison out in a thread, as a command does: the loop is the server's."""
    made = settings if isinstance(settings, Settings) else check_settings(settings, where="test")
    return await asyncio.to_thread(start_run, made, **(QUIET | {"kind": "comparison"} | options))


async def resume(workspace: Path, **options: Any) -> rec.Run:
    return await asyncio.to_thread(resume_run, workspace, None, **(QUIET | options))


QUIET: dict[str, Any] = {"show": lambda _: None, "cancelled": lambda: False}


def compared(workspace: Path) -> dict[str, rec.TeacherComparison]:
    with Store.open(workspace) as store:
        return {row.teacher: row for row in store.rows(rec.TeacherComparison)}


async def test_every_teacher_explains_the_same_uus_and_is_filtered_alone(
    teacher_server: TeacherServer, table: MakeTable, tmp_path: Path
) -> None:
    teach_well(teacher_server, repeating="/v1/messages")
    openai, anthropic = teacher_server.spec("openai"), teacher_server.spec("anthropic")
    run = await compare(table(openai, anthropic, "rules"))
    assert (run.status, run.kind, run.teacher) == ("finished", "comparison", f"{openai}, {anthropic}, rules")
    selected = {uu_id for (uu_id,) in read(tmp_path / "ws", "SELECT uu_id FROM uus WHERE selected")}
    assert len(selected) == UUS
    taught = read(tmp_path / "ws", "SELECT teacher, uu_id, kind FROM hypotheses")
    assert Counter(taught) == Counter(
        (teacher, uu_id, kind)
        for teacher in (openai, anthropic, "rules")
        for uu_id in selected
        for kind in ("abstraction", "extrapolation")
    )
    rows = compared(tmp_path / "ws")
    assert {(row.uus, row.uus_skipped, row.written) for row in rows.values()} == {(UUS, 0, 2 * UUS)}
    # Anthropic's one text is no copy of anything of OpenAI's, and the first of its ten is no copy of its own.
    assert rows[openai].accepted >= UUS
    assert (rows[anthropic].accepted, rows[anthropic].near_duplicates) == (1, 2 * UUS - 1)
    for spec in (openai, anthropic):
        assert (rows[spec].calls, rows[spec].tokens_in, rows[spec].tokens_out) == (20, 20 * 11, 20 * 7)
        assert (rows[spec].latency_s or 0) > 0
    assert (rows["rules"].calls, rows["rules"].cost_usd, rows["rules"].latency_s) == (0, 0.0, None)


async def test_a_sample_fools_where_the_model_contradicts_the_teacher_with_confidence(
    teacher_server: TeacherServer, table: MakeTable, tmp_path: Path
) -> None:
    teach_well(teacher_server)
    await compare(table(teacher_server.spec("openai"), "rules", run={"tau": 0.9}))
    counted = read(
        tmp_path / "ws",
        "SELECT teacher, count(*), count(*) FILTER (p.predicted <> s.label AND p.confidence >= 0.9) "
        "FROM predictions p JOIN synthetic_samples s ON p.subject_id = s.synthetic_id "
        "JOIN hypotheses USING (hypothesis_id) WHERE subject_kind = 'synthetic' GROUP BY teacher",
    )
    rows = compared(tmp_path / "ws")
    assert {(row.teacher, row.written, row.fooling) for row in rows.values()} == set(counted)
    assert 0 < rows[teacher_server.spec("openai")].fooling < 2 * UUS


async def test_a_teacher_that_fails_is_recorded_and_the_others_go_on(
    teacher_server: TeacherServer, table: MakeTable, tmp_path: Path
) -> None:
    teach_well(teacher_server)
    good, refuse = teacher_server.respond, teacher_server.refuse(401, "this key was revoked")
    assert good is not None

    async def behave(request: web.Request) -> web.StreamResponse:
        return await (refuse if request.path == "/v1/messages" else good)(request)

    teacher_server.respond = behave
    openai, anthropic = teacher_server.spec("openai"), teacher_server.spec("anthropic")
    assert (await compare(table(anthropic, openai))).status == "finished"
    rows = compared(tmp_path / "ws")
    assert rows[openai].written == 2 * UUS
    assert (rows[anthropic].uus, rows[anthropic].uus_skipped, rows[anthropic].calls) == (UUS, UUS, 0)
    ((message,),) = read(tmp_path / "ws", "SELECT message FROM events WHERE level = 'error'")
    assert message.startswith(f"{anthropic} failed: ")
    assert "this key was revoked" in message
    with Results.open(tmp_path / "ws") as results:
        found = read_comparison(results, "compare-1")
    assert [row["teacher"] for row in found["teachers"]] == [anthropic, openai]
    assert "this key was revoked" in found["teachers"][0]["failed"]
    assert found["teachers"][1]["failed"] is None


async def test_a_comparison_of_which_no_teacher_can_be_used_fails_and_can_be_resumed(
    teacher_server: TeacherServer, table: MakeTable, tmp_path: Path
) -> None:
    teacher_server.respond = teacher_server.refuse(401, "this key was revoked")
    openai, anthropic = teacher_server.spec("openai"), teacher_server.spec("anthropic")
    with pytest.raises(TeacherError, match=r"openai:.*revoked.*; anthropic:.*revoked"):
        await compare(table(openai, anthropic))
    assert read(tmp_path / "ws", "SELECT status FROM runs") == [("failed",)]
    for change in ("compare.teachers=['rules', 'openai:m']", "teacher.spec=openai:m"):
        with pytest.raises(SettingsError, match="it cannot change; start a new run"):
            await resume(tmp_path / "ws", overrides=[change])
    teach_well(teacher_server)
    assert (await resume(tmp_path / "ws")).status == "finished"
    assert all(row.written == 2 * UUS for row in compared(tmp_path / "ws").values())


async def test_the_caps_are_those_of_the_run_and_every_model_gets_the_same_part(
    teacher_server: TeacherServer, table: MakeTable, tmp_path: Path
) -> None:
    teach_well(teacher_server)
    openai, anthropic = teacher_server.spec("openai"), teacher_server.spec("anthropic")
    await compare(table(openai, "rules", anthropic, teacher={"max_calls": 25}))
    assert Counter(asked.path for asked in teacher_server.asked) == {"/v1/chat/completions": 12, "/v1/messages": 12}
    rows = compared(tmp_path / "ws")
    assert (rows[openai].calls, rows[anthropic].calls) == (12, 12)
    assert rows["rules"].written == 2 * UUS
    settings = check_settings(table("rules", "openai:a", "openai:b", teacher={"max_usd": 3.0}), where="test")
    assert teacher_settings(settings, "openai:b").teacher.max_usd == 1.5


@pytest.mark.parametrize(
    ("autonomy", "others"), [("scripted", "scripted"), ("probing", "probing"), ("autonomous", "probing")]
)
def test_no_teacher_of_a_comparison_decides_what_comes_next(table: MakeTable, autonomy: str, others: str) -> None:
    settings = check_settings(table("rules", "openai:a", teacher={"autonomy": autonomy}), where="test")
    assert teacher_settings(settings, "openai:a").teacher.autonomy == others
    assert teacher_settings(settings, "rules").teacher.autonomy == "scripted"


async def test_answers_that_the_cache_has_count_as_they_were_bought(
    teacher_server: TeacherServer, table: MakeTable, tmp_path: Path
) -> None:
    teach_well(teacher_server)
    openai = teacher_server.spec("openai")
    await compare(table(openai, "rules"))
    asked = len(teacher_server.asked)
    await compare(table(openai, "rules"))
    assert len(teacher_server.asked) == asked
    first, second = read(
        tmp_path / "ws",
        f"SELECT * EXCLUDE (run_id) FROM teacher_comparisons WHERE teacher = '{openai}' ORDER BY run_id",
    )
    assert first == second


MOMENTS = [("teach", 6), ("filter", 0), ("compare", -1)]


async def test_a_killed_comparison_ends_with_the_rows_of_one_that_was_not(
    teacher_server: TeacherServer, warm_python: WarmPython, table: MakeTable, tmp_path: Path
) -> None:
    teach_well(teacher_server)
    teachers = (teacher_server.spec("openai"), teacher_server.spec("anthropic"), "rules")
    await compare(table(*teachers))
    asked = Counter(json.dumps(one.body) for one in teacher_server.asked)
    teacher_server.asked.clear()
    again = table(*teachers, run={"workspace": str(tmp_path / "killed")}, teacher={"concurrency": 1})
    await asyncio.to_thread(warm_python.kill_run, again, tmp_path, *MOMENTS, kind="comparison")
    assert (await resume(tmp_path / "killed")).status == "finished"
    assert rows_of(tmp_path / "killed") == rows_of(tmp_path / "ws")
    twice = Counter(json.dumps(one.body) for one in teacher_server.asked) - asked
    assert sum(twice.values()) <= 2  # of each model the one that was in flight when it was killed


async def test_a_stopped_comparison_says_so_and_goes_on(
    teacher_server: TeacherServer, table: MakeTable, tmp_path: Path
) -> None:
    teach_well(teacher_server)
    teacher_server.delay_s = 0.02
    caps = {"concurrency": 1, "max_calls": 2 * QUESTIONS}  # each has what it needs, whatever the other has bought
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        await compare(
            table(teacher_server.spec("openai"), teacher_server.spec("anthropic"), teacher=caps),
            show=seen.append,
            cancelled=lambda: bool(seen) and seen[-1].phase == "teach" and seen[-1].done >= 2,
        )
    assert read(tmp_path / "ws", "SELECT status FROM runs") == [("stopped",)]
    run = await resume(tmp_path / "ws")
    assert (run.status, run.stop_reason) == ("finished", "the comparison is done")
    assert len(teacher_server.asked) == 2 * QUESTIONS
    assert {row.calls for row in compared(tmp_path / "ws").values()} == {QUESTIONS}


def answer_questions(folder: Path) -> int:
    """Answer the questions in a folder's files, as a person would. Returns: how many there are."""
    asked = [json.loads(line) for path in folder.glob("*.questions.jsonl") for line in path.read_text().splitlines()]
    answers = [
        {"custom_id": one["custom_id"], "answer": good_answer(prompt_of(one["body"]), seed)}
        for seed, one in enumerate(asked)
    ]
    (folder / "mine.answers.jsonl").write_text("\n".join(map(json.dumps, answers)))
    return len(asked)


async def test_teachers_that_wait_for_files_hold_up_no_other(
    teacher_server: TeacherServer, table: MakeTable, tmp_path: Path
) -> None:
    teach_well(teacher_server)
    folders = [tmp_path / "mine", tmp_path / "hers"]
    specs = [f"file:{folder}" for folder in folders]
    with pytest.raises(Waiting, match=r"mine.*hers"):
        await compare(table(*specs, teacher_server.spec("openai"), "rules", teacher={"autonomy": "probing"}))
    assert len(teacher_server.asked) == QUESTIONS
    assert read(tmp_path / "ws", "SELECT status FROM runs") == [("waiting",)]
    answer_questions(folders[0])
    with pytest.raises(Waiting, match=r"mine.*hers"):
        await resume(tmp_path / "ws")
    for _ in range(2):
        answer_questions(folders[0])
        with pytest.raises(Waiting, match="hers"):
            await resume(tmp_path / "ws")
    assert answer_questions(folders[0]) == QUESTIONS
    assert (await resume(tmp_path / "ws", skip_unanswered=True)).status == "finished"
    mine, hers, *others = (compared(tmp_path / "ws")[spec] for spec in (*specs, teacher_server.spec("openai"), "rules"))
    assert (mine.written, mine.uus_skipped, mine.calls) == (2 * UUS, 0, QUESTIONS)
    assert (hers.written, hers.uus_skipped, hers.calls) == (0, UUS, 0)
    assert {row.written for row in others} == {2 * UUS}
    assert len(teacher_server.asked) == QUESTIONS


async def test_without_uus_nothing_is_asked(teacher_server: TeacherServer, table: MakeTable, tmp_path: Path) -> None:
    settings = table(teacher_server.spec("openai"), "rules", run={"tau": 1.0}, attack={"recipes": [], "samples": 0})
    assert (await compare(settings)).stop_reason == "no UUs were found, so there was nothing to teach"
    assert not teacher_server.asked
    assert {(row.uus, row.written, row.calls) for row in compared(tmp_path / "ws").values()} == {(0, 0, 0)}
    with Results.open(tmp_path / "ws") as results:
        found = read_comparison(results, "compare-1")
    assert {row["fooling_share"] for row in found["teachers"]} == {None}
    assert "– " in shown(found)


def shown(found: dict[str, Any], width: int = 100) -> str:
    file = io.StringIO()
    print_comparison_results(Console(file=file, width=width, markup=False, highlight=False, emoji=False), found)
    return file.getvalue()


def write(table: dict[str, dict[str, Any]], file: Path) -> None:
    """Write settings as TOML; JSON's scalars and lists are TOML's."""
    parts = (
        f"[{section}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        for section, values in table.items()
    )
    file.write_text("\n".join(parts))


@pytest.fixture
async def servers_loop(teacher_server: TeacherServer) -> asyncio.AbstractEventLoop:  # noqa: ARG001 - which is on this loop
    return asyncio.get_running_loop()


@contextmanager
def serving(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let the server answer from a thread: a command takes the main one, for its signals."""
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def test_the_command_prints_json_or_a_table(
    teacher_server: TeacherServer,
    servers_loop: asyncio.AbstractEventLoop,
    table: MakeTable,
    tmp_path: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    teach_well(teacher_server)
    openai, anthropic = teacher_server.spec("openai"), teacher_server.spec("anthropic")
    write(table("rules", openai, run={"name": "mine"}), tmp_path / "mitigation.toml")
    teachers = ("--teacher", anthropic, "--teacher", openai, "--teacher", "rules")
    with serving(servers_loop):
        answer = cli("compare-teachers", "mitigation.toml", *teachers, "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert (found["run_id"], found["status"], found["uus"]["shown"]) == ("compare-1", "finished", UUS)
    assert [row["teacher"] for row in found["teachers"]] == [anthropic, openai, "rules"]
    for row in found["teachers"]:
        written, accepted = row["written"], row["accepted"]
        assert row["accepted_per_call"] == (accepted / row["calls"] if row["calls"] else None)
        assert row["accepted_per_uu"] == accepted / UUS
        assert row["fooling_low"] <= row["fooling_share"] == row["fooling"] / written <= row["fooling_high"]
    answer = cli("compare-teachers", "mitigation.toml", "--name", "again", "--quiet")  # the cache has every answer
    assert answer.code == 0, answer.err
    assert "again-1: finished, the comparison is done" in answer.out
    assert openai in answer.out
    assert anthropic not in answer.out
    assert "few samples (10 of rules, 10 of openai:" in answer.out
    (one, two) = json.loads(cli("status", "-w", "ws", "--json").out)
    assert (one["kind"], one["compared"], two["compared"], one["uus"]["before"] >= UUS) == ("comparison", 3, 2, True)
    assert "2 teachers" in cli("status", "-w", "ws").out
    hypotheses = json.loads(cli("hypotheses", "again-1", "-w", "ws", "--json").out)
    assert {row["teacher"] for row in hypotheses} == {"rules", openai}
    assert f"abstraction of {openai}  Negated dislike" in cli("hypotheses", "again-1", "-w", "ws").out


def test_a_comparison_that_may_cost_much_is_confirmed_first(
    cli: Cli, table: MakeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    write(table(teacher={"autonomy": "autonomous"}), tmp_path / "mitigation.toml")
    priced = [f"teacher.{name}=1e6" for name in ("usd_per_million_in", "usd_per_million_out")]
    options = [part for change in priced for part in ("--set", change)]
    answer = cli("compare-teachers", "mitigation.toml", "--teacher", "rules", "--teacher", "openai:m", *options)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert "may cost more than teacher.confirm_usd = 5" in answer.err
    assert "may choose to do more" not in answer.err
    assert not (tmp_path / "ws").exists()


MISTAKES = [
    (["--teacher", "rules"], "compare.teachers: 1 given; name two or more"),
    ([], "compare.teachers: 0 given; name two or more"),
    (["--teacher", "rules", "--teacher", "rules"], 'compare.teachers: "rules" is listed twice'),
    (["--teacher", "openai:m@http://h/v1", "--teacher", "openai:m@http://h/v1/"], "openai:m@http://h/v1"),
    (["--teacher", "rules", "--teacher", "oracle"], "unknown teacher 'oracle'"),
    (["--teacher", "rules", "--teacher", "openai:m"], "OPENAI_API_KEY"),
    (["--teacher", "openai:a", "--teacher", "openai:b", "--set", "teacher.max_calls=1"],
     "teacher.max_calls: 1 is too few for 2 teachers"),
    (["--teacher", "rules", "--teacher", "rules ", "--set", "filter.encoder='./absent'"], '"rules" is listed twice'),
]  # fmt: skip


@pytest.mark.parametrize(("options", "said"), MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(
    cli: Cli, table: MakeTable, tmp_path: Path, options: list[str], said: str
) -> None:
    write(table(), tmp_path / "mitigation.toml")
    answer = cli("compare-teachers", "mitigation.toml", *options)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mitigation.toml"]


def test_the_same_comparison_is_not_begun_twice(cli: Cli, table: MakeTable, tmp_path: Path) -> None:
    settings = check_settings(table("rules", "openai:m", run={"name": "compare"}), where="test")
    write(table("rules", "openai:m"), tmp_path / "mitigation.toml")
    run = rec.Run("compare-1", "compare", "stopped", settings.model_dump(mode="json"), 0, "rules, openai:m", "dat-1",
                  0.65, {}, START, kind="comparison")  # fmt: skip
    with Store.open(tmp_path / "ws") as store:
        store.add([run])
        store.publish()
    answer = cli("compare-teachers", "mitigation.toml")
    assert answer.code == 2
    assert "go on with `blindspot resume compare-1 -w ws`" in answer.err


def published(folder: Path, *rows: rec.TeacherComparison, ended: dict[str, str]) -> dict[str, Any]:
    """What is read of a comparison with these rows."""
    settings = {"classifier": {"model": "m"}, "teacher": {"autonomy": "scripted"}}
    run = rec.Run("compare-1", "compare", "finished", settings, 0, ", ".join(ended), "dat-1", 0.65, {}, START,
                  stop_reason="the comparison is done", kind="comparison")  # fmt: skip
    dataset = rec.Dataset("dat-1", "films", "/films", ("text",), ("neg", "pos"), "films", {"train": 9})
    uu = rec.Uu("uu-1", "compare-1", 0, "mdl-0", "natural", None, "smp-1", None, {"text": "a"}, "pos", "neg", 0.9)
    taught = rec.ToolCall("tool-1", "compare-1", 0, "teach", "graph", {}, ended, 1.0, START)
    with Store.open(folder) as store:
        store.add([run, dataset, replace(uu, selected=True), replace(uu, uu_id="uu-2"), taught, *rows])
        store.publish()
    with Results.open(folder) as results:
        return read_comparison(results, "compare-1")


ROW = rec.TeacherComparison("compare-1", "openai:a", 40, 1, 160, 80, 60, 12, 5, 90_000, 30_000, 0.1234, 2.5)


def test_the_table_fits_its_terminal_and_notes_what_to_know(tmp_path: Path) -> None:
    failed = replace(ROW, teacher="anthropic:b[red]\x1b[2J", calls=2, written=2, accepted=0, fooling=2, cost_usd=None)
    rules = replace(ROW, teacher="rules", calls=0, cost_usd=0.0, latency_s=None)
    found = published(
        tmp_path, ROW, failed, rules, ended={"openai:a": "80 samples", failed.teacher: "failed: no key", "rules": "80"}
    )
    wide, narrow = shown(found), shown(found, 60)
    for line in ("2 UUs", "60 (75 %)", "12 (15 %)", "9 to 24 %", "0.38", "1.50", "90,000 / 30,000", "$0.1234", "2.50"):
        assert line in wide, line
    assert "anthropic:b[red]\N{REPLACEMENT CHARACTER}[2J failed: no key" in wide
    assert "few samples (2 of anthropic:b" in wide
    assert "cost unknown" in wide
    lines = [line for line in narrow.splitlines() if not line.startswith(("results", "rows", "texts"))]
    assert max(map(len, lines)) <= 60
    assert narrow.count("samples written") == 3  # a part for each teacher


def test_the_live_panel_shows_the_phases_of_a_comparison(tmp_path: Path) -> None:
    published(tmp_path, ended={"rules": "2 samples"})
    console = Console(file=io.StringIO(), width=90, force_terminal=True, color_system=None, markup=False)
    display = LiveDisplay(console, tmp_path, lambda: False)
    display.show(Progress("compare-1", 0, "teach", 3, 12, kind="comparison"))
    console.print(display.render())
    assert "✓ attack  ✓ select  teach  filter  compare " in console.file.getvalue()  # type: ignore[attr-defined]


def a_call(key: str, run_id: str, kind: str, age: int = 0) -> rec.TeacherCall:
    """A call of one of four kinds: bought, malformed (an answer that would not do), dropped (none came), hit."""
    return rec.TeacherCall(
        f"call-{key}-{run_id}-{kind}-{age}", run_id, 0, "abstract", "uu-1", key, "openai:a", "?", "h",
        None if kind == "dropped" else "!", "m", 0 if kind == "hit" else 10, 0 if kind == "hit" else 5,
        0.0 if kind == "hit" else 0.5, float(age), 1, kind == "hit", None if kind in ("bought", "hit") else kind,
        START + timedelta(seconds=age),
    )  # fmt: skip


def test_calls_count_where_they_were_bought() -> None:
    calls = [
        a_call("a", "run-1", "malformed", 1), a_call("a", "run-1", "bought", 2), a_call("a", "run-2", "hit", 3),
        a_call("b", "run-2", "dropped", 4), a_call("b", "run-2", "malformed", 5),
        a_call("c", "run-1", "bought", 6), a_call("c", "run-2", "bought", 7), a_call("c", "run-2", "hit", 8),
        a_call("d", "run-1", "bought", 9),
    ]  # fmt: skip
    counted = [(call.cache_key, call.run_id, call.error) for call in bought_for(calls, "run-2")]
    assert counted == [
        ("a", "run-1", "malformed"), ("a", "run-1", None), ("b", "run-2", "dropped"), ("b", "run-2", "malformed"),
        ("c", "run-2", None),
    ]  # fmt: skip
    row = count_taught(Taught("run-2", "openai:a", [], [], [], calls), {}, tau=0.65)
    assert (row.calls, row.tokens_in, row.tokens_out, row.cost_usd, row.latency_s) == (4, 40, 20, 2.5, 3.5)
    unpriced = [replace(call, cost_usd=None) if call.cache_key == "b" else call for call in calls]
    assert count_taught(Taught("run-2", "openai:a", [], [], [], unpriced), {}, tau=0.65).cost_usd is None


KINDS = st.sampled_from(["bought", "malformed", "dropped", "hit"])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["run-1", "run-2"]), KINDS), max_size=12))
def test_no_call_counts_that_was_not_made_for_a_question_of_the_run(drawn: list[tuple[str, str, str]]) -> None:
    calls = [a_call(*one, age) for age, one in enumerate(drawn)]
    counted = bought_for(calls, "run-2")
    assert len({call.call_id for call in counted}) == len(counted)
    asked = {call.cache_key for call in calls if call.run_id == "run-2"}
    assert {call.cache_key for call in counted} <= asked
    assert not any(call.cache_hit for call in counted)
    bought = [call for call in calls if call.run_id == "run-2" and not call.cache_hit]
    usable = {call.cache_key for call in bought if call.error is None}
    assert [call for call in bought if call.cache_key in usable] == [
        call for call in counted if call.cache_key in usable
    ]


@given(st.integers(1, 200).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_interval_of_a_share_holds_it_and_stays_between_none_and_all(counts: tuple[int, int]) -> None:
    count, total = counts
    low, high = share_interval(count, total)
    assert 0 <= low <= count / total + 1e-12
    assert count / total - 1e-12 <= high <= 1
    mirrored = share_interval(total - count, total)
    assert mirrored == pytest.approx((1 - high, 1 - low))


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert share_interval(1, 10) == pytest.approx((0.0179, 0.4042), abs=1e-4)
    with pytest.raises(ValueError, match="nothing to take a share of"):
        share_interval(0, 0)
