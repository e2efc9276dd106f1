"""The gate: windows, slots in flight, and a pause that holds everyone."""

from __future__ import annotations

import asyncio
import time

from blindspot.agents.gate import Gate


async def pass_times(gate: Gate, callers: int, stay_s: float = 0.0) -> list[float]:
    """Send callers through; the seconds after which each of them got in, in order."""
    started = time.monotonic()
    times: list[float] = []

    async def caller() -> None:
        async with gate:
            times.append(time.monotonic() - started)
            await asyncio.sleep(stay_s)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return sorted(times)


def most_within(times: list[float], window_s: float) -> int:
    return max(sum(start <= time <= start + window_s for time in times) for start in times)


async def test_no_short_window_holds_more_than_its_limit() -> None:
    gate = Gate(per_minute=1000, per_second=4, concurrency=50, second_s=0.4)
    times = await pass_times(gate, 12)
    assert most_within(times, 0.25) == 4
    assert times[-1] >= 0.8


async def test_no_long_window_holds_more_than_its_limit() -> None:
    gate = Gate(per_minute=5, per_second=1000, concurrency=50, minute_s=0.4, second_s=0.01)
    times = await pass_times(gate, 10)
    assert most_within(times, 0.25) == 5
    assert times[-1] >= 0.4


async def test_no_more_are_inside_than_there_are_slots() -> None:
    gate = Gate(per_minute=1000, per_second=1000, concurrency=3)
    inside, most = 0, 0

    async def caller() -> None:
        nonlocal inside, most
        async with gate:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(caller() for _ in range(12)))
    assert most == 3


async def test_a_pause_holds_everyone_also_those_who_wait_already() -> None:
    gate = Gate(per_minute=1000, per_second=2, concurrency=10, second_s=0.3)
    waiting = asyncio.create_task(pass_times(gate, 6))
    await asyncio.sleep(0.02)  # two are through, four wait for the next window
    gate.pause(0.5)
    times = await waiting
    assert sum(time < 0.3 for time in times) == 2
    assert all(time >= 0.5 for time in times[2:])


async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    gate = Gate(per_minute=1000, per_second=1000, concurrency=10)
    gate.pause(0.3)
    gate.pause(0.01)
    assert (await pass_times(gate, 1))[0] >= 0.28


async def test_a_caller_that_gives_up_waiting_leaves_its_slot_to_others() -> None:
    gate = Gate(per_minute=1000, per_second=1000, concurrency=1)
    gate.pause(0.1)
    waiting = asyncio.create_task(pass_times(gate, 1))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(2):
        assert len(await pass_times(gate, 2)) == 2


async def test_a_failure_inside_leaves_its_slot_to_others() -> None:
    gate = Gate(per_minute=1000, per_second=1000, concurrency=1)
    try:
        async with gate:
            raise ConnectionError
    except ConnectionError:
        pass
    async with asyncio.timeout(2):
        assert len(await pass_times(gate, 2)) == 2
