"""Publishing beside a phase."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from blindspot.cli.show.display import PlainDisplay
from blindspot.graphs import phase
from blindspot.graphs.context import Progress
from blindspot.storage.errors import Cancelled, StoreError


class FullDisk:
    """A store that cannot publish."""

    def publish_if_due(self, every_s: float) -> float:
        raise StoreError(f"the disk is full ({every_s})")


async def work(error: Exception | None = None) -> None:
    async with phase.publishing(FullDisk(), 5.0):  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        if error:
            raise error


async def test_a_stop_stays_a_stop_when_publishing_fails_beside_it() -> None:
    with pytest.raises(Cancelled):
        await work(Cancelled("stopped"))


async def test_a_publish_that_failed_beside_a_phase_is_told_at_its_end() -> None:
    with pytest.raises(StoreError, match="full"):
        await work()


async def test_a_phase_that_reports_nothing_shows_that_it_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phase, "QUIET_S", 0.02)
    seen: list[tuple[int, int]] = []
    context = SimpleNamespace(run_id="r", phases="mitigation", show=lambda step: seen.append((step.done, step.total)))
    reporter = phase.Reporter(context, 1, "filter")  # type: ignore[arg-type]
    async with phase.shown(reporter):
        reporter.report(0, 0)
        await asyncio.sleep(0.2)
        assert len(seen) > 2
        reporter.report(3, 9)
        await asyncio.sleep(0.2)
    assert seen[-1] == (3, 9)
    count = len(seen)
    await asyncio.sleep(0.1)
    assert len(seen) == count  # the phase is over


def test_plain_progress_is_never_silent_for_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [100.0]
    monkeypatch.setattr("blindspot.cli.show.display.time.monotonic", lambda: clock[0])
    shown, lines, last = PlainDisplay(), list[str](), clock[0] + 1
    for second in range(120):  # nothing counted, then four parts with counts of their own, each shorter than 9 s
        clock[0] += 1
        part = max(0, second - 60) // 7
        shown.show(Progress("r", 1, "filter", second % 7 if part else 0, 10 * part))
        if new := capsys.readouterr().err.splitlines():
            assert clock[0] - last < 10
            lines, last = lines + new, clock[0]
    assert clock[0] - last < 10
    assert any("at work, 0:00:" in line for line in lines)
    assert any(" of " in line for line in lines)
