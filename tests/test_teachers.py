"""Language-model teachers over real HTTP: the same contract for every provider, whatever the server does."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.agents.answers import read_explanation, read_samples
from blindspot.agents.call_log import reply_of
from blindspot.agents.calls import CallLimits
from blindspot.agents.language_model import LanguageModelTeacher
from blindspot.agents.opening import open_language_model
from blindspot.agents.provider import Reply, redact, retry_after_s
from blindspot.agents.teacher import Case, Explanation, TeacherSpec
from blindspot.storage.errors import MalformedAnswer, SettingsError, TeacherError, Unanswered
from blindspot.storage.records import TeacherCall

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
    concurrency=8,
    timeout_s=5.0,
    attempts=3,
    max_calls=None,
    temperature=None,
    max_tokens=400,
    backoff_s=0.01,
)


@dataclass
class MemoryLog:
    """A call log in memory."""

    calls: dict[str, TeacherCall] = field(default_factory=dict)

    def find(self, cache_key: str) -> Reply | None:
        found = (reply_of(call) for call in self.calls.values() if call.cache_key == cache_key and call.error is None)
        return next(found, None)

    async def add(self, call: TeacherCall) -> None:
        self.calls.setdefault(call.call_id, call)

    def bought(self, run_id: str) -> int:
        calls = self.calls.values()
        return sum(call.run_id == run_id and call.reply is not None and not call.cache_hit for call in calls)

    def errors(self) -> list[str | None]:
        return [call.error for call in self.calls.values()]


def samples(*labels: str, **fields: str) -> str:
    """A generation answer with one sample for each label."""
    fields = fields or {"title": "The Pier", "text": "There was not a scene that I would call weak."}
    return json.dumps({"samples": [{"reasoning": "r", "fields": fields, "label": label} for label in labels]})


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def with_teacher(teacher_server, provider):
    """Runs a function with a teacher in round 1 of run-1, and closes the teacher."""

    async def run(
        use: Callable[[LanguageModelTeacher], Awaitable[Any]],
        limits: CallLimits = LIMITS,
        log: MemoryLog | None = None,
        run_id: str = "run-1",
    ) -> Any:
        spec = TeacherSpec.parse(teacher_server.spec(provider))
        teacher = open_language_model(spec, limits, log if log is not None else MemoryLog())
        teacher.begin_round(run_id, 1)
        try:
            return await use(teacher)
        finally:
            await teacher.aclose()

    teacher_server.default = EXPLAINED
    return run


async def abstract(teacher: LanguageModelTeacher) -> Explanation:
    return await teacher.abstract(CASE)


async def test_a_good_answer_becomes_an_explanation_and_a_record(teacher_server, with_teacher, provider) -> None:
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


async def test_settings_of_the_call_reach_the_provider(teacher_server, with_teacher) -> None:
    await with_teacher(abstract, replace(LIMITS, temperature=0.3))
    body = teacher_server.asked[0].body
    assert body["model"] == "small-1"
    assert body["temperature"] == 0.3
    assert body["max_tokens"] == 400
    await with_teacher(abstract)
    assert "temperature" not in teacher_server.asked[1].body


async def test_an_extrapolation_is_asked_from_the_abstraction(teacher_server, with_teacher) -> None:
    await with_teacher(lambda teacher: teacher.extrapolate(CASE, ABSTRACTION))
    assert ABSTRACTION.text in teacher_server.asked[0].body["messages"][0]["content"]


async def test_drafts_come_with_exactly_the_fields_in_their_order(teacher_server, with_teacher) -> None:
    fields = {"text": " There was not a weak scene. ", "title": "The Pier"}
    teacher_server.then(teacher_server.say(samples("positive", "negative", "positive", **fields)))
    drafts = await with_teacher(lambda teacher: teacher.generate(CASE, ABSTRACTION, "abstraction", 2))
    assert [draft.label for draft in drafts] == ["positive", "negative"]
    assert list(drafts[0].fields.items()) == [("title", "The Pier"), ("text", "There was not a weak scene.")]
    assert drafts[0].call_id == drafts[1].call_id


FAULTS = {
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
async def test_a_fault_that_passes_costs_only_another_request(teacher_server, with_teacher, fault: str) -> None:
    await with_teacher(abstract)  # an SDK imports much of itself in its first request
    teacher_server.asked.clear()
    teacher_server.then(FAULTS[fault](teacher_server))
    log = MemoryLog()
    explanation = await with_teacher(abstract, replace(LIMITS, timeout_s=1 if fault == "slow drip" else 5), log)
    assert explanation.text == "Negated dislike reads as dislike."
    assert len(teacher_server.asked) == 2
    assert [call.attempts for call in log.calls.values()] == [2]


@pytest.mark.parametrize("fault", ["500", "dropped", "slow drip", "page of HTML"])
async def test_a_fault_that_stays_ends_in_one_line_for_the_operator(teacher_server, with_teacher, fault: str) -> None:
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
async def test_a_refusal_is_final_and_tells_what_the_provider_said(teacher_server, with_teacher, status: int) -> None:
    teacher_server.then(teacher_server.refuse(status, "the model small-1 is not for you"))
    log = MemoryLog()
    with pytest.raises(TeacherError, match=rf"answered {status}: the model small-1 is not for you") as caught:
        await with_teacher(abstract, log=log)
    assert isinstance(caught.value, Unanswered) == (status in (400, 413, 422))  # these may be about this text only
    assert len(teacher_server.asked) == 1
    assert log.errors() == [str(caught.value)]


async def test_questions_in_a_row_without_an_answer_end_it_for_all(teacher_server, with_teacher) -> None:
    decline = teacher_server.refuse(400, "content management policy")
    good = teacher_server.say(EXPLAINED)
    teacher_server.then(*[decline] * 4, good, *[decline] * 5)

    async def use(teacher: LanguageModelTeacher) -> list[object]:
        return [
            await asyncio.gather(teacher.abstract(replace(CASE, task=f"task {n}")), return_exceptions=True)
            for n in range(10)
        ]

    kinds = [type(result) for (result,) in await with_teacher(use)]
    assert kinds == [Unanswered] * 4 + [Explanation] + [Unanswered] * 4 + [TeacherError]


async def cancelled_in_flight(teacher: LanguageModelTeacher, server) -> asyncio.Task[Explanation]:
    """Ask, and cancel once the request has arrived."""
    asking = asyncio.create_task(teacher.abstract(CASE))
    while not server.asked:
        await asyncio.sleep(0.01)
    asking.cancel()
    return asking


async def test_a_request_in_flight_outlives_one_cancellation_and_is_recorded(teacher_server, with_teacher) -> None:
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


async def test_a_second_cancellation_ends_a_request_at_once(teacher_server, with_teacher) -> None:
    teacher_server.then(teacher_server.drip)
    log = MemoryLog()

    async def use(teacher: LanguageModelTeacher) -> None:
        asking = await cancelled_in_flight(teacher, teacher_server)
        assert await asyncio.wait([asking], timeout=0.2) == (set(), {asking})
        asking.cancel()
        assert await asyncio.wait([asking], timeout=1) == ({asking}, set())

    await with_teacher(use, log=log)
    assert not log.calls


async def test_one_cancellation_ends_a_pause_that_the_provider_asked_for(teacher_server, with_teacher) -> None:
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


async def test_an_account_without_credit_is_a_refusal_not_a_rate(teacher_server, with_teacher) -> None:
    body = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
    teacher_server.then(teacher_server.refuse(429, body))
    with pytest.raises(TeacherError, match="no credit left"):
        await with_teacher(abstract)
    assert len(teacher_server.asked) == 1


async def test_a_pause_longer_than_anyone_waits_for_is_told_to_the_operator(teacher_server, with_teacher) -> None:
    teacher_server.then(teacher_server.refuse(429, "slow down", {"Retry-After": "7200"}))
    with pytest.raises(TeacherError, match="wait 7200 s"):
        await with_teacher(abstract)


async def test_no_key_reaches_an_error_or_a_record(teacher_server, with_teacher, provider: str) -> None:
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


async def test_retry_after_pauses_every_caller(teacher_server, with_teacher) -> None:
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


async def test_no_more_requests_are_in_flight_than_allowed(teacher_server, with_teacher) -> None:
    teacher_server.delay_s = 0.05

    async def use(teacher: LanguageModelTeacher) -> None:
        await asyncio.gather(*(teacher.abstract(replace(CASE, task=f"task {n}")) for n in range(9)))

    await with_teacher(use, replace(LIMITS, concurrency=3))
    assert len(teacher_server.asked) == 9
    assert teacher_server.most_in_flight == 3


async def test_a_malformed_answer_goes_back_with_the_reason(teacher_server, with_teacher) -> None:
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


async def test_answers_that_stay_malformed_fail_this_question_only(teacher_server, with_teacher) -> None:
    teacher_server.then(*[teacher_server.say("no")] * 3)
    log = MemoryLog()

    async def use(teacher: LanguageModelTeacher) -> Explanation:
        with pytest.raises(MalformedAnswer, match="abstract of uu-1: no complete JSON object"):
            await teacher.abstract(CASE)
        return await teacher.abstract(replace(CASE, uu_id="uu-2", task="another task"))

    assert (await with_teacher(use, log=log)).text
    assert len(log.calls) == 4


async def test_an_answer_without_a_word_can_be_asked_again(teacher_server, with_teacher) -> None:
    teacher_server.then(teacher_server.say(""))
    await with_teacher(abstract)
    assert all(message["content"].strip() for message in teacher_server.asked[1].body["messages"])
    assert "it is empty" in teacher_server.asked[1].body["messages"][2]["content"]


async def test_an_answer_that_was_cut_off_is_asked_to_be_briefer(teacher_server, with_teacher) -> None:
    teacher_server.then(teacher_server.say('{"reasoning": "It all began', cut_off=True))
    await with_teacher(abstract)
    assert "cut off at 400 tokens" in teacher_server.asked[1].body["messages"][2]["content"]


async def test_an_answer_in_the_log_is_not_bought_again(teacher_server, with_teacher) -> None:
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


async def test_another_question_or_setting_is_not_taken_from_the_log(teacher_server, with_teacher) -> None:
    log = MemoryLog()
    await with_teacher(abstract, log=log)
    await with_teacher(abstract, replace(LIMITS, temperature=1.0), log)
    await with_teacher(lambda teacher: teacher.abstract(replace(CASE, confidence=0.5)), log=log)
    await with_teacher(lambda teacher: teacher.extrapolate(CASE, ABSTRACTION), log=log)
    assert len(teacher_server.asked) == 4
    assert len({call.cache_key for call in log.calls.values()}) == 4


async def test_the_cap_on_bought_answers_holds_in_flight_and_after_a_resume(teacher_server, with_teacher) -> None:
    teacher_server.delay_s = 0.05
    log = MemoryLog()
    limits = replace(LIMITS, max_calls=3)

    async def use(teacher: LanguageModelTeacher) -> list[object]:
        questions = (teacher.abstract(replace(CASE, task=f"task {n}")) for n in range(6))
        return await asyncio.gather(*questions, return_exceptions=True)

    results = await with_teacher(use, limits, log)
    assert sum(isinstance(result, Explanation) for result in results) == 3
    assert sum(isinstance(result, TeacherError) for result in results) == 3
    assert "max_calls = 3" in str(results[-1])
    resumed = await with_teacher(use, limits, log)
    assert sum(isinstance(result, Explanation) for result in resumed) == 3  # those in the log
    assert len(teacher_server.asked) == 3
    await with_teacher(abstract, limits, log, run_id="run-2")  # another run has a purse of its own
    assert len(teacher_server.asked) == 4


async def test_a_request_that_brought_nothing_does_not_count_as_bought(teacher_server, with_teacher) -> None:
    teacher_server.then(teacher_server.refuse(500), teacher_server.drop)
    assert (await with_teacher(abstract, replace(LIMITS, max_calls=1))).text


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (samples("positive"), "1 samples, 2 were asked for"),
        (samples("positive", "neutral"), "sample 2 has the label 'neutral', which is none of ['negative', 'positive']"),
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
def test_whatever_a_reply_holds_it_is_read_or_called_malformed(before, reasoning, hypothesis, after) -> None:
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
        ("openai:m@localhost:8000", "begins with http:// or https://"),
        ("openai:m@http://", "not a usable base URL"),
        ("openai:m@http://h:99999/v1", "not a usable base URL"),
        ("openai:m@http://h/v1?key=1", "not a usable base URL"),
    ],
)
def test_a_spec_that_cannot_be_used_says_what_is_known(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        TeacherSpec.parse(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["openai:m@http://me:hunter2@h/v1", "openai:m@https://hunter2@h/v1"])
def test_a_password_in_a_spec_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        TeacherSpec.parse(text)
    assert "hunter2" not in str(caught.value)


def test_a_missing_key_is_told_before_anything_is_asked(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"{provider.upper()}_API_KEY"
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(TeacherError, match=f"set {variable}"):
        open_language_model(TeacherSpec.parse(f"{provider}:m"), LIMITS, MemoryLog())
    monkeypatch.setenv(variable, "sk-ключ")
    with pytest.raises(TeacherError, match=f"{variable} holds characters") as caught:
        open_language_model(TeacherSpec.parse(f"{provider}:m"), LIMITS, MemoryLog())
    assert "ключ" not in str(caught.value)


@pytest.mark.parametrize("provider", ["openai"], indirect=True)
async def test_a_server_of_ones_own_needs_no_key(teacher_server, with_teacher, monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert (await with_teacher(abstract)).text
    assert teacher_server.asked[0].headers["Authorization"] == "Bearer none"


async def test_a_server_that_is_not_there_is_named(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{provider.upper()}_API_KEY", "sk-test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    spec = TeacherSpec.parse(f"{provider}:m@http://127.0.0.1:1")
    teacher = open_language_model(spec, replace(LIMITS, attempts=1), MemoryLog())
    teacher.begin_round("run-1", 1)
    with pytest.raises(TeacherError, match=r"127\.0\.0\.1:1"):
        await teacher.abstract(CASE)
    await teacher.aclose()


def test_retry_after_is_read_as_seconds_milliseconds_or_a_date() -> None:
    assert retry_after_s({"retry-after": "2"}) == 2
    assert retry_after_s({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    assert retry_after_s({"retry-after": "-3"}) == 0
    assert retry_after_s({"retry-after": "soon"}) is None
    assert retry_after_s({}) is None
    in_a_minute = formatdate(time.time() + 60, usegmt=True)
    assert 50 < (retry_after_s({"retry-after": in_a_minute}) or 0) <= 60


def test_half_masked_keys_are_blotted_out_too() -> None:
    assert redact("Incorrect API key provided: sk-proj-ab***yz.", "") == "Incorrect API key provided: [key]"
