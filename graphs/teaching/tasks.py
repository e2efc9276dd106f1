"""Many coroutines side by side, brought to an end in good order by the first failure or by a stop."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable
from typing import Any

from blindspot.storage.errors import Cancelled
from blindspot.tools.progress import IsCancelled

LOOK_EVERY_S = 0.1  # whether a stop was asked for
GRACE_S = 5.0  # for what is under way when a stop is asked for


async def run_all(
    works: Iterable[Coroutine[Any, Any, None]], *, cancelled: IsCancelled, grace_s: float = GRACE_S
) -> None:
    """Run all; a failure or a stop cancels those that are not done.

    A first cancellation says: begin nothing new. What defers it, as a request in flight does, may come to its end:
    after a failure in its own time, after a stop within `grace_s`. A second one ends it.

    Raises: the first failure; Cancelled, when a stop was asked for.
    """
    tasks = {asyncio.create_task(work) for work in works}
    failures: list[BaseException] = []
    pending = tasks
    try:
        while pending and not failures and not cancelled():
            done, pending = await asyncio.wait(pending, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_EXCEPTION)
            failures = [error for task in done if not task.cancelled() and (error := task.exception())]
        cut_short = bool(pending)
        for task in pending:
            task.cancel()
        while pending and not cancelled():
            _, pending = await asyncio.wait(pending, timeout=LOOK_EVERY_S)
    finally:
        await end_tasks(pending, grace_s)
        await asyncio.gather(*tasks, return_exceptions=True)
    if failures:
        raise failures[0]
    if cut_short:
        raise Cancelled("stopped; what was under way is kept")


async def end_tasks(tasks: Collection[asyncio.Task[None]], grace_s: float) -> None:
    """Cancel tasks that were not yet, wait for them, and cancel again those that take too long."""
    for task in tasks:
        if not task.cancelling():
            task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=grace_s)
    for task in tasks:
        task.cancel()
