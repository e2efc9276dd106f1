"""What a run's teacher was asked and what it cost, phase by phase, and the words for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from blindspot.agents.calls.ledger import in_dollars
from blindspot.storage.analysts.results import Results


@dataclass(frozen=True, slots=True)
class PhaseSpend:
    """What a phase asked the teacher; answers out of the cache left out."""

    phase: str
    calls: int
    tokens_in: int
    tokens_out: int
    cost_usd: float | None  # None: no call has a known price
    unpriced_calls: int  # answers without a known price


Spend = Sequence[PhaseSpend]
"""In the order in which the phases were first asked."""


def read_spend(results: Results, run_id: str) -> tuple[PhaseSpend, ...]:
    """Read what a run has paid for so far."""
    _, rows = results.query(  # a failed call has no price, and most likely cost nothing
        "SELECT phase, count(*), CAST(sum(tokens_in) AS BIGINT), CAST(sum(tokens_out) AS BIGINT), sum(cost_usd), "
        "count(*) FILTER (cost_usd IS NULL AND reply IS NOT NULL) "
        "FROM teacher_calls WHERE run_id = ? AND NOT cache_hit GROUP BY phase ORDER BY min(created_at)",
        [run_id],
    )
    return tuple(PhaseSpend(*row) for row in rows)


def cost_of(spend: Spend) -> float | None:
    """US dollars in all; None, where no call has a known price."""
    known = [phase.cost_usd for phase in spend if phase.cost_usd is not None]
    return math.fsum(known) if known else None


def spend_in_words(spend: Spend) -> str:
    """Say what the teacher was asked and what it cost, and what is not known of it."""
    count, cost = sum(phase.calls for phase in spend), cost_of(spend)
    if not count:
        return "no calls to pay for"
    calls = f"{count:,} call{'' if count == 1 else 's'}"
    if cost is None:
        return f"{calls}, price unknown"
    unpriced = sum(phase.unpriced_calls for phase in spend)
    return f"{calls}, {in_dollars(cost)}" + (f" and {unpriced} unpriced" if unpriced else "")


def by_phase(spend: Spend, per_uu: float | None) -> str:
    """Say which phases the money went to, and what one UU removed has cost, where that is known."""
    parts = [f"{phase.phase} {in_dollars(phase.cost_usd)}" for phase in spend if phase.cost_usd is not None]
    return ", ".join(parts) + ("" if per_uu is None else f"; {in_dollars(per_uu)} for each UU removed")
