"""The teacher that the settings name, and the store as its memory of answers and of what was bought."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

from blindspot.agents.calls.caller import Caller, CallLimits
from blindspot.agents.calls.log import Occasion, reply_of
from blindspot.agents.calls.prices import check_price, open_ledger
from blindspot.agents.chat import Reply
from blindspot.agents.spec import OBJECT, TeacherSpec
from blindspot.agents.teachers.given import NOBODY, Given, check_given
from blindspot.agents.teachers.opening import open_language_model, open_provider, paced
from blindspot.agents.teachers.probing import ProbingTeacher
from blindspot.agents.teachers.rules import RulesTeacher
from blindspot.agents.teachers.teacher import Teacher
from blindspot.graphs.context import Context
from blindspot.graphs.teaching.probes import VersionProbes
from blindspot.storage.errors import SettingsError
from blindspot.storage.records import TeacherCall
from blindspot.storage.settings.sections import Settings, TeacherSection
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


WITHOUT_TOOLS = ("rules", "file", OBJECT)  # teachers that cannot hold a conversation


def open_teacher(context: Context, model_id: str) -> Teacher:
    """Open the teacher of the settings; `rules` reads the training samples.

    Args:
        model_id: the model version under repair, that a teacher with tools may probe.
    """
    settings = context.settings
    spec = TeacherSpec.parse(settings.teacher.spec)
    if spec.provider == OBJECT:
        check_given(spec, context.teachers)
        return context.teachers[str(spec)]
    if spec.provider == "rules":
        return RulesTeacher(context.samples("train"), context.dataset.fields, seed=settings.run.seed)
    ledger = open_ledger(spec, settings.teacher)
    ledger.begin(*bought_in(context.store, context.run_id, **own_rows(context, str(spec))))
    log = StoredCalls(context.store, str(spec), partial(warn, context))
    teacher = open_language_model(spec, limits_of(settings.teacher), log, ledger)
    if settings.teacher.autonomy == "scripted":
        return teacher
    return ProbingTeacher(teacher, VersionProbes(context, model_id), settings.teacher.probes)


def warn(context: Context, number: int, message: str) -> None:
    """Tell of something odd about a teacher in a round."""
    context.tell(number, "teach", message, level="warning")


def own_rows(context: Context, spec: str) -> dict[str, object]:
    """What picks the rows that a teacher's own part of a run depends on: all, unless it is one of several."""
    return {"teacher": spec} if context.has_many_teachers else {}


@asynccontextmanager
async def asking(context: Context, number: int, named: str | None = None) -> AsyncIterator[Caller]:
    """Open a language model for questions of one round that no Teacher has a method for.

    Args:
        named: its spec; None: the teacher's.
    """
    settings = context.settings.teacher
    spec, limits = TeacherSpec.parse(named or settings.spec), limits_of(settings)
    provider = await asyncio.to_thread(open_provider, spec, limits)
    ledger = open_ledger(spec, settings)
    ledger.begin(*await asyncio.to_thread(bought_in, context.store, context.run_id))
    calls = await asyncio.to_thread(StoredCalls, context.store, str(spec), partial(warn, context))
    caller = Caller(str(spec), provider, paced(spec, limits), calls, ledger)
    caller.begin_round(context.run_id, number)
    try:
        yield caller
    finally:
        await provider.aclose()


def check_teacher(settings: TeacherSection, teachers: Given = NOBODY) -> None:
    """Check that a teacher could be opened: its spec is known and its key is there.

    Args:
        teachers: those that are objects.
    Raises: SettingsError, TeacherError.
    """
    spec = TeacherSpec.parse(settings.spec)
    if settings.autonomy != "scripted" and spec.provider in WITHOUT_TOOLS:
        raise SettingsError(
            f'teacher.autonomy = "{settings.autonomy}": {spec.provider} cannot call tools; '
            'name a language model in teacher.spec, or set teacher.autonomy = "scripted"'
        )
    check_given(spec, teachers)
    if spec.provider not in ("rules", OBJECT):
        check_price(spec, settings)
        open_provider(spec, limits_of(settings))


def check_judge(settings: Settings) -> None:
    """Check that a second judge, where there is one, could be opened.

    Raises: SettingsError, TeacherError.
    """
    if settings.judge.spec is None:
        return
    spec = TeacherSpec.parse(settings.judge.spec, setting="judge.spec")
    if spec.provider in ("rules", OBJECT):
        raise SettingsError(
            f'judge.spec = "{spec}": it has to be a language model or people who answer in files, e.g. openai:MODEL, '
            "anthropic:MODEL or file:FOLDER"
        )
    check_price(spec, settings.teacher)
    open_provider(spec, limits_of(settings.teacher))


def limits_of(settings: TeacherSection) -> CallLimits:
    return CallLimits(
        requests_per_minute=settings.requests_per_minute,
        requests_per_second=settings.requests_per_second,
        tokens_per_minute=settings.tokens_per_minute,
        concurrency=settings.concurrency,
        longest_pause_s=settings.longest_pause_s,
        timeout_s=settings.timeout_s,
        attempts=settings.attempts,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        use_cache=settings.cache,
    )
