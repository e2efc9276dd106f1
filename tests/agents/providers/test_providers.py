"""Providers and their batch clients: which server they reach, what of the environment they need, what errors hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from functools import partial

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from blindspot.agents.batch import batch
from blindspot.agents.chat import Message, Unavailable
from blindspot.agents.providers.openai import limit_name
from blindspot.agents.providers.peer import MESSAGE_CHARACTERS, Peer, is_own, redact, retry_after_s
from blindspot.agents.spec import TeacherSpec
from blindspot.graphs.teaching.teachers import check_teacher
from blindspot.storage.errors import TeacherError
from blindspot.storage.settings.sections import TeacherSection
from support.asking import ask, opened
from support.teacher_server import KEY, TeacherServer

PLAIN_KEY = "0123456789-not-of-the-usual-form"
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")
QUESTION = {"custom_id": "q-1", "body": {"messages": [], "max_completion_tokens": 9}}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, and no other setting of an SDK."""
    for name in (*PROXIES, "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, KEY)


@pytest.fixture
async def reached(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """The hosts that are asked for through a proxy, which lets nothing through."""
    hosts: list[str] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hosts.append((await reader.readline()).decode().split()[1])
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    yield hosts
    server.close()
    await server.wait_closed()


async def upload_and_buy(spec: str) -> None:
    async with batch.open_api(TeacherSpec.parse(spec)) as api:
        await api.buy(await api.upload([QUESTION]))


@pytest.mark.parametrize("work", [ask, upload_and_buy])
async def test_a_spec_without_a_url_is_the_provider_itself_whatever_the_environment_says(
    reached: list[str],
    provider: str,
    work: Callable[[str], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"{provider.upper()}_BASE_URL", "https://elsewhere.example/v1")
    with pytest.raises((Unavailable, TeacherError), match=rf"api\.{provider}\.com"):
        await work(f"{provider}:small-1")
    assert reached == [f"api.{provider}.com:443"]


UNUSABLE = [
    ("ALL_PROXY", "socks5://127.0.0.1:9"),  # needs a package that is not installed
    ("HTTPS_PROXY", "ftp://127.0.0.1:9"),
    ("HTTPS_PROXY", "http://host:port"),
    ("SSL_CERT_FILE", "/nowhere/certificates.pem"),
    ("SSL_CERT_FILE", __file__),
]


@pytest.mark.parametrize(("name", "value"), UNUSABLE)
def test_unusable_proxies_and_certificates_are_told_before_a_run_begins(
    provider: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    told = rf"^{provider}:small-1: .*fix the proxy settings .*HTTPS_PROXY.* or the certificate settings .*SSL_CERT_FILE"
    with pytest.raises(TeacherError, match=told) as found:
        check_teacher(TeacherSection(spec=f"{provider}:small-1"))
    assert "\n" not in str(found.value)


def test_a_batch_tells_of_unusable_proxies_too(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(TeacherError, match="fix the proxy settings"):
        asyncio.run(upload_and_buy(f"{provider}:small-1"))


async def test_a_provider_that_was_opened_outside_the_event_loop_answers_in_it(
    teacher_server: TeacherServer, provider: str
) -> None:
    made = await asyncio.to_thread(partial(opened, teacher_server.spec(provider)))
    for _ in range(2):
        assert (await made.complete([Message("user", "Why?")])).text == teacher_server.default
    await made.aclose()


@pytest.mark.parametrize(
    ("url", "own"),
    [
        (None, True),
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://us.api.openai.com/v1", True),
        ("https://API.anthropic.com", True),
        ("https://api.openai.com.example/v1", False),
        ("https://notapi.openai.com/v1", False),
        ("http://127.0.0.1:8000/v1", False),
    ],
)
def test_regional_hosts_are_the_providers_own_and_others_are_not(url: str | None, own: bool) -> None:
    assert is_own(url) is own


@pytest.mark.parametrize("url", ["", "@https://api.openai.com/v1", "@https://eu.api.openai.com/v1"])
def test_the_provider_itself_needs_a_key_at_whichever_of_its_hosts(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(TeacherError, match="needs a key: set OPENAI_API_KEY"):
        opened(f"openai:small-1{url}")


@pytest.mark.parametrize(
    ("url", "name"), [("", "max_completion_tokens"), ("@https://eu.api.openai.com/v1", "max_completion_tokens"),
                      ("@http://127.0.0.1:8000/v1", "max_tokens")],
)  # fmt: skip
def test_openai_itself_is_given_the_newer_name_of_the_limit(url: str, name: str) -> None:
    assert limit_name(TeacherSpec.parse(f"openai:small-1{url}").base_url) == name


@given(st.integers(0, MESSAGE_CHARACTERS + 10))
def test_no_part_of_a_key_is_left_where_a_message_is_cut(before: int) -> None:
    peer = Peer("openai:m", "host", PLAIN_KEY)
    told = peer.redacted(f"{'x' * before} {PLAIN_KEY} is wrong")
    assert PLAIN_KEY[:4] not in told
    assert before > 200 or told.endswith("[key] is wrong")


async def test_an_answer_that_echoes_the_key_is_told_without_any_part_of_it(
    teacher_server: TeacherServer, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{provider.upper()}_API_KEY", PLAIN_KEY)
    words = f"{'x' * (MESSAGE_CHARACTERS - 10)} {PLAIN_KEY}"
    teacher_server.then(
        teacher_server.refuse(401, words), teacher_server.refuse(500, words), teacher_server.send(words)
    )
    for _ in range(3):
        with pytest.raises((TeacherError, Unavailable)) as found:
            await ask(teacher_server.spec(provider))
        assert PLAIN_KEY[:4] not in str(found.value)


@pytest.mark.parametrize("body", [r'{"error": {"message": "half \ud83d"}}', "[" * 100_000])
async def test_any_words_of_a_refusal_can_be_told_and_stored(
    teacher_server: TeacherServer, provider: str, body: str
) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=401, content_type="application/json")

    teacher_server.then(refuse)
    with pytest.raises(TeacherError, match=r"answered 401: (half|\[)") as found:
        await ask(teacher_server.spec(provider))
    str(found.value).encode()


def test_half_masked_keys_are_blotted_out_too() -> None:
    assert redact("Incorrect API key provided: sk-proj-ab***yz.", "") == "Incorrect API key provided: [key]"


@pytest.mark.parametrize("key", ["", "none", "x", "EMPTY"])
def test_what_stands_in_for_a_key_is_not_blotted_out_of_words(key: str) -> None:
    assert redact("none of the EMPTY boxes", key) == "none of the EMPTY boxes"


@pytest.mark.parametrize("body", [r'{"text": "\ud83d"}', r'"\ude00"'])
async def test_half_a_character_is_no_answer(teacher_server: TeacherServer, provider: str, body: str) -> None:
    content = f'{{"role": "assistant", "type": "text", "text": "\\ud83d", "content": {body}}}'
    whole = f'{{"model": "m", "usage": {{}}, "content": [{content}], "choices": [{{"message": {content}}}]}}'
    teacher_server.then(teacher_server.send(whole))
    with pytest.raises(Unavailable, match="unreadable answer"):
        await ask(teacher_server.spec(provider))


def test_retry_after_is_read_as_seconds_milliseconds_or_a_date() -> None:
    assert retry_after_s({"retry-after": "2"}) == 2
    assert retry_after_s({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    assert retry_after_s({"retry-after": "-3"}) == 0
    assert retry_after_s({"retry-after": "soon"}) is None
    assert retry_after_s({}) is None
    in_a_minute = formatdate(time.time() + 60, usegmt=True)
    assert 50 < (retry_after_s({"retry-after": in_a_minute}) or 0) <= 60


@given(
    st.one_of(
        st.text(), st.builds("Fri, 31 Dec {} 23:59:59 {}".format, st.integers(0, 10**12), st.integers(-9999, 9999))
    )
)
@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms"])
def test_no_retry_after_ends_a_run(name: str, text: str) -> None:
    assert (retry_after_s({name: text}) or 0.0) >= 0


def test_a_date_that_no_clock_reaches_says_nothing() -> None:
    assert retry_after_s({"retry-after": f"Fri, 31 Dec {10**12} 23:59:59 GMT"}) is None
