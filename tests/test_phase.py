"""Publishing beside a phase."""

from __future__ import annotations

import asyncio

import pytest

from blindspot.graphs import phase
from blindspot.storage.errors import Cancelled, StoreError


class FullDisk:
    """A store that cannot publish."""

    def publish_if_due(self, every_s: float) -> float:
        raise StoreError(f"the disk is full ({every_s})")


async def work(error: Exception | None = None) -> None:
    async with phase.published(FullDisk(), 5.0):  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        if error:
            raise error


async def test_a_stop_stays_a_stop_when_publishing_fails_beside_it() -> None:
    with pytest.raises(Cancelled):
        await work(Cancelled("stopped"))


async def test_a_publish_that_failed_beside_a_phase_is_told_at_its_end() -> None:
    with pytest.raises(StoreError, match="full"):
        await work()
