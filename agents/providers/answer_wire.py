"""What servers send in more than one way: an answer's text, its token counts, a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from blindspot.agents.providers.peer import shorten

UNREADABLE = -1  # a count that cannot be read: no plausible one, so the worst case is taken
FILTERED = "its content filter stopped the answer"


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
    return shorten(value) if isinstance(value, str) else "" if value is None else value


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
