"""Hypotheses for reading: each UU with its changed words marked, and under it what the teacher made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.text import Text

from blindspot.cli.terminal import visible
from blindspot.tools.text.edits import WORD, Edit, edits

if TYPE_CHECKING:
    from rich.console import Console

    from blindspot.storage.records import Fields

AROUND = 12  # words shown on either side of a change in a long text
LONG = 60  # words of a text that is shown in part


def print_hypotheses(console: Console, rows: Sequence[Mapping[str, Any]], *, run_id: str, total: int) -> None:
    """Print hypotheses under the UU that they explain.

    Args:
        rows: of the view hypothesis_log, those about one UU next to each other; texts as mappings.
        total: how many there are, shown or not.
    """
    for _, group in groupby(rows, key=lambda row: row["uu_id"]):
        about = list(group)
        several = len({row["teacher"] for row in about}) > 1
        print_uu(console, about[0])
        for row in about:
            who = f" of {visible(row['teacher'])}" if several else ""
            line = Text().append(f"{row['kind']}{who}  ", style="cyan").append(visible(row["text"]))
            console.print(Padding(line, (0, 0, 0, 2), expand=False))
            written, accepted = row["samples_written"], row["samples_accepted"]
            console.print(
                Padding(
                    Text(f"{accepted} of {written} synthetic samples accepted", style="dim"), (0, 0, 0, 4), expand=False
                )
            )
        console.print()
    shown = f"{len(rows)} of " if len(rows) < total else ""
    more = f"; --limit {total} shows all" if shown else ""
    console.print(Text(f"{run_id}: {shown}{total} hypotheses{more}", style="dim"))


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
