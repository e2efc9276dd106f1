"""From a program to what can be run on the rows of one data set."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from blindspot.storage.errors import MalformedAnswer
from blindspot.tools.programs.canonical import canonical, program_id
from blindspot.tools.programs.conditions import SURFACES, Condition, Contains, InCluster, LabelIs, Length, Shows, Test
from blindspot.tools.programs.data import DataDescription, Row
from blindspot.tools.programs.edit_types import AnyEdit, ChosenWordsEdit, Insert, Punctuation, Replace, Synonyms
from blindspot.tools.programs.edits import EditRow, text_edit, word_edit
from blindspot.tools.programs.parts import ANY
from blindspot.tools.programs.phrases import Phrases
from blindspot.tools.programs.templates import FilledTemplate, filled_template
from blindspot.tools.programs.vocabulary import KEEP, ParsedProgram
from blindspot.tools.programs.word_kinds import rules_of
from blindspot.tools.text.edits import WORD

Holds = Callable[[Row], bool]
MOST_NAMED = 12


@dataclass(frozen=True, slots=True)
class Compiled:
    """A program that can be run."""

    program_id: str
    program: ParsedProgram  # in its canonical form
    fields: tuple[str, ...]
    conditions: tuple[Holds, ...]
    edits: tuple[EditRow, ...]  # of a program with templates: none
    templates: tuple[FilledTemplate, ...]  # of a program with edits: none
    label: str | None  # that is right afterwards; None: the row's own


def compile_program(program: ParsedProgram, data: DataDescription) -> Compiled:
    """Check a program against a data set and make its functions.

    Raises: MalformedAnswer, with one sentence for who wrote the program.
    """
    known(program.label, (KEEP, *data.labels), "label")
    if program.templates and program.label == KEEP:
        raise MalformedAnswer(
            f"a program of templates has no row to keep the label of; name one of {list(data.labels)}"
        )
    written = canonical(program, data.fields)
    return Compiled(
        program_id=program_id(program, data.fields),
        program=written,
        fields=data.fields,
        conditions=tuple(compile_condition(part, data) for part in written.where),
        edits=tuple(compile_edit(part, data) for part in written.edits),
        templates=tuple(filled_template(part, written, data.fields) for part in written.templates),
        label=None if written.label == KEEP else written.label,
    )


def known(name: str, names: Collection[str], what: str) -> None:
    """Refuse a name that the data set does not have. Raises: MalformedAnswer."""
    if name not in names:
        listed = ", ".join(f'"{each}"' for each in list(names)[:MOST_NAMED])
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        raise MalformedAnswer(
            f'there is no {what} "{name}"; known: {listed}{more}'
            if names
            else f'the data set has no {what}, so there is no "{name}"'
        )


def compile_condition(part: Condition, data: DataDescription) -> Holds:
    """Make the function that says whether a condition holds for a row. Raises: MalformedAnswer."""
    match part:
        case LabelIs():
            for label in part.labels:
                known(label, data.labels, "label")
            labels = frozenset(part.labels)
            return lambda row: row.label in labels
        case InCluster():
            known(part.cluster, data.clusters, "cluster")
            members = data.clusters[part.cluster]
            return lambda row: row.sample_id in members
        case Length():
            return length_between(part, fields_of(part.field, data))
        case Contains():
            return containing(part, fields_of(part.field, data))
        case Shows():
            test, fields, present = surface_test(part, data), fields_of(part.field, data), part.present
            return lambda row: any(test(row.fields[field]) for field in fields) == present


def fields_of(field: str, data: DataDescription) -> tuple[str, ...]:
    """Which fields are meant. Raises: MalformedAnswer."""
    if field == ANY:
        return data.fields
    known(field, data.fields, "field")
    return (field,)


def length_between(part: Length, fields: tuple[str, ...]) -> Holds:
    least, most = part.at_least, part.at_most

    def holds(row: Row) -> bool:
        words = sum(len(WORD.findall(row.fields[field])) for field in fields)
        return least <= words and (most is None or words <= most)

    return holds


def containing(part: Contains, fields: tuple[str, ...]) -> Holds:
    sensitive = part.case_sensitive
    if part.how == "all":
        each = [Phrases([word], case_sensitive=sensitive) for word in part.words]
        return lambda row: all(any(one.in_text(row.fields[field]) for field in fields) for one in each)
    phrases, wanted = Phrases(part.words, case_sensitive=sensitive), part.how == "any"
    return lambda row: any(phrases.in_text(row.fields[field]) for field in fields) == wanted


def surface_test(part: Shows, data: DataDescription) -> Test:
    if part.surface != "unseen_word":
        return SURFACES[part.surface]
    if data.vocabulary is None:
        raise MalformedAnswer('"unseen_word" cannot be looked for here: the training words are not known')
    unseen = data.vocabulary.unseen
    return lambda text: bool(unseen(text))


def compile_edit(part: AnyEdit, data: DataDescription) -> EditRow:
    """Make the function of an edit. Raises: MalformedAnswer."""
    fields_of(part.field, data)
    if isinstance(part, Insert):
        for entry in part.by_label:
            known(entry.label, data.labels, "label")
    if isinstance(part, Insert | Punctuation) or (part.kind == "casing" and part.to == "sentence"):
        return text_edit(part, data)
    if isinstance(part, Replace) and all(set(swap.new) == {swap.old} for swap in part.swaps):
        raise MalformedAnswer("every word of the map is replaced by itself; give other words")
    if isinstance(part, Synonyms) and data.neighbours is None:
        raise MalformedAnswer("synonyms cannot be looked up here: no word vectors are set up; use replace with a map")
    if (
        isinstance(part, ChosenWordsEdit)
        and part.which == "telling"
        and data.telling is None
        and data.vocabulary is None
    ):
        raise MalformedAnswer("which words are telling is not known here; use which = listed with words")
    return word_edit(part, rules_of(part, data), data)
