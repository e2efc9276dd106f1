"""Fixtures that several test files share: a teacher server on loopback that misbehaves on demand, a tiny model."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

os.environ["OMP_NUM_THREADS"] = (
    "1"  # before torch is imported: two test workers with two threads each fight for two cores
)

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""Answers one request."""

KEY = "sk-test-0123456789abcdef"


@dataclass
class Asked:
    """One request that arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float  # monotonic seconds


@dataclass
class TeacherServer:
    """Speaks /v1/chat/completions and /v1/messages; plays its script, then says `default` for ever."""

    default: str = "{}"
    respond: Behaviour | None = None  # in place of `default`
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    script: deque[Behaviour] = field(default_factory=deque)
    in_flight: int = 0
    most_in_flight: int = 0
    delay_s: float = 0.0  # before each answer

    def spec(self, provider: str, model: str = "small-1") -> str:
        """Name a teacher behind this server. OpenAI's base URLs end in /v1, Anthropic's do not."""
        return f"{provider}:{model}@{self.url}{'/v1' if provider == 'openai' else ''}"

    def then(self, *behaviours: Behaviour) -> None:
        """Add to the script."""
        self.script.extend(behaviours)

    def say(self, text: str, *, cut_off: bool = False) -> Behaviour:
        """A good answer."""

        async def behave(request: web.Request) -> web.StreamResponse:
            return web.json_response(answer(request.path, text, cut_off=cut_off))

        return behave

    def say_with(self, text: str, **changes: Any) -> Behaviour:
        """An answer of which other parts of the body are given."""

        async def behave(request: web.Request) -> web.StreamResponse:
            return web.json_response(answer(request.path, text) | changes)

        return behave

    def use_tools(self, *uses: tuple[str, Any], text: str = "", cut_off: bool = False) -> Behaviour:
        """An answer that asks for tools: (name, arguments), an object or, as OpenAI's may be, any text at all."""

        async def behave(request: web.Request) -> web.StreamResponse:
            turns = (await request.json())["messages"]
            named = [(f"use-{len(turns)}-{number}", *use) for number, use in enumerate(uses)]
            return web.json_response(answer(request.path, text, cut_off=cut_off, uses=named))

        return behave

    def refuse(self, status: int, message: str = "no", headers: dict[str, str] | None = None) -> Behaviour:
        """An error status, with a message."""

        async def behave(_: web.Request) -> web.StreamResponse:
            body = {"type": "error", "error": {"type": "some_error", "message": message}}
            return web.json_response(body, status=status, headers=headers)

        return behave

    def send(self, body: str, content_type: str = "application/json") -> Behaviour:
        """Status 200 with any body at all."""

        async def behave(_: web.Request) -> web.StreamResponse:
            return web.Response(text=body, content_type=content_type)

        return behave

    async def drop(self, request: web.Request) -> web.StreamResponse:
        """Close the connection without an answer."""
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def truncate(self, request: web.Request) -> web.StreamResponse:
        """Announce a whole body, send half of it, close."""
        body = json.dumps(answer(request.path, self.default)).encode()
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    async def drip(self, request: web.Request) -> web.StreamResponse:
        """Send a byte now and then, for ever, until the other side hangs up."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await response.write(b" ")
            await asyncio.sleep(0.02)
        return response

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note the request and play the next behaviour."""
        body = await request.json()
        self.asked.append(Asked(request.path, dict(request.headers), body, time.monotonic()))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        behaviour = self.script.popleft() if self.script else self.respond or self.say(self.default)
        try:
            await asyncio.sleep(self.delay_s)
            return await behaviour(request)
        finally:
            self.in_flight -= 1


def answer(path: str, text: str, *, cut_off: bool = False, uses: Sequence[tuple[str, str, Any]] = ()) -> dict[str, Any]:
    """Put a text and requests for tools (id, name, arguments) into the wire format of a path; 11 tokens in, 7 out."""
    if path.endswith("/chat/completions"):
        message: dict[str, Any] = {"role": "assistant", "content": None if uses and not text else text}
        if uses:
            message["tool_calls"] = [
                {"id": use_id, "type": "function", "function": {"name": name, "arguments": as_text(arguments)}}
                for use_id, name, arguments in uses
            ]
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": "length" if cut_off else "tool_calls" if uses else "stop",
        }
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        return {"id": "c1", "object": "chat.completion", "created": 1, "model": "small-1-served"} | {
            "choices": [choice],
            "usage": usage,
        }
    return {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "small-1-served",
        "content": [
            *([{"type": "text", "text": text}] if text or not uses else []),
            *({"type": "tool_use", "id": use_id, "name": name, "input": given} for use_id, name, given in uses),
        ],
        "stop_reason": "max_tokens" if cut_off else "tool_use" if uses else "end_turn",
        "usage": {"input_tokens": 11, "output_tokens": 7},
    }


def as_text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


@pytest.fixture
async def teacher_server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TeacherServer]:
    """A server on a free port of loopback, and keys in the environment that only it will see."""
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, KEY)
    server = TeacherServer()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.handle)
    app.router.add_post("/v1/messages", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model that fits in a few kilobytes: a one-layer BERT that knows the words of the planted reviews."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from blindspot.tools.data.planted import generate_reviews
    from blindspot.tools.text.vocabulary import words_of

    texts = [review.text for review in generate_reviews(400, planted=80, seed=0, split="validation")]
    letters = [letter for base in "abcdefghijklmnopqrstuvwxyz.,'" for letter in (base, f"##{base}")]
    words = sorted({word for text in texts for word in words_of(text)} - set(letters))
    vocabulary = {token: index for index, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *words])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    folder = tmp_path_factory.mktemp("tiny_base")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=128,
    ).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=128,
        )
        BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small_run(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The settings of a whole run of 2 to 3 seconds, in the workspace "ws" of the current folder."""
    import pyarrow.parquet as pq

    from blindspot.tools.data.planted import write_dataset
    from blindspot.tools.training.retrain import Example, Weights, choose_training, retrain

    folder = tmp_path_factory.mktemp("small")
    write_dataset(folder / "data", seed=0, rows={"train": 80, "validation": 40, "test": 30}, planted_share=0.3)
    labels = ("negative", "positive")
    rows = pq.read_table(folder / "data" / "train.parquet").to_pylist()
    examples = [Example((row["text"],), labels.index(row["label"])) for row in rows]
    start = Weights(str(tiny_base), fine_tuned=False, labels=labels, max_tokens=64, device="cpu")
    training = choose_training("minilm", epochs=15, batch_size=16, learning_rate=3e-3)
    model = retrain(start, examples, training, folder / "model").folder
    return {
        "run": {"name": "small", "workspace": "ws"},
        "data": {"path": str(folder / "data"), "task": "sentiment of reviews"},
        "classifier": {
            "model": str(model), "fine_tune": False, "epochs": 2, "batch_size": 16, "max_tokens": 64, "device": "cpu",
        },
        "attack": {"samples": 4},
        "select": {"share": 1, "most": 4},
        "filter": {"references": 10, "bertscore": 0.0},
        "evaluate": {"samples": 3, "resamples": 100},
    }  # fmt: skip


@dataclass
class Answer:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Callable[..., Answer]]:
    """Run a command in this process, in a folder of its own."""
    from blindspot.cli.main import main

    def call(*arguments: str | Path | int, stdin: str = "") -> Answer:
        monkeypatch.setattr(sys, "argv", ["blindspot", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        try:
            code = main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Answer(code, *capsys.readouterr())

    monkeypatch.chdir(tmp_path)
    for name in ("BLINDSPOT_WORKSPACE", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    before = os.umask(0o022)
    yield call
    os.umask(before)


@dataclass(frozen=True)
class Ended:
    """How a process ended, below 0 by a signal, what it wrote, and the CPU time that it used."""

    code: int
    out: str
    err: str
    cpu_s: float


@dataclass
class WarmPython:
    """Runs Python in processes of their own that need not import anything; see warm_python.py."""

    server: subprocess.Popen[str]
    folder: Path  # for what the processes write
    files: dict[int, tuple[Path, Path]] = field(default_factory=dict)

    def start(self, *run: object, folder: Path, env: Mapping[str, str] | None = None) -> int:
        """Start a script with its arguments, or "-c" and code, in a folder. Returns: the process's id."""
        place = self.folder / str(len(self.files))
        out, err = place.with_suffix(".out"), place.with_suffix(".err")
        asked = {"run": [str(part) for part in run], "folder": str(folder), "out": str(out), "err": str(err)}
        pid = int(self._ask(asked | {"env": {**os.environ, **(env or {})}})["pid"])
        self.files[pid] = out, err
        return pid

    def wait(self, pid: int) -> Ended:
        """Wait until a process has ended."""
        ended = self._ask({"wait": pid})
        out, err = (path.read_text() for path in self.files[pid])
        return Ended(ended["code"], out, err, ended["cpu_s"])

    def run(self, *run: object, folder: Path, env: Mapping[str, str] | None = None) -> Ended:
        """Start a process and wait until it has ended."""
        return self.wait(self.start(*run, folder=folder, env=env))

    def kill_run(self, settings: Mapping[str, Any], folder: Path, *moments: object, kind: str = "mitigation") -> None:
        """Start a run, and kill it at each of the moments; see killed_runs.py. It is left to be resumed."""
        file = folder / "killed.json"
        file.write_text(json.dumps(settings))
        for moment in moments:
            ended = self.run(KILLED_RUNS, file, json.dumps(moment), kind, folder=folder)
            assert ended.code == -signal.SIGKILL, f"not killed at {moment}: {ended}"

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(f"{json.dumps(request)}\n")
        self.server.stdin.flush()
        return dict(json.loads(self.server.stdout.readline()))


KILLED_RUNS = Path(__file__).with_name("killed_runs.py")


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmPython]:
    """A Python whose imports are paid for once, and that runs whatever it is told in processes of their own."""
    command = [sys.executable, Path(__file__).with_name("warm_python.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        yield WarmPython(server, tmp_path_factory.mktemp("warm"))
        server.kill()


@pytest.fixture(scope="session")
def whole_run() -> Callable[..., list[Any]]:
    """Make the rows of a finished run, of every kind that there is, keyed as a run's are."""
    from datetime import datetime, timedelta

    from blindspot.storage.records import Run, make_id
    from blindspot.storage.schema.tables import TABLES, Column

    start = datetime(2026, 1, 2, 3, 4, 5, 678901)
    plain = {
        "VARCHAR": "text", "BIGINT": 3, "DOUBLE": 0.1, "BOOLEAN": True, "VARCHAR[]": ("a", "b"),
        "FLOAT[]": (0.25, 0.75), "JSON": {"text": "dull"},
    }  # fmt: skip
    prefixes = {
        "dataset": "ds", "sample": "smp", "model": "mod", "attack": "atk", "uu": "uu", "hypothesis": "hyp",
        "synthetic": "syn", "call": "call", "tool_call": "tool", "evaluation": "evl", "event": "evt",
        "program": "prg", "same_as": "prg", "revised_from": "prg",
    }  # fmt: skip

    def make(run_id: str = "run-1", *, begun_s: float = 0.0, rows: int = 2, **of_run: Any) -> list[Any]:
        """Args: rows: of each kind that a run has several of; of_run: other fields of its Run."""
        began = start + timedelta(seconds=begun_s)
        told = {"dataset_id": make_id("ds", "shared"), "status": "finished", "name": run_id.rpartition("-")[0]} | of_run

        def key(name: str, number: int) -> str | None:
            stem = name.removesuffix("_id").removeprefix("original_").removeprefix("final_").removeprefix("new_")
            if name in ("run_id", "study_id", "origin_id"):
                return run_id if name == "run_id" else told.get(name)
            if name in ("dataset_id", "sample_id"):
                return told["dataset_id"] if name == "dataset_id" else make_id("smp", told["dataset_id"], number)
            if name == "subject_id":
                return make_id("smp" if number else "atk", *((told["dataset_id"], number) if number else (run_id, 0)))
            if name in ("parent_id", "baseline_id", "source_id"):
                return None
            return make_id(prefixes[stem], run_id, number)

        def value(column: Column, number: int) -> Any:
            if column.name.endswith("_id"):
                return key(column.name, number)
            texts = {"folder": f"models/{key('model_id', number)}", "subject_kind": "sample" if number else "attack"}
            texts |= {"message": f"starts with {key('model_id', number)}", "recipe": f"recipe-{number}"}
            if column.sql_type == "TIMESTAMP":
                return began + timedelta(seconds=number)
            if column.name in ("round", "number", "row"):
                return number + 1
            return texts.get(column.name, plain[column.sql_type])

        made = []
        for kind, table in TABLES.items():
            if table.name in ("studies", "study_figures") and "study_id" not in told:
                continue
            for number in range(1 if kind is Run or table.name in ("datasets", "studies") else rows):
                record = {column.name: value(column, number) for column in table.columns}
                if table.name == "teacher_comparisons":
                    record["teacher"] = f"teacher-{number}"
                if table.name == "tool_calls":
                    record["arguments"] = {"before": {record["uu_id"]: 1}, "model_id": key("model_id", number)}
                if kind is Run:
                    record |= {"started_at": began, "finished_at": began + timedelta(seconds=60), **told}
                made.append(kind(**record))
        return made

    return make
