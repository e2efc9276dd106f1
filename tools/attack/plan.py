"""What attacks are asked to do, and where they must stop. Light: no model code is imported here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from blindspot.storage.records import Attack
from blindspot.tools.uu import is_adversarial_uu

SentenceEncoderName = Literal["minilm", "use"]


@dataclass(frozen=True, slots=True)
class SampleLimits:
    """Where the attack on one sample ends; None: no limit."""

    max_queries: int | None = None  # asked by the search
    timeout_s: float | None = None  # its own seconds and its share of the answers, looked at whenever it asks


@dataclass(frozen=True, slots=True)
class AttackPlan:
    """What is attacked, and how."""

    run_id: str
    model_id: str
    recipe: str
    seed: int
    limits: SampleLimits
    together: int  # samples attacked side by side; changes the speed, not the results
    field_names: tuple[str, ...]  # in the order of the classifier's texts
    labels: tuple[str, ...]  # in the order of the classifier's columns
    confidence: float | None = None  # search on until a wrong class has this much; None: until the label flips
    tau: float = 0.65  # a flip with this much confidence is a UU, as a budget counts them
    changeable: tuple[str, ...] | None = None  # fields that may be changed; None: those that the recipe changes
    sentence_encoder: SentenceEncoderName = "minilm"


@dataclass(frozen=True, slots=True)
class Budget:
    """What the attacks of one recipe may find and cost, all samples together; None: no limit."""

    uus: int | None = None  # flips with confidence >= tau
    queries: int | None = None
    seconds: float | None = None  # while samples are attacked: building the recipe is not counted

    @property
    def keeps_order(self) -> bool:
        """Whether where it stops must depend on the samples alone, so that they have to end one after another."""
        return self.uus is not None or self.queries is not None

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left of one limit."""
        return any(limit is not None and limit <= 0 for limit in (self.uus, self.queries, self.seconds))

    def less(self, rows: Iterable[Attack], tau: float) -> Budget:
        """What these rows leave of it; a limit that is reached is at 0 or below."""
        rows = list(rows)
        uus = sum(is_adversarial_uu(row, tau) for row in rows)
        queries = sum(row.queries for row in rows)
        return Budget(
            uus=None if self.uus is None else self.uus - uus,
            queries=None if self.queries is None else self.queries - queries,
            seconds=None if self.seconds is None else self.seconds - sum(row.seconds for row in rows),
        )

    def reached(self, rows: Iterable[Attack], tau: float) -> str:
        """Name the limit that stopped attacks before their last sample, e.g. "5 UUs"; rows: those they left."""
        left = self.less(rows, tau)
        if self.uus is not None and left.uus is not None and left.uus <= 0:
            return f"{self.uus} UUs"
        if self.queries is not None and left.queries is not None and left.queries <= 0:
            return f"{self.queries} queries"
        return f"{self.seconds:g} s"  # what was in flight then left no row, so their sum may be less


UNLIMITED = Budget()
