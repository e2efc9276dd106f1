"""A second judge: it is not told labels, it makes programs invalid and leaves fewer UUs, and it may be a person."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import blindspot
from blindspot.agents.chat import Reply
from blindspot.agents.teachers.judging import JudgedTexts, judging_question, read_labels
from blindspot.storage.errors import Cancelled, MalformedAnswer, SettingsError, Waiting
from support.runs import Table, changed
from support.teacher_server import TeacherServer
from support.workspaces import read

# Both fool the classifier by the labels that they name; by the judge below only the templates' label is right.
WRONG = {"where": [{"kind": "label_is", "labels": ["negative"]}], "label": "positive",
         "edits": [{"kind": "insert", "phrases": ["They have a table by the door."], "at": "end"}]}  # fmt: skip
RIGHT = {"templates": [{"texts": [{"field": "text", "text": "The {thing} was {how}, said {name}."}]}],
         "slots": [{"name": "thing", "fillers": ["soup", "cake", "tea"]},
                   {"name": "how", "fillers": ["great", "lovely"]}],
         "label": "negative"}  # fmt: skip
TEXTS = JudgedTexts(
    "whether a review is positive", ("negative", "positive"), [{"text": "a fine film"}, {"text": "<b>"}]
)


def labels_for(question: str) -> str:
    """The judge: every text is negative."""
    shown = json.loads(question.split("<data>")[1].split("</data>")[0])
    return json.dumps({"labels": ["negative" for _ in shown]})


def answer_all(folder: Path) -> None:
    """Answer every question in the files of a folder."""
    for file in folder.glob("*.questions.jsonl"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        answers = [
            {"custom_id": line["custom_id"], "answer": labels_for(line["body"]["messages"][0]["content"])}
            for line in lines
        ]
        text = "".join(f"{json.dumps(answer)}\n" for answer in answers)
        file.with_name(file.name.replace("questions", "answers")).write_text(text)


def reply(text: str) -> Reply:
    return Reply(text, "small-1", 1, 1)


@pytest.fixture
def judge(teacher_server: TeacherServer) -> TeacherServer:
    """A server that labels what it is shown."""

    async def respond(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        return await teacher_server.say(labels_for(body["messages"][0]["content"]))(request)

    teacher_server.respond = respond
    return teacher_server


def settings_of(small: Table, folder: Path, spec: str, **changes: dict[str, Any]) -> Table:
    """A run of two programs of a file, with attacks on the test split, and a judge."""
    folder.mkdir(exist_ok=True)
    (folder / "programs.jsonl").write_text("\n".join(map(json.dumps, (WRONG, RIGHT))))
    given: Table = {
        "run": {"workspace": str(folder / "ws"), "tau": 0.5},
        "method": {"name": "programs", "share": 0.5},
        "hypotheses": {
            "file": str(folder / "programs.jsonl"), "least_rows": 5, "test_samples": 40, "test_train_samples": 40,
        },
        "attack": {"recipes": ["deepwordbug"], "samples": 4},
        "evaluate": {"samples": 12},
        "judge": {"spec": spec, "per_program": 6, "flips": 5},
    }  # fmt: skip
    return changed(changed(small, given), changes)


async def test_programs_whose_labels_the_judge_does_not_share_are_invalid_and_give_no_rows(
    small_run: Table, tmp_path: Path, judge: TeacherServer
) -> None:
    table = settings_of(small_run, tmp_path, judge.spec("openai"))
    ended = await asyncio.to_thread(blindspot.run, table, show="none")
    assert ended.run.status == "finished"
    logged = read(
        tmp_path / "ws", "SELECT verdict, judged, agreed, rows_added > 0 FROM program_log ORDER BY program_id, verdict"
    )
    assert sorted(logged) == [("confirmed", 6, 6, True), ("invalid", 6, 0, False)]
    summary = {
        kind: (judged, agreed + differed + unclear)
        for kind, judged, agreed, differed, unclear in read(
            tmp_path / "ws", "SELECT kind, judged, agreed, differed, unclear FROM judgement_summary"
        )
    }
    assert summary["program"] == (12, 12)
    assert summary["attack"][0] == summary["attack"][1] > 0
    rows = read(
        tmp_path / "ws",
        "SELECT metric, value, low, high, n FROM evaluations WHERE recipe = 'deepwordbug' AND baseline_id IS NULL "
        "AND metric IN ('judge_agreement', 'uus_validated', 'uus') AND model_id = (SELECT original_model_id FROM runs)"
        "AND (threshold IS NULL OR threshold = 0.5)",
    )
    figures = {metric: (value, low, high) for metric, value, low, high, _ in rows}
    assert figures["uus_validated"][1] <= figures["uus_validated"][0] <= figures["uus_validated"][2]
    assert figures["uus_validated"][0] <= figures["uus"][0]
    share = figures["judge_agreement"][0]
    assert 0 <= share <= 1
    assert (figures["uus_validated"][0] < figures["uus"][0]) == (share < 1)


async def test_a_stopped_run_asks_the_judge_nothing_twice(
    small_run: Table, tmp_path: Path, judge: TeacherServer
) -> None:
    table = settings_of(small_run, tmp_path, judge.spec("anthropic"), teacher={"cache": False})
    workspace = tmp_path / "ws"
    with pytest.raises(Cancelled):
        await asyncio.to_thread(blindspot.run, table, show="none", cancelled=lambda: len(judge.asked) > 0)
    await asyncio.to_thread(blindspot.resume, workspace=workspace, show="none")
    questions = [asked.body["messages"][0]["content"] for asked in judge.asked]
    assert len(questions) == len(set(questions))


def test_people_judge_in_files(small_run: Table, tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    table = settings_of(small_run, tmp_path, f"file:{folder}")
    with pytest.raises(Waiting, match=r"^2 questions wait"):  # of programs
        blindspot.run(table, show="none")
    answer_all(folder)
    with pytest.raises(Waiting, match=r"^1 question waits"):  # of the test split's attacks
        blindspot.resume(workspace=tmp_path / "ws", show="none")
    answer_all(folder)
    assert blindspot.resume(workspace=tmp_path / "ws", show="none").run.status == "finished"
    assert sorted(read(tmp_path / "ws", "SELECT verdict FROM program_log")) == [("confirmed",), ("invalid",)]


@pytest.mark.parametrize(("spec", "told"), [("rules", "judge.spec"), ("nobody:x", "nobody"), ("file:", "file:FOLDER")])
def test_who_cannot_judge_is_refused_before_anything_is_done(
    small_run: Table, tmp_path: Path, spec: str, told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        blindspot.run(settings_of(small_run, tmp_path, spec), show="none")
    assert not list((tmp_path / "ws").glob("models/*"))


def test_a_judge_is_shown_texts_and_no_label_of_theirs() -> None:
    question = judging_question(TEXTS)
    shown = json.loads(question.text.split("<data>")[1].split("</data>")[0])
    assert shown == [{"number": 1, "text": {"text": "a fine film"}}, {"number": 2, "text": {"text": "<b>"}}]
    assert question.text.count("</data>") == 1


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        ('{"labels": ["positive", "unclear"]}', ["positive", None]),
        ('so {"labels": ["Positive ", "NEGATIVE"]}', ["positive", "negative"]),
    ],
)
def test_labels_are_read_whatever_their_case(answer: str, labels: list[str | None]) -> None:
    assert read_labels(reply(answer), TEXTS) == labels


def test_labels_that_differ_in_case_alone_are_told_apart_and_a_label_may_be_called_unclear() -> None:
    cased = JudgedTexts("t", ("a", "A"), [{"text": "x"}, {"text": "y"}])
    assert read_labels(reply('{"labels": ["A", "a"]}'), cased) == ["A", "a"]
    named = JudgedTexts("t", ("negative", "unclear"), [{"text": "x"}, {"text": "y"}])
    assert '"cannot tell"' in judging_question(named).text
    assert read_labels(reply('{"labels": ["unclear", "cannot tell"]}'), named) == ["unclear", None]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ('{"labels": ["positive"]}', "1 labels for 2 texts"),
        ('{"labels": ["positive", "neutral"]}', "'neutral' of text 2"),
        ("positive, negative", "no complete JSON object"),
    ],
)
def test_other_answers_are_asked_for_again_with_the_reason(answer: str, why: str) -> None:
    with pytest.raises(MalformedAnswer, match=why):
        read_labels(reply(answer), TEXTS)
