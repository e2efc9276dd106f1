"""The store as a teacher's memory: answers of earlier runs, and what this run has bought."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import NamedTuple

from blindspot.agents.calls.log import Occasion, reply_of
from blindspot.agents.chat import Reply
from blindspot.storage.records import TeacherCall
from blindspot.storage.store.store import Store


class Bought(NamedTuple):
    """What a run has paid for."""

    calls: int  # answers, usable or not
    usd: float  # with requests that may have been billed though no answer came; those of unknown price left out


def bought_in(store: Store, run_id: str, **whose: object) -> Bought:
    """Count what a run has bought so far: of whichever teacher, or of the one whose spec is `teacher`."""
    calls = store.rows(TeacherCall, run_id=run_id, cache_hit=False, **whose)
    return Bought(sum(call.reply is not None for call in calls), math.fsum(call.cost_usd or 0.0 for call in calls))


class StoredCalls:
    """The call log of a workspace's store: answers of earlier runs are found too.

    No reply is held in memory, however many a store has: only which questions were asked, and which have one. It is
    read off the event loop.
    """

    def __init__(self, store: Store, teacher: str, tell: Callable[[int, str], None] | None = None) -> None:
        """
        Args:
            tell: is given the round and the words of a warning; left out, nobody is warned.
        """
        self._tell = tell
        self._store = store
        self._teacher = teacher
        answered = store.values(TeacherCall, "cache_key", teacher=teacher, error=None, cleared=False)
        self._answered = set(map(hash, answered))
        self._asked = set(map(hash, store.values(TeacherCall, "cache_key", teacher=teacher)))

    async def find(self, cache_key: str, run_id: str | None = None) -> Reply | None:
        """The newest usable reply to a question; see CallLog."""
        if hash(cache_key) not in self._answered:
            return None
        asked: dict[str, object] = {"cache_key": cache_key, "teacher": self._teacher, "error": None, "cleared": False}
        asked |= {"run_id": run_id} if run_id else {}

        def read() -> list[TeacherCall]:
            return self._store.rows(TeacherCall, **asked)

        newest = max(await asyncio.to_thread(read), key=lambda call: (call.created_at, call.call_id), default=None)
        return reply_of(newest) if newest else None

    async def tried(self, cache_key: str, occasion: Occasion) -> list[TeacherCall]:
        """All calls of a question on one occasion."""
        if hash(cache_key) not in self._asked:
            return []
        whose = {"cache_key": cache_key, "teacher": self._teacher, **occasion._asdict()}
        return await asyncio.to_thread(lambda: self._store.rows(TeacherCall, **whose))

    async def has_answers(self, run_id: str, number: int | None = None) -> bool:
        """Whether a run, or one of its rounds, has a usable reply, bought or found."""
        whose: dict[str, object] = {"run_id": run_id, "teacher": self._teacher, "error": None}
        whose |= {} if number is None else {"round": number}
        return await asyncio.to_thread(lambda: self._store.count(TeacherCall, **whose)) > 0

    async def add(self, call: TeacherCall) -> None:
        """Remember a call."""
        await asyncio.to_thread(self._store.add, [call])
        self._asked.add(hash(call.cache_key))
        if call.error is None:
            self._answered.add(hash(call.cache_key))

    async def warn(self, number: int, message: str) -> None:
        """Tell the operator of something odd in a round."""
        if self._tell:
            await asyncio.to_thread(self._tell, number, message)
