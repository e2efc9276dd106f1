"""Answers of a server that means no good, or knows no better: none does harm, each is read or told in one line."""

from __future__ import annotations

import gzip
import json
import re
import resource
import time
import zlib
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from blindspot.agents.chat import Reply, Unavailable
from blindspot.agents.teachers.answers import json_objects, read_explanation
from blindspot.storage.errors import MalformedAnswer, TeacherError
from support.asking import ask
from support.teacher_server import Behaviour, TeacherServer


def sending(body: bytes, status: int = 200, **headers: str) -> Behaviour:
    """Send bytes as they are."""

    async def behave(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=body, status=status, headers={"Content-Type": "application/json"} | named)

    return behave


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_takes_a_question_to_another_host(
    teacher_server: TeacherServer, provider: str, status: int
) -> None:
    teacher_server.then(sending(b"", status, Location=f"{teacher_server.url}/v1/messages?to=elsewhere"))
    with pytest.raises(TeacherError, match=rf"answered {status}, a redirect to .*elsewhere: .*name it with @BASE_URL"):
        await ask(teacher_server.spec(provider))
    assert len(teacher_server.asked) == 1


def zeros_packed(size: int) -> bytes:
    """Zeros that take a thousandth of their size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(size // 2**20)) + packer.flush()


UNREADABLE = {
    "packed, far too large": (zeros_packed(600 * 2**20), "gzip", "more than 16 MiB"),
    "packed twice over": (gzip.compress(b"{}" * 9)[:-5], "gzip", "breaks off"),
    "not packed at all": (b"{}", "gzip", "a compressed answer that cannot be read"),
    "packed by other means": (b"{}", "br", "a compressed answer \\(br\\), which was not asked for"),
    "far too large": (b" " * 17 * 2**20, "identity", "more than 16 MiB"),
}


@pytest.mark.parametrize("case", UNREADABLE)
@pytest.mark.parametrize("status", [200, 500])
async def test_no_more_of_a_body_is_read_than_an_answer_may_have(
    teacher_server: TeacherServer, provider: str, case: str, status: int
) -> None:
    body, packing, told = UNREADABLE[case]
    teacher_server.then(sending(body, status, Content_Encoding=packing))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(Unavailable, match=told):
        await ask(teacher_server.spec(provider))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 2**10  # KiB
    assert time.monotonic() - began < 5


async def test_a_packed_answer_is_read_and_only_what_can_be_bounded_is_asked_for(
    teacher_server: TeacherServer, provider: str
) -> None:
    async def pack(request: web.Request) -> web.StreamResponse:
        response = await teacher_server.say("because")(request)
        assert isinstance(response.body, bytes)
        return await sending(gzip.compress(response.body), Content_Encoding="gzip")(request)

    teacher_server.then(pack)
    assert (await ask(teacher_server.spec(provider))).text == "because"
    assert teacher_server.asked[0].headers["Accept-Encoding"] == "gzip"


async def test_a_charset_that_is_no_charset_is_ignored(teacher_server: TeacherServer, provider: str) -> None:
    for status in (200, 401):
        teacher_server.then(sending(b'{"error": "no"}', status, Content_Type="application/json; charset=hex_codec"))
        with pytest.raises((Unavailable, TeacherError), match="unreadable answer" if status == 200 else "401: no"):
            await ask(teacher_server.spec(provider))


TANGLED = {
    "braces": "{" * 200_000,
    "keys": '{"' * 100_000,
    "objects in objects": '{"a":' * 40_000,
    "lists in objects": '{"":[' * 40_000,
    "closed objects in objects": '{"a":' * 33_000 + "}" * 33_000,
    "wrong in the middle": ('{"a":' * 31 + "x" + "}" * 31) * 1_000,
    "escaped quotation marks": '{"\\"' * 50_000,
    "backslashes": '{"' + "\\" * 199_999,
    "strings that open strings": '{"a":"{"b":"{' * 15_000,
}


@pytest.mark.parametrize("case", TANGLED)
def test_no_answer_holds_the_event_loop(case: str) -> None:
    answer = '{"reasoning": "r", "hypothesis": "h"}'
    began = time.process_time()
    with pytest.raises(MalformedAnswer):
        read_explanation(TANGLED[case])
    assert time.process_time() - began < 2.5  # it took 5 s and more, and grew with the square of the length
    with pytest.raises(MalformedAnswer, match="only answers of up to 400000"):
        read_explanation(" " * 400_000 + answer)


def read_from_every_brace(text: str) -> list[Any]:
    """What a reader finds that tries every brace in turn, however long it takes."""
    decoder, values, start = json.JSONDecoder(strict=False), [], text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
            values.append(value)
        except ValueError:
            end = start + 1
        start = text.find("{", end)
    return values


PIECES = ["{", "}", '"', ":", ",", "[", "]", '"a"', "1", " ", "\\", '{"a":1}', '{"b":"{x}"}', 'it is "so', "\n"]
PIECES.append('{"r":"q\\"}","h":["x"]}')


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_objects_are_found_as_if_every_brace_were_tried(text: str) -> None:
    assert json_objects(text) == read_from_every_brace(text)


STEERING = "\x1b]0;owned\x07 \x1b[2J\x1b[31mno\x1b[0m \x9b1m\u202eme\u200b \x1bP1$r\x1b\\ \x00\x08end \x1b]8;;http://x"


async def test_no_word_of_a_server_steers_a_terminal_a_log_or_the_store(
    teacher_server: TeacherServer, provider: str
) -> None:
    page = sending(STEERING.encode())
    teacher_server.then(teacher_server.refuse(401, STEERING), teacher_server.refuse(500, STEERING), page)
    for _ in range(3):
        with pytest.raises((TeacherError, Unavailable)) as caught:
            await ask(teacher_server.spec(provider))
        assert str(caught.value).isprintable()
        assert "no 1mme end" in str(caught.value)
        assert "owned" not in str(caught.value)


@pytest.mark.parametrize("opening", ["\x1b]0;", "\x1b]8;;", "\x1bP", "\x1b^", "\x1b_", "\x1bX"])
async def test_a_sequence_that_never_ends_hides_no_word(
    teacher_server: TeacherServer, provider: str, opening: str
) -> None:
    for message in (f"{opening}no credit left", f"no {opening}credit\x1b[0m left", f"no {opening}credit {opening}left"):
        teacher_server.then(teacher_server.refuse(401, message))
        with pytest.raises(TeacherError) as caught:
            await ask(teacher_server.spec(provider))
        assert str(caught.value).isprintable()
        assert re.search(r"no \S*credit \S*left", str(caught.value).replace("0;no", "no").replace("8;;no", "no"))


def body_of(provider: str, content: Any, **changes: Any) -> str:
    """An answer's body with other parts; None leaves one out."""
    if provider == "openai":
        finish, refusal = changes.pop("finish", "stop"), changes.pop("refusal", None)
        message = {"role": "assistant", "content": content, "refusal": refusal}
        body = {"model": "m", "choices": [{"message": message, "finish_reason": finish}], "usage": {}}
    else:
        body = {"model": "m", "content": content, "stop_reason": changes.pop("finish", "end_turn"), "usage": {}}
    return json.dumps({name: value for name, value in (body | changes).items() if value is not None})


PARTS = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "be"}, {"type": "text", "text": "cause"}]
NULLS = {"prompt_tokens": None, "completion_tokens": None, "input_tokens": None, "output_tokens": None}
NULLS |= {"cache_read_input_tokens": None, "prompt_tokens_details": None}
UNUSUAL: dict[str, tuple[Any, dict[str, Any]]] = {
    "a list of parts": (PARTS, {}),
    "no model": (PARTS, {"model": None}),
    "usage with nulls": (PARTS, {"usage": NULLS}),
    "a model's name that steers a terminal": (PARTS, {"model": "\x1b]0;owned\x07m\x1b[2J"}),
    "no usage": (PARTS, {"usage": None}),
    "usage that is a list": (PARTS, {"usage": []}),
    "a text alone": ("because", {}),
}


@pytest.mark.parametrize("case", UNUSUAL)
async def test_an_unusual_answer_is_read(teacher_server: TeacherServer, provider: str, case: str) -> None:
    content, changes = UNUSUAL[case]
    teacher_server.then(teacher_server.send(body_of(provider, content, **changes)))
    reply = await ask(teacher_server.spec(provider))
    assert (reply.text, reply.tokens_in, reply.tokens_out, reply.refusal) == ("because", 0, 0, None)
    assert reply.model == ("" if case == "no model" else "m")


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def streamed_chunks(*, uses: bool = False) -> list[dict[str, Any]]:
    """A chat completion as servers stream it."""
    usage = {"prompt_tokens": 11, "completion_tokens": 7}
    end = {"model": "m", "choices": [], "usage": usage}
    if not uses:
        parts = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": text}) for text in ("be", "cause"))]
        return [*parts, chunk({}, "stop"), end]
    calls = [{"index": 0, "id": "c1", "function": {"name": "classify", "arguments": ""}}]
    pieces = [{"index": 0, "function": {"arguments": text}} for text in ('{"tex', 'ts": []}')]
    return [*(chunk({"tool_calls": [call]}) for call in [*calls, *pieces]), chunk({}, "tool_calls"), end]


def streamed_message(*, uses: bool = False) -> list[dict[str, Any]]:
    """An Anthropic message as it is streamed."""
    start = {"type": "message_start", "message": {"model": "m", "content": [], "usage": {"input_tokens": 11}}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}
    if uses:
        block: dict[str, Any] = {"type": "tool_use", "id": "c1", "name": "classify", "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": text} for text in ('{"tex', 'ts": []}')]
    else:
        block, deltas = {"type": "text", "text": ""}, [{"type": "text_delta", "text": t} for t in ("be", "cause")]
    events = [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
    begun = {"type": "content_block_start", "index": 0, "content_block": block}
    return [start, {"type": "ping"}, begun, *events, {"type": "content_block_stop", "index": 0}, end]


def streamed(provider: str, *, uses: bool = False) -> list[dict[str, Any]]:
    return streamed_chunks(uses=uses) if provider == "openai" else streamed_message(uses=uses)


def as_events(objects: list[dict[str, Any]], *, line: str = "\n", last: str = "data: [DONE]\n\n") -> bytes:
    events = (f"event: {part.get('type', '')}{line}data: {json.dumps(part)}{line}{line}" for part in objects)
    return f": hello{line}{line}{''.join(events)}{last}".encode()


@pytest.mark.parametrize("media_type", ["text/event-stream", "text/event-stream; charset=utf-8"])
@pytest.mark.parametrize("line", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["data: [DONE]\n\n", "data: [DONE]", ""])
async def test_an_answer_that_is_streamed_unasked_is_read(
    teacher_server: TeacherServer, provider: str, media_type: str, line: str, last: str
) -> None:
    body = as_events(streamed(provider), line=line, last=last if provider == "openai" else "")
    teacher_server.then(sending(body, Content_Type=media_type))
    reply = await ask(teacher_server.spec(provider))
    assert reply == Reply("because", "m", 11, 7)
    body = as_events(streamed(provider, uses=True), line=line)
    teacher_server.then(sending(body, Content_Type=media_type))
    (use,) = (await ask(teacher_server.spec(provider))).uses
    assert (use.use_id, use.name, json.loads(use.arguments)) == ("c1", "classify", {"texts": []})


NO_COUNTS: list[Any] = [NULLS, {}, None, [], 7, {"input_tokens": None, "prompt_tokens": None}]


@pytest.mark.parametrize("usage", NO_COUNTS)
async def test_counts_of_a_stream_are_kept_where_a_later_event_has_none(
    teacher_server: TeacherServer, provider: str, usage: Any
) -> None:
    objects = streamed(provider)
    later = chunk({}, usage=usage) if provider == "openai" else {**objects[-1], "usage": usage}
    for sent, tokens in (
        ([*objects, later], (11, 7)),
        ([*objects[:-1], later], (0 if provider == "openai" else 11, 0)),
    ):
        teacher_server.then(sending(as_events(sent), Content_Type="text/event-stream"))
        assert await ask(teacher_server.spec(provider)) == Reply("because", "m", *tokens)


BAD_STREAMS = {
    "breaks off": lambda objects: as_events(objects[:3], last=""),
    "says done too early": lambda objects: as_events(objects[:3]),
    "is empty": lambda _: b"",
    "is no JSON": lambda _: b"data: {\n\n",
    "holds a number": lambda _: b"data: 3\n\n",
    "ends in an error": lambda objects: as_events([*objects[:3], {"type": "error", "error": {"message": "\x1b[2Joh"}}]),
    "nests too deep": lambda _: b"data: " + b"[" * 200_000 + b"\n\n",
    "holds odd parts": lambda _: b'data: {"choices": [{"delta": {"tool_calls": [3]}, "finish_reason": "stop"}]}\n\n',
    "holds no lists": lambda _: b'data: {"choices": [{"delta": {"tool_calls": 3}, "finish_reason": "stop"}]}\n\n',
    "has odd places": lambda _: b'data: {"type": "content_block_start", "index": []}\n\n',
    "has far too many events": lambda _: b"data: {}\n\n" * 300_000,
    "is a page": lambda _: b"<html>hello</html>",
    "is far too large": lambda _: b"data: {}\n\n" * 2_000_000,
}


@pytest.mark.parametrize("case", BAD_STREAMS)
async def test_a_stream_that_is_no_answer_is_told_in_one_line(
    teacher_server: TeacherServer, provider: str, case: str
) -> None:
    teacher_server.then(sending(BAD_STREAMS[case](streamed(provider)), Content_Type="text/event-stream"))
    told = "more than 16 MiB" if case == "is far too large" else "unreadable (stream|answer)"
    with pytest.raises(Unavailable, match=told) as caught:
        await ask(teacher_server.spec(provider))
    assert str(caught.value).isprintable()
