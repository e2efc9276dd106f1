"""One batch a core, in place of all cores on one batch: no core of a CPU then waits for another at every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import TypeVar

import torch

B = TypeVar("B")
R = TypeVar("R")

LEAST_TOKENS = 64  # fewer in a batch are not worth another lane


class Lanes:
    """Threads that compute batches side by side, each on one core.

    Args:
        count: of the threads; with one, everything runs in the caller's.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.pool: ThreadPoolExecutor | None = None
        if count > 1:
            self.pool = ThreadPoolExecutor(count, "lane")
            ready = Barrier(count)
            for started in [self.pool.submit(use_one_core, ready) for _ in range(count)]:
                started.result()
            torch.set_num_threads(count)  # what threads that are yet to come begin with; the lanes keep their one

    def fair_share(self, tokens: int, most: int) -> int:
        """So many tokens in a batch, `most` at the most, that every lane gets as many batches as the others."""
        turns = -(-tokens // (self.count * most))
        return min(most, max(LEAST_TOKENS, -(-tokens // (self.count * turns))))

    def each(self, compute: Callable[[B], R], batches: Sequence[B]) -> list[Future[R]]:
        """Start to compute every batch; the futures are in the order of the batches."""
        if self.pool is not None and len(batches) > 1:
            return [self.pool.submit(compute, batch) for batch in batches]
        return [done(compute, batch) for batch in batches]


def done(compute: Callable[[B], R], batch: B) -> Future[R]:
    """Compute a batch at once."""
    future: Future[R] = Future()
    try:
        future.set_result(compute(batch))
    except Exception as error:
        future.set_exception(error)
    return future


def use_one_core(ready: Barrier) -> None:
    """Make this thread compute on one core; wait for the others, so that each thread does this once."""
    torch.get_num_threads()  # at first asked for, torch sets a thread's number of cores to that of all others
    torch.set_num_threads(1)
    ready.wait()


@cache
def cpu_lanes() -> Lanes:
    """As many lanes as torch may use cores."""
    return Lanes(torch.get_num_threads())
