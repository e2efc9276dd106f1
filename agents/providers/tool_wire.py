"""What both wire formats ask of tool uses, and models and servers do not always give: an id, a name, a JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydantic_core import from_json

from blindspot.agents.chat import ToolUse


def with_ids(uses: Iterable[ToolUse]) -> tuple[ToolUse, ...]:
    """Give the uses of one reply ids that differ: some servers leave them out, or give the same one twice."""
    found: dict[str, ToolUse] = {}
    for use in uses:
        use_id, number = use.use_id or "use", 1
        while use_id in found:
            number += 1
            use_id = f"{use.use_id or 'use'}_{number}"
        found[use_id] = replace(use, use_id=use_id)
    return tuple(found.values())


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
