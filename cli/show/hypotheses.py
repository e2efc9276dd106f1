"""Hypotheses for reading: those that say the same once, each UU with its changed words marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.text import Text

from blindspot.cli.terminal import visible
from blindspot.storage.schema.statement import examples_of, statement_of
from blindspot.tools.text.edits import WORD, Edit, edits

if TYPE_CHECKING:
    from rich.console import Console

    from blindspot.storage.records import Fields


Row = Mapping[str, Any]

STATEMENT = f"{statement_of('text')} AS statement, {examples_of('text')} AS examples"
"""The columns that rows of hypotheses need to be merged, as SQL text over their column `text`."""

EXAMPLES_SHOWN = 12

AROUND = 12  # words shown on either side of a change in a long text
UUS_NAMED = 4
LONG = 60  # words of a text that is shown in part


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
        uus: dict[str, str] = {}
        for row in self.rows:
            if row["reasoning"]:
                uus.setdefault(str(row["reasoning"]), str(row["uu_id"]))
        return uus

    @property
    def repeated(self) -> str:
        """How often it was stated, and with which other examples; empty where it was stated once."""
        if len(self.rows) < 2:
            return ""
        others = Counter(word for row in self.rows for word in row["examples"] if word not in self.rows[0]["examples"])
        ranked = sorted(others.items(), key=lambda item: (-item[1], item[0]))
        examples = [f"“{word}” ({count})" if count > 1 else f"“{word}”" for word, count in ranked[:EXAMPLES_SHOWN]]
        more = f" and {len(ranked) - EXAMPLES_SHOWN:,} others" if len(ranked) > EXAMPLES_SHOWN else ""
        return f"stated {len(self.rows):,} times" + (f", also with {', '.join(examples)}{more}" if examples else "")


@dataclass(frozen=True, slots=True)
class Alike:
    """UUs whose abstractions say the same, and all that was stated about them."""

    uu_ids: tuple[str, ...]
    stated: tuple[Stated, ...]  # abstractions first


def merge_alike(rows: Sequence[Row]) -> list[Alike]:
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
    alike = [
        Alike(tuple(uu_ids), stated_in([row for uu_id in uu_ids for row in by_uu[uu_id]])) for uu_ids in groups.values()
    ]
    return sorted(alike, key=lambda group: -len(group.uu_ids))


def stated_in(rows: Sequence[Row]) -> tuple[Stated, ...]:
    """What hypotheses state, each statement once; in the order of the rows, abstractions first."""
    by_statement: dict[tuple[str, str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["kind"] != "abstraction"):
        by_statement.setdefault((row["kind"], row["teacher"], row["statement"]), []).append(row)
    return tuple(Stated(tuple(same)) for same in by_statement.values())


def count_in_words(groups: Sequence[Alike]) -> str:
    """How many hypotheses there are, and how many of them differ."""
    different = sum(len(group.stated) for group in groups)
    total = sum(len(one.rows) for group in groups for one in group.stated)
    return f"{total:,} hypotheses" if different == total else f"{different:,} different hypotheses ({total:,} in all)"


def print_hypotheses(console: Console, rows: Sequence[Mapping[str, Any]], *, run_id: str, limit: int) -> None:
    """Print hypotheses under a UU that they explain, those that say the same once.

    Args:
        rows: of the view hypothesis_log, with the columns of `alike.STATEMENT`; texts as mappings.
        limit: how many different hypotheses are printed.
    """
    groups, left = merge_alike(rows), limit
    several = len({row["teacher"] for row in rows}) > 1
    for group in groups:
        if not left:
            break
        first, *others = group.uu_ids
        print_uu(console, next(row for row in rows if row["uu_id"] == first))
        for one in group.stated[:left]:
            print_stated(console, one, several=several)
        left -= len(group.stated[:left])
        if others:
            named = f"{len(others):,} more of these UUs: {', '.join(others[:UUS_NAMED])}"
            more = ", …; --json names all" if len(others) > UUS_NAMED else ""
            console.print(Padding(Text(f"{named}{more}", style="dim"), (0, 0, 0, 2), expand=False))
        console.print()
    different = sum(len(group.stated) for group in groups)
    shown = f"{limit:,} of " if limit < different else ""
    more = f"; --limit {different} shows all" if shown else ""
    console.print(Text(f"{run_id}: {shown}{count_in_words(groups)}{more}", style="dim"))


def print_stated(console: Console, one: Stated, *, several: bool) -> None:
    """Print a statement, how often it was made, and what became of the samples that were written after it."""
    who = f" of {visible(one.teacher)}" if several else ""
    line = Text().append(f"{one.kind}{who}  ", style="cyan").append(visible(one.text))
    console.print(Padding(line, (0, 0, 0, 2), expand=False))
    written, accepted = (sum(row[name] for row in one.rows) for name in ("samples_written", "samples_accepted"))
    remarks = [visible(one.repeated)] if one.repeated else []
    remarks.append(f"{accepted} of {written} synthetic samples accepted")
    console.print(Padding(Text("; ".join(remarks), style="dim"), (0, 0, 0, 4), expand=False))


def print_uu(console: Console, row: Mapping[str, Any]) -> None:
    """Print a UU: what it was taken for, and its text with the changes marked."""
    head = Text().append(f"{row['uu_id']}  ", style="bold")
    head.append(f"{visible(str(row['label']))} -> {visible(str(row['predicted']))}", style="bold")
    sure = "" if row["confidence"] is None else f" ({row['confidence']:.2f})"
    head.append(f"{sure}  round {row['round']}, {row['recipe'] or row['uu_kind']}", style="dim")
    console.print(head)
    print_texts(console, row["original"] or {}, row["perturbed"])


def print_texts(console: Console, original: Fields, perturbed: Fields | None) -> None:
    """Print the fields of a sample, with the changes that an attack made marked."""
    changes = edits(original, perturbed) if perturbed else []
    for field, text in original.items():
        label = f"{field}: " if len(original) > 1 else ""
        marked = mark(visible(text), [edit for edit in changes if edit.field == field])
        console.print(Padding(Text(label, style="dim").append_text(marked), (0, 0, 0, 2), expand=False))


def mark(text: str, changes: Sequence[Edit]) -> Text:
    """Show the changes within the original, as [-before-]{+after+}; of a long text only what stands near them."""
    at: dict[int, list[Edit]] = {}
    for edit in changes:
        at.setdefault(edit.position, []).append(edit)
    words = list(WORD.finditer(text))
    pieces = [(match.start(), match.end()) for match in words]
    near = {place for position in at or {0: []} for place in range(position - AROUND, position + AROUND + 1)}
    shown, end, skipping = Text(style="default"), 0, False
    for index, (start, stop) in enumerate([*pieces, (len(text), len(text))]):
        if len(words) > LONG and index not in near:
            skipping, end = True, stop
            continue
        shown.append("… " if skipping else text[end:start])
        skipping, end, before = False, stop, text[start:stop]
        replaced = False
        for edit in at.get(index, ()):
            replaced = replaced or bool(edit.before)
            append_edit(shown, edit)
        if not replaced:
            shown.append(before)
    return shown.append(" …") if skipping else shown


def append_edit(shown: Text, edit: Edit) -> None:
    """Mark one change; an inserted word brings its own space."""
    if edit.before:
        shown.append(f"[-{edit.before}-]", style="red")
    if edit.after:
        shown.append(f"{{+{edit.after}+}}{'' if edit.before else ' '}", style="green")
