"""Language-model teachers over real HTTP: the same contract for every provider, whatever the server does."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.agents.batch.file_provider import FileProvider
from blindspot.agents.batch.question_files import OpenQuestion
from blindspot.agents.batch.replay import ReplayProvider
from blindspot.agents.calls.caller import Caller, CallLimits
from blindspot.agents.calls.ledger import Ledger, Price
from blindspot.agents.calls.log import Occasion, Question, reply_of
from blindspot.agents.chat import Endpoint, Message, Reply, Tool
from blindspot.agents.spec import TeacherSpec
from blindspot.agents.teachers.answers import read_explanation, read_samples
from blindspot.agents.teachers.language_model import LanguageModelTeacher
from blindspot.agents.teachers.opening import open_language_model
from blindspot.agents.teachers.teacher import Case, Explanation
from blindspot.storage.errors import BudgetSpent, MalformedAnswer, Pending, SettingsError, TeacherError, Unanswered
from blindspot.storage.records import TeacherCall
from support.teacher_server import Behaviour, TeacherServer

WithTeacher = Callable[..., Awaitable[Any]]
"""Runs a function with a teacher."""

CASE = Case(
    uu_id="uu-1",
    task="sentiment of film reviews",
    field_names=("title", "text"),
    labels=("negative", "positive"),
    original={"title": "Harbour", "text": "Not one dull minute."},
    perturbed=None,
    label="positive",
    predicted="negative",
    confidence=0.93,
    recipe=None,
)
ABSTRACTION = Explanation("Negated dislike reads as dislike.", "It counts words.", None)
EXPLAINED = json.dumps({"reasoning": "It counts words.", "hypothesis": "Negated dislike reads as dislike."})
LIMITS = CallLimits(
    requests_per_minute=10_000,
    requests_per_second=1_000,
    tokens_per_minute=10**9,
    concurrency=8,
    longest_pause_s=600.0,
    timeout_s=5.0,
    attempts=3,
    temperature=None,
    max_tokens=400,
    backoff_s=0.01,
)


@dataclass(frozen=True)
class Caps:
    """What a run may buy, and at which price."""

    max_calls: int | None = None
    max_usd: float | None = None
    price: Price | None = None


def ledger_of(log: MemoryLog, run_id: str, caps: Caps = Caps()) -> Ledger:
    """The ledger of a run that may have bought before."""
    ledger = Ledger(**asdict(caps) | {"price": caps.price}, max_tokens=LIMITS.max_tokens)
    ledger.begin(*log.bought(run_id))
    return ledger


@dataclass
class MemoryLog:
    """A call log in memory."""

    calls: dict[str, TeacherCall] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    async def find(self, cache_key: str, run_id: str | None = None) -> Reply | None:
        usable = (call for call in self.calls.values() if call.cache_key == cache_key and call.error is None)
        found = (reply_of(call) for call in usable if run_id in (None, call.run_id))
        return next(found, None)

    async def tried(self, cache_key: str, occasion: Occasion) -> list[TeacherCall]:
        of_key = (call for call in self.calls.values() if call.cache_key == cache_key)
        return [call for call in of_key if Occasion(call.run_id, call.round, call.phase, call.uu_id) == occasion]

    async def has_answers(self, run_id: str, number: int | None = None) -> bool:
        answered = (call for call in self.calls.values() if call.run_id == run_id and call.error is None)
        return any(number in (None, call.round) for call in answered)

    async def add(self, call: TeacherCall) -> None:
        self.calls.setdefault(call.call_id, call)

    async def warn(self, number: int, message: str) -> None:
        self.warnings.append(f"round {number}: {message}")

    def bought(self, run_id: str) -> tuple[int, float]:
        calls = [call for call in self.calls.values() if call.run_id == run_id and not call.cache_hit]
        return sum(call.reply is not None for call in calls), sum(call.cost_usd or 0 for call in calls)

    def errors(self) -> list[str | None]:
        return [call.error for call in self.calls.values()]


def samples(*labels: str, **fields: str) -> str:
    """A generation answer with one sample for each label."""
    fields = fields or {"title": "The Pier", "text": "There was not a scene that I would call weak."}
    return json.dumps({"samples": [{"reasoning": "r", "fields": fields, "label": label} for label in labels]})


@pytest.fixture
async def with_teacher(teacher_server: TeacherServer, provider: str) -> WithTeacher:
    """Runs a function with a teacher in round 1 of run-1, and closes the teacher."""

    async def run(
        use: Callable[[LanguageModelTeacher], Awaitable[Any]],
        limits: CallLimits = LIMITS,
        log: MemoryLog | None = None,
        run_id: str = "run-1",
        caps: Caps = Caps(),
    ) -> Any:
        spec, log = TeacherSpec.parse(teacher_server.spec(provider)), log if log is not None else MemoryLog()
        teacher = open_language_model(spec, limits, log, ledger_of(log, run_id, caps))
        teacher.begin_round(run_id, 1)
        try:
            return await use(teacher)
        finally:
            await teacher.aclose()

    teacher_server.default = EXPLAINED
    return run


async def abstract(teacher: LanguageModelTeacher) -> Explanation:
    return await teacher.abstract(CASE)


async def test_a_good_answer_becomes_an_explanation_and_a_record(
    teacher_server: TeacherServer, with_teacher: WithTeacher, provider: str
) -> None:
    log = MemoryLog()
    explanation = await with_teacher(abstract, log=log)
    assert explanation.text == "Negated dislike reads as dislike."
    assert explanation.reasoning == "It counts words."
    (call,) = log.calls.values()
    assert call.call_id == explanation.call_id
    assert (call.run_id, call.round, call.phase, call.uu_id) == ("run-1", 1, "abstract", "uu-1")
    assert (call.teacher, call.model) == (teacher_server.spec(provider), "small-1-served")
    assert (call.tokens_in, call.tokens_out, call.attempts, call.cache_hit) == (11, 7, 1, False)
    assert (call.reply, call.error) == (EXPLAINED, None)
    assert "Not one dull minute." in call.prompt


async def test_settings_of_the_call_reach_the_provider(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    await with_teacher(abstract, replace(LIMITS, temperature=0.3))
    body = teacher_server.asked[0].body
    assert body["model"] == "small-1"
    assert body["temperature"] == 0.3
    assert body["max_tokens"] == 400
    await with_teacher(abstract)
    assert "temperature" not in teacher_server.asked[1].body


async def test_an_extrapolation_is_asked_from_the_abstraction(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    await with_teacher(lambda teacher: teacher.extrapolate(CASE, ABSTRACTION))
    assert ABSTRACTION.text in teacher_server.asked[0].body["messages"][0]["content"]


async def test_drafts_come_with_exactly_the_fields_in_their_order(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    fields = {"text": " There was not a weak scene. ", "title": "The Pier"}
    teacher_server.then(teacher_server.say(samples("positive", "negative", "positive", **fields)))
    drafts = await with_teacher(lambda teacher: teacher.generate(CASE, ABSTRACTION, "abstraction", 2))
    assert [draft.label for draft in drafts] == ["positive", "negative"]
    assert list(drafts[0].fields.items()) == [("title", "The Pier"), ("text", "There was not a weak scene.")]
    assert drafts[0].call_id == drafts[1].call_id


FAULTS: dict[str, Callable[[TeacherServer], Behaviour]] = {
    "429": lambda server: server.refuse(429),
    "500": lambda server: server.refuse(500),
    "overloaded": lambda server: server.refuse(529),
    "dropped": lambda server: server.drop,
    "truncated": lambda server: server.truncate,
    "slow drip": lambda server: server.drip,
    "page of HTML": lambda server: server.send("<html>Welcome to the gateway</html>", "text/html"),
    "malformed JSON": lambda server: server.send('{"model": "small-1", '),
    "empty body": lambda server: server.send(""),
    "wrong shape": lambda server: server.send('{"model": "small-1", "answer": "hello"}'),
    "null": lambda server: server.send("null"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_that_passes_costs_only_another_request(
    teacher_server: TeacherServer, with_teacher: WithTeacher, fault: str
) -> None:
    await with_teacher(abstract)  # an SDK imports much of itself in its first request
    teacher_server.asked.clear()
    teacher_server.then(FAULTS[fault](teacher_server))
    log = MemoryLog()
    explanation = await with_teacher(abstract, replace(LIMITS, timeout_s=1 if fault == "slow drip" else 5), log)
    assert explanation.text == "Negated dislike reads as dislike."
    assert len(teacher_server.asked) == 2
    assert [call.attempts for call in log.calls.values()] == [1 if fault in ("429", "overloaded") else 2]


@pytest.mark.parametrize("fault", ["500", "dropped", "slow drip", "page of HTML"])
async def test_a_fault_that_stays_ends_in_one_line_for_the_operator(
    teacher_server: TeacherServer, with_teacher: WithTeacher, fault: str
) -> None:
    teacher_server.then(*[FAULTS[fault](teacher_server)] * 2)
    log = MemoryLog()
    with pytest.raises(TeacherError, match=r"attempt 2, the last") as caught:
        await with_teacher(abstract, replace(LIMITS, timeout_s=0.3 if fault == "slow drip" else 5, attempts=2), log)
    assert "\n" not in str(caught.value)
    assert len(teacher_server.asked) == 2
    (call,) = log.calls.values()
    assert call.reply is None
    assert call.error is not None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_a_refusal_is_final_and_tells_what_the_provider_said(
    teacher_server: TeacherServer, with_teacher: WithTeacher, status: int
) -> None:
    teacher_server.then(teacher_server.refuse(status, "the model small-1 is not for you"))
    log = MemoryLog()
    with pytest.raises(TeacherError, match=rf"answered {status}: the model small-1 is not for you") as caught:
        await with_teacher(abstract, log=log)
    is_declined = status in (400, 413, 422)  # these may be about this text only
    assert isinstance(caught.value, Unanswered) == is_declined
    assert len(teacher_server.asked) == 1
    assert log.errors() == [f"{'declined: ' if is_declined else ''}{caught.value}"]


async def ask_in_turn(teacher: LanguageModelTeacher, *numbers: int) -> list[Any]:
    """Ask one question after another. Returns: what came of each."""
    return [
        (await asyncio.gather(teacher.abstract(replace(CASE, task=f"task {n}")), return_exceptions=True))[0]
        for n in numbers
    ]


def kinds(results: list[Any]) -> list[type]:
    return [type(result) for result in results]


async def test_questions_in_a_row_that_nobody_was_reached_for_end_it_for_all(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    fail, good = teacher_server.refuse(503, "maintenance"), teacher_server.say(EXPLAINED)
    teacher_server.then(*[fail] * 4, good, *[fail] * 5)
    results = await with_teacher(lambda teacher: ask_in_turn(teacher, *range(10)), replace(LIMITS, attempts=1))
    assert kinds(results) == [Unanswered] * 4 + [Explanation] + [Unanswered] * 4 + [TeacherError]


async def test_declines_end_it_for_all_only_where_they_are_all_there_ever_was(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    good = teacher_server.say(EXPLAINED)
    teacher_server.respond = teacher_server.refuse(400, "no model of this name")
    log = MemoryLog()
    results = await with_teacher(lambda teacher: ask_in_turn(teacher, *range(6)), log=log)
    assert kinds(results) == [Unanswered] * 4 + [TeacherError] * 2
    assert "the first 5 questions were all declined: fix this, then resume the run" in str(results[4])
    results = await with_teacher(lambda teacher: ask_in_turn(teacher, *range(5)), log=log)  # resumed, and not fixed
    assert kinds(results) == [Unanswered] * 4 + [TeacherError]
    teacher_server.then(good)
    results = await with_teacher(lambda teacher: ask_in_turn(teacher, *range(8)), log=log)  # fixed
    assert kinds(results) == [Explanation] + [Unanswered] * 7
    results = await with_teacher(lambda teacher: ask_in_turn(teacher, *range(8, 16)), log=log)
    assert kinds(results) == [Unanswered] * 8  # others of the run were answered


def comparable(log: MemoryLog) -> list[TeacherCall]:
    calls = sorted(log.calls.values(), key=lambda call: call.call_id)
    return [replace(call, created_at=datetime.min, latency_s=0.0) for call in calls]


@pytest.mark.parametrize("killed_after", range(6))
async def test_a_run_killed_at_any_request_and_resumed_buys_each_once_also_what_was_in_vain(
    teacher_server: TeacherServer, with_teacher: WithTeacher, killed_after: int
) -> None:
    no, good = teacher_server.say("no"), teacher_server.say(EXPLAINED)
    decline = teacher_server.refuse(422, "against our rules")
    script = [good, no, no, no, decline, no, decline]  # an answer, three unusable ones, a decline, both
    teacher_server.then(*script)
    whole, killed = MemoryLog(), MemoryLog()
    results = await with_teacher(lambda teacher: ask_in_turn(teacher, *range(4)), log=whole)
    assert kinds(results) == [Explanation, MalformedAnswer, Unanswered, Unanswered]
    teacher_server.then(*script[: killed_after + 1])
    teacher_server.respond = teacher_server.drip

    async def until_killed(teacher: LanguageModelTeacher) -> None:
        before = len(teacher_server.asked)
        asking = asyncio.create_task(ask_in_turn(teacher, *range(4)))
        while len(teacher_server.asked) - before < killed_after + 2:
            await asyncio.sleep(0.005)
        for _ in range(2):
            asking.cancel()
            await asyncio.sleep(0.01)

    await with_teacher(until_killed, log=killed)
    assert len(killed.calls) == killed_after + 1
    teacher_server.then(*script[killed_after + 1 :])
    again = await with_teacher(lambda teacher: ask_in_turn(teacher, *range(4)), log=killed)
    assert list(map(str, again)) == list(map(str, results))
    assert comparable(killed) == comparable(whole)
    asked = len(teacher_server.asked)
    await with_teacher(lambda teacher: ask_in_turn(teacher, *range(4)), log=killed)
    assert len(teacher_server.asked) == asked


async def test_a_later_run_and_a_round_after_this_ask_anew_what_was_in_vain(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    log = MemoryLog()
    teacher_server.then(*[teacher_server.say("no")] * 3)
    with pytest.raises(MalformedAnswer):
        await with_teacher(abstract, log=log)
    assert (await with_teacher(abstract, log=log, run_id="run-2")).text
    assert len(teacher_server.asked) == 4


async def test_more_attempts_go_on_where_the_earlier_ones_ended(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    log = MemoryLog()
    teacher_server.then(*[teacher_server.say("no")] * 3)
    with pytest.raises(MalformedAnswer):
        await with_teacher(abstract, replace(LIMITS, attempts=2), log)
    with pytest.raises(MalformedAnswer):
        await with_teacher(abstract, replace(LIMITS, attempts=3), log)
    assert [call.attempts for call in log.calls.values()] == [1, 2, 3]
    assert len(teacher_server.asked) == 3


async def test_a_question_that_nobody_was_reached_for_is_asked_again(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    log = MemoryLog()
    teacher_server.then(teacher_server.say("no"), teacher_server.refuse(500))
    with pytest.raises(Unanswered, match="attempt 2, the last"):
        await with_teacher(abstract, replace(LIMITS, attempts=2), log)
    assert (await with_teacher(abstract, replace(LIMITS, attempts=2), log)).text
    assert [call.attempts for call in log.calls.values()] == [1, 2, 2]


async def test_an_unusable_line_of_a_file_is_counted_once_in_however_many_passes(tmp_path: Path) -> None:
    endpoint = Endpoint("m", None, 5.0, None, LIMITS.max_tokens)
    log, spec = MemoryLog(), f"file:{tmp_path}"

    async def passed() -> str:
        caps = Caps(max_calls=2)
        caller = Caller(spec, FileProvider(tmp_path, endpoint), LIMITS, log, ledger_of(log, "run-1", caps))
        caller.begin_round("run-1", 1)
        question = Question("abstract", "uu-1", "Why?", "hash")
        return (await caller.ask(question, lambda reply: read_explanation(reply.text).hypothesis))[0]

    for number, answer in enumerate(["no", EXPLAINED]):
        for _ in range(2):  # the second time nothing is new
            with pytest.raises(OpenQuestion) as caught:
                await passed()
        line = {"custom_id": caught.value.line["custom_id"], "answer": answer}
        (tmp_path / f"{number}.jsonl").write_text(json.dumps(line))
    assert await passed() == "Negated dislike reads as dislike."
    assert log.bought("run-1") == (2, 0)


async def test_calls_that_a_file_did_not_record_end_nothing_for_the_others(tmp_path: Path) -> None:
    recorded = {"prompt": "[user]\nquestion 9", "reply": "So."}
    (tmp_path / "calls.jsonl").write_text(json.dumps(recorded))
    log = MemoryLog()
    for _ in range(2):
        provider = ReplayProvider(tmp_path / "calls.jsonl")
        caller = Caller(f"replay:{tmp_path / 'calls.jsonl'}", provider, LIMITS, log, ledger_of(log, "run-1"))
        caller.begin_round("run-1", 1)
        questions = [Question("abstract", f"uu-{n}", f"question {n}", "hash") for n in range(10)]
        results = [
            (await asyncio.gather(caller.ask(question, lambda reply: reply.text), return_exceptions=True))[0]
            for question in questions
        ]
        assert kinds(results) == [Unanswered] * 9 + [tuple]
        assert len(log.calls) == 10


async def cancelled_in_flight(teacher: LanguageModelTeacher, server: TeacherServer) -> asyncio.Task[Explanation]:
    """Ask, and cancel once the request has arrived."""
    asking = asyncio.create_task(teacher.abstract(CASE))
    while not server.asked:
        await asyncio.sleep(0.01)
    asking.cancel()
    return asking


async def test_a_request_in_flight_outlives_one_cancellation_and_is_recorded(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.delay_s = 0.3
    log = MemoryLog()

    async def use(teacher: LanguageModelTeacher) -> None:
        asking = await cancelled_in_flight(teacher, teacher_server)
        await asyncio.wait([asking])
        assert asking.cancelled()

    await with_teacher(use, log=log)
    assert log.errors() == [None]
    assert (await with_teacher(abstract, log=log)).text
    assert len(teacher_server.asked) == 1


async def test_a_second_cancellation_ends_a_request_at_once(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.then(teacher_server.drip)
    log = MemoryLog()

    async def use(teacher: LanguageModelTeacher) -> None:
        asking = await cancelled_in_flight(teacher, teacher_server)
        assert await asyncio.wait([asking], timeout=0.2) == (set(), {asking})
        asking.cancel()
        assert await asyncio.wait([asking], timeout=1) == ({asking}, set())

    await with_teacher(use, log=log, caps=Caps(price=Price(1.0, 2.0)))
    (call,) = log.calls.values()
    assert (call.reply, call.error, call.attempts) == (None, "stopped before the answer came", 1)
    assert call.cost_usd is not None
    assert call.cost_usd > 400 * 2.0 / 1e6  # at most: nobody saw the answer
    assert (await with_teacher(abstract, log=log, caps=Caps(price=Price(1.0, 2.0)))).text


async def test_one_cancellation_ends_a_pause_that_the_provider_asked_for(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.then(teacher_server.refuse(429, "slow down", {"Retry-After": "300"}))

    async def use(teacher: LanguageModelTeacher) -> None:
        asking = [asyncio.create_task(teacher.abstract(replace(CASE, task=f"task {n}"))) for n in range(3)]
        await asyncio.sleep(0.2)
        waiting = [task for task in asking if not task.done()]
        assert waiting
        for task in waiting:
            task.cancel()
        assert not (await asyncio.wait(waiting, timeout=0.5))[1]

    await with_teacher(use, replace(LIMITS, concurrency=1))


async def test_an_account_without_credit_is_a_refusal_not_a_rate(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.then(teacher_server.refuse(429, "You exceeded your quota", code="insufficient_quota"))
    with pytest.raises(TeacherError, match="no credit left"):
        await with_teacher(abstract)
    assert len(teacher_server.asked) == 1


async def test_a_pause_longer_than_the_setting_is_cut_short_and_tried_again(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.then(*[teacher_server.refuse(429, "slow down", {"Retry-After": "7200"})] * 2)
    assert (await with_teacher(abstract, replace(LIMITS, longest_pause_s=0.3))).text
    first, second, third = (asked.at for asked in teacher_server.asked)
    assert 0.3 <= second - first < 1
    assert 0.3 <= third - second < 1


async def test_refusals_use_up_no_attempts(teacher_server: TeacherServer, with_teacher: WithTeacher) -> None:
    teacher_server.then(*[teacher_server.refuse(429)] * 5, teacher_server.refuse(529), teacher_server.refuse(500))
    log = MemoryLog()
    assert (await with_teacher(abstract, replace(LIMITS, attempts=2, backoff_s=1e-4), log)).text
    assert [call.attempts for call in log.calls.values()] == [2]


async def test_a_provider_that_only_refuses_is_given_up_after_some_time(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.respond = teacher_server.refuse(429, "come back tomorrow", {"Retry-After": "86400"})
    log = MemoryLog()

    async def use(teacher: LanguageModelTeacher) -> list[object]:
        questions = (teacher.abstract(replace(CASE, task=f"task {n}")) for n in range(6))
        return await asyncio.gather(*questions, return_exceptions=True)

    errors = await with_teacher(use, replace(LIMITS, longest_pause_s=0.2), log)
    assert all("answered 429: come back tomorrow" in str(error) for error in errors)
    assert {type(error) for error in errors} == {Unanswered, TeacherError}
    assert len(log.errors()) == 6
    asked = [asked.at for asked in teacher_server.asked]
    assert 0.6 <= asked[-1] - asked[0] < 2


async def test_a_provider_that_refuses_some_answers_the_others_in_the_end(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    good, refuse = teacher_server.say(EXPLAINED), teacher_server.refuse(429)
    teacher_server.then(*[refuse, refuse, good] * 12)

    async def use(teacher: LanguageModelTeacher) -> list[Explanation]:
        return await asyncio.gather(*(teacher.abstract(replace(CASE, task=f"task {n}")) for n in range(12)))

    limits = replace(LIMITS, attempts=1, backoff_s=1e-3, longest_pause_s=0.5)
    assert all(explanation.text for explanation in await with_teacher(use, limits))


async def test_no_key_reaches_an_error_or_a_record(
    teacher_server: TeacherServer, with_teacher: WithTeacher, provider: str
) -> None:
    key = os.environ[f"{provider.upper()}_API_KEY"]
    log = MemoryLog()
    for fault in (
        teacher_server.refuse(401, f"bad key {key}"),
        teacher_server.refuse(500, f"{key} crashed it"),
        teacher_server.send(f"<html>{key}</html>", "text/html"),
    ):
        teacher_server.then(fault)
        with pytest.raises(TeacherError) as caught:
            await with_teacher(abstract, replace(LIMITS, attempts=1), log)
        assert "[key]" in str(caught.value)
        assert key not in str(caught.value)
        assert caught.value.__cause__ is None
    assert len(log.calls) == 3
    assert key not in repr(log.calls)
    assert key in repr(teacher_server.asked[0].headers)  # it was really sent


async def test_retry_after_pauses_every_caller(teacher_server: TeacherServer, with_teacher: WithTeacher) -> None:
    teacher_server.then(teacher_server.refuse(429, headers={"Retry-After": "0.6"}))

    async def use(teacher: LanguageModelTeacher) -> None:
        first = asyncio.create_task(teacher.abstract(CASE))
        while not teacher_server.asked:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)  # the 429 is there
        others = [teacher.abstract(replace(CASE, uu_id=f"uu-{n}", task=f"task {n}")) for n in range(4)]
        await asyncio.gather(first, *others)

    await with_teacher(use)
    first, *rest = teacher_server.asked
    assert len(rest) == 5
    assert min(asked.at for asked in rest) - first.at >= 0.55


async def test_no_more_requests_are_in_flight_than_allowed(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.delay_s = 0.05

    async def use(teacher: LanguageModelTeacher) -> None:
        await asyncio.gather(*(teacher.abstract(replace(CASE, task=f"task {n}")) for n in range(9)))

    await with_teacher(use, replace(LIMITS, concurrency=3))
    assert len(teacher_server.asked) == 9
    assert teacher_server.most_in_flight == 3


async def test_a_malformed_answer_goes_back_with_the_reason(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.then(teacher_server.say("Let me think."), teacher_server.say('{"reasoning": "r"}'))
    log = MemoryLog()
    assert (await with_teacher(abstract, log=log)).text
    first, second, third = (asked.body["messages"] for asked in teacher_server.asked)
    assert [message["role"] for message in second] == ["user", "assistant", "user"]
    assert second[0] == first[0] == third[0]
    assert second[1]["content"] == "Let me think."
    assert "no complete JSON object" in second[2]["content"]
    assert "hypothesis: Field required" in third[2]["content"]
    assert [bool(error) for error in log.errors()] == [True, True, False]
    assert all(call.tokens_out == 7 for call in log.calls.values())


async def test_answers_that_stay_malformed_fail_this_question_only(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.then(*[teacher_server.say("no")] * 3)
    log = MemoryLog()

    async def use(teacher: LanguageModelTeacher) -> Explanation:
        with pytest.raises(MalformedAnswer, match="abstract of uu-1: no complete JSON object"):
            await teacher.abstract(CASE)
        return await teacher.abstract(replace(CASE, uu_id="uu-2", task="another task"))

    assert (await with_teacher(use, log=log)).text
    assert len(log.calls) == 4


async def test_an_answer_without_a_word_can_be_asked_again(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.then(teacher_server.say(""))
    await with_teacher(abstract)
    assert all(message["content"].strip() for message in teacher_server.asked[1].body["messages"])
    assert "it is empty" in teacher_server.asked[1].body["messages"][2]["content"]


async def test_an_answer_that_was_cut_off_is_asked_to_be_briefer(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.then(teacher_server.say('{"reasoning": "It all began', cut_off=True))
    await with_teacher(abstract)
    assert "cut off at 400 tokens" in teacher_server.asked[1].body["messages"][2]["content"]


async def test_an_answer_in_the_log_is_not_bought_again(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    log = MemoryLog()
    teacher_server.then(teacher_server.say("Let me think."))  # the answer needs a second request
    bought = await with_teacher(abstract, log=log)
    before = dict(log.calls)
    again = await with_teacher(abstract, log=log)  # the same run, resumed
    assert len(teacher_server.asked) == 2
    assert again == bought
    assert log.calls == before
    other = await with_teacher(abstract, log=log, run_id="run-2")
    assert len(teacher_server.asked) == 2
    assert other.text == bought.text
    hit = log.calls[other.call_id]
    assert (hit.run_id, hit.cache_hit, hit.cost_usd, hit.tokens_in, hit.tokens_out) == ("run-2", True, 0.0, 0, 0)


async def test_without_a_cache_only_the_answers_of_the_run_itself_are_used(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    log = MemoryLog()
    await with_teacher(abstract, log=log)
    limits = replace(LIMITS, use_cache=False)
    for _ in range(2):  # the second time it is resumed
        await with_teacher(abstract, limits, log, run_id="run-2")
    assert len(teacher_server.asked) == 2
    assert [call.run_id for call in log.calls.values()] == ["run-1", "run-2"]


async def test_a_question_that_is_asked_twice_at_once_is_bought_once(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.delay_s = 0.1
    log = MemoryLog()

    async def use(teacher: LanguageModelTeacher) -> list[object]:
        asking = (teacher.abstract(replace(CASE, uu_id=f"uu-{n}")) for n in range(3))
        return await asyncio.gather(*asking, return_exceptions=True)

    assert len({explanation.text for explanation in await with_teacher(use, log=log)}) == 1
    assert len(teacher_server.asked) == 1
    assert [call.cache_hit for call in log.calls.values()] == [False, True, True]
    teacher_server.then(teacher_server.refuse(400, "not this one"))
    declined, *others = await with_teacher(use, replace(LIMITS, temperature=0.5))
    assert isinstance(declined, Unanswered)
    assert all(isinstance(explanation, Explanation) for explanation in others)
    assert len(teacher_server.asked) == 3


async def test_an_answer_is_recorded_with_its_price_and_a_request_that_may_have_been_billed_too(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    log, caps = MemoryLog(), Caps(price=Price(1.0, 2.0), max_usd=1.0)
    await with_teacher(abstract, log=log, caps=caps)
    (call,) = log.calls.values()
    assert call.cost_usd == pytest.approx((11 * 1.0 + 7 * 2.0) / 1e6)
    teacher_server.then(teacher_server.refuse(500), teacher_server.drip)
    other = replace(CASE, uu_id="uu-2", task="another task")
    await with_teacher(lambda teacher: teacher.abstract(other), replace(LIMITS, timeout_s=0.5), log, caps=caps)
    _, late, answered = log.calls.values()
    assert "no answer within 0.5 s" in str(late.error)
    assert (late.reply, late.attempts) == (None, 2)
    assert late.cost_usd is not None
    assert call.cost_usd is not None
    assert late.cost_usd > 400 * 2.0 / 1e6  # at most: an answer as long as allowed
    assert answered.cost_usd == call.cost_usd
    bought, usd = log.bought("run-1")
    assert bought == 2
    assert usd == pytest.approx(2 * call.cost_usd + late.cost_usd)


async def test_the_cap_on_money_holds_in_flight_after_faults_and_after_a_resume(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.delay_s = 0.02
    teacher_server.then(teacher_server.drop, teacher_server.say("malformed"), teacher_server.truncate)

    async def use(teacher: LanguageModelTeacher) -> list[object]:
        questions = (teacher.abstract(replace(CASE, task=f"task {n}")) for n in range(30))
        return await asyncio.gather(*questions, return_exceptions=True)

    log, caps = MemoryLog(), Caps(max_usd=0.1, price=Price(0.0, 100.0))  # an answer: $0.0007, at most $0.04
    results = await with_teacher(use, log=log, caps=caps)
    assert any(isinstance(result, BudgetSpent) for result in results)
    calls, usd = log.bought("run-1")
    assert usd <= 0.1
    assert calls >= 1
    asked = len(teacher_server.asked)
    assert "max_usd = 0.1" in str([result for result in results if isinstance(result, BudgetSpent)][-1])
    await with_teacher(use, log=log, caps=caps)
    assert len(teacher_server.asked) == asked


class PendingProvider:
    """Answers nothing now."""

    async def complete(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> Reply:
        raise Pending(f"{len(messages)} {len(tools)}")

    async def aclose(self) -> None:
        """Nothing is held."""


async def test_a_question_that_waits_for_its_answer_leaves_no_row_and_holds_no_money() -> None:
    log = MemoryLog()
    ledger = ledger_of(log, "run-1", Caps(max_calls=1))
    caller = Caller("file:/tmp/questions", PendingProvider(), LIMITS, log, ledger)
    caller.begin_round("run-1", 1)
    for n in range(3):
        with pytest.raises(Pending):
            await caller.ask(Question("abstract", f"uu-{n}", f"question {n}", "hash"), lambda reply: reply.text)
    assert not log.calls
    ledger.check(1)


async def test_another_question_or_setting_is_not_taken_from_the_log(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    log = MemoryLog()
    await with_teacher(abstract, log=log)
    await with_teacher(abstract, replace(LIMITS, temperature=1.0), log)
    await with_teacher(lambda teacher: teacher.abstract(replace(CASE, confidence=0.5)), log=log)
    await with_teacher(lambda teacher: teacher.extrapolate(CASE, ABSTRACTION), log=log)
    assert len(teacher_server.asked) == 4
    assert len({call.cache_key for call in log.calls.values()}) == 4


async def test_the_cap_on_bought_answers_holds_in_flight_and_after_a_resume(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.delay_s = 0.05
    log = MemoryLog()
    caps = Caps(max_calls=3)

    async def use(teacher: LanguageModelTeacher) -> list[object]:
        questions = (teacher.abstract(replace(CASE, task=f"task {n}")) for n in range(6))
        return await asyncio.gather(*questions, return_exceptions=True)

    results = await with_teacher(use, log=log, caps=caps)
    assert sum(isinstance(result, Explanation) for result in results) == 3
    assert sum(isinstance(result, TeacherError) for result in results) == 3
    assert "max_calls = 3" in str(results[-1])
    resumed = await with_teacher(use, log=log, caps=caps)
    assert sum(isinstance(result, Explanation) for result in resumed) == 3  # those in the log
    assert len(teacher_server.asked) == 3
    await with_teacher(abstract, log=log, run_id="run-2", caps=caps)  # another run has a purse of its own
    assert len(teacher_server.asked) == 4


async def test_a_request_that_brought_nothing_does_not_count_as_bought(
    teacher_server: TeacherServer, with_teacher: WithTeacher
) -> None:
    teacher_server.then(teacher_server.refuse(500), teacher_server.drop)
    assert (await with_teacher(abstract, caps=Caps(max_calls=1))).text


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (samples("positive"), "1 samples, 2 were asked for"),
        (
            samples("positive", "neutral"),
            "sample 2 has the label 'neutral', which is not one of ['negative', 'positive']",
        ),
        (samples("positive", "positive", text="only one"), "sample 1 has the fields ['text'], not exactly"),
        (samples("positive", "positive", text=" ", title="t"), "samples.0.fields.text: String should have at least 1"),
        ('{"samples": [{"label": "positive"}]}', "samples.0.fields: Field required"),
        (EXPLAINED, "samples: Field required"),
    ],
)
def test_samples_that_do_not_fit_are_sent_back_with_what_is_wrong(answer: str, reason: str) -> None:
    with pytest.raises(MalformedAnswer) as caught:
        read_samples(answer, field_names=CASE.field_names, labels=CASE.labels, n=2)
    assert reason in str(caught.value)


def test_a_label_written_as_a_number_is_known_all_the_same() -> None:
    answer = '{"samples": [{"reasoning": "r", "fields": {"text": "t"}, "label": 1}]}'
    assert read_samples(answer, field_names=("text",), labels=("0", "1"), n=1)[0].label == "1"


@pytest.mark.parametrize(
    "wrapped",
    [
        "```json\n%s\n```",
        "Here you are:\n\n%s\n\nI hope that helps {really}.",
        '<think>Perhaps {"reasoning": "a draft", "hypothesis": "a draft"}?</think>%s',
        "{ not JSON } %s",
        '%s\n{"reasoning": "only a part"}',
    ],
)
def test_an_answer_is_found_with_anything_around_it(wrapped: str) -> None:
    assert read_explanation(wrapped.replace("%s", EXPLAINED)).hypothesis == "Negated dislike reads as dislike."


def test_a_bare_line_break_in_an_answer_is_forgiven_and_half_a_character_is_not() -> None:
    assert read_explanation('{"reasoning": "one\ntwo", "hypothesis": "h"}').reasoning == "one\ntwo"
    with pytest.raises(MalformedAnswer):  # it could not be stored as UTF-8
        read_explanation(r'{"reasoning": "r", "hypothesis": "a lone \ud800"}')


def test_an_answer_nested_without_end_is_malformed_not_a_crash() -> None:
    with pytest.raises(MalformedAnswer):
        read_explanation('{"a":' * 3000)


@given(before=st.text(), reasoning=st.text(min_size=1), hypothesis=st.text(min_size=1), after=st.text())
def test_whatever_a_reply_holds_it_is_read_or_called_malformed(
    before: str, reasoning: str, hypothesis: str, after: str
) -> None:
    answer = json.dumps({"reasoning": reasoning, "hypothesis": hypothesis})
    try:
        read = read_explanation(f"{before}\n{answer}\n{after}")
    except MalformedAnswer:
        assert "{" in before or not reasoning.strip() or not hypothesis.strip()
    else:
        assert (read.reasoning.strip(), read.hypothesis.strip()) == (reasoning.strip(), hypothesis.strip())


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("rules", TeacherSpec("rules")),
        ("openai:gpt-x", TeacherSpec("openai", "gpt-x")),
        ("openai:llama3:8b@http://127.0.0.1:8000/v1/", TeacherSpec("openai", "llama3:8b", "http://127.0.0.1:8000/v1")),
        ("openai:@cf/m/l@https://h.example/v1", TeacherSpec("openai", "@cf/m/l", "https://h.example/v1")),
        ("anthropic:claude-x", TeacherSpec("anthropic", "claude-x")),
        ("anthropic:c@http://localhost:1", TeacherSpec("anthropic", "c", "http://localhost:1")),
    ],
)
def test_a_spec_names_provider_model_and_base_url(text: str, spec: TeacherSpec) -> None:
    assert TeacherSpec.parse(text) == spec
    assert TeacherSpec.parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gemini:pro", "unknown teacher 'gemini'; known: rules, openai:MODEL"),
        ("", "unknown teacher ''"),
        ("rules:x", "unknown teacher 'rules'"),
        ("openai", "write openai:MODEL"),
        ("openai:@http://127.0.0.1/v1", "write openai:MODEL"),
        ("openai:m@localhost:8000", "must begin with http:// or https://"),
        ("openai:m@http://", "not a usable base URL"),
        ("openai:m@http://h:99999/v1", "not a usable base URL"),
        ("openai:m@http://h/v1?key=1", "not a usable base URL"),
    ],
)
def test_a_spec_that_cannot_be_used_says_what_is_known(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        TeacherSpec.parse(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://me:hunter2@h/v1",
        "https://hunter2@h/v1",
        "http://me:hunter2@h:99999/v1",
        "http://me:hunter2@h:port/v1",
        "http://me:hunter2@",
        "http://me:hunter2@h/v1?a=b",
        "http://me:x hunter2@h/v1",
        "http://me:x?hunter2@h/v1",
        "http://me:x#hunter2@h/v1",
        "http://me:x/hunter2@h/v1",
        "http://me:x\nhunter2@h/v1",
        "http://h/v1?key=hunter2",
        "http://h/hunter2/v1#",
        "http://[me:hunter2@h/v1",
        "ftp://me:hunter2@h/v1",
        "me:hunter2@h/v1",
    ],
)
@pytest.mark.parametrize("text", ["openai:m@{}", "anthropic:m@{}", "openai:{}"])
def test_a_password_in_a_spec_is_refused_and_not_repeated(text: str, url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        TeacherSpec.parse(text.format(url))
    assert "hunter2" not in str(caught.value)


def test_a_missing_key_is_told_before_anything_is_asked(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable, log = f"{provider.upper()}_API_KEY", MemoryLog()
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(TeacherError, match=f"set {variable}"):
        open_language_model(TeacherSpec.parse(f"{provider}:m"), LIMITS, log, ledger_of(log, "run-1"))
    monkeypatch.setenv(variable, "sk-ключ")
    with pytest.raises(TeacherError, match=f"{variable} contains characters") as caught:
        open_language_model(TeacherSpec.parse(f"{provider}:m"), LIMITS, log, ledger_of(log, "run-1"))
    assert "ключ" not in str(caught.value)


@pytest.mark.parametrize("provider", ["openai"], indirect=True)
async def test_a_server_of_ones_own_needs_no_key(
    teacher_server: TeacherServer, with_teacher: WithTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert (await with_teacher(abstract)).text
    assert teacher_server.asked[0].headers["Authorization"] == "Bearer none"


async def test_a_server_that_is_not_there_is_named(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{provider.upper()}_API_KEY", "sk-test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    spec = TeacherSpec.parse(f"{provider}:m@http://127.0.0.1:1")
    log = MemoryLog()
    teacher = open_language_model(spec, replace(LIMITS, attempts=1), log, ledger_of(log, "run-1"))
    teacher.begin_round("run-1", 1)
    with pytest.raises(TeacherError, match=r"127\.0\.0\.1:1"):
        await teacher.abstract(CASE)
    await teacher.aclose()


def counted(provider: str, tokens_in: Any, tokens_out: Any) -> dict[str, Any]:
    names = ("prompt_tokens", "completion_tokens") if provider == "openai" else ("input_tokens", "output_tokens")
    return dict(zip(names, (tokens_in, tokens_out), strict=True))


@pytest.mark.parametrize("tokens", [(2**63, 7), (11, 2**63), (-5, 7), (11, -(10**5000 > 0)), (11, 0), (0, 7), ("x", 7)])
async def test_counts_that_cannot_be_are_replaced_by_the_most_there_can_be_and_told_once(
    teacher_server: TeacherServer, with_teacher: WithTeacher, provider: str, tokens: tuple[Any, Any]
) -> None:
    teacher_server.then(*[teacher_server.say_with(EXPLAINED, usage=counted(provider, *tokens))] * 2)
    log, caps = MemoryLog(), Caps(price=Price(1.0, 1.0))
    await with_teacher(lambda teacher: ask_in_turn(teacher, 1, 2), log=log, caps=caps)
    for call in log.calls.values():
        assert 11 <= call.tokens_in < 20_000
        assert call.tokens_out in (7, LIMITS.max_tokens)
        assert (call.tokens_in > 11, call.tokens_out > 7) == tuple(
            not isinstance(count, int) or not 0 < count < 100 for count in tokens
        )
        assert call.cost_usd is not None
        assert 0 < call.cost_usd < 1
    (warning,) = log.warnings
    assert "which is impossible: such counts are replaced" in warning
    assert len(warning) < 400


async def test_plausible_counts_are_taken_as_they_are(with_teacher: WithTeacher) -> None:
    log = MemoryLog()
    await with_teacher(abstract, log=log)
    assert [(call.tokens_in, call.tokens_out) for call in log.calls.values()] == [(11, 7)]
    assert log.warnings == []


REFUSED: dict[str, list[dict[str, Any]]] = {
    "openai": [
        {"choices": [{"message": {"content": None, "refusal": "I won't."}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": "half a", "refusal": None}, "finish_reason": "content_filter"}]},
        {"choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]},
    ],
    "anthropic": [
        {"stop_reason": "refusal", "content": []},
        {"stop_reason": "refusal", "content": [{"type": "text", "text": "I won't."}]},
    ],
}


@pytest.mark.parametrize("case", range(3))
async def test_a_refusal_is_paid_for_and_not_asked_again(
    teacher_server: TeacherServer, with_teacher: WithTeacher, provider: str, case: int
) -> None:
    cases = REFUSED[provider]
    teacher_server.respond = teacher_server.say_with("x", **cases[case % len(cases)])
    log, caps = MemoryLog(), Caps(price=Price(1.0, 1.0))
    results = await with_teacher(lambda teacher: ask_in_turn(teacher, 1), log=log, caps=caps)
    assert kinds(results) == [Unanswered]
    assert "refused the question: " in str(results[0])
    assert len(teacher_server.asked) == 1
    (call,) = log.calls.values()
    assert (call.error, call.tokens_in, call.tokens_out) == (f"declined: {results[0]}", 11, 7)
    assert call.cost_usd == pytest.approx(18e-6)
    results = await with_teacher(lambda teacher: ask_in_turn(teacher, *range(2, 7)), log=log, caps=caps)
    assert kinds(results) == [Unanswered] * 4 + [TeacherError]
    assert len(teacher_server.asked) == 6


async def test_a_refusal_stays_one_in_its_round_and_others_go_on(
    teacher_server: TeacherServer, with_teacher: WithTeacher, provider: str
) -> None:
    log = MemoryLog()
    teacher_server.then(teacher_server.say(EXPLAINED), teacher_server.say_with("x", **REFUSED[provider][0]))
    for _ in range(2):
        results = await with_teacher(lambda teacher: ask_in_turn(teacher, 1, 2), log=log)
        assert kinds(results) == [Explanation, Unanswered]
    assert len(teacher_server.asked) == 2
