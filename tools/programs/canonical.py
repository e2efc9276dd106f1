"""One form for programs that mean the same, and an id made from it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeVar

from blindspot.storage.ids import make_id
from blindspot.tools.programs.conditions import Condition, Contains, LabelIs
from blindspot.tools.programs.edit_types import (
    AnyEdit,
    ChosenWordsEdit,
    FieldEdit,
    Insert,
    Misspell,
    Remove,
    Replace,
    WordEdit,
)
from blindspot.tools.programs.parts import ANY, Part
from blindspot.tools.programs.vocabulary import ParsedProgram

P = TypeVar("P", bound=Part)


def canonical(program: ParsedProgram, fields: tuple[str, ...] = ()) -> ParsedProgram:
    """Write a program in its one form: sorted where the order means nothing, each thing once, defaults filled in.

    Args:
        fields: of the data set; with one only, "any" and its name are the same.
    """
    only = fields[0] if len(fields) == 1 else None
    conditions = [canonical_condition(with_field(part, only)) for part in program.where]
    edits = [canonical_edit(with_field(part, only)) for part in program.edits]
    templates = [template.model_copy(update={"texts": by_text(template.texts)}) for template in program.templates]
    slots = [slot.model_copy(update={"fillers": in_order(slot.fillers)}) for slot in program.slots]
    return program.model_copy(
        update={
            "where": by_text(conditions),
            "edits": tuple(edits),
            "templates": by_text(templates),
            "slots": by_text(slots),
        }
    )


def program_id(program: ParsedProgram, fields: tuple[str, ...] = ()) -> str:
    """Make the id of a program: equal programs have one, however they were written down."""
    return make_id("prg", json.dumps(canonical(program, fields).model_dump(), sort_keys=True))


def with_field(part: P, only: str | None) -> P:
    """Write "any" for the only field of a data set."""
    if only is None or getattr(part, "field", None) not in (only, ANY):
        return part
    changes = {"field": ANY} | ({"other_field": "unchanged"} if isinstance(part, FieldEdit) else {})
    return part.model_copy(update=changes)


def canonical_condition(part: Condition) -> Condition:
    if isinstance(part, LabelIs):
        return part.model_copy(update={"labels": in_order(part.labels)})
    if isinstance(part, Contains):
        words = patterns(part.words, part.case_sensitive)
        how = "any" if part.how == "all" and len(words) == 1 else part.how
        return part.model_copy(update={"words": words, "how": how})
    return part


def canonical_edit(part: AnyEdit) -> AnyEdit:
    changes: dict[str, Any] = {}
    if isinstance(part, WordEdit) and part.share == 1:
        changes["share"] = None
    if isinstance(part, Replace):
        changes["swaps"] = by_text(
            swap.model_copy(update={"old": patterns([swap.old], part.case_sensitive)[0], "new": in_order(swap.new)})
            for swap in part.swaps
        )
    elif isinstance(part, Remove):
        changes["words"] = patterns(part.words, part.case_sensitive)
    elif isinstance(part, ChosenWordsEdit):
        changes["words"] = patterns(part.words, case_sensitive=False)
    elif isinstance(part, Insert):
        changes["phrases"] = in_order(part.phrases)
        changes["by_label"] = by_text(
            entry.model_copy(update={"phrases": in_order(entry.phrases)}) for entry in part.by_label
        )
    if isinstance(part, Misspell):
        changes["slips"] = in_order(part.slips)
    return part.model_copy(update=changes)


def in_order(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(texts)))


def patterns(words: Iterable[str], case_sensitive: bool) -> tuple[str, ...]:
    return in_order(words if case_sensitive else (word.lower() for word in words))


def by_text(parts: Iterable[P]) -> tuple[P, ...]:
    """Sort parts by how they are written, each once."""
    written = {json.dumps(part.model_dump(), sort_keys=True): part for part in parts}
    return tuple(written[key] for key in sorted(written))
