"""The gate before a provider: so many requests in flight, per minute and per second, and a pause for all."""

from __future__ import annotations

import asyncio

from asyncio_throttle import Throttler


class Gate:
    """`async with gate:` around each request. The slot in flight is held until the block ends.

    A waiter holds one of the few slots in flight, so that no more than `concurrency` of them poll the windows.
    """

    def __init__(
        self,
        *,
        per_minute: int,
        per_second: int,
        concurrency: int,
        minute_s: float = 60.0,
        second_s: float = 1.0,
    ) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._windows = tuple(
            Throttler(limit, period, retry_interval=min(0.1, period / 20))
            for limit, period in ((per_minute, minute_s), (per_second, second_s))
        )
        self._closed_until = 0.0  # in the loop's time

    def pause(self, seconds: float) -> None:
        """Let nobody pass for this long; a longer pause already under way stays."""
        self._closed_until = max(self._closed_until, asyncio.get_running_loop().time() + seconds)

    async def __aenter__(self) -> None:
        await self._slots.acquire()
        try:
            await self._pass()
        except BaseException:
            self._slots.release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._slots.release()

    async def _pass(self) -> None:
        while True:
            await self._pause_over()
            for window in self._windows:
                await window.acquire()
            if not self._left():  # a pause may have begun while this one waited for the windows
                return

    async def _pause_over(self) -> None:
        while left := self._left():
            await asyncio.sleep(left)

    def _left(self) -> float:
        return max(0.0, self._closed_until - asyncio.get_running_loop().time())
