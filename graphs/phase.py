"""What all nodes share: a phase runs off the event loop, reports, is recorded as a tool call and then published."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from langgraph.runtime import Runtime

from blindspot.graphs.autonomy.steps import settings_for
from blindspot.graphs.context import Context, PhaseResult, Progress, State, StateChanges, arguments_of
from blindspot.storage.clock import now
from blindspot.storage.errors import Cancelled
from blindspot.storage.ids import make_id
from blindspot.storage.records import ToolCall
from blindspot.storage.store.store import Store
from blindspot.tools.progress import Report

Work = Callable[[Context, State, Report], PhaseResult]
"""A node's three beats."""

AsyncWork = Callable[[Context, State, Report], Awaitable[PhaseResult]]

Node = Callable[[State, Runtime[Context]], Awaitable[StateChanges]]

SHOWN_EVERY_S = 0.1
QUIET_S = 1.0  # without anything new, before it is shown that a phase is still at work


def in_thread(name: str, work: Work) -> Node:
    """Make a node of blocking work: it runs in a thread, the event loop stays free."""

    async def run(context: Context, state: State, report: Report) -> PhaseResult:
        return await asyncio.to_thread(work, context, state, report)

    return on_loop(name, run)


def on_loop(name: str, work: AsyncWork) -> Node:
    """Make a node of asynchronous work."""

    async def node(state: State, runtime: Runtime[Context]) -> StateChanges:
        context = runtime.context
        if context.cancelled():
            raise Cancelled(f"stopped before {name}")
        began = time.monotonic()
        reporter = Reporter(context, state["round"], name)
        report = reporter.report
        report(0, 0)
        async with publishing(context.store, context.settings.run.publish_s), shown(reporter):
            result = await work(with_arguments(context, state, name), state, report)
        await record(context, state, name, result, time.monotonic() - began)
        return result.changes

    return node


def with_arguments(context: Context, state: State, name: str) -> Context:
    """Give a phase that was chosen its arguments, in the places of the settings they stand for."""
    arguments = arguments_of(state, name)
    return context if arguments is None else replace(context, settings=settings_for(context.settings, name, arguments))


async def record(context: Context, state: State, name: str, result: PhaseResult, seconds: float) -> None:
    """Add a phase's row, tell of it, and publish.

    In an autonomous run a phase may come again in a round: the step tells its rows apart.
    """
    changes, summary = result
    number, step = changes.get("round", state["round"]), changes.get("step", state.get("step"))
    row = ToolCall(
        tool_call_id=make_id("tool", context.run_id, number, name, *([step] if step else [])),
        run_id=context.run_id,
        round=number,
        tool=name,
        caller="graph",
        arguments={"model_id": state["model_id"]}
        | ({"step": step, **(arguments_of(state, name) or {})} if step else {}),
        result=summary,
        seconds=seconds,
        created_at=now(),
    )
    context.store.add([row])  # a phase that is done again, by a kill or a lost checkpoint, keeps the time that it took
    line = ", ".join(f"{key} {value}" for key, value in summary.items())
    context.tell(number, name, f"{f'step {step}: ' if step else ''}{line} ({seconds:.1f} s)", cause=row.tool_call_id)
    await asyncio.to_thread(context.store.publish)


class Reporter:
    """Shows how far a phase is, at most ten steps a second, and again while nothing new is reported."""

    def __init__(self, context: Context, round_number: int, phase: str) -> None:
        self._show = context.show
        self._last = Progress(context.run_id, round_number, phase, 0, 0, kind=context.phases)
        self._shown_at = 0.0

    def report(self, done: int, total: int) -> None:
        """Take how far the phase is; see Report."""
        self._last = replace(self._last, done=done, total=total)
        if time.monotonic() - self._shown_at >= SHOWN_EVERY_S or done >= total:
            self.show_again()

    def show_again(self) -> None:
        """Show what was reported last: the phase is still at work."""
        self._shown_at = time.monotonic()
        self._show(self._last)

    def is_quiet(self) -> bool:
        """Whether nothing was shown for a while."""
        return time.monotonic() - self._shown_at >= QUIET_S


@asynccontextmanager
async def shown(reporter: Reporter) -> AsyncIterator[None]:
    """Show that a phase is at work, also in its parts that report nothing: no display need be still for long."""

    async def show() -> None:
        while True:
            await asyncio.sleep(QUIET_S)
            if reporter.is_quiet():
                reporter.show_again()

    task = asyncio.create_task(show())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()  # as `published`


@asynccontextmanager
async def publishing(store: Store, every_s: float) -> AsyncIterator[None]:
    """Publish while something long goes on, so that a change is published after `every_s` seconds at most."""

    async def publish() -> None:
        while True:
            await asyncio.sleep(await asyncio.to_thread(store.publish_if_due, every_s))

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()  # a publish that failed is raised, but never in place of the phase's own error
