"""Programs drawn at random, in the same vocabulary and with words of the training data: the control of a teacher's.

How many of a teacher's programs are confirmed says little by itself; it is compared with how many of these are.
Labels are kept: one drawn at random would mostly be wrong, and its program confirmed for no other reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from blindspot.storage.errors import MalformedAnswer
from blindspot.tools.programs.apply import edit_row, fill_templates
from blindspot.tools.programs.canonical import canonical, program_id
from blindspot.tools.programs.compile import compile_program
from blindspot.tools.programs.conditions import Condition, Surface
from blindspot.tools.programs.data import FUNCTION_WORDS, DataDescription, Row
from blindspot.tools.programs.edit_types import AnyEdit, Place, Slip
from blindspot.tools.programs.edits import PUNCTUATION
from blindspot.tools.programs.parts import ANY
from blindspot.tools.programs.vocabulary import ParsedProgram, parse_program
from blindspot.tools.text.edits import WORD

TRIED_ROWS = 300  # that a program must change one of, not to be drawn again
MOST_TRIES = 200  # for one program
WORDS_OF_A_LIST = 4  # where no shape says how many
SLOTS_OF_A_TEMPLATE = 2
MOST_SLOTS = 20  # of a program
FILLERS_OF_A_SLOT = 20
MOST_CHARACTERS = 500  # of a text that is made a template

CASINGS = ("lower", "upper", "title", "random")

Made = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """What is drawn from."""

    texts: Sequence[Sequence[str]]  # the words of each training row that has any
    rows: Sequence[Row]
    data: DataDescription
    rng: np.random.Generator

    @classmethod
    def of(cls, rows: Sequence[Row], data: DataDescription, seed: int) -> Source:
        words = ([word.lower() for text in row.fields.values() for word in WORD.findall(text)] for row in rows)
        return cls([each for each in words if each], rows, data, np.random.default_rng([seed, len(rows)]))

    def one_of(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def word(self) -> str:
        """A word of a random row: frequent words come often, as they do in what a teacher writes."""
        return str(self.one_of(self.one_of(self.texts)))

    def words(self, count: int) -> list[str]:
        return list(dict.fromkeys(self.word() for _ in range(count)))

    def field(self) -> str:
        return str(self.one_of((ANY, *self.data.fields)))

    def phrase(self) -> str:
        """Two to five words in a row of a training text."""
        words = self.one_of(self.texts)
        start = int(self.rng.integers(len(words)))
        return " ".join(words[start : start + int(self.rng.integers(2, 6))])


def random_programs(
    count: int, rows: Sequence[Row], data: DataDescription, *, seed: int, shapes: Sequence[ParsedProgram] = ()
) -> list[ParsedProgram]:
    """Draw programs, each of which changes some training row, and no two of which are equal.

    Args:
        rows: training rows.
        shapes: programs to be like, in turn: with conditions and edits of the same kinds and lists as long, or with as
            many templates; only words, fields and choices are drawn. None: conditions and edits are drawn too.
    Returns: fewer than `count` where no more could be drawn from such rows.
    """
    source = Source.of(rows, data, seed)
    if not source.texts:
        return []
    tried = [rows[int(place)] for place in source.rng.permutation(len(rows))[:TRIED_ROWS]]
    programs: dict[str, ParsedProgram] = {}
    for number in range(count):
        shape = shapes[number % len(shapes)] if shapes else None
        for _ in range(MOST_TRIES):
            program = draw_program(source, shape)
            if program is None or (name := program_id(program, data.fields)) in programs:
                continue
            if works(program, tried, data):
                programs[name] = canonical(program, data.fields)
                break
    return list(programs.values())


def works(program: ParsedProgram, rows: Iterable[Row], data: DataDescription) -> bool:
    """Whether a program can be compiled and gives a text."""
    try:
        compiled = compile_program(program, data)
    except MalformedAnswer:
        return False
    if compiled.templates:
        return bool(fill_templates(compiled, 1, seed=0))
    return any(edit_row(compiled, row, seed=0) for row in rows)


def draw_program(source: Source, shape: ParsedProgram | None) -> ParsedProgram | None:
    """Draw a program; None where what was drawn is none."""
    if shape is not None and shape.templates:
        made = draw_templates(source, len(shape.templates))
    elif shape is not None:
        made = {
            "where": [draw_condition(source, part.kind, list_size(part)) for part in shape.where],
            "edits": [draw_edit(source, part.kind, list_size(part)) | amount_of(part) for part in shape.edits],
        }
    else:
        conditions = [source.one_of(list(CONDITIONS)) for _ in range(int(source.rng.integers(3)))]
        edits = [source.one_of(UNSHAPED) for _ in range(int(source.rng.integers(1, 3)))]
        made = {
            "where": [draw_condition(source, kind, WORDS_OF_A_LIST) for kind in conditions],
            "edits": [draw_edit(source, kind, WORDS_OF_A_LIST) for kind in edits],
        }
    try:
        return parse_program(made)
    except MalformedAnswer:  # a word twice in a map, a text without words
        return None


def list_size(part: Condition | AnyEdit) -> int:
    """How long the list of a part is."""
    return max(1, *(len(value) for _, value in part if isinstance(value, tuple)), 1)


def amount_of(part: AnyEdit) -> Made:
    """How many places an edit changes, as it says itself."""
    return {name: value for name, value in part if name in ("at_most", "share")}


def draw_condition(source: Source, kind: str, size: int) -> Made:
    return {"kind": kind} | CONDITIONS[kind](source, size)


def draw_edit(source: Source, kind: str, size: int) -> Made:
    return {"kind": kind, "field": source.field()} | EDITS[kind](source, size)


def length(source: Source, _: int) -> Made:
    """A span of lengths around that of a random row."""
    words = len(source.one_of(source.texts))
    return {"at_least": words // 2, "at_most": words + words // 2}


def random_swaps(source: Source, size: int) -> Made:
    return {"swaps": [{"old": old, "new": source.words(2)} for old in source.words(size)]}


def word_choice(source: Source, size: int) -> Made:
    """Words that are listed, or of a kind; telling ones in few places, as every program has to say."""
    which = source.one_of(("telling", "content", "listed"))
    return {"which": which, "at_most": int(source.rng.integers(1, 4))} | (
        {"words": source.words(size)} if which == "listed" else {}
    )


def draw_templates(source: Source, count: int) -> Made:
    """Make templates of training texts of one label: some words of each are slots for other words."""
    label = source.one_of(source.rows).label
    rows = [row for row in source.rows if row.label == label]
    templates: list[Made] = []
    slots: list[Made] = []
    for number in range(count):
        row = source.one_of(rows)
        texts = {field: template_text(row.fields[field]) for field in source.data.fields}
        words = sorted({word for text in texts.values() for word in WORD.findall(text)})
        content = [word for word in words if word.lower() not in FUNCTION_WORDS]
        for place in source.rng.permutation(len(content))[:SLOTS_OF_A_TEMPLATE]:
            name = f"slot_{len(slots)}" if len(slots) < MOST_SLOTS else f"slot_{number % MOST_SLOTS}"
            texts = {field: with_slot(text, content[int(place)], name) for field, text in texts.items()}
            if len(slots) < MOST_SLOTS:
                slots.append({"name": name, "fillers": source.words(FILLERS_OF_A_SLOT)})
        templates.append({"texts": [{"field": field, "text": text} for field, text in texts.items()]})
    return {"templates": templates, "slots": slots, "label": label}


def with_slot(text: str, word: str, slot: str) -> str:
    """Put a slot wherever a word stands."""
    return WORD.sub(lambda match: f"{{{slot}}}" if match[0] == word else match[0], text)


def template_text(text: str) -> str:
    """A text that is safe as a template."""
    return "".join(letter for letter in text[:MOST_CHARACTERS] if letter.isprintable() and letter not in "{}")


CONDITIONS: Mapping[str, Callable[[Source, int], Made]] = {
    "label_is": lambda source, _: {"labels": [source.one_of(source.data.labels)]},
    "contains": lambda source, size: {
        "how": source.one_of(("any", "any", "all", "none")),
        "words": source.words(size),
        "field": source.field(),
    },
    "shows": lambda source, _: {
        "surface": source.one_of(get_args(Surface)),
        "present": bool(source.rng.integers(2)),
        "field": source.field(),
    },
    "length": length,
    "in_cluster": lambda source, _: {"cluster": source.one_of(sorted(source.data.clusters) or [ANY])},
}
EDITS: Mapping[str, Callable[[Source, int], Made]] = {
    "replace": random_swaps,
    "synonyms": word_choice,
    "insert": lambda source, size: {
        "phrases": [source.phrase() for _ in range(size)],
        "at": source.one_of(get_args(Place)),
    },
    "remove": lambda source, size: {"words": source.words(size)},
    "negate": lambda source, _: {"change": source.one_of(("add", "remove"))},
    "change_names": lambda _, __: {"other_field": "same_edit"},
    "change_numbers": lambda _, __: {"other_field": "same_edit"},
    "casing": lambda source, size: (
        word_choice(source, size) | {"to": source.one_of(("lower", "upper", "title", "random"))}
    ),
    "punctuation": lambda source, _: {"change": source.one_of(list(PUNCTUATION))},
    "misspell": lambda source, size: word_choice(source, size) | {"slips": [source.one_of(get_args(Slip))]},
    "register": lambda source, _: {"to": source.one_of(("sms", "formal"))},
}
UNSHAPED = tuple(kind for kind in EDITS if kind != "negate")  # which may turn the right label into a wrong one
