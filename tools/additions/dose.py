"""How many rows each confirmed program gives: in proportion to what it does, or by a bandit over small rounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, slots=True)
class Dose:
    """A confirmed program that rows can be had of."""

    program_id: str
    effect: float  # rise of the UU rate on the rows that it edits
    coverage: float  # share of the split that it edits; 1 for templates
    capacity: int  # texts that differ which it can give

    @property
    def weight(self) -> float:
        """The UUs that the program makes among all rows, as a share."""
        return max(0.0, self.effect) * self.coverage


@dataclass(frozen=True, slots=True)
class BanditArm:
    """A program as a bandit sees it: what was observed of it on the model versions so far."""

    program_id: str
    capacity: int  # texts that differ and were not given yet
    uus: float = 0.0  # among the texts tested; older ones count less
    tested: float = 0.0
    coverage: float = 1.0


Observe = Callable[[Mapping[str, int]], Mapping[str, tuple[int, int]]]
"""Trains on that many rows of each program, then tests: program_id -> (UUs, texts tested)."""


def proportional(doses: Sequence[Dose], budget: int, *, floor: int = 0, cap: int | None = None) -> dict[str, int]:
    """Divide rows among programs in proportion to effect times coverage.

    Every program gets `floor` rows and at most `cap`, and never more than it can give; what a program cannot take goes
    to the others. Where the floors exceed the budget, the programs of most weight get theirs.

    Returns: program_id -> rows, for each program; together the budget, or less where the programs cannot give it.
    Raises: ValueError, for a negative budget or floor, or a cap below the floor.
    """
    if budget < 0 or floor < 0 or (cap is not None and cap < floor):
        raise ValueError(f"a budget of {budget} rows, a floor of {floor} and a cap of {cap} do not go together")
    least: dict[str, int] = {}
    most: dict[str, int] = {}
    ordered = sorted(doses, key=lambda dose: (-dose.weight, dose.program_id))
    for dose in ordered:
        limit = min(dose.capacity, budget if cap is None else cap)
        least[dose.program_id] = min(floor, limit, budget - sum(least.values()))
        most[dose.program_id] = limit if dose.weight > 0 else least[dose.program_id]
    weights = {dose.program_id: dose.weight for dose in ordered}
    rows = whole_rows(shares(weights, least, most, budget), most, budget)
    return {dose.program_id: rows[dose.program_id] for dose in doses}


def shares(
    weights: Mapping[str, float], least: Mapping[str, int], most: Mapping[str, int], budget: int
) -> dict[str, float]:
    """Find numbers in proportion to weights, within bounds, that add up to the budget as far as the bounds allow."""

    def bounded(scale: float) -> dict[str, float]:
        return {
            name: min(max(weight * scale, least[name]), most[name]) if weight > 0 else float(least[name])
            for name, weight in weights.items()
        }

    if sum(most.values()) <= budget:
        return {name: float(limit) for name, limit in most.items()}
    corners = sorted(bound[name] / weights[name] for bound in (least, most) for name in weights if weights[name] > 0)
    low = bounded(0.0)
    for corner in corners:  # between two of them every number grows in a straight line
        high = bounded(corner)
        if (reached := sum(high.values())) >= budget:
            part = (budget - sum(low.values())) / max(reached - sum(low.values()), 1e-300)
            return {name: low[name] + part * (high[name] - low[name]) for name in low}
        low = high
    return low


def whole_rows(wanted: Mapping[str, float], most: Mapping[str, int], budget: int) -> dict[str, int]:
    """Round shares down, and give what is left to the largest remainders; of equals, to the first."""
    rows = {name: min(most[name], math.floor(share + 1e-9)) for name, share in wanted.items()}
    left = min(budget, sum(most.values())) - sum(rows.values())
    by_remainder = sorted(rows, key=lambda name: round(rows[name] - wanted[name], 9))
    while left > 0:
        for name in by_remainder:
            if left > 0 and rows[name] < most[name]:
                rows[name] += 1
                left -= 1
    return rows


def bandit_round(arms: Sequence[BanditArm], rows: int, *, seed: int, small_round: int) -> dict[str, int]:
    """Divide the rows of one small round by Thompson sampling.

    For each row the UU rate of each program is drawn from its posterior, Beta(1 + UUs, 1 + others), times coverage; the
    program of the highest draw gives the row, while it has any.

    Returns: program_id -> rows, for each program; together `rows`, or less where the programs cannot give it.
    Source: Thompson (1933); Chapelle and Li (2011).
    """
    rng = np.random.default_rng([seed, small_round])
    ordered = sorted(arms, key=lambda arm: arm.program_id)
    given = dict.fromkeys((arm.program_id for arm in arms), 0)
    if not ordered:
        return given
    uus = np.array([arm.uus for arm in ordered])
    others = np.array([arm.tested for arm in ordered]) - uus
    coverage = np.array([arm.coverage for arm in ordered])
    draws = rng.beta(1 + uus, 1 + others, size=(rows, len(ordered))) * coverage  # (rows, programs)
    left = np.array([arm.capacity for arm in ordered])
    for row in draws:
        if not left.any():
            break
        best = int(np.where(left > 0, row, -1.0).argmax())
        left[best] -= 1
        given[ordered[best].program_id] += 1
    return given


def updated(arm: BanditArm, given: int, observed: tuple[int, int], *, memory: float = 0.5) -> BanditArm:
    """Add what the newest model version showed of a program; older observations count `memory` of what they did.

    The model changes with each small round, so that a rate observed earlier is out of date.

    Args:
        observed: UUs and texts tested.
    Raises: ValueError, for more UUs than texts, or a memory outside [0, 1].
    """
    uus, tested = observed
    if not 0 <= uus <= tested or not 0 <= memory <= 1:
        raise ValueError(f"{arm.program_id}: {uus} UUs of {tested} texts with a memory of {memory} cannot be")
    return replace(
        arm,
        capacity=max(0, arm.capacity - given),
        uus=memory * arm.uus + uus,
        tested=memory * arm.tested + tested,
    )


def bandit(
    arms: Sequence[BanditArm], budget: int, observe: Observe, *, rounds: int, seed: int, memory: float = 0.5
) -> dict[str, int]:
    """Divide rows over small rounds, each by what the model made of the programs after the one before.

    Args:
        observe: called after each small round but the last; a program that it does not name keeps what is known.
    Returns: program_id -> rows in all.
    """
    if rounds < 1 or budget < 0:
        raise ValueError(f"{budget} rows cannot be divided over {rounds} rounds")
    known = list(arms)
    total = dict.fromkeys((arm.program_id for arm in arms), 0)
    for number in range(rounds):
        size = budget * (number + 1) // rounds - budget * number // rounds
        given = bandit_round(known, size, seed=seed, small_round=number)
        total = {name: total[name] + given[name] for name in total}
        if number + 1 < rounds:
            seen = observe(given)
            known = [
                updated(arm, given[arm.program_id], seen[arm.program_id], memory=memory)
                if arm.program_id in seen
                else replace(arm, capacity=max(0, arm.capacity - given[arm.program_id]))
                for arm in known
            ]
    return total
