"""A program in one line of plain English, for analysts."""

from __future__ import annotations

from collections.abc import Sequence

from blindspot.tools.programs.conditions import Condition, Contains, InCluster, LabelIs, Length, Shows
from blindspot.tools.programs.edit_types import (
    AnyEdit,
    Casing,
    ChangeNames,
    ChangeNumbers,
    ChosenWordsEdit,
    Insert,
    Misspell,
    Negate,
    Punctuation,
    Register,
    Remove,
    Replace,
    Synonyms,
    WordEdit,
)
from blindspot.tools.programs.parts import ANY
from blindspot.tools.programs.vocabulary import KEEP, ParsedProgram

FEW = 3  # words that are named of a list
PUNCTUATION = {
    "remove_all": "remove all punctuation",
    "remove_final": "remove the final punctuation",
    "double": "double the punctuation",
    "add_exclamations": "end it with !!",
    "add_question_mark": "end it with a question mark",
    "drop_apostrophes": "drop the apostrophes",
    "tabs": "write tabs for spaces",
    "double_spaces": "write double spaces",
    "trailing_tabs": "add tabs at the end",
    "trim": "trim white space at the ends",
}
PLACES = {
    "start": "at the start",
    "end": "at the end",
    "after_first_sentence": "after the first sentence",
    "after_first_word": "after the first word",
}


def describe_program(program: ParsedProgram) -> str:
    """Say in one line which rows a program is about, what it does to them, and which label is then right."""
    if program.templates:
        count = len(program.templates)
        first = " | ".join(entry.text for entry in program.templates[0].texts)
        what = f"Write new texts from {count} template{'s' if count > 1 else ''}, such as {quoted(first, 80)}"
    else:
        rows = f"In texts {' and '.join(map(describe_condition, program.where))}" if program.where else "In every text"
        what = f"{rows}, {', then '.join(map(describe_edit, program.edits))}"
    label = "the label stays" if program.label == KEEP else f'the label is then "{program.label}"'
    return " ".join(f"{what}; {label}.".split())


def describe_condition(part: Condition) -> str:
    match part:
        case LabelIs():
            return f"labelled {listed(part.labels, 'or')}"
        case InCluster():
            return f"of the cluster {quoted(part.cluster)}"
        case Length():
            most = f"at most {part.at_most}" if part.at_most is not None else ""
            least = f"at least {part.at_least}" if part.at_least or not most else ""
            return f"of {' and '.join(filter(None, (least, most)))} words{inside(part.field)}"
        case Contains():
            verb = "without" if part.how == "none" else "with"
            return f"{verb} {listed(part.words, 'and' if part.how == 'all' else 'or')}{inside(part.field)}"
        case Shows():
            return f"{'with' if part.present else 'without'} {part.surface.replace('_', ' ')}{inside(part.field)}"


def describe_edit(part: AnyEdit) -> str:
    carried = " and likewise in the other field" if part.other_field == "same_edit" else ""
    return f"{action(part)}{amount(part)}{inside(part.field)}{carried}"


def action(part: AnyEdit) -> str:
    match part:
        case Replace():
            swaps = [f"{quoted(swap.old)} by {listed(swap.new, 'or')}" for swap in part.swaps[:FEW]]
            more = f" and {len(part.swaps) - FEW} more" if len(part.swaps) > FEW else ""
            return f"replace {', '.join(swaps)}{more}"
        case Remove():
            return f"remove {listed(part.words, 'and')}"
        case Insert(by_label=()):
            return f"insert {listed(part.phrases, 'or')} {PLACES[part.at]}"
        case Insert():
            each = [f"{listed(entry.phrases, 'or')} (label {quoted(entry.label)})" for entry in part.by_label]
            return f"insert {', '.join(each)} {PLACES[part.at]}"
        case Negate():
            return "negate auxiliaries" if part.change == "add" else "take negations away"
        case ChangeNames():
            return "change names"
        case ChangeNumbers():
            return "change numbers"
        case Punctuation():
            return PUNCTUATION[part.change]
        case Register():
            return "write as in text messages" if part.to == "sms" else "write formally"
        case Synonyms():
            return f"replace {chosen(part)} by synonyms"
        case Casing():
            what = "the text" if part.to == "sentence" else chosen(part)
            return f"write {what} in {part.to} case"
        case Misspell():
            return f"misspell {chosen(part)} ({', '.join(part.slips)})"


def chosen(part: ChosenWordsEdit) -> str:
    if part.which == "listed":
        return listed(part.words, "and")
    return {"telling": "the most telling words", "content": "content words", "any": "words"}[part.which]


def amount(part: AnyEdit) -> str:
    if not isinstance(part, WordEdit):
        return ""
    if part.at_most is not None:
        return f" in at most {part.at_most} place{'s' if part.at_most > 1 else ''}"
    return f" in {part.share:.0%} of the places" if part.share is not None else ""


def inside(field: str) -> str:
    return "" if field == ANY else f" in {field}"


def listed(words: Sequence[str], link: str) -> str:
    named = [quoted(word) for word in words[:FEW]]
    if len(words) > FEW:
        named.append(f"{len(words) - FEW} more")
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} {link} {named[-1]}"


def quoted(text: str, most: int = 40) -> str:
    if not text:
        return "nothing"
    short = " ".join(text.split())
    return f'"{short if len(short) <= most else short[: most - 1] + "…"}"'
