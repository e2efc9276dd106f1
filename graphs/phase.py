"""What all nodes share: a phase runs off the event loop, reports, is recorded as a tool call and then published."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from langgraph.runtime import Runtime

from blindspot.graphs.state import Context, Progress, State
from blindspot.storage.records import ToolCall, make_id, now
from blindspot.tools.progress import Report

Work = Callable[[Context, State, Report], tuple[dict[str, Any], Mapping[str, Any]]]
"""A node's three beats: (context, state, report) -> (what changes in the state, what to tell of it)."""

AsyncWork = Callable[[Context, State, Report], Awaitable[tuple[dict[str, Any], Mapping[str, Any]]]]

Node = Callable[[State, Runtime[Context]], Awaitable[dict[str, Any]]]

SHOWN_EVERY_S = 0.1


def in_thread(name: str, work: Work) -> Node:
    """Make a node of blocking work: it runs in a thread, the event loop stays free."""

    async def run(context: Context, state: State, report: Report) -> tuple[dict[str, Any], Mapping[str, Any]]:
        return await asyncio.to_thread(work, context, state, report)

    return on_loop(name, run)


def on_loop(name: str, work: AsyncWork) -> Node:
    """Make a node of asynchronous work."""

    async def node(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
        context = runtime.context
        began = time.monotonic()
        report = reporter(context, state["round"], name)
        report(0, 0)
        changes, result = await work(context, state, report)
        seconds = time.monotonic() - began
        record = ToolCall(
            tool_call_id=make_id("tool", context.run_id, state["round"], name),
            run_id=context.run_id,
            round=state["round"],
            tool=name,
            caller="graph",
            arguments={"model_id": state["model_id"]},
            result=result,
            seconds=seconds,
            created_at=now(),
        )
        context.store.put(record)
        said = ", ".join(f"{key} {value}" for key, value in result.items())
        context.tell(state["round"], name, f"{said} ({seconds:.1f} s)")
        await asyncio.to_thread(context.store.publish)
        return changes

    return node


def reporter(context: Context, round_number: int, phase: str) -> Report:
    """Make a report that shows at most ten steps a second, and publishes what is due."""
    shown = 0.0

    def report(done: int, total: int) -> None:
        nonlocal shown
        if time.monotonic() - shown < SHOWN_EVERY_S and done < total:
            return
        shown = time.monotonic()
        context.show(Progress(context.run_id, round_number, phase, done, total))
        context.store.publish_if_due()

    return report
