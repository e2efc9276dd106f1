"""`blindspot batch` over real HTTP: questions go up once, answers come down into files that a run reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from blindspot.agents.batch import batch
from blindspot.agents.batch.answer_files import read_answers
from blindspot.agents.batch.batch_record import Batch, open_lines, read_batches, settled, write_batches
from blindspot.agents.batch.file_provider import question_line
from blindspot.agents.batch.question_files import OpenQuestion, write_questions
from blindspot.agents.chat import Endpoint, Message
from blindspot.agents.spec import TeacherSpec
from blindspot.storage.errors import SettingsError, TeacherError
from support.commands import Cli
from support.teacher_server import KEY, Behaviour, give_keys, served

ENDPOINT = Endpoint("", None, 5.0, 0.3, 400)


@dataclass
class BatchServer:
    """Speaks both batch APIs. A question that says "expire" or "fail" gets no answer."""

    url: str = ""
    files: dict[str, str] = field(default_factory=dict)
    batches: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # id -> requests
    is_over: bool = True
    refuse: int | None = None  # the status of every POST
    drop: bool = False  # take a batch, and close the connection without an answer
    fail: int | None = None  # take a batch, and answer with this status
    empty: bool = False  # send results without any result
    page: bool = False  # answer with HTML
    cut: bool = False  # send half of a file of answers
    begun_as: str = "batch_{}"  # the id of a batch, by its number
    results_url: str = ""  # where results are said to be
    keys: set[str] = field(default_factory=set)

    def spec(self, provider: str) -> TeacherSpec:
        return TeacherSpec.parse(f"{provider}:small-1@{self.url}{'/v1' if provider == 'openai' else ''}")

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.misbehave])
        app.router.add_post("/v1/files", self.upload)
        app.router.add_get("/v1/files/{id}/content", self.download)
        app.router.add_post("/v1/batches", self.begin_openai)
        app.router.add_get("/v1/batches/{id}", self.look_openai)
        app.router.add_post("/v1/messages/batches", self.begin_anthropic)
        app.router.add_get("/v1/messages/batches/{id}", self.look_anthropic)
        app.router.add_get("/v1/messages/batches/{id}/results", self.results)
        return app

    @web.middleware
    async def misbehave(self, request: web.Request, handler: Behaviour) -> web.StreamResponse:
        self.keys |= {
            request.headers.get("X-Api-Key", ""),
            request.headers.get("Authorization", "").removeprefix("Bearer "),
        }
        if self.page:
            return web.Response(text="<html>Welcome</html>", content_type="text/html")
        if self.refuse and request.method == "POST":
            return web.json_response({"error": {"message": f"not for {KEY}"}}, status=self.refuse)
        answer = await handler(request)
        if self.cut and request.path.endswith(("/results", "/content")):
            half = web.StreamResponse(headers={"Content-Length": "10000"})
            await half.prepare(request)
            assert isinstance(answer, web.Response)
            assert isinstance(answer.body, bytes)
            await half.write(answer.body[:-9])
            assert request.transport is not None
            request.transport.close()
            return half
        if self.drop and request.path.endswith("/batches"):
            assert request.transport is not None
            request.transport.close()
        if self.fail and request.method == "POST" and request.path.endswith("/batches"):
            return web.json_response({"error": {"message": "over my head"}}, status=self.fail)
        return answer

    def begin(self, requests: list[dict[str, Any]]) -> str:
        batch_id = self.begun_as.format(len(self.batches) + 1)
        self.batches[batch_id] = requests
        return batch_id

    async def upload(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        assert form["purpose"] == "batch"
        file_id = f"file-{len(self.files)}"
        self.files[file_id] = form["file"].file.read().decode()  # type: ignore[union-attr]
        return web.json_response({"id": file_id, "object": "file", "purpose": "batch"})

    async def download(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=self.files[request.match_info["id"]], content_type="application/octet-stream")

    async def begin_openai(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        assert (body["endpoint"], body["completion_window"]) == ("/v1/chat/completions", "24h")
        lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        return web.json_response({"id": self.begin(lines), "object": "batch", "status": "validating"})

    async def look_openai(self, request: web.Request) -> web.StreamResponse:
        batch_id = request.match_info["id"]
        state: dict[str, Any] = {"id": batch_id, "object": "batch", "status": "in_progress"}
        if self.is_over:
            good, bad = [], []
            for asked in self.batches[batch_id]:
                text = asked["body"]["messages"][-1]["content"]
                said = {"role": "assistant", "content": f"to {text}"}
                body: dict[str, Any] = {
                    "model": "small-1-dated",
                    "choices": [{"message": said, "finish_reason": "stop"}],
                }
                body["usage"] = {"prompt_tokens": 11, "completion_tokens": 7}
                line = {"id": "r", "custom_id": asked["custom_id"], "response": {"status_code": 200, "body": body}}
                if "expire" in text:
                    bad.append({**line, "response": None, "error": {"code": "batch_expired", "message": "too late"}})
                elif "fail" not in text:
                    good.append(line)
            for name, lines in (("output_file_id", good), ("error_file_id", bad)):
                self.files[name] = "".join(json.dumps(line) + "\n" for line in lines)
                state[name] = name if lines else None
            state |= {"status": "completed", "request_counts": {"completed": len(good), "failed": len(bad), "total": 9}}
        return web.json_response(state)

    async def begin_anthropic(self, request: web.Request) -> web.StreamResponse:
        batch_id = self.begin((await request.json())["requests"])
        return web.json_response({"id": batch_id, "type": "message_batch", "processing_status": "in_progress"})

    async def look_anthropic(self, request: web.Request) -> web.StreamResponse:
        batch_id = request.match_info["id"]
        status = "ended" if self.is_over else "in_progress"
        url = self.results_url or f"{self.url}/v1/messages/batches/{batch_id}/results"
        counts = {"succeeded": len(self.batches[batch_id])}
        return web.json_response(
            {"id": batch_id, "type": "message_batch", "processing_status": status, "request_counts": counts}
            | {"results_url": url if self.is_over else None}
        )

    async def results(self, request: web.Request) -> web.StreamResponse:
        lines = []
        for asked in self.batches[request.match_info["id"]]:
            text = asked["params"]["messages"][-1]["content"]
            message: dict[str, Any] = {
                "type": "message",
                "role": "assistant",
                "model": "small-1-dated",
                "stop_reason": "end_turn",
            }
            message |= {"content": [{"type": "text", "text": f"to {text}"}]}
            message |= {"usage": {"input_tokens": 11, "output_tokens": 7}}
            result = {"type": "expired"} if "expire" in text else {"type": "succeeded", "message": message}
            if "fail" in text:
                error = {"type": "invalid_request_error", "message": "bad"}
                result = {"type": "errored", "error": {"type": "error", "error": error}}
            lines.append(json.dumps({"custom_id": asked["custom_id"], "result": None if self.empty else result}))
        return web.Response(text="\n".join(lines) + "\n", content_type="application/binary")


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BatchServer]:
    give_keys(monkeypatch)
    server = BatchServer()
    async with served(server.app()) as server.url:
        yield server


def asked(folder: Path, *texts: str) -> dict[str, str]:
    """Write questions. Returns: text -> custom_id."""
    lines = {text: question_line([Message("user", text)], ENDPOINT) for text in texts}
    write_questions([OpenQuestion(folder, line) for line in lines.values()], "run-1-round1")
    return {text: str(line["custom_id"]) for text, line in lines.items()}


async def test_questions_go_up_once_and_their_answers_come_into_files(
    server: BatchServer, provider: str, tmp_path: Path
) -> None:
    keys = asked(tmp_path, "one", "two", "expire", "fail")
    (begun,) = await batch.submit(tmp_path, server.spec(provider))
    (requests,) = server.batches.values()
    assert {request["custom_id"] for request in requests} == set(keys.values())
    body = requests[0].get("body") or requests[0]["params"]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("small-1", 0.3, 400)
    assert await batch.submit(tmp_path, server.spec(provider)) == []
    server.is_over = False
    assert await batch.fetch(tmp_path) == []
    server.is_over = True
    ((fetched, answered, failed),) = await batch.fetch(tmp_path)
    assert (fetched.batch_id, answered, failed) == (begun.batch_id, 2, 2)
    answers = read_answers(tmp_path)
    reply = answers.replies[keys["one"]]
    assert (reply.text, reply.model, reply.tokens_in, reply.tokens_out) == ("to one", "small-1-dated", 11, 7)
    assert len(answers.problems) == 2
    assert all(problem.startswith(f"{fetched.answers}:") for problem in answers.problems)
    assert await batch.fetch(tmp_path) == []
    (again,) = await batch.submit(tmp_path, server.spec(provider))  # what expired or failed can be tried once more
    assert set(again.questions) == {keys["expire"], keys["fail"]}
    assert KEY in server.keys
    assert KEY not in "".join(path.read_text() for path in tmp_path.iterdir())


@pytest.mark.parametrize("batch_id", ["../../stolen", "/tmp/stolen", "..", "", "a b", "\x1b[2J", "x" * 200])
async def test_an_id_that_is_no_plain_name_names_no_file(
    server: BatchServer, provider: str, tmp_path: Path, batch_id: str
) -> None:
    asked(tmp_path, "one")
    server.begun_as = batch_id
    with pytest.raises(TeacherError, match="unreadable answer") as caught:
        await batch.submit(tmp_path, server.spec(provider))
    assert str(caught.value).isprintable()
    with pytest.raises(SettingsError, match=r"--adopt: the id .* is not a plain name .* list of batches"):
        settled(tmp_path, adopt=batch_id or ".")
    write_batches(tmp_path, [Batch.model_construct(batch_id=batch_id, teacher="t", submitted_at="", questions=[])])
    with pytest.raises(TeacherError, match=r"batches.json: cannot be read .*: restore it, or move it away"):
        read_batches(tmp_path)


async def test_results_of_another_server_are_not_asked_for(server: BatchServer, tmp_path: Path) -> None:
    asked(tmp_path, "one")
    await batch.submit(tmp_path, server.spec("anthropic"))
    server.results_url = server.url.replace("127.0.0.1", "localhost") + "/v1/messages/batches/batch_1/results"
    with pytest.raises(TeacherError, match="an address on another server, which is not contacted: http://localhost"):
        await batch.fetch(tmp_path)


@pytest.mark.parametrize("status", [400, 401, 404, 429])
async def test_a_refused_batch_is_told_and_not_taken_for_bought(
    server: BatchServer, provider: str, tmp_path: Path, status: int
) -> None:
    asked(tmp_path, "one")
    server.refuse = status
    with pytest.raises(TeacherError, match=rf"answered {status}: not for \[key\]"):
        await batch.submit(tmp_path, server.spec(provider))
    server.refuse = None
    assert len(await batch.submit(tmp_path, server.spec(provider))) == 1


async def test_a_batch_that_may_have_been_bought_is_never_bought_again_unasked(
    server: BatchServer, provider: str, tmp_path: Path
) -> None:
    keys = asked(tmp_path, "one")
    server.drop = True
    with pytest.raises(TeacherError, match="try again later"):
        await batch.submit(tmp_path, server.spec(provider))
    server.drop = False
    with pytest.raises(TeacherError, match=r"was interrupted .* --adopt ID`, if not, buy it with .* --again`"):
        await batch.submit(tmp_path, server.spec(provider))
    assert len(server.batches) == 1
    assert await batch.submit(tmp_path, server.spec(provider), adopt="batch_1") == []
    await batch.fetch(tmp_path)
    assert set(read_answers(tmp_path).replies) == set(keys.values())
    with pytest.raises(SettingsError, match="no submit was interrupted"):
        settled(tmp_path, adopt="batch_1")


@pytest.mark.parametrize("status", [408, 409, 500, 503, 529])
async def test_a_server_that_fails_over_a_batch_may_have_taken_it(
    server: BatchServer, provider: str, tmp_path: Path, status: int
) -> None:
    asked(tmp_path, "one")
    server.fail = status
    with pytest.raises(TeacherError, match=f"answered {status}: over my head"):
        await batch.submit(tmp_path, server.spec(provider))
    server.fail = None
    with pytest.raises(TeacherError, match="was interrupted"):
        await batch.submit(tmp_path, server.spec(provider))
    assert len(server.batches) == 1
    (begun,) = await batch.submit(tmp_path, server.spec(provider), again=True)
    assert [one.batch_id for one in read_batches(tmp_path)] == [begun.batch_id]


async def test_a_server_that_is_not_there_has_taken_nothing(server: BatchServer, tmp_path: Path) -> None:
    asked(tmp_path, "one")
    with pytest.raises(TeacherError, match=r"127\.0\.0\.1:1"):
        await batch.submit(tmp_path, TeacherSpec.parse("anthropic:small-1@http://127.0.0.1:1"))
    assert len(await batch.submit(tmp_path, server.spec("anthropic"))) == 1


@pytest.mark.parametrize("option", [("--again",), ("--adopt", "batch_1")])
def test_what_guards_a_lost_batch_stays_until_the_operator_agrees_to_the_price(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    keys = list(asked(tmp_path, "one", "two").values())
    write_batches(tmp_path, [Batch(teacher="openai:of-no-price", submitted_at="then", questions=keys[:1])])
    record = (tmp_path / "batches.json").read_bytes()
    ended = cli("batch", "submit", tmp_path, "--teacher", "openai:of-no-price")
    assert (
        "submitting 1 questions to openai:of-no-price was interrupted at then" in ended.err
    )  # before any price is named
    ended = cli("batch", "submit", tmp_path, "--teacher", "openai:of-no-price", *option)
    assert (ended.code, ended.out) == (2, "")
    assert "nothing was submitted, the price is not known" in ended.err
    assert (tmp_path / "batches.json").read_bytes() == record


async def test_a_result_that_holds_nothing_is_an_answer_that_is_missing(server: BatchServer, tmp_path: Path) -> None:
    asked(tmp_path, "one")
    await batch.submit(tmp_path, server.spec("anthropic"))
    server.empty = True
    ((fetched, answered, failed),) = await batch.fetch(tmp_path)
    assert (answered, failed) == (0, 1)
    (problem,) = read_answers(tmp_path).problems
    assert problem.startswith(f"{fetched.answers}:1: ")
    assert "no result" in problem


async def test_a_page_of_html_is_no_batch_and_no_answer(server: BatchServer, provider: str, tmp_path: Path) -> None:
    asked(tmp_path, "one")
    await batch.submit(tmp_path, server.spec(provider))
    server.page = True
    for work in (batch.look, batch.fetch):
        with pytest.raises(TeacherError, match=r"unreadable|cannot be read"):
            await work(tmp_path)
    server.page = False
    ((_, answered, failed),) = await batch.fetch(tmp_path)
    assert (answered, failed) == (1, 0)


async def test_half_a_file_of_answers_is_not_taken_for_all_of_it(
    server: BatchServer, provider: str, tmp_path: Path
) -> None:
    asked(tmp_path, "one", "two")
    await batch.submit(tmp_path, server.spec(provider))
    server.cut = True
    with pytest.raises(TeacherError, match="try again later"):
        await batch.fetch(tmp_path)
    server.cut = False
    ((_, answered, failed),) = await batch.fetch(tmp_path)
    assert (answered, failed) == (2, 0)


async def test_two_submits_at_once_buy_the_questions_once(server: BatchServer, provider: str, tmp_path: Path) -> None:
    asked(tmp_path, "one", "two")
    ended = await asyncio.gather(
        *(batch.submit(tmp_path, server.spec(provider)) for _ in range(2)), return_exceptions=True
    )
    assert [type(each) for each in ended if isinstance(each, Exception)] == [TeacherError]
    assert len(server.batches) == 1


async def test_a_damaged_record_is_told_before_anything_is_bought(server: BatchServer, tmp_path: Path) -> None:
    asked(tmp_path, "one")
    (tmp_path / "batches.json").write_text("[{")
    with pytest.raises(TeacherError, match=r"batches\.json: cannot be read .* restore it, or move it away"):
        await batch.submit(tmp_path, server.spec("openai"))
    assert not server.batches


async def test_the_commands_tell_how_far_the_batches_are(
    server: BatchServer, provider: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, KEY)  # the fixture `cli` takes keys away
    keys = asked(tmp_path / "q", "one", "expire")

    async def call(command: str, *options: object) -> str:
        ended = await asyncio.to_thread(cli, "batch", command, f"file:{tmp_path}/q", *options)
        assert ended.code == 0, ended.err
        return str(ended.out)

    said = await call("submit", "--teacher", server.spec(provider))
    assert said.startswith(f"batch_1: 2 questions, to {server.spec(provider)}\n")
    assert "price is not known" in said
    assert "nothing to submit" in await call("submit", "--teacher", server.spec(provider))
    assert "2 questions, 0 answered, 0 neither answered nor in a batch" in await call("status")
    assert "1 of 2 questions answered, 1 failed or expired" in await call("fetch")
    said = await call("status")
    assert "fetched into batch_1.answers.jsonl" in said
    assert f"{keys['expire']} has no answer: " in said
    assert "no answer to 1 of its questions" in said


def test_what_may_cost_much_is_not_bought_unasked(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    asked(tmp_path / "q", *(f"question {number}" for number in range(2_000)))
    ended = cli("batch", "submit", f"file:{tmp_path}/q", "--teacher", "openai:gpt-4")
    assert (ended.code, ended.out) == (2, "")
    assert "nothing was submitted, at most" in ended.err
    ended = cli("batch", "submit", f"file:{tmp_path}/q", "--teacher", "openai:a-model-of-no-known-price")
    assert "nothing was submitted, the price is not known; add --yes to submit without confirmation" in ended.err


def test_the_price_of_a_batch_is_an_upper_bound_at_half_the_models(tmp_path: Path) -> None:
    asked(tmp_path, "one", "two")
    lines = open_lines(tmp_path, [])
    usd = batch.most_usd(lines, TeacherSpec.parse("openai:gpt-4o-mini"))
    assert usd is not None
    assert 2 * 400 * 0.6 / 2e6 < usd < 2 * 400 * 0.6 / 1e6
    assert batch.most_usd(lines, TeacherSpec.parse("openai:gpt-4o-mini@http://127.0.0.1:8000/v1")) is None


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such folder"):
        batch.folder_of(f"file:{tmp_path}/none")
