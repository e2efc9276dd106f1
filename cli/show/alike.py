"""Hypotheses that say the same, told once, with all the UUs that they explain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blindspot.storage.schema.statement import examples_of, statement_of

Row = Mapping[str, Any]

STATEMENT = f"{statement_of('text')} AS statement, {examples_of('text')} AS examples"
"""The columns that rows of hypotheses need to be merged, as SQL text over their column `text`."""

EXAMPLES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Stated:
    """What several hypotheses of one kind state alike, about UUs whose abstractions say the same."""

    rows: tuple[Row, ...]  # the hypotheses

    @property
    def kind(self) -> str:
        return str(self.rows[0]["kind"])

    @property
    def teacher(self) -> str:
        return str(self.rows[0]["teacher"])

    @property
    def text(self) -> str:
        """The words of the first."""
        return str(self.rows[0]["text"])

    @property
    def reasonings(self) -> dict[str, str]:
        """How the teacher came to it, each once, with the UU that it was first given for."""
        found: dict[str, str] = {}
        for row in self.rows:
            if row["reasoning"]:
                found.setdefault(str(row["reasoning"]), str(row["uu_id"]))
        return found

    @property
    def repeated(self) -> str:
        """How often it was stated, and with which other examples; empty where it was stated once."""
        if len(self.rows) < 2:
            return ""
        others = Counter(word for row in self.rows for word in row["examples"] if word not in self.rows[0]["examples"])
        ranked = sorted(others.items(), key=lambda item: (-item[1], item[0]))
        told = [f"“{word}” ({count})" if count > 1 else f"“{word}”" for word, count in ranked[:EXAMPLES_SHOWN]]
        more = f" and {len(ranked) - EXAMPLES_SHOWN:,} others" if len(ranked) > EXAMPLES_SHOWN else ""
        return f"stated {len(self.rows):,} times" + (f", also with {', '.join(told)}{more}" if told else "")


@dataclass(frozen=True, slots=True)
class Alike:
    """UUs whose abstractions say the same, and all that was stated about them."""

    uu_ids: tuple[str, ...]
    stated: tuple[Stated, ...]  # abstractions first


def merge(rows: Sequence[Row]) -> list[Alike]:
    """Merge hypotheses that say the same.

    Args:
        rows: hypotheses with kind, text, reasoning, teacher, uu_id, and the columns of STATEMENT.
    Returns: those about most UUs first, else in the order of the rows.
    """
    by_uu: dict[str, list[Row]] = {}
    for row in rows:
        by_uu.setdefault(row["uu_id"], []).append(row)
    groups: dict[frozenset[tuple[str, str]], list[str]] = {}
    for uu_id, about in by_uu.items():
        main = [row for row in about if row["kind"] == "abstraction"] or about
        groups.setdefault(frozenset((row["teacher"], row["statement"]) for row in main), []).append(uu_id)
    found = [
        Alike(tuple(uu_ids), stated_in([row for uu_id in uu_ids for row in by_uu[uu_id]])) for uu_ids in groups.values()
    ]
    return sorted(found, key=lambda group: -len(group.uu_ids))


def stated_in(rows: Sequence[Row]) -> tuple[Stated, ...]:
    """What hypotheses state, each statement once; in the order of the rows, abstractions first."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["kind"] != "abstraction"):
        found.setdefault((row["kind"], row["teacher"], row["statement"]), []).append(row)
    return tuple(Stated(tuple(same)) for same in found.values())


def count_in_words(groups: Sequence[Alike]) -> str:
    """How many hypotheses there are, and how many of them differ."""
    different = sum(len(group.stated) for group in groups)
    total = sum(len(one.rows) for group in groups for one in group.stated)
    return f"{total:,} hypotheses" if different == total else f"{different:,} different hypotheses ({total:,} in all)"
