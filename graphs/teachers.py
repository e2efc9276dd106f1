"""The teacher that the settings name, and the store as its memory."""

from __future__ import annotations

import asyncio
from collections import Counter

from blindspot.agents.call_log import reply_of
from blindspot.agents.calls import CallLimits
from blindspot.agents.opening import open_language_model, open_provider
from blindspot.agents.provider import Reply
from blindspot.agents.rules import RulesTeacher
from blindspot.agents.teacher import Teacher, TeacherSpec
from blindspot.graphs.state import Context
from blindspot.storage.records import TeacherCall
from blindspot.storage.settings import TeacherSection
from blindspot.storage.store import Store


def open_teacher(context: Context) -> Teacher:
    """Open the teacher of the settings; `rules` reads the training samples."""
    settings = context.settings
    spec = TeacherSpec.parse(settings.teacher.spec)
    if spec.provider == "rules":
        return RulesTeacher(context.samples("train"), context.dataset.fields, seed=settings.run.seed)
    return open_language_model(spec, limits_of(settings.teacher), StoredCalls(context.store, str(spec)))


def check_teacher(settings: TeacherSection) -> None:
    """See that a teacher could be opened: its spec is known and its key is there.

    Raises: SettingsError, TeacherError.
    """
    spec = TeacherSpec.parse(settings.spec)
    if spec.provider != "rules":
        open_provider(spec, limits_of(settings))


def limits_of(settings: TeacherSection) -> CallLimits:
    return CallLimits(
        requests_per_minute=settings.requests_per_minute,
        requests_per_second=settings.requests_per_second,
        concurrency=settings.concurrency,
        timeout_s=settings.timeout_s,
        attempts=settings.attempts,
        max_calls=settings.max_calls,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
    )


class StoredCalls:
    """The call log of a workspace's store: answers of earlier runs are found too.

    All replies of one teacher are read once and held in memory, where the event loop can look them up at once.
    """

    def __init__(self, store: Store, teacher: str) -> None:
        self.store = store
        self.replies: dict[str, Reply] = {}  # usable ones, by cache key
        self.answers: Counter[str] = Counter()  # bought, by run
        for call in store.rows(TeacherCall, teacher=teacher):
            self.remember(call)

    def remember(self, call: TeacherCall) -> None:
        reply = reply_of(call)
        if reply is None:
            return
        self.answers[call.run_id] += not call.cache_hit
        if call.error is None:
            self.replies.setdefault(call.cache_key, reply)

    def find(self, cache_key: str) -> Reply | None:
        return self.replies.get(cache_key)

    def bought(self, run_id: str) -> int:
        return self.answers[run_id]

    async def add(self, call: TeacherCall) -> None:
        await asyncio.to_thread(self.store.add, [call])
        self.remember(call)
