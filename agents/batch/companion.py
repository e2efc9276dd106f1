"""The companion of a file of questions: the same questions in Markdown, for people to read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def readable(lines: Sequence[Mapping[str, Any]], file: str) -> str:
    """Write questions in Markdown.

    Args:
        lines: requests of the OpenAI Batch API.
        file: the name of the file that they are in.
    """
    answers = file.replace(".questions.", ".answers.")
    head = (
        f"# {len(lines)} question{'s' * (len(lines) != 1)}\n\n"
        f"The questions of `{file}`, to be read. Answers go into `{answers}`, one line for each question:\n\n"
        '    {"custom_id": "…", "answer": …}\n\n'
        "The answer is a text, or the JSON object that the question asks for. This file is not read again.\n"
    )
    return "\n".join([head, *(part for line in lines for part in section(line))])


def section(line: Mapping[str, Any]) -> Iterator[str]:
    """Write one question: its id, which names what is asked about which UU, and the conversation."""
    yield f"## {line['custom_id']}\n"
    for turn in line["body"]["messages"]:
        yield f"**{turn.get('role', 'user')}**\n"
        yield fenced(text_of(turn)) + "\n"


def text_of(turn: Mapping[str, Any]) -> str:
    """The text of a turn; questions in files have no other parts."""
    content = turn.get("content")
    return content if isinstance(content, str) else ""


def fenced(text: str) -> str:
    """Put a fence around a text that the text itself cannot close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.encode('utf-8', 'replace').decode()}\n{fence}"
