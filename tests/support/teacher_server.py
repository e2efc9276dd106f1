"""A teacher server on loopback that speaks both providers' protocols and misbehaves on demand."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""Answers one request."""

Answering = Callable[[web.Request], Awaitable[web.Response]]
"""Answers one request, whole."""

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

    def say(self, text: str, *, cut_off: bool = False) -> Answering:
        """A good answer."""

        async def behave(request: web.Request) -> web.Response:
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

    def refuse(
        self, status: int, message: str = "no", headers: dict[str, str] | None = None, *, code: str = "none"
    ) -> Behaviour:
        """An error status, with a message and a code."""

        async def behave(_: web.Request) -> web.StreamResponse:
            body = {"type": "error", "error": {"type": "some_error", "message": message, "code": code}}
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

    def app(self) -> web.Application:
        """What is served."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.handle)
        app.router.add_post("/v1/messages", self.handle)
        return app

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


def prompt_of(body: dict[str, Any]) -> str:
    """The first message of a request."""
    return str(body["messages"][0]["content"])


def give_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave only keys in the environment, which none but a server on loopback will see."""
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, KEY)


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """Serve on a free port of loopback. Yields: the URL."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()
