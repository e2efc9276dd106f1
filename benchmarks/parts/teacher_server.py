"""A provider on loopback, in a process of its own: it keeps to its own limits, and misbehaves as often as told.

Speaks OpenAI's chat completions and Anthropic's messages. Every question has a number in its text, and one right
answer, so that what a client took for an answer can be judged. GET /counts tells what happened. Ends with its stdin.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain, repeat
from subprocess import PIPE, Popen
from typing import Any
from urllib.request import urlopen

from aiohttp import web

WRONG = json.dumps({"reasoning": "nobody said so", "hypothesis": "a wrong answer"})
DRIP_S = 0.05  # between two bytes


@dataclass(frozen=True, slots=True)
class Service:
    """How the server serves."""

    latency_s: float = 0.0
    requests_per_minute: int = 10**9
    tokens_per_minute: int = 10**9
    fault_share: float = 0.0  # of the requests
    seed: int = 0


def right_answer(question: int) -> str:
    """The hypothesis that a question is answered with."""
    return f"Pattern {random.Random(f'right {question}').getrandbits(64):016x} misleads it."


def tokens_of(question: int) -> tuple[int, int]:
    """What a question and its answer count: 112 tokens on average."""
    rng = random.Random(f"tokens {question}")
    return rng.randint(70, 90), rng.randint(20, 44)


def answer_body(path: str, question: int, text: str | None) -> dict[str, Any]:
    """Put a text into the wire format of a path."""
    tokens_in, tokens_out = tokens_of(question)
    if path.endswith("/chat/completions"):
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}
    return {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": tokens_in, "output_tokens": tokens_out},
    }


def good(request: web.Request, question: int) -> dict[str, Any]:
    """The body that answers a question."""
    answer = {"reasoning": "It counts words.", "hypothesis": right_answer(question)}
    return answer_body(request.path, question, json.dumps(answer))


async def refuse_for(_request: web.Request, _: int) -> web.StreamResponse:
    return web.json_response({"error": {"message": WRONG}}, status=429, headers={"Retry-After": "1"})


async def refuse(_request: web.Request, _: int) -> web.StreamResponse:
    return web.json_response({"error": {"message": WRONG}}, status=429)


async def fail(request: web.Request, question: int) -> web.StreamResponse:
    return web.json_response(answer_body(request.path, question, WRONG), status=500)


async def drop(request: web.Request, _: int) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def truncate(request: web.Request, question: int) -> web.StreamResponse:
    body = json.dumps(answer_body(request.path, question, WRONG)).encode()
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[:-20])
    return await drop(request, question)


async def html(_request: web.Request, _: int) -> web.StreamResponse:
    return web.Response(text=f"<html><body>Log in to the gateway {WRONG}</body></html>", content_type="text/html")


async def wrong_shape(request: web.Request, question: int) -> web.StreamResponse:
    """One of several: of the body, or of the answer in it."""
    shapes = [
        {"model": "m", "answer": WRONG},
        WRONG,
        None,
        answer_body(request.path, question, WRONG) | {"choices": [], "content": None},
        answer_body(request.path, question, None),
        answer_body(request.path, question, '{"hypothesis": "a wrong answer"}'),
        answer_body(request.path, question, '{"reasoning": 1, "hypothesis": ["a wrong answer"]}'),
        answer_body(request.path, question, WRONG[:-20]),
    ]
    return web.json_response(random.Random(f"shape {question}").choice(shapes))


async def drip(request: web.Request, question: int) -> web.StreamResponse:
    """Bytes that never end, of an answer that would do."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    body = json.dumps(answer_body(request.path, question, WRONG)).encode()
    with suppress(ConnectionError):  # the other side hung up
        for byte in chain(body[:-1], repeat(ord(" "))):
            await response.write(bytes([byte]))
            await asyncio.sleep(DRIP_S)
    return response


FAULTS: dict[str, Callable[[web.Request, int], Awaitable[web.StreamResponse]]] = {
    "429 with Retry-After": refuse_for,
    "429": refuse,
    "500": fail,
    "drop": drop,
    "truncation": truncate,
    "HTML": html,
    "wrong shape": wrong_shape,
    "slow drip": drip,
}


class Window:
    """A limit within any so many seconds, strictly kept."""

    def __init__(self, limit: int, period_s: float) -> None:
        self._limit = limit
        self._period_s = period_s
        self._passed: deque[tuple[float, int]] = deque()
        self._sum = 0

    def has_room(self, amount: int, now: float) -> bool:
        while self._passed and now - self._passed[0][0] >= self._period_s:
            self._sum -= self._passed.popleft()[1]
        return self._sum + amount <= self._limit

    def add(self, amount: int, now: float) -> None:
        self._passed.append((now, amount))
        self._sum += amount


class Server:
    """What the process does."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._requests = Window(service.requests_per_minute, 60)
        self._tokens = Window(service.tokens_per_minute, 60)
        self._asked: Counter[str] = Counter()  # by path and question
        self._answered: Counter[int] = Counter()  # by question
        self._over_limit: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        now = time.monotonic()
        try:
            prompt = str((await request.json())["messages"][0]["content"])
        except ConnectionError:  # the client was killed
            return web.Response()
        question = int(re.findall(r"question (\d{5})", prompt)[0])
        tokens = sum(tokens_of(question))
        for name, window, amount in (("requests", self._requests, 1), ("tokens", self._tokens, tokens)):
            if not window.has_room(amount, now):
                self._over_limit[name] += 1
                return web.json_response({"error": {"message": f"too many {name}"}}, status=429)
        self._requests.add(1, now)
        self._tokens.add(tokens, now)
        asked = f"{request.path} {question}"
        self._asked[asked] += 1
        rng = random.Random(f"{self._service.seed} {asked} {self._asked[asked]}")
        if rng.random() < self._service.fault_share:
            fault = rng.choice(list(FAULTS))
            self._faults[fault] += 1
            return await FAULTS[fault](request, question)
        await asyncio.sleep(self._service.latency_s)
        self._answered[question] += 1
        return web.json_response(good(request, question))

    async def counts(self, _: web.Request) -> web.StreamResponse:
        counted = {"answered": self._answered, "over_limit": self._over_limit, "faults": self._faults}
        return web.json_response(counted)

    async def run(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.handle)
        app.router.add_post("/v1/messages", self.handle)
        app.router.add_get("/counts", self.counts)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs."""

    url: str

    def spec(self, provider: str) -> str:
        """Name a teacher behind it. OpenAI's base URLs end in /v1, Anthropic's do not."""
        return f"{provider}:m@{self.url}{'/v1' if provider == 'openai' else ''}"

    def counts(self) -> dict[str, Any]:
        """What happened so far."""
        with urlopen(f"{self.url}/counts", timeout=10) as response:
            counted: dict[str, Any] = json.load(response)
        return counted

    def answered(self) -> Counter[int]:
        """How often each question was answered."""
        return Counter({int(question): n for question, n in self.counts()["answered"].items()})


@contextmanager
def serving(service: Service) -> Iterator[Running]:
    """Run a server in a process of its own."""
    with Popen([sys.executable, __file__, json.dumps(asdict(service))], stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        yield Running(f"http://127.0.0.1:{int(process.stdout.readline())}")
        process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", type=json.loads, help="fields of Service, as JSON")
    asyncio.run(Server(Service(**parser.parse_args().service)).run())


if __name__ == "__main__":
    main()
