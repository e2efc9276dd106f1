"""Asks a provider's server one question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blindspot.agents.chat import Message, Provider, Reply, Tool
from blindspot.agents.spec import TeacherSpec
from blindspot.agents.teachers.opening import open_provider
from blindspot.graphs.teaching.teachers import limits_of
from blindspot.storage.settings.sections import TeacherSection

WHY = Message("user", "Why?")


def opened(spec: str, **settings: Any) -> Provider:
    """Open the provider of a spec; settings: other keys of the section [teacher]."""
    section = TeacherSection.model_validate({"spec": spec, "timeout_s": 5} | settings)
    return open_provider(TeacherSpec.parse(spec), limits_of(section))


async def ask(spec: str, messages: Sequence[Message] = (WHY,), tools: Sequence[Tool] = (), **settings: Any) -> Reply:
    """Send a conversation, and close the connection."""
    provider = opened(spec, **settings)
    try:
        return await provider.complete(messages, tools)
    finally:
        await provider.aclose()
