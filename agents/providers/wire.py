"""What servers send in more than one way: an answer's text, its tool uses, its token counts, a refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import from_json

from blindspot.agents.chat import Reply, ToolUse
from blindspot.agents.providers.peer import short_line

SLACK = 2  # times the most that a request may take: a server may wrap a question in words of its own
SLACK_TOKENS = 1_000

UNREADABLE = -1  # a count that cannot be read: no plausible one, so the worst case is taken
FILTERED = "its content filter stopped the answer"


def with_plausible_counts(reply: Reply, most_in: int, most_out: int) -> Reply:
    """Replace counts that cannot be by the most that the request may have taken.

    They cannot be where they are negative or beyond that, or where only one of them is given.

    Args:
        most_in, most_out: tokens of the question and of its answer, upper bounds.
    """
    if reply.tokens_in == reply.tokens_out == 0:  # it counts nothing: the ledger takes the worst case
        return reply
    is_in_fine = 0 < reply.tokens_in <= SLACK * most_in + SLACK_TOKENS
    is_out_fine = (not reply.text or reply.tokens_out > 0) and 0 <= reply.tokens_out <= SLACK * most_out + SLACK_TOKENS
    tokens_in, tokens_out = reply.tokens_in if is_in_fine else most_in, reply.tokens_out if is_out_fine else most_out
    return replace(reply, tokens_in=tokens_in, tokens_out=tokens_out)


def named_count(count: int) -> str:
    """Write a count for a message; one that no server means is not written out."""
    return str(count) if abs(count) < 10**20 else "10^20 or more"


def with_ids(uses: Iterable[ToolUse]) -> tuple[ToolUse, ...]:
    """Give the uses of one reply ids that differ: some servers leave them out, or give the same one twice."""
    by_id: dict[str, ToolUse] = {}
    for use in uses:
        use_id, number = use.use_id or "use", 1
        while use_id in by_id:
            number += 1
            use_id = f"{use.use_id or 'use'}_{number}"
        by_id[use_id] = replace(use, use_id=use_id)
    return tuple(by_id.values())


def sendable_name(name: str) -> str:
    """Make of a name that a model made up one that its provider takes back; a real tool's stays as it is."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "unnamed"


def sendable_arguments(arguments: str) -> dict[str, Any]:
    """Make of arguments as a model wrote them the JSON object that its provider takes back."""
    try:
        read = from_json(arguments or "{}", allow_inf_nan=False)
        json.dumps(read, allow_nan=False)  # 1e999 is read as infinity
    except ValueError:
        read = None
    return read if isinstance(read, dict) else {"unreadable": arguments}


def read_count(value: object) -> object:
    """Read a token count, however odd: none given is 0, what is not a whole number is UNREADABLE."""
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else UNREADABLE


def read_usage(value: object) -> object:
    """Read what an answer took; what is not an object counts nothing."""
    return value if isinstance(value, Mapping) else {}


def read_name(value: object) -> object:
    """Read a model's name as one line; some servers give none."""
    return short_line(value) if isinstance(value, str) else "" if value is None else value


def read_text(value: object) -> object:
    """Put a text together that comes as a list of parts; parts of other kinds, as thoughts and images, are left out."""
    if not isinstance(value, list):
        return value
    return "".join(map(text_of_part, value))


def text_of_part(part: Any) -> str:
    """The text of one part: a text itself, or an object of a type that holds one."""
    if isinstance(part, str):
        return part
    is_text = isinstance(part, Mapping) and part.get("type", "text") in ("text", "output_text")
    return part["text"] if is_text and isinstance(part.get("text"), str) else ""


TokenCount = Annotated[int, BeforeValidator(read_count)]
ModelName = Annotated[str, BeforeValidator(read_name)]
Text = Annotated[str | None, BeforeValidator(read_text)]
