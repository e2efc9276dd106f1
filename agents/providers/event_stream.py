"""Answers as server-sent events, put together to whole ones: some servers stream, whatever is asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

EVENT_STREAM = "text/event-stream"
MOST_EVENTS = 200_000  # of one answer: one or two a token
DONE = "[DONE]"  # what OpenAI's streams end with

Body = dict[str, Any]
"""An answer's body, in plain JSON values."""

Join = Callable[[Iterator[str]], Body]
"""Puts the data of events together. Raises: ValueError, where that is not a whole answer."""


def data_of_events(text: str) -> Iterator[str]:
    """The data of each event of a stream, in its order.

    Source: HTML Living Standard, section 9.2.6; an event that no empty line ends is taken too.
    """
    data: list[str] = []
    for line in re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff")):
        name, _, value = line.partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
    if data:
        yield "\n".join(data)


def objects_of(events: Iterator[str]) -> Iterator[Body]:
    """Read the data of events up to the stream's end. Raises: ValueError, for what is not an object, or an error."""
    for number, data in enumerate(events):
        if data.strip() == DONE:
            return
        if number == MOST_EVENTS:
            raise ValueError(f"more than {MOST_EVENTS} events")
        event = json.loads(data)
        if not isinstance(event, dict):
            raise ValueError("an event that is not an object")
        if event.get("error"):
            raise ValueError(f"an error in the stream: {json.dumps(event['error'], ensure_ascii=False)}")
        yield event


def part(whole: Any, name: str) -> Body:
    """An object within another; empty where there is none."""
    value = whole.get(name) if isinstance(whole, dict) else None
    return value if isinstance(value, dict) else {}


def with_counts(usage: Body, event: Body) -> Body:
    """The counts of tokens so far with those that an event brings; one that is null says nothing."""
    return usage | {name: count for name, count in part(event, "usage").items() if count is not None}


def joined_completion(events: Iterator[str]) -> Body:
    """Put the chunks of a chat completion together."""
    content: list[str] = []
    refusal: list[str] = []
    calls: dict[int, Body] = {}
    usage: Body = {}
    model, finish = "", None
    for chunk in objects_of(events):
        model, usage = chunk.get("model") or model, with_counts(usage, chunk)
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        finish = choice.get("finish_reason") or finish
        delta = part(choice, "delta") or part(choice, "message")
        content += [delta["content"]] if isinstance(delta.get("content"), str) else []
        refusal += [delta["refusal"]] if isinstance(delta.get("refusal"), str) else []
        for call in delta.get("tool_calls") or []:
            add_call(calls, call)
    if finish is None:
        raise ValueError("the stream breaks off")
    message: Body = {"role": "assistant", "content": "".join(content), "refusal": "".join(refusal) or None}
    for call in calls.values():
        call["function"]["arguments"] = "".join(call["function"]["arguments"])
    message |= {"tool_calls": [calls[index] for index in sorted(calls)]} if calls else {}
    return {"model": model, "choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def add_call(calls: dict[int, Body], call: Any) -> None:
    """Add a piece of a call of a tool to those before it: name and id come once, the arguments bit by bit."""
    function = part(call, "function")
    index = call.get("index", len(calls)) if isinstance(call, dict) else None
    if not isinstance(index, int):
        raise ValueError("a tool call without a place")
    known = calls.setdefault(index, {"id": None, "function": {"name": "", "arguments": []}})
    known["id"] = known["id"] or call.get("id")
    known["function"]["name"] = known["function"]["name"] or function.get("name") or ""
    known["function"]["arguments"] += [function["arguments"]] if isinstance(function.get("arguments"), str) else []


def joined_message(events: Iterator[str]) -> Body:
    """Put the events of an Anthropic message together."""
    message: Body = {}
    blocks: dict[Any, Body] = {}
    pieces: dict[Any, list[str]] = {}  # of a block: its text, or the JSON of a tool's input
    for event in objects_of(events):
        if event.get("type") == "message_start":
            message = {**part(event, "message")}
        elif event.get("type") == "content_block_start":
            blocks[event.get("index")] = block = {**part(event, "content_block")}
            pieces[event.get("index")] = [block["text"]] if isinstance(block.get("text"), str) else []
        elif event.get("type") == "content_block_delta":
            delta = part(event, "delta")
            piece = delta.get("text", delta.get("partial_json"))
            pieces.setdefault(event.get("index"), []).extend([piece] if isinstance(piece, str) else [])
        elif event.get("type") == "message_delta":
            message |= {"stop_reason": part(event, "delta").get("stop_reason") or message.get("stop_reason")}
            message["usage"] = with_counts(part(message, "usage"), event)
    if not message.get("stop_reason"):
        raise ValueError("the stream breaks off")
    for index, block in blocks.items():
        if block.get("type") == "tool_use":
            block["input"] = json.loads("".join(pieces[index]) or json.dumps(block.get("input") or {}))
        elif block.get("type") == "text":
            block["text"] = "".join(pieces[index])
    return {**message, "content": list(blocks.values())}
