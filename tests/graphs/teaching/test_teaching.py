"""Language models teach inside a run: what is paid for is kept, one bad question costs one UU, a stop is heard."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from aiohttp import web

from blindspot.agents.calls.log import Occasion
from blindspot.graphs.context import Context, Progress, State
from blindspot.graphs.preflight.source import source_of
from blindspot.graphs.running.run import resume_run, start_run
from blindspot.graphs.teaching.tasks import run_all
from blindspot.graphs.teaching.teach import teach
from blindspot.graphs.teaching.teachers import StoredCalls, bought_in
from blindspot.storage.clock import now
from blindspot.storage.errors import Cancelled, TeacherError
from blindspot.storage.records import Dataset, Run, TeacherCall
from blindspot.storage.settings.sections import Settings
from blindspot.storage.store.store import Store
from blindspot.tools.data.planted import write_dataset
from blindspot.tools.progress import never
from support.processes import WarmPython
from support.runs import Table, fine_tune_in_a_run, nothing, settings_with
from support.teacher_server import Behaviour, TeacherServer, prompt_of
from support.workspaces import read

MakeSettings = Callable[..., Settings]

ROWS = {"train": 160, "validation": 80, "test": 60}
UUS = 6
QUESTIONS = 4  # about each UU: two hypotheses, samples after both


@pytest.fixture(scope="module")
def classifier(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set with a planted blind spot, and a classifier that was fine-tuned on it."""
    folder = tmp_path_factory.mktemp("taught")
    write_dataset(folder / "data", seed=0, rows=ROWS, planted_share=0.3)
    tuned = {"epochs": 8, "batch_size": 16, "learning_rate": 1e-2}
    settings = make_settings(folder / "data", tiny_base, folder, "rules", classifier={"fine_tune": True, **tuned})
    return folder / "data", fine_tune_in_a_run(settings)


@pytest.fixture
def settings(teacher_server: TeacherServer, classifier: tuple[Path, Path], tmp_path: Path) -> MakeSettings:
    """Makes the settings of a run that the server teaches well, unless a test makes it misbehave."""
    teacher_server.respond = well(teacher_server)
    data, model = classifier

    def make(provider: str, **changes: dict[str, Any]) -> Settings:
        return make_settings(data, model, tmp_path, teacher_server.spec(provider), **changes)

    return make


def make_settings(data: Path, model: Path, folder: Path, spec: str, **changes: dict[str, Any]) -> Settings:
    table: Table = {
        "run": {"name": "taught", "workspace": str(folder / "workspace")},
        "data": {"path": str(data), "task": "sentiment of reviews"},
        "classifier": {"model": str(model), "fine_tune": False, "max_tokens": 64, "device": "cpu"},
        "attack": {"recipes": [], "samples": 0},
        "select": {"share": 1, "most": UUS},
        "teacher": {"spec": spec, "attempts": 2, "requests_per_second": 1000, "requests_per_minute": 10_000},
        "filter": {"references": 20, "bertscore": 0.0},
        "retrain": {"epochs": 1},
        "evaluate": {"samples": 0, "resamples": 100},
    }
    return settings_with(table, changes)


def well(server: TeacherServer) -> Behaviour:
    """Answer whatever is asked in its own form."""

    async def behave(request: web.Request) -> web.StreamResponse:
        asked = prompt_of(await request.json())
        text = f"It was a long evening of {len(asked)} dishes, and I would go there once more with my friends."
        sample = {"reasoning": "it follows", "fields": {"text": text}, "label": "positive"}
        explained = {"reasoning": "It counts words.", "hypothesis": f"Negated dislike reads as dislike ({len(asked)})."}
        answer = {"samples": [sample]} if '"samples"' in asked else explained
        return await server.say(json.dumps(answer))(request)

    return behave


def failing(server: TeacherServer, behaviour: Behaviour, *, when: Callable[[str], bool]) -> None:
    """Let the server misbehave on the prompts that `when` picks."""
    good = well(server)

    async def behave(request: web.Request) -> web.StreamResponse:
        asked = prompt_of(await request.json())
        return await (behaviour if when(asked) else good)(request)

    server.respond = behave


def case_of(prompt: str) -> str:
    """The quoted case of a prompt: what tells one UU's questions from another's."""
    return prompt.split("<data>\n")[1].split("\n</data>")[0]


def prompts(server: TeacherServer) -> Counter[str]:
    return Counter(prompt_of(asked.body) for asked in server.asked)


async def start(
    settings: Settings, show: Callable[[Progress], None] = nothing, cancelled: Callable[[], bool] = never
) -> Run:
    return await asyncio.to_thread(start_run, settings, show=show, cancelled=cancelled)


async def resume(settings: Settings) -> Run:
    return await asyncio.to_thread(resume_run, Path(settings.run.workspace), None, show=nothing, cancelled=never)


def taught_about(settings: Settings) -> int:
    """UUs with both hypotheses and a sample after each."""
    ((number,),) = read(
        settings.run.workspace,
        "select count(*) from (select uu_id from hypotheses join synthetic_samples using (hypothesis_id) "
        "group by uu_id having count(distinct kind) = 2)",
    )
    return int(number)


async def test_a_language_model_teaches_a_whole_run_and_every_call_is_recorded(
    settings: MakeSettings, teacher_server: TeacherServer, provider: str
) -> None:
    chosen = settings(provider)
    run = await start(chosen)
    assert run.status == "finished"
    assert taught_about(chosen) == UUS
    calls = read(
        chosen.run.workspace,
        "select phase, count(*), min(length(prompt)) > 500, min(length(reply)) > 40, sum(tokens_in), sum(tokens_out), "
        "any_value(model), max(attempts), bool_or(cache_hit), count(error), count(distinct uu_id) "
        "from teacher_calls group by phase order by phase",
    )
    assert calls == [
        (phase, n, True, True, 11 * n, 7 * n, "small-1-served", 1, False, 0, UUS)
        for phase, n in (("abstract", UUS), ("extrapolate", UUS), ("generate", 2 * UUS))
    ]
    stored = {prompt for (prompt,) in read(chosen.run.workspace, "select prompt from teacher_calls")}
    assert stored == {f"[user]\n{prompt}" for prompt in prompts(teacher_server)}
    for table in ("hypotheses", "synthetic_samples"):
        assert read(chosen.run.workspace, f"select count(*) from {table} anti join teacher_calls using (call_id)") == [
            (0,)
        ]


async def test_a_run_that_breaks_while_teaching_asks_nothing_twice(
    settings: MakeSettings, teacher_server: TeacherServer, provider: str
) -> None:
    teacher_server.delay_s = 0.1
    chosen = settings(provider, teacher={"concurrency": 3})

    def show(progress: Progress) -> None:
        if progress.phase == "teach" and progress.done >= 1:
            raise RuntimeError("the display broke")

    with pytest.raises(RuntimeError, match="the display broke"):
        await start(chosen, show=show)
    asked = len(teacher_server.asked)
    assert QUESTIONS <= asked < QUESTIONS * UUS
    assert read(chosen.run.workspace, "select count(*) from teacher_calls where reply is not null") == [(asked,)]
    assert (await resume(chosen)).status == "finished"
    assert taught_about(chosen) == UUS
    assert set(prompts(teacher_server).values()) == {1}


async def test_a_run_killed_while_teaching_asks_nothing_twice(
    settings: MakeSettings, teacher_server: TeacherServer, warm_python: WarmPython, tmp_path: Path
) -> None:
    chosen = settings("openai", teacher={"concurrency": 1})  # nothing is in flight when a UU is done
    await asyncio.to_thread(warm_python.kill_run, chosen.model_dump(mode="json"), tmp_path, ("teach", 3))
    assert QUESTIONS * 3 <= len(teacher_server.asked) < QUESTIONS * UUS
    assert (await resume(chosen)).status == "finished"
    assert taught_about(chosen) == UUS
    assert set(prompts(teacher_server).values()) == {1}


async def test_a_stop_is_heard_between_questions_and_what_is_under_way_is_kept(
    settings: MakeSettings, teacher_server: TeacherServer
) -> None:
    teacher_server.delay_s = 0.4
    chosen = settings("openai", teacher={"concurrency": 2})
    with pytest.raises(Cancelled):
        await start(chosen, cancelled=lambda: len(teacher_server.asked) >= 3)
    asked = len(teacher_server.asked)
    assert asked <= 4
    assert read(chosen.run.workspace, "select count(*) from teacher_calls where reply is not null") == [(asked,)]
    assert read(chosen.run.workspace, "select status from runs") == [("stopped",)]
    teacher_server.delay_s = 0.0
    assert (await resume(chosen)).status == "finished"
    assert taught_about(chosen) == UUS
    assert set(prompts(teacher_server).values()) == {1}


async def test_a_stop_is_heard_while_the_provider_asks_everyone_to_wait(
    settings: MakeSettings, teacher_server: TeacherServer
) -> None:
    chosen = settings("openai")
    teacher_server.respond = teacher_server.refuse(429, "slow down", {"Retry-After": "300"})
    with pytest.raises(Cancelled):
        await asyncio.wait_for(start(chosen, cancelled=lambda: bool(teacher_server.asked)), timeout=30)
    assert 1 <= len(teacher_server.asked) <= UUS


async def test_a_uu_whose_question_always_fails_is_skipped_and_the_others_go_on(
    settings: MakeSettings, teacher_server: TeacherServer
) -> None:
    chosen = settings("openai")
    first: list[str] = []

    def is_unlucky(prompt: str) -> bool:
        first.append(case_of(prompt))
        return case_of(prompt) == first[0]

    failing(teacher_server, teacher_server.refuse(500, "out of order"), when=is_unlucky)
    assert (await start(chosen)).status == "finished"
    assert taught_about(chosen) == UUS - 1
    assert read(
        chosen.run.workspace,
        "select json_extract_string(result, '$.\"UUs skipped\"') from tool_calls where tool = 'teach'",
    ) == [("1",)]
    ((told,),) = read(chosen.run.workspace, "select message from events where phase = 'teach' and level = 'warning'")
    assert "answered 500: out of order (attempt 2, the last)" in told
    assert read(chosen.run.workspace, "select attempts, reply is null from teacher_calls where error is not null") == [
        (2, True)
    ]


async def test_a_question_that_the_provider_declines_costs_its_uu_only(
    settings: MakeSettings, teacher_server: TeacherServer
) -> None:
    chosen = settings("openai")
    unlucky: list[str] = []

    def is_unlucky(prompt: str) -> bool:
        unlucky.append(case_of(prompt))
        return case_of(prompt) == unlucky[0] and "has been explained" in prompt

    failing(teacher_server, teacher_server.refuse(400, "content management policy"), when=is_unlucky)
    assert (await start(chosen)).status == "finished"
    assert taught_about(chosen) == UUS - 1
    assert read(chosen.run.workspace, "select count(*) from hypotheses") == [(2 * UUS - 1,)]
    assert set(prompts(teacher_server).values()) == {1}  # the same question would be declined again


@pytest.mark.parametrize("words", ["I'm sorry, I can't help with that.", None])
@pytest.mark.parametrize("uus", [2, UUS])
async def test_a_run_in_which_all_was_refused_fails_in_one_line_and_can_be_resumed(
    settings: MakeSettings, teacher_server: TeacherServer, uus: int, words: str | None
) -> None:
    chosen = settings("openai", select={"share": 1, "most": uus}, teacher={"attempts": 2, "concurrency": 1})
    refusal = {"choices": [{"message": {"content": None, "refusal": "I won't."}, "finish_reason": "stop"}]}
    refuse = teacher_server.say(words) if words else teacher_server.say_with("", **refusal)
    teacher_server.respond, good = refuse, teacher_server.respond
    with pytest.raises(TeacherError, match=r"fix this.*, then resume the run"):
        await start(chosen)
    assert len(teacher_server.asked) == (2 * uus if words else min(uus, 5))
    ((status, reason),) = read(chosen.run.workspace, "select status, stop_reason from runs")
    assert status == "failed"
    assert "TeacherError" in reason
    teacher_server.respond = good
    if words is None:  # a refusal to all may be fixed: the first question is asked again
        assert (await resume(chosen)).status == "finished"
        assert taught_about(chosen) >= 1


async def test_a_run_that_was_broken_after_many_declines_goes_on_and_ends_with_the_rows_of_one_that_was_not(
    settings: MakeSettings, teacher_server: TeacherServer, tmp_path: Path
) -> None:
    cases: list[str] = []

    def is_unlucky(prompt: str) -> bool:
        if case_of(prompt) not in cases:
            cases.append(case_of(prompt))
        return case_of(prompt) in cases[1:7]

    def show(progress: Progress) -> None:
        if progress.phase == "teach" and progress.done >= 7:
            raise RuntimeError("the display broke")

    failing(teacher_server, teacher_server.refuse(400, "content management policy"), when=is_unlucky)
    straight = settings("openai", select={"most": UUS + 3}, teacher={"concurrency": 1})
    assert (await start(straight)).status == "finished"
    broken = straight.model_copy(update={"run": straight.run.model_copy(update={"workspace": str(tmp_path / "other")})})
    teacher_server.asked.clear()
    with pytest.raises(RuntimeError, match="the display broke"):
        await start(broken, show=show)
    assert (await resume(broken)).status == "finished"
    assert set(prompts(teacher_server).values()) == {1}
    for sql in (
        "select call_id, error, attempts from teacher_calls order by call_id",
        "select hypothesis_id, call_id from hypotheses order by hypothesis_id",
        "select event_id, message from events where phase = 'teach' and level = 'warning' order by event_id",
    ):
        assert read(broken.run.workspace, sql) == read(straight.run.workspace, sql) != []
    assert taught_about(broken) == 3


@pytest.mark.parametrize("uus", [2, UUS + 3])
async def test_a_provider_that_answers_nobody_ends_the_phase_and_the_run_can_go_on(
    settings: MakeSettings, teacher_server: TeacherServer, uus: int
) -> None:
    chosen = settings("openai", select={"most": uus}, teacher={"concurrency": 2})
    failing(teacher_server, teacher_server.refuse(503, "maintenance"), when=lambda _: True)
    with pytest.raises(TeacherError, match="maintenance") as caught:
        await start(chosen)
    assert "resume" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert read(chosen.run.workspace, "select status from runs") == [("failed",)]
    assert len(prompts(teacher_server)) <= 6
    teacher_server.respond = well(teacher_server)
    assert (await resume(chosen)).status == "finished"
    assert taught_about(chosen) == uus


async def test_a_wrong_key_is_one_line_and_the_right_one_goes_on(
    settings: MakeSettings, teacher_server: TeacherServer, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(provider)
    variable = f"{provider.upper()}_API_KEY"
    right = os.environ[variable]
    good = well(teacher_server)

    async def behave(request: web.Request) -> web.StreamResponse:
        given = request.headers.get("x-api-key") or request.headers["Authorization"].removeprefix("Bearer ")
        return await (good if given == right else teacher_server.refuse(401, "invalid key"))(request)

    teacher_server.respond = behave
    monkeypatch.setenv(variable, "sk-wrong-0123456789")
    with pytest.raises(TeacherError) as caught:
        await start(chosen)
    assert str(caught.value) == f"{provider}:small-1 answered 401: invalid key"
    assert len(teacher_server.asked) <= UUS
    assert read(chosen.run.workspace, "select status, stop_reason from runs") == [
        ("failed", f"TeacherError: {caught.value}")
    ]
    monkeypatch.setenv(variable, right)
    assert (await resume(chosen)).status == "finished"
    assert taught_about(chosen) == UUS


async def test_what_is_in_flight_when_the_teacher_refuses_for_good_is_kept(
    settings: MakeSettings, teacher_server: TeacherServer
) -> None:
    chosen = settings("openai")
    good = well(teacher_server)

    async def slowly(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.5)
        return await good(request)

    teacher_server.respond = slowly
    teacher_server.then(slowly, slowly, slowly, slowly, slowly, teacher_server.refuse(404, "no such model"))
    with pytest.raises(TeacherError, match="no such model"):
        await start(chosen)
    assert len(teacher_server.asked) == UUS
    assert read(chosen.run.workspace, "select count(*) from teacher_calls where reply is not null") == [(UUS - 1,)]


async def test_a_cap_on_calls_lets_the_round_go_on_with_what_was_bought(
    settings: MakeSettings, teacher_server: TeacherServer
) -> None:
    chosen = settings("openai", teacher={"max_calls": 9, "concurrency": 2})
    assert (await start(chosen)).status == "finished"
    assert len(teacher_server.asked) == 9
    assert 1 <= taught_about(chosen) <= 2
    told = read(
        chosen.run.workspace, "select distinct regexp_replace(message, '.*?: ', '') from events where level = 'warning'"
    )
    assert len(told) == 1
    assert "teacher.max_calls = 9 is reached" in told[0][0]
    assert "resume it with --set teacher.max_calls=" in told[0][0]
    more = settings("openai", teacher={"max_calls": QUESTIONS * UUS})
    assert (await start(more)).status == "finished"
    assert set(prompts(teacher_server).values()) == {1}
    assert read(
        more.run.workspace, "select run_id, cache_hit, count(*) from teacher_calls group by all order by all"
    ) == [
        ("taught-1", False, 9),
        ("taught-2", False, QUESTIONS * UUS - 9),
        ("taught-2", True, 9),
    ]


async def test_what_defers_its_end_has_a_grace_after_a_stop_and_all_its_time_after_a_failure() -> None:
    ended: list[str] = []

    async def deferring(seconds: float) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(seconds)
            ended.append("in its own time")
            raise

    async def fail() -> None:
        raise TeacherError("refused")

    begun = asyncio.get_running_loop().time()

    def stopped() -> bool:
        return asyncio.get_running_loop().time() > begun + 0.1

    with pytest.raises(Cancelled):
        await asyncio.wait_for(run_all([deferring(0.05), deferring(60)], cancelled=stopped, grace_s=0.3), 10)
    assert len(ended) == 1
    with pytest.raises(TeacherError, match="refused"):
        await asyncio.wait_for(run_all([deferring(0.5), fail()], cancelled=never, grace_s=0.01), 10)
    assert len(ended) == 2


async def test_nothing_is_left_running_when_the_phase_itself_is_cancelled() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run_all([asyncio.sleep(60) for _ in range(3)], cancelled=never), 0.05)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_answers_of_a_store_are_found_again_by_question_and_counted_by_run(tmp_path: Path) -> None:
    made = TeacherCall(
        call_id="c1", run_id="a-1", round=1, phase="abstract", uu_id="uu-1", cache_key="k1", teacher="openai:m",
        prompt="p", prompt_hash="h", reply="r1", model="m", tokens_in=1, tokens_out=1, cost_usd=0.25, latency_s=0.1,
        attempts=1, cache_hit=False, error=None, created_at=now(),
    )  # fmt: skip
    others = [
        replace(made, call_id="c2", cache_key="k2", reply="no JSON", error="malformed: no JSON object in it"),
        replace(made, call_id="c3", run_id="a-2", cost_usd=0.0, cache_hit=True),
        replace(made, call_id="c4", run_id="a-2", cache_key="k3", reply=None, error="no answer within 60 s"),
        replace(made, call_id="c5", run_id="a-2", cache_key="k4", teacher="openai:other", cost_usd=None),
        replace(made, call_id="c0", run_id="a-3", reply="newer", created_at=now()),
    ]
    with Store.open(tmp_path) as store:
        calls = StoredCalls(store, "openai:m")
        for call in [made, *others[:3]]:
            await calls.add(call)
        store.add(others[3:])
        found = [await calls.find(key) for key in ("k1", "k2", "k3", "k4")]
        assert [reply and reply.text for reply in found] == ["newer", None, None, None]
        tried = [await calls.tried(key, Occasion("a-1", 1, "abstract", "uu-1")) for key in ("k1", "k2", "k3", "k9")]
        assert [[call.call_id for call in found] for found in tried] == [["c1"], ["c2"], [], []]
        of_rounds = [("a-1", None), ("a-1", 1), ("a-1", 2), ("a-2", 1), ("a-4", None)]
        assert [await calls.has_answers(*of_round) for of_round in of_rounds] == [True, True, False, True, False]
        of_runs = [await calls.find("k1", run_id) for run_id in ("a-1", "a-2", "a-4")]
        assert [reply and reply.text for reply in of_runs] == ["r1", "r1", None]
        assert [bought_in(store, run_id) for run_id in ("a-1", "a-2", "a-4")] == [(2, 0.5), (1, 0.25), (0, 0.0)]


async def test_the_event_loop_is_free_while_the_store_is_read_and_written(
    settings: MakeSettings, teacher_server: TeacherServer
) -> None:
    chosen = settings("openai", select={"most": 2})
    teacher_server.delay_s = 0.3
    with pytest.raises(Cancelled):
        await start(chosen, cancelled=lambda: bool(teacher_server.asked))
    teacher_server.delay_s = 0.0
    on_loop: list[str] = []

    class WatchedStore(Store):
        """Notes the calls that would block an event loop."""

        @contextmanager
        def _cursor(self, *, check: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
            try:
                asyncio.get_running_loop()
                on_loop.append("blocked")
            except RuntimeError:
                pass
            with super()._cursor(check=check) as cursor:
                yield cursor

    with WatchedStore.open(Path(chosen.run.workspace)) as store:
        ((run,), (dataset,)) = store.rows(Run), store.rows(Dataset)
        source = source_of(chosen)
        context = Context(
            run_id=run.run_id, settings=chosen, store=store, workspace=store.workspace, source=source, dataset=dataset,
            cancelled=never, show=nothing,
        )  # fmt: skip
        state = State(run_id=run.run_id, round=1, model_id="", new_model_id=None, stop=None)
        on_loop.clear()
        _, result = await teach(context, state, lambda done, total: None)  # noqa: ARG005
        assert on_loop == []
        assert result == {"hypotheses": 4, "samples written": 4, "UUs skipped": 0}
        assert len(store.rows(TeacherCall)) == 8
