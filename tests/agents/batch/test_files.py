"""`file:FOLDER`: questions and answers lie in files; a run waits, reports what is wrong, and doubles nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.agents.batch.answer_files import read_answers, tell_problems
from blindspot.agents.batch.file_provider import FileProvider, question_line
from blindspot.agents.batch.question_files import OpenQuestion, read_questions, waiting_line, write_questions
from blindspot.agents.chat import Endpoint, Message
from blindspot.cli.commands.transfer import export
from blindspot.graphs.context import Progress
from blindspot.graphs.running.run import resume_run, start_run
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import SettingsError, TeacherError, Waiting
from blindspot.storage.records import Run
from blindspot.storage.settings.sections import check_settings
from blindspot.tools.data.planted import write_dataset
from support.commands import Cli
from support.processes import WarmPython
from support.runs import fine_tune_in_a_run
from support.teacher_server import TeacherServer

UUS = 4
ENDPOINT = Endpoint("", None, 5.0, None, 400)
EXPLAINED = {"reasoning": "It counts words.", "hypothesis": "Negated dislike reads as dislike."}
SAMPLE = {
    "reasoning": "it follows",
    "fields": {"text": "It was a long evening, and I would go there once more with all of my friends."},
    "label": "positive",
}


def ask(text: str) -> dict[str, Any]:
    return dict(question_line([Message("user", text)], ENDPOINT))


def questions(folder: Path, *texts: str) -> list[OpenQuestion]:
    return [OpenQuestion(folder, ask(text)) for text in texts]


def key(text: str) -> str:
    return str(ask(text)["custom_id"])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def put(path: Path, *answers: object) -> None:
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in answers))


def responded(text: str, content: str, *, model: str = "small-1") -> dict[str, Any]:
    """A line of a batch API's output."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    body = {"model": model, "choices": [choice], "usage": {"prompt_tokens": 30, "completion_tokens": 5}}
    return {"custom_id": key(text), "response": {"status_code": 200, "body": body}, "error": None}


async def test_a_question_without_an_answer_becomes_a_request_of_the_batch_api(tmp_path: Path) -> None:
    endpoint = Endpoint("", None, 5.0, 0.3, 400)
    with pytest.raises(OpenQuestion) as caught:
        await FileProvider(tmp_path / "later", endpoint).complete([Message("user", "Why?")])
    (path,) = write_questions([caught.value], "run-1-round1")
    assert path == tmp_path / "later" / "run-1-round1-pass1.questions.jsonl"
    (line,) = lines(path)
    assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
    assert line["body"] == {
        "model": "MODEL",
        "messages": [{"role": "user", "content": "Why?"}],
        "max_completion_tokens": 400,
        "temperature": 0.3,
    }


async def test_a_plain_answer_and_a_response_of_a_batch_answer_their_questions(tmp_path: Path) -> None:
    write_questions(questions(tmp_path, "one", "two", "three"), "r")
    plain = [{"custom_id": key("one"), "answer": "yes"}, {"custom_id": key("two"), "answer": EXPLAINED}]
    put(tmp_path / "r.answers.jsonl", *plain, "", responded("three", "no", model="gpt-x"))
    provider = FileProvider(tmp_path, ENDPOINT)
    one, two, three = [await provider.complete([Message("user", text)]) for text in ("one", "two", "three")]
    assert (one.text, one.model, one.tokens_in) == ("yes", "", 0)
    assert json.loads(two.text) == EXPLAINED
    assert (three.text, three.model, three.tokens_in, three.tokens_out) == ("no", "gpt-x", 30, 5)


BROKEN = {
    "no JSON": "{'custom_id': 1}",
    "no object": "[1, 2]",
    "cut": '{"custom_id": "q-1", "ans',
    "no id": '{"answer": "yes"}',
    "empty id": '{"custom_id": "", "answer": "yes"}',
    "an answer of the wrong type": '{"custom_id": "ID", "answer": 3}',
    "neither": '{"custom_id": "ID", "reply": "yes"}',
    "another question": '{"custom_id": "q-999", "answer": "yes"}',
    "an error": '{"custom_id": "ID", "response": null, "error": {"message": "batch_expired"}}',
    "an error status": '{"custom_id": "ID", "response": {"status_code": 429, "body": {"error": "slow"}}}',
    "the wrong shape": '{"custom_id": "ID", "response": {"status_code": 200, "body": {"choices": []}}}',
    "deep": '{"custom_id": "ID", "answer": ' + "[" * 100_000,
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_line_that_is_no_answer_is_told_by_file_and_line_and_the_others_count(tmp_path: Path, what: str) -> None:
    write_questions(questions(tmp_path, "good", "bad"), "r")
    bad = BROKEN[what].replace("ID", key("bad"))
    put(tmp_path / "r.answers.jsonl", {"custom_id": key("good"), "answer": "yes"}, bad)
    answers = read_answers(tmp_path)
    assert answers.replies[key("good")].text == "yes"
    assert key("bad") not in answers.replies
    (problem,) = answers.problems
    assert problem.startswith("r.answers.jsonl:2: ")
    assert "\n" not in problem


HALF = "half a face \ud83d"


def test_half_a_character_is_written_as_json_names_it_and_read_as_a_replacement(tmp_path: Path) -> None:
    (path,) = write_questions(questions(tmp_path, HALF, "naïve 😀"), "r")
    assert {line["body"]["messages"][0]["content"] for line in lines(path)} == {HALF, "naïve 😀"}
    assert "naïve 😀" in path.read_text(encoding="utf-8")  # people read it
    whole, half = ({"custom_id": key("naïve 😀"), "answer": "😀"}, responded(HALF, HALF, model=HALF))
    put(tmp_path / "r.answers.jsonl", whole, half, {"custom_id": HALF, "answer": {HALF: [HALF]}})
    answers = read_answers(tmp_path)
    assert answers.replies[key("naïve 😀")].text == "😀"
    assert answers.replies[key(HALF)].text == answers.replies[key(HALF)].model == "half a face \ufffd"
    "".join([*answers.problems, *(reply.text for reply in answers.replies.values())]).encode()


NO_QUESTIONS = {
    "an answer": '{"custom_id": "q-1", "answer": "yes"}',
    "no limit": '{"custom_id": "q-1", "body": {"messages": [{"role": "user", "content": "Why?"}]}}',
    "no messages": '{"custom_id": "q-1", "body": {"messages": [], "max_completion_tokens": 9}}',
    "no body": '{"custom_id": "q-1", "body": null}',
    "no object": "[1]",
    "no JSON": "custom_id,answer",
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("what", NO_QUESTIONS)
def test_a_file_that_is_named_like_questions_and_holds_none_is_told_in_one_line(tmp_path: Path, what: str) -> None:
    write_questions(questions(tmp_path, "one"), "r")
    put(tmp_path / "mine.questions.jsonl", NO_QUESTIONS[what])
    told = r"mine\.questions\.jsonl:1: is not a question \(.*\): .*; give a file of answers another name"
    with pytest.raises(TeacherError, match=told) as found:
        FileProvider(tmp_path, ENDPOINT)
    assert "\n" not in str(found.value)


def test_missing_answers_are_told_by_the_lines_of_their_questions(tmp_path: Path) -> None:
    (path,) = write_questions(questions(tmp_path, *"abc"), "run-1-round1")
    order = [line["custom_id"] for line in lines(path)]
    put(tmp_path / "x.jsonl", {"custom_id": order[1], "answer": "yes"})
    assert list(tell_problems(tmp_path)) == [f"{path.name}: no answer to 2 of its questions (lines 1, 3)"]
    assert list(tell_problems(tmp_path, stem="run-2")) == []


def test_a_later_line_takes_the_place_of_an_earlier_one_and_only_a_difference_is_told(tmp_path: Path) -> None:
    write_questions(questions(tmp_path, "a"), "r")
    refused = {"custom_id": key("a"), "response": None, "error": {"message": "expired"}}
    first, second = ({"custom_id": key("a"), "answer": text} for text in ("no", "yes"))
    put(tmp_path / "r.answers.jsonl", first, second, second, refused)
    answers = read_answers(tmp_path)
    assert answers.replies[key("a")].text == "yes"
    assert answers.problems == (f"r.answers.jsonl:1: {key('a')} is answered again in r.answers.jsonl:2, which counts",)


@given(st.lists(st.sampled_from("abcdef"), min_size=1), st.lists(st.sampled_from("abcdef"), min_size=1))
def test_each_question_is_written_once_however_often_it_is_asked(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], second: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("asked")
    for texts in (first, second, first):
        files = write_questions(questions(folder, *texts), "r")
        held = [line["custom_id"] for path in files for line in lines(path)]
        assert {key(text) for text in texts} <= set(held)
        assert waiting_line(questions(folder, *texts), files).split()[0] == str(len(set(texts)))
    everything = [line["custom_id"] for path in folder.glob("*.jsonl") for line in lines(path)]
    assert sorted(everything) == sorted({key(text) for text in first + second})
    assert set(read_questions(folder)) == set(everything)


async def test_files_that_were_moved_away_lose_no_answer_and_their_names_are_not_taken_again(tmp_path: Path) -> None:
    (first,) = write_questions(questions(tmp_path, "one"), "r")
    (second,) = write_questions(questions(tmp_path, "two"), "r")
    put(tmp_path / "r.answers.jsonl", {"custom_id": key("one"), "answer": "yes"})
    kept = second.read_bytes()
    first.unlink()
    assert (await FileProvider(tmp_path, ENDPOINT).complete([Message("user", "one")])).text == "yes"
    write_questions(questions(tmp_path, "three"), "r")
    write_questions(questions(tmp_path, "four"), "r")
    assert second.read_bytes() == kept
    assert {line["custom_id"] for _, line in read_questions(tmp_path).values()} == {
        key(text) for text in ("two", "three", "four")
    }


def test_a_file_in_the_place_of_the_folder_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("x")
    with pytest.raises(SettingsError, match="is not a folder"):
        FileProvider(tmp_path / "note", ENDPOINT)


@pytest.mark.parametrize("name", ["pipe.jsonl", "pipe.questions.jsonl"])
def test_a_pipe_among_the_files_is_told_and_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(TeacherError, match=f"{name}: is not a regular file"):
        read_answers(tmp_path)


# Whole runs.


@dataclass
class Setting:
    """A run that waits for files, and somebody who answers them."""

    table: dict[str, dict[str, Any]]
    folder: Path
    workspace: Path

    def start(self, spec: str | None = None, show: Callable[[Progress], None] = lambda _: None) -> Run:
        table = {**self.table, "teacher": {**self.table["teacher"], **({"spec": spec} if spec else {})}}
        return start_run(check_settings(table, where="test"), show=show, cancelled=lambda: False)

    def resume(self, **options: Any) -> Run:
        return resume_run(self.workspace, None, show=lambda _: None, cancelled=lambda: False, **options)

    def elsewhere(self, name: str) -> Setting:
        """The same with a workspace of its own."""
        workspace = Path(f"{self.workspace}-{name}")
        table = {**self.table, "run": {**self.table["run"], "workspace": str(workspace)}}
        return Setting(table, self.folder, workspace)

    def passes(self) -> list[Path]:
        return sorted(self.folder.glob("*.questions.jsonl"))

    def answer(self, name: str = "by-hand.answers.jsonl", *, leave_out: int = 0) -> int:
        """Answer what is open, except for some. Returns: how many were answered."""
        known = read_answers(self.folder).replies
        asked = [line for line_key, (_, line) in read_questions(self.folder).items() if line_key not in known]
        with (self.folder / name).open("a") as file:
            for line in asked[leave_out:]:
                file.write(json.dumps({"custom_id": line["custom_id"], "answer": good_answer(line["body"])}) + "\n")
        return len(asked[leave_out:])

    def finish(self) -> Run:
        """Answer and resume until the run is through."""
        for _ in range(4):
            self.answer()
            try:
                return self.resume()
            except Waiting:
                pass
        raise AssertionError("still waiting")

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        with Results.open(self.workspace) as results:
            return results.query(sql)[1]


def good_answer(body: dict[str, Any]) -> dict[str, Any]:
    """Answer whatever is asked in its own form."""
    asked = body["messages"][0]["content"]
    return {"samples": [SAMPLE]} if '"samples"' in asked else EXPLAINED | {"reasoning": f"It has {len(asked)} marks."}


@pytest.fixture(scope="module")
def classifier(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set with a planted blind spot, and a classifier that was fine-tuned on it."""
    folder = tmp_path_factory.mktemp("filed")
    write_dataset(folder / "data", seed=0, rows={"train": 160, "validation": 80, "test": 40}, planted_share=0.3)
    table = make_table(folder / "data", tiny_base, folder)
    table["classifier"] |= {"fine_tune": True, "epochs": 8, "batch_size": 16, "learning_rate": 1e-2}
    table["teacher"]["spec"] = "rules"
    settings = check_settings(table, where="test")
    return folder / "data", fine_tune_in_a_run(settings)


def make_table(data: Path, model: Path, folder: Path) -> dict[str, dict[str, Any]]:
    return {
        "run": {"name": "filed", "workspace": str(folder / "workspace")},
        "data": {"path": str(data), "task": "sentiment of reviews"},
        "classifier": {"model": str(model), "fine_tune": False, "max_tokens": 64, "device": "cpu"},
        "attack": {"recipes": [], "samples": 0},
        "select": {"share": 1, "most": UUS},
        "teacher": {"spec": f"file:{folder / 'questions'}", "requests_per_minute": 1, "attempts": 2},
        "filter": {"references": 20, "bertscore": 0.0},
        "retrain": {"epochs": 1},
        "evaluate": {"samples": 0, "resamples": 100},
    }


@pytest.fixture
def setting(classifier: tuple[Path, Path], tmp_path: Path) -> Setting:
    return Setting(make_table(*classifier, tmp_path), tmp_path / "questions", tmp_path / "workspace")


HYPOTHESES = (
    "SELECT hypothesis_id, uu_id, kind, parent_id, text, reasoning, teacher, call_id FROM hypotheses ORDER BY ALL"
)
SAMPLES = "FROM synthetic_samples ORDER BY ALL"
CALLS = "SELECT * EXCLUDE (latency_s, created_at) FROM teacher_calls ORDER BY ALL"
UNNAMED = (
    "SELECT uu_id, kind, text, reasoning FROM hypotheses ORDER BY ALL",
    "SELECT synthetic_id, fields, label, accepted, scores FROM synthetic_samples ORDER BY ALL",
    "SELECT phase, uu_id, prompt, reply, attempts, error FROM teacher_calls ORDER BY ALL",
    "SELECT metric, value, threshold FROM evaluations ORDER BY ALL",
)


async def test_three_passes_give_the_rows_of_a_straight_run_and_so_does_a_replay(
    setting: Setting, teacher_server: TeacherServer, tmp_path: Path
) -> None:
    async def behave(request: Any) -> Any:
        return await teacher_server.say(json.dumps(good_answer(await request.json())))(request)

    teacher_server.respond = behave
    straight = setting.elsewhere("2")
    straight.table["teacher"] = {"attempts": 2}
    await asyncio.to_thread(straight.start, teacher_server.spec("openai"))

    def with_files() -> Run:
        with pytest.raises(Waiting, match=rf"^{UUS} questions wait in .*filed-1-round1-pass1\.questions\.jsonl; write"):
            setting.start()
        assert setting.answer() == UUS
        with pytest.raises(Waiting, match=rf"^{2 * UUS} questions wait in .*-pass2\.questions\.jsonl;"):
            setting.resume()
        assert setting.answer() == 2 * UUS
        with pytest.raises(Waiting, match=rf"^{UUS} questions wait in .*-pass3\.questions\.jsonl;"):
            setting.resume()
        assert setting.answer() == UUS
        return setting.resume()

    run = await asyncio.to_thread(with_files)
    assert run.status == "finished"
    for sql in UNNAMED:
        assert setting.read(sql)
        assert setting.read(sql) == straight.read(sql), sql
    assert setting.read("SELECT DISTINCT cost_usd FROM teacher_calls") == [(0.0,)]
    asked = [path.name for path in setting.passes()]
    elsewhere = setting.elsewhere("3")
    assert (await asyncio.to_thread(elsewhere.start)).status == "finished"  # the folder has its answers already
    assert [path.name for path in setting.passes()] == asked
    export(tmp_path / "calls.jsonl", None, straight.workspace)
    replayed = setting.elsewhere("4")
    assert (await asyncio.to_thread(replayed.start, f"replay:{tmp_path}/calls.jsonl")).status == "finished"
    for sql in UNNAMED:
        assert replayed.read(sql) == straight.read(sql), sql


def test_files_say_what_is_asked_and_a_resumed_run_what_it_took(setting: Setting) -> None:
    with pytest.raises(Waiting, match=r"to read the questions, open filed-1-round1-pass1\.questions\.md"):
        setting.start()
    folder = Path(setting.table["teacher"]["spec"].removeprefix("file:"))
    kinds = {1: {"abstraction"}, 2: {"extrapolation", "samples-abs"}, 3: {"samples-ext"}}
    for number, expected in kinds.items():
        stem = folder / f"filed-1-round1-pass{number}"
        asked = [line["custom_id"] for line in lines(stem.with_name(f"{stem.name}.questions.jsonl"))]
        parts = [re.fullmatch(r"(.*)-(uu-[0-9a-f]{16})-(q-[0-9a-f]{24})", name) for name in asked]
        assert {part[1] for part in parts if part} == expected
        assert len({part[2] for part in parts if part}) == UUS
        assert all(len(name) <= 64 for name in asked)
        text = stem.with_name(f"{stem.name}.questions.md").read_text()
        assert all(f"## {name}\n" in text for name in asked)
        setting.answer()
        if number < 3:
            with pytest.raises(Waiting):
                setting.resume()
    assert setting.resume().status == "finished"
    with Results.open(setting.workspace) as results:
        told = results.query("select message from events where message like '%answers taken%' order by message")[1]
    assert [message.rpartition(": ")[2] for (message,) in told] == [
        f"{UUS} of {UUS} answers taken, pass 1 of 3",
        f"{UUS} of {UUS} answers taken, pass 3 of 3",
        f"{2 * UUS} of {2 * UUS} answers taken, pass 2 of 3",
    ]


def test_answers_count_however_the_id_of_their_question_is_named(tmp_path: Path) -> None:
    (plain,) = questions(tmp_path, "one")
    named = OpenQuestion(tmp_path, plain.line)
    named.name("abstraction", "uu-0123456789abcdef")
    write_questions([named], "r")
    assert write_questions([plain], "r") == [tmp_path / "r-pass1.questions.jsonl"]
    for custom_id in (key("one"), named.line["custom_id"], f"extrapolation-uu-1-{key('one')}"):
        put(tmp_path / "r.answers.jsonl", {"custom_id": custom_id, "answer": "yes"})
        assert read_answers(tmp_path).replies.keys() == {key("one")}
        assert list(tell_problems(tmp_path)) == []
    too_long = OpenQuestion(tmp_path, plain.line)
    too_long.name("abstraction", "uu-" + "0" * 60)
    assert too_long.line == plain.line


@pytest.mark.parametrize("text", ["```\n````\n# no heading", "~~~", "half \ud83d", "$x <b>"])
def test_no_text_breaks_out_of_the_readable_file(tmp_path: Path, text: str) -> None:
    write_questions(questions(tmp_path, text), "r")
    written = (tmp_path / "r-pass1.questions.md").read_text()
    fence = re.search(r"^(`{3,})text$", written, re.MULTILINE)
    assert fence is not None
    shown = written.split(f"{fence[1]}text\n")[1].split(f"\n{fence[1]}\n")[0]
    assert shown == text.replace("\ud83d", "?")


def test_resuming_without_new_answers_waits_again_and_doubles_nothing(setting: Setting) -> None:
    with pytest.raises(Waiting) as first:
        setting.start()
    setting.answer(leave_out=2)
    with pytest.raises(Waiting, match=r"2 in .*pass1.* in .*pass2") as second:
        setting.resume()
    seen = [setting.read(sql) for sql in (HYPOTHESES, SAMPLES, CALLS)], [path.read_bytes() for path in setting.passes()]
    with pytest.raises(Waiting) as third:
        setting.resume()
    assert str(first.value) != str(second.value) == str(third.value)
    assert seen == (
        [setting.read(sql) for sql in (HYPOTHESES, SAMPLES, CALLS)],
        [path.read_bytes() for path in setting.passes()],
    )
    assert setting.read("SELECT status, stop_reason FROM runs") == [("waiting", str(third.value))]
    warned = setting.read("SELECT message FROM events WHERE level = 'warning'")
    assert any("no answer to 2 of its questions" in message for (message,) in warned)
    assert setting.finish().status == "finished"


def test_a_malformed_answer_is_asked_again_in_the_next_file_with_the_reason_and_once(setting: Setting) -> None:
    with pytest.raises(Waiting):
        setting.start()
    (path,) = setting.passes()
    wrong, *_ = lines(path)
    put(setting.folder / "a.jsonl", {"custom_id": wrong["custom_id"], "answer": {"hypothesis": "only"}})
    setting.answer()
    for _ in range(2):
        with pytest.raises(Waiting):
            setting.resume()
    second = setting.passes()[-1]
    (again,) = [line for line in lines(second) if len(line["body"]["messages"]) == 3]
    assert again["body"]["messages"][0] == wrong["body"]["messages"][0]
    assert "reasoning: Field required" in again["body"]["messages"][2]["content"]
    assert setting.read("SELECT count(*) FROM teacher_calls WHERE error LIKE 'malformed%'") == [(1,)]
    assert setting.finish().status == "finished"
    assert setting.read("SELECT count(*) FROM teacher_calls WHERE error LIKE 'malformed%'") == [(1,)]
    assert setting.read("SELECT count(*) FROM hypotheses") == [(2 * UUS,)]


def test_unanswered_questions_can_be_given_up(setting: Setting) -> None:
    with pytest.raises(Waiting):
        setting.start()
    setting.answer(leave_out=1)
    with pytest.raises(Waiting):
        setting.resume()
    setting.answer(leave_out=1)
    with pytest.raises(Waiting):
        setting.resume()
    setting.answer(leave_out=1)
    moved = setting.folder.rename(setting.folder.with_name("moved"))
    run = setting.resume(skip_unanswered=True, overrides=[f"teacher.spec=file:{moved}"])
    assert run.status == "finished"
    assert setting.read("SELECT count(DISTINCT uu_id) FROM hypotheses") == [(UUS - 1,)]
    assert setting.read("SELECT count(*) FROM events WHERE message LIKE 'skipped%'") == [(1,)]


KILLED = """
import json, os, signal, sys, threading, time
from pathlib import Path
import blindspot.tools.training.retrain, blindspot.tools.text.similarity
from blindspot.graphs.running.run import resume_run, start_run
from blindspot.storage.settings.sections import check_settings

table, folder = json.loads(sys.argv[1]), Path(sys.argv[2])

def show(progress):
    if os.environ["WHEN"] == "asked" and progress.phase == "teach" and progress.done == progress.total > 0:
        os.kill(os.getpid(), signal.SIGKILL)

def look():
    while not any(folder.glob("*.questions.jsonl")):
        time.sleep(0.0005)
    os.kill(os.getpid(), signal.SIGKILL)

for os.environ["WHEN"] in ("asked", "written"):
    child = os.fork()
    if not child:
        threading.Thread(target=look, daemon=True).start()
        if os.environ["WHEN"] == "asked":
            start_run(check_settings(table, where="killed"), show=show, cancelled=lambda: False)
        resume_run(Path(table["run"]["workspace"]), None, show=show, cancelled=lambda: False)
    if os.waitpid(child, 0)[1] != signal.SIGKILL:
        sys.exit("was not killed")
    print(len(list(folder.glob("*.questions.jsonl"))))
"""


def test_a_run_killed_before_and_after_its_questions_are_written_loses_and_doubles_none(
    setting: Setting, warm_python: WarmPython, tmp_path: Path
) -> None:
    ended = warm_python.run("-c", KILLED, json.dumps(setting.table), setting.folder, folder=tmp_path)
    assert (ended.code, ended.out) == (0, "0\n1\n"), ended.err
    with pytest.raises(Waiting):
        setting.resume()
    (path,) = setting.passes()
    assert len(lines(path)) == UUS
    setting.answer()
    with pytest.raises(Waiting):
        setting.resume()
    assert setting.read("SELECT count(*) FROM hypotheses") == [(UUS,)]


def test_the_command_line_says_what_to_do_and_exits_with_3(setting: Setting, cli: Cli) -> None:
    here = Path.cwd()
    setting.table["teacher"]["spec"] = "file:asked"  # begins at the current folder, also for a resume from elsewhere
    toml = here / "settings.toml"
    sections = setting.table.items()
    toml.write_text(
        "".join(
            f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items()) for name, values in sections
        )
    )
    ended = cli("run", toml, "--quiet")
    assert ended.code == 3
    assert ended.out == ""
    (line,) = ended.err.strip().splitlines()
    assert line.startswith(f"blindspot: filed-1 waits: {UUS} questions wait in {here}/asked/filed-1-round1-pass1")
    assert f"`blindspot resume filed-1 -w {setting.workspace.name}`" in line
    assert "waiting" in cli("status", "-w", setting.workspace).out
    (here / "elsewhere").mkdir()
    os.chdir(here / "elsewhere")
    again = cli("resume", "-w", setting.workspace, "--quiet")
    assert (again.code, again.err.split("; then")[0]) == (3, line.split("; then")[0])
    done = cli("resume", "-w", setting.workspace, "--quiet", "--skip-unanswered", "--json")
    assert done.code == 0
