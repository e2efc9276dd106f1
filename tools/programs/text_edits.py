"""Edits of whole texts: what is inserted, punctuation, white space, sentence case."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence

from blindspot.tools.programs.data import DataDescription, Draw, Row
from blindspot.tools.programs.edit_types import Casing, Edit, Insert, Place, Punctuation
from blindspot.tools.programs.parts import ANY
from blindspot.tools.programs.word_edits import EditRow, Texts
from blindspot.tools.text.edits import WORD
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


def text_edit(edit: Edit, data: DataDescription) -> EditRow:
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
