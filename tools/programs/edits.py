"""The edits of a program at work: where words are changed and into what, and what is done to a whole text."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from blindspot.tools.programs.data import DataDescription, Draw, Row
from blindspot.tools.programs.edit_types import Casing, FieldEdit, Insert, Place, Punctuation, WordEdit
from blindspot.tools.programs.parts import ANY
from blindspot.tools.text.edits import WORD
from blindspot.tools.text.rewrite import capitalise_like
from blindspot.tools.text.vocabulary import SENTENCE_END

FINAL = string.whitespace + ".!?…"
OUTER_MARKS = re.compile(r"(?<!\w)[^\w\s]+|[^\w\s]+(?!\w)")
SENTENCE_MARKS = re.compile(r"([.!?,;:…]+)(?!\w)")
SENTENCE_START = re.compile(r"(?:\A|[.!?]\s+)\W*[a-z]|\bi\b")

PUNCTUATION: Mapping[str, Callable[[str], str]] = {
    "remove_all": lambda text: " ".join(OUTER_MARKS.sub(" ", text).split()),
    "remove_final": lambda text: text.rstrip(FINAL),
    "double": lambda text: SENTENCE_MARKS.sub(r"\1\1", text),
    "add_exclamations": lambda text: text.rstrip(FINAL) + "!!",
    "add_question_mark": lambda text: text.rstrip(FINAL) + "?",
    "drop_apostrophes": lambda text: text.replace("'", "").replace("’", ""),
    "tabs": lambda text: text.replace(" ", "\t"),
    "double_spaces": lambda text: text.replace(" ", "  "),
    "trailing_tabs": lambda text: text.rstrip() + "\t\t\t",
    "trim": str.strip,
}

Find = Callable[[str], Iterable[tuple[int, int]]]
"""The places in a text where an edit is possible, from left to right, none within another."""
Rewrite = Callable[[str, Draw], str]
"""What replaces the text at a place; "" to leave nothing there."""
Texts = dict[str, str]
EditRow = Callable[[Texts, Row, Draw], Texts]
"""An edit of a row's fields as earlier edits left them; the row itself is as it was at first."""


def text_edit(edit: FieldEdit, data: DataDescription) -> EditRow:
    """Make the function that edits a row's whole texts."""
    fields = data.fields if edit.field == ANY or edit.other_field == "same_edit" else (edit.field,)
    match edit:
        case Insert():
            return insertion(edit, fields)
        case Punctuation():
            return rewriting(PUNCTUATION[edit.change], fields)
        case Casing(to="sentence"):
            return rewriting(sentence_case, fields)
    raise TypeError(f"{type(edit).__name__} is no edit of whole texts")


def rewriting(rewrite: Callable[[str], str], fields: Sequence[str]) -> EditRow:
    def run(texts: Texts, _: Row, __: Draw) -> Texts:
        return texts | {field: rewrite(texts[field]) for field in fields}

    return run


def insertion(edit: Insert, fields: Sequence[str]) -> EditRow:
    by_label = {entry.label: entry.phrases for entry in edit.by_label}
    same = edit.other_field == "same_edit"

    def run(texts: Texts, row: Row, draw: Draw) -> Texts:
        phrases = edit.phrases or by_label.get(row.label)
        if not phrases:
            return texts
        once = draw.one_of(phrases)
        drawn = {field: once if same or not number else draw.one_of(phrases) for number, field in enumerate(fields)}
        return texts | {field: inserted(texts[field], phrase, edit.at) for field, phrase in drawn.items()}

    return run


def inserted(text: str, phrase: str, at: Place) -> str:
    """Put a phrase into a text, a space on either side; after its only sentence or word is at its end."""
    place = 0
    if at == "after_first_sentence":
        end = SENTENCE_END.search(text.rstrip())
        place = end.start() if end else len(text.rstrip())
    elif at == "after_first_word":
        word = WORD.search(text)
        place = word.end() if word else len(text.rstrip())
    elif at == "end":
        place = len(text.rstrip())
    before, after = text[:place], text[place:]
    gap = " " if before else ""
    return before + gap + phrase + ("" if not after or after[0].isspace() else " ") + after


def sentence_case(text: str) -> str:
    """Write small letters, but for the first of each sentence and the pronoun I."""
    return SENTENCE_START.sub(lambda start: start[0].upper(), text.lower())


class Spot(NamedTuple):
    """A place where an edit is possible."""

    field: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class WordRules:
    """How one kind of edit treats words."""

    find: Find
    rewrite: Rewrite
    rank: Callable[[Row], Sequence[str]] | None = None  # orders the places by their words; None: drawn at random
    is_consistent: bool = False  # equal words of a field change alike
    keeps_capitals: bool = True


def word_edit(edit: WordEdit, rules: WordRules, data: DataDescription) -> EditRow:
    """Make the function that edits a row."""
    edited = data.fields if edit.field == ANY else (edit.field,)
    same = edit.other_field == "same_edit"
    others = data.fields if same else ()

    def run(texts: Texts, row: Row, draw: Draw) -> Texts:
        spots = [Spot(field, *span) for field in edited for span in rules.find(texts[field])]
        if not spots:
            return texts
        chosen = choose_spots(spots, texts, row, draw, edit=edit, rules=rules)
        changes: dict[str, list[tuple[int, int, str]]] = {}
        alike: dict[tuple[str, str], str] = {}  # (field, old) -> new
        for field, start, end in chosen:
            old = texts[field][start:end]
            key = ("" if same else field, old.lower())
            if (same or rules.is_consistent) and key in alike:
                new = alike[key]
            else:
                new = alike[key] = rules.rewrite(old, draw)
            changes.setdefault(field, []).append((start, end, like(old, new) if rules.keeps_capitals else new))
        if same:
            carry_over(changes, {old: new for (_, old), new in alike.items()}, texts, others, rules)
        return texts | {field: spliced(texts[field], spans) for field, spans in changes.items()}

    return run


def choose_spots(
    spots: list[Spot], texts: Texts, row: Row, draw: Draw, *, edit: WordEdit, rules: WordRules
) -> list[Spot]:
    """Choose places, as many as the edit says; in the order of the texts."""
    if rules.rank is not None:
        order = {word: place for place, word in enumerate(rules.rank(row))}
        ranked = [(order.get(texts[spot.field][spot.start : spot.end].lower()), spot) for spot in spots]
        spots = [spot for _, spot in sorted((place, spot) for place, spot in ranked if place is not None)]
    wanted = len(spots)
    if edit.at_most is not None:
        wanted = min(wanted, edit.at_most)
    elif edit.share is not None:
        wanted = min(wanted, max(1, round(edit.share * len(spots))))
    if wanted == len(spots):
        return spots
    if rules.rank is not None:
        return spots[:wanted]
    return [spots[place] for place in sorted(draw.places(len(spots), wanted))]


def carry_over(
    changes: dict[str, list[tuple[int, int, str]]],
    alike: Mapping[str, str],
    texts: Texts,
    fields: Sequence[str],
    rules: WordRules,
) -> None:
    """Change the same words in the same way wherever else they stand."""
    for field in fields:
        done = {start for start, _, _ in changes.get(field, ())}
        for start, end in rules.find(texts[field]):
            old = texts[field][start:end]
            if start not in done and old.lower() in alike:
                new = alike[old.lower()]
                changes.setdefault(field, []).append((start, end, like(old, new) if rules.keeps_capitals else new))


def like(old: str, new: str) -> str:
    """Write a word with the capitals of the one whose place it takes."""
    if len(old) > 1 and old.isupper():
        return new.upper()
    return capitalise_like(old, new)


def spliced(text: str, spans: list[tuple[int, int, str]]) -> str:
    """Put new texts in the places of spans; where nothing is left, no white space is left over."""
    parts: list[str] = []
    position = 0
    spans = sorted(spans)
    for start, end, new in spans:
        before = text[position:start]
        if not new:
            after_space = end < len(text) and text[end].isspace()
            if after_space and (start == 0 or text[start - 1].isspace()):
                end += 1
            elif before[-1:].isspace():
                before = before[:-1]
        parts += [before, new]
        position = max(position, end)
    made = "".join(parts) + text[position:]
    begins = spans[0]
    return made[:1].upper() + made[1:] if not begins[2] and not begins[0] and text[0].isupper() else made
