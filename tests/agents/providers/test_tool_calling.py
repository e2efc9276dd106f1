"""Native tool calling of both providers, over real HTTP: what goes out, what comes in, and what models get wrong."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.agents.chat import Message, Reply, Tool, ToolResult, ToolUse, Unavailable
from blindspot.agents.providers.wire import sendable_arguments, sendable_name, with_ids
from support.asking import ask
from support.teacher_server import TeacherServer

Complete = Callable[..., Awaitable[Reply]]
"""Sends messages, with tools."""

SCHEMA = {"type": "object", "properties": {"texts": {"type": "array"}}, "required": ["texts"]}
CLASSIFY = Tool("classify", "Ask the classifier.", SCHEMA)
ASKED = Message("user", "What misleads it?")
USE = ToolUse("use-1", "classify", '{"texts": ["Not bad."]}')
TALK = (
    ASKED,
    Message("assistant", "Let me see.", uses=(USE,)),
    Message("user", "One is left.", results=(ToolResult("use-1", '{"is_uu": true}'),)),
)


@pytest.fixture
def complete(teacher_server: TeacherServer, provider: str) -> Complete:
    """Sends a conversation to the server."""
    spec = teacher_server.spec(provider)

    async def send(messages: Sequence[Message] = (ASKED,), tools: Sequence[Tool] = (CLASSIFY,)) -> Reply:
        return await ask(spec, messages, tools)

    return send


async def test_tools_are_offered_in_the_words_of_each_provider(
    teacher_server: TeacherServer, complete: Complete, provider: str
) -> None:
    await complete()
    (offered,) = teacher_server.asked[0].body["tools"]
    if provider == "openai":
        assert offered["type"] == "function"
        offered = offered["function"]
    schema = "parameters" if provider == "openai" else "input_schema"
    assert offered == {"name": "classify", "description": "Ask the classifier.", schema: SCHEMA}


async def test_without_tools_none_are_spoken_of(teacher_server: TeacherServer, complete: Complete) -> None:
    await complete(tools=())
    assert not {"tools", "tool_choice"} & set(teacher_server.asked[0].body)


async def test_what_a_model_asks_for_comes_with_its_words_and_what_it_took(
    teacher_server: TeacherServer, complete: Complete
) -> None:
    uses: tuple[tuple[str, Any], ...] = (("classify", {"texts": ["Nicht übel."]}), ("classify", {"texts": []}))
    teacher_server.then(teacher_server.use_tools(*uses, text="Let me see."), teacher_server.use_tools(uses[0]))
    reply, wordless = await complete(), await complete()
    assert (reply.text, reply.tokens_in, reply.tokens_out, reply.cut_off) == ("Let me see.", 11, 7, False)
    assert [use.name for use in reply.uses] == ["classify", "classify"]
    assert [json.loads(use.arguments) for use in reply.uses] == [arguments for _, arguments in uses]
    assert len({use.use_id for use in reply.uses}) == 2
    assert (wordless.text, len(wordless.uses)) == ("", 1)


async def test_a_request_for_tools_that_was_cut_off_says_so(teacher_server: TeacherServer, complete: Complete) -> None:
    teacher_server.then(teacher_server.use_tools(("classify", {}), cut_off=True))
    assert (await complete()).cut_off


async def test_results_go_back_to_the_uses_they_belong_to(
    teacher_server: TeacherServer, complete: Complete, provider: str
) -> None:
    await complete(TALK)
    first, *rest = teacher_server.asked[0].body["messages"]
    assert first == {"role": "user", "content": "What misleads it?"}
    if provider == "openai":
        function = {"name": "classify", "arguments": '{"texts": ["Not bad."]}'}
        assert rest == [
            {
                "role": "assistant",
                "content": "Let me see.",
                "tool_calls": [{"id": "use-1", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": "use-1", "content": '{"is_uu": true}'},
            {"role": "user", "content": "One is left."},
        ]
    else:
        use = {"type": "tool_use", "id": "use-1", "name": "classify", "input": {"texts": ["Not bad."]}}
        result = {"type": "tool_result", "tool_use_id": "use-1", "content": '{"is_uu": true}'}
        assert rest == [
            {"role": "assistant", "content": [{"type": "text", "text": "Let me see."}, use]},
            {"role": "user", "content": [result, {"type": "text", "text": "One is left."}]},
        ]


async def test_turns_without_words_hold_no_empty_text(
    teacher_server: TeacherServer, complete: Complete, provider: str
) -> None:
    silent = (ASKED, Message("assistant", "", uses=(USE,)), Message("user", "", results=(ToolResult("use-1", "{}"),)))
    await complete(silent)
    turns = teacher_server.asked[0].body["messages"]
    assert len(turns) == 3
    texts = [turn["content"] for turn in turns if turn["content"] == ""]
    blocks = [block["type"] for turn in turns[1:] for block in turn["content"]] if provider == "anthropic" else []
    assert not texts
    assert "text" not in blocks


async def test_a_conversation_goes_on_when_tools_are_offered_no_more(
    teacher_server: TeacherServer, complete: Complete, provider: str
) -> None:
    await complete(TALK, tools=())
    body = teacher_server.asked[0].body
    if provider == "openai":
        assert not {"tools", "tool_choice"} & set(body)
    else:  # it refuses tool blocks in a request that knows no tools
        assert body["tools"] == [{"name": "classify", "input_schema": {"type": "object"}}]
        assert body["tool_choice"] == {"type": "none"}


async def test_a_name_and_arguments_that_are_none_are_kept_and_can_be_sent_back(
    teacher_server: TeacherServer, complete: Complete, provider: str
) -> None:
    wrong = {"x": 1} if provider == "anthropic" else '{"texts": ["Not'
    teacher_server.then(teacher_server.use_tools(("to classify!", wrong)))
    reply = await complete()
    (use,) = reply.uses
    assert use.name == "to classify!"
    await complete((ASKED, Message("assistant", "", uses=(use,)), Message("user", "", results=(ToolResult("a", "b"),))))
    said = teacher_server.asked[1].body["messages"][1]
    if provider == "openai":
        function = said["tool_calls"][0]["function"]
        assert function["name"] == "to_classify_"
        assert json.loads(function["arguments"]) == {"unreadable": wrong}
    else:
        assert said["content"] == [{"type": "tool_use", "id": use.use_id, "name": "to_classify_", "input": {"x": 1}}]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant"},
        {"role": "assistant", "tool_calls": []},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {}}}]},
    ],
)
@pytest.mark.parametrize("provider", ["openai"], indirect=True)
async def test_a_message_of_the_wrong_shape_is_no_answer(
    teacher_server: TeacherServer, complete: Complete, message: dict[str, Any]
) -> None:
    teacher_server.then(teacher_server.send(json.dumps({"model": "m", "choices": [{"message": message}]})))
    with pytest.raises(Unavailable, match="unreadable answer"):
        await complete()


@pytest.mark.parametrize("block", [{"type": "tool_use", "id": "a", "input": {}}, {"type": "tool_use", "name": "f"}])
@pytest.mark.parametrize("provider", ["anthropic"], indirect=True)
async def test_a_block_of_the_wrong_shape_is_no_answer(
    teacher_server: TeacherServer, complete: Complete, block: dict[str, Any]
) -> None:
    teacher_server.then(teacher_server.send(json.dumps({"model": "m", "content": [block], "usage": {}})))
    with pytest.raises(Unavailable, match="unreadable answer"):
        await complete()


@pytest.mark.parametrize("provider", ["openai"], indirect=True)
async def test_servers_that_leave_out_ids_content_or_arguments_are_understood(
    teacher_server: TeacherServer, complete: Complete
) -> None:
    calls = [{"function": {"name": "classify"}}, {"id": "", "function": {"name": "classify", "arguments": ""}}]
    message = {"role": "assistant", "tool_calls": calls}
    teacher_server.then(teacher_server.send(json.dumps({"model": "m", "choices": [{"message": message}]})))
    reply = await complete()
    assert [(use.use_id, use.arguments) for use in reply.uses] == [("use", "{}"), ("use_2", "{}")]


@given(st.lists(st.sampled_from(["", "use", "use_2", "a", "a_2", "a_3"])))
def test_the_uses_of_a_reply_have_ids_that_differ_and_none_is_lost(ids: list[str]) -> None:
    uses = with_ids(ToolUse(use_id, str(number), "{}") for number, use_id in enumerate(ids))
    assert [use.name for use in uses] == [str(number) for number in range(len(ids))]
    assert len({use.use_id for use in uses}) == len(ids)
    assert all(use.use_id for use in uses)


@given(st.text())
def test_any_arguments_can_be_sent_as_strict_json(arguments: str) -> None:
    json.dumps(sendable_arguments(arguments), allow_nan=False)


@pytest.mark.parametrize("arguments", ['{"a": NaN}', '{"a": 1e999}', "[" * 5000, "[1]", "null", r'{"a": "\ud800"}'])
def test_what_is_no_object_of_strict_json_is_quoted(arguments: str) -> None:
    assert sendable_arguments(arguments) == {"unreadable": arguments}


@given(st.text())
def test_any_name_can_be_sent(name: str) -> None:
    assert 1 <= len(sendable_name(name)) <= 64
    assert sendable_name("check_similarity") == "check_similarity"
