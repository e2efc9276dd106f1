"""Programs as data: what is refused, what is equal, and that the same seed gives the same texts."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindspot.storage.errors import MalformedAnswer
from blindspot.storage.records import Sample
from blindspot.tools.programs.apply import (
    applies,
    distinct_variants,
    duplicates,
    edit_row,
    edit_rows,
    fill_templates,
    same_rows,
)
from blindspot.tools.programs.canonical import canonical, program_id
from blindspot.tools.programs.compile import compile_program
from blindspot.tools.programs.data import DataDescription, Edited
from blindspot.tools.programs.describe import describe_program
from blindspot.tools.programs.phrases import Phrases
from blindspot.tools.programs.random_programs import random_programs
from blindspot.tools.programs.vocabulary import ParsedProgram, parse_program, strict_schema
from blindspot.tools.text.vocabulary import Vocabulary

LABELS = ("positive", "negative")
TEXTS = (
    "The soup was lovely, and I can't wait to come back on Friday.",
    "A dull film; Anna left after 20 minutes!",
    "It is a good story but the cast is weak.",
    "Honestly, the view was superb. We paid $30 for two.",
    "no plot, no charm, no ending",
    "I will not see it again.",
)
ROWS = [Sample(f"s{n}", "d", "train", n, {"text": text}, LABELS[n % 2]) for n, text in enumerate(TEXTS * 5)]
DATA = DataDescription(("text",), LABELS, Vocabulary((row.label, row.fields["text"]) for row in ROWS))
PAIRS = DataDescription(("a", "b"), ("equal", "different"))
PROGRAMS = random_programs(60, ROWS, DATA, seed=7)
REMOVE = {"kind": "remove", "words": ["a"]}
SAME = {"other_field": "same_edit"}
PRAISE = {"texts": [{"field": "text", "text": "The {thing} in {place} was {how}."}]}
SLOTS = [{"name": "thing", "fillers": ["soup", "view"]}, {"name": "how", "fillers": ["fine", "lovely", "superb"]}]


def praising(**changes: Any) -> dict[str, Any]:
    return {"templates": [PRAISE], "slots": SLOTS, "label": "positive"} | changes


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("{", "Invalid JSON"),
        ("[]", "Input should be an object"),
        ({}, "give either edits or templates"),
        ({"edits": [REMOVE], **praising()}, "give either edits or templates"),
        ({"edits": [REMOVE], "code": "import os"}, "code: Extra inputs are not permitted"),
        ({"edits": [{"kind": "run", "command": "ls"}]}, "edits.0: Input tag 'run'"),
        ({"edits": [REMOVE] * 7}, "edits: Tuple should have at most 6 items"),
        ({"edits": [REMOVE], "where": [{"kind": "length"}] * 7}, "where: Tuple should have at most 6 items"),
        ({"edits": [REMOVE], "slots": SLOTS}, "slots are for templates"),
        (praising(where=[{"kind": "length"}]), "leave where empty"),
        ({"edits": [{"kind": "remove", "words": ["a\0b"]}]}, "edits.0.remove.words.0: contains the control character"),
        ({"edits": [{"kind": "remove", "words": ["\x1b[31m"]}]}, "control character"),
        ({"edits": [{"kind": "remove", "words": [" "]}]}, "at least 1 character"),
        ({"edits": [{"kind": "remove", "words": []}]}, "at least 1 item"),
        ({"edits": [{"kind": "remove", "words": ["*"]}]}, "must have at least two characters"),
        ({"edits": [{"kind": "remove", "words": ["x" * 121]}]}, "at most 120 characters"),
        ({"edits": [{"kind": "replace", "swaps": []}]}, "swaps: Tuple should have at least 1 item"),
        (
            {"edits": [{"kind": "replace", "swaps": [{"old": f"w{n}", "new": ["x"]} for n in range(201)]}]},
            "swaps: Tuple should have at most 200 items",
        ),
        (
            {"edits": [{"kind": "replace", "swaps": [{"old": "A", "new": ["b"]}, {"old": "a", "new": ["c"]}]}]},
            '"a" is replaced twice',
        ),
        ({"edits": [{"kind": "change_names", "at_most": 0}]}, "greater than or equal to 1"),
        ({"edits": [{"kind": "change_names", "at_most": "2"}]}, "valid integer"),
        ({"edits": [{"kind": "change_names", "share": 1.5}]}, "less than or equal to 1"),
        ({"edits": [{"kind": "change_names", "share": 0.5, "at_most": 1}]}, "leave one of them out"),
        ({"edits": [{"kind": "misspell", "slips": ["swap"], "which": "listed"}]}, "words must be given"),
        ({"edits": [{"kind": "misspell", "slips": ["swap"], "which": "telling"}]}, "at_most or share"),
        ({"edits": [{"kind": "insert", "at": "end"}]}, "phrases or by_label"),
        ({"edits": [REMOVE], "where": [{"kind": "length", "at_least": 5, "at_most": 2}]}, "less than at_least"),
        (praising(slots=[{"name": "how", "fillers": ["{thing}"]}]), "a filler must be plain text"),
        (praising(slots=[*SLOTS, SLOTS[0]]), "{thing} has two entries"),
        (praising(templates=[{"texts": [{"field": "text", "text": "{{thing}}"}]}]), "braces may only enclose"),
        (praising(templates=[{"texts": [{"field": "text", "text": "{thing.x}"}]}]), "braces may only enclose"),
        (praising(templates=[PRAISE] * 41), "at most 40 items"),
        ("[" * 100_000, "Invalid JSON"),
        (" " * 400_001, "shorten it"),
        ('{"edits": [{"kind": "remove", "words": ["\\ud800"]}]}', "Invalid JSON"),
        ({"edits": {1, 2}}, "not a JSON object"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 60 else "program",
)
def test_what_is_no_program_is_refused_in_one_line(written: Any, reason: str) -> None:
    with pytest.raises(MalformedAnswer) as refused:
        parse_program(written)
    message = str(refused.value)
    assert reason in message
    assert message.isprintable()
    assert len(message) < 1_500


@pytest.mark.parametrize(
    ("program", "data", "reason"),
    [
        ({"edits": [REMOVE], "label": "neutral"}, DATA, 'there is no label "neutral"; known: "keep", "positive"'),
        ({"edits": [REMOVE], "where": [{"kind": "label_is", "labels": ["x"]}]}, DATA, 'no label "x"'),
        ({"edits": [REMOVE | {"field": "title"}]}, DATA, 'there is no field "title"; known: "text"'),
        (
            {"edits": [REMOVE], "where": [{"kind": "contains", "words": ["a"], "field": "q"}]},
            PAIRS,
            'no field "q"; known: "a", "b"',
        ),
        ({"edits": [REMOVE], "where": [{"kind": "in_cluster", "cluster": "c1"}]}, DATA, "the data set has no cluster"),
        (
            {"edits": [REMOVE], "where": [{"kind": "shows", "surface": "unseen_word"}]},
            PAIRS,
            "training words are not known",
        ),
        (
            {"edits": [{"kind": "replace", "swaps": [{"old": "a", "new": ["a"]}]}]},
            DATA,
            "every word of the map is replaced by itself",
        ),
        ({"edits": [{"kind": "synonyms"}]}, DATA, "synonyms cannot be looked up here"),
        (
            {"edits": [{"kind": "casing", "to": "upper", "which": "telling", "at_most": 1}]},
            PAIRS,
            "telling is not known",
        ),
        (
            {"edits": [{"kind": "insert", "at": "end", "by_label": [{"label": "x", "phrases": ["y"]}]}]},
            DATA,
            'no label "x"',
        ),
        (praising(label="keep"), DATA, "name one of"),
        (praising(slots=SLOTS[:1]), DATA, "the slot {how} has no fillers"),
        (
            praising(label="equal"),
            PAIRS,
            "has texts for [text]; it needs exactly one for each of ['a', 'b']",
        ),
        (
            praising(templates=[{"texts": [*PRAISE["texts"], {"field": "text", "text": "x"}]}]),
            DATA,
            "needs exactly one",
        ),
        (
            praising(templates=[{"texts": [{"field": "text", "text": "{thing}{thing2}{thing3}"}]}]),
            DATA,
            "draws {thing} 3 times",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_the_data_is_refused_in_one_sentence(
    program: dict[str, Any], data: DataDescription, reason: str
) -> None:
    with pytest.raises(MalformedAnswer) as refused:
        compile_program(parse_program(program), data)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("program", PROGRAMS, ids=describe_program)
def test_a_program_survives_json_and_its_canonical_form_is_its_own(program: ParsedProgram) -> None:
    assert parse_program(program.model_dump_json()) == program
    assert parse_program(json.loads(json.dumps(program.model_dump()))) == program
    assert canonical(canonical(program)) == canonical(program)
    assert "\n" not in describe_program(program)


@given(st.text(max_size=200) | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=9))
def test_anything_at_all_is_a_program_or_one_line(written: Any) -> None:
    try:
        parse_program(written if isinstance(written, str) else {"edits": written, "where": written})
    except MalformedAnswer as refused:
        assert str(refused).isprintable()  # noqa: PT017


@given(
    words=st.lists(st.text("abiAB'’ -.*:ſ", min_size=1, max_size=6), min_size=1, max_size=8),
    text=st.text("abiABİıſs'’ -.:\n", max_size=40),
)
@settings(max_examples=300)
def test_what_is_found_is_one_of_the_phrases(words: list[str], text: str) -> None:
    phrases = [word for word in words if word.strip(" *")]
    if not phrases:
        return
    finder = Phrases(phrases)
    spans = list(finder.spans(text))
    assert all(finder.phrase_of(text[start:end]) in phrases for start, end in spans)
    assert bool(spans) == finder.in_text(text)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_the_schema_has_nothing_that_strict_servers_refuse() -> None:
    def keywords(schema: Any, *, named: bool = False) -> set[str]:
        if isinstance(schema, list):
            return set().union(*map(keywords, schema))
        if not isinstance(schema, dict):
            return set()
        parts = (keywords(part, named=not named and key in ("properties", "$defs")) for key, part in schema.items())
        return set(() if named else schema).union(*parts)

    schema = ParsedProgram.model_json_schema()
    assert schema["type"] == "object"
    assert not keywords(schema) & {"oneOf", "allOf", "discriminator", "not", "if", "prefixItems", "patternProperties"}
    strict = strict_schema(schema)
    assert keywords(strict) <= {
        "$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "items", "properties",
        "required", "type",
    }  # fmt: skip
    for part in (strict, *strict["$defs"].values()):
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])
    written = json.dumps(strict["$defs"])
    assert "#/$defs/ParsedProgram" not in written  # it refers to itself nowhere
    assert all(f"#/$defs/{name}" not in json.dumps(part) for name, part in strict["$defs"].items())


def test_a_program_that_gives_every_key_of_the_strict_schema_is_read() -> None:
    program = parse_program({"edits": [REMOVE]})
    assert parse_program(program.model_dump() | {"templates": [], "slots": []}) == program


def test_programs_that_mean_the_same_have_one_id() -> None:
    one = {
        "where": [{"kind": "contains", "words": ["Not", "no"]}, {"kind": "label_is", "labels": ["positive"]}],
        "edits": [{"kind": "remove", "words": ["b  c", "A"], "share": 1}],
    }
    other = {
        "where": [
            {"kind": "label_is", "labels": ["positive", "positive"]},
            {"kind": "contains", "words": ["no", "not", "no"], "how": "any", "field": "any"},
        ],
        "edits": [{"kind": "remove", "words": ["a", "b c", "a"], "field": "text", "other_field": "same_edit"}],
    }
    first, second = parse_program(one), parse_program(other)
    assert program_id(first, ("text",)) == program_id(second, ("text",))
    assert program_id(first, ("text", "b")) != program_id(second, ("text", "b"))
    assert compile_program(first, DATA).program == compile_program(second, DATA).program
    order = [{"kind": "remove", "words": ["a"]}, {"kind": "casing", "to": "upper"}]
    assert program_id(parse_program({"edits": order})) != program_id(parse_program({"edits": order[::-1]}))


@pytest.mark.parametrize("program", PROGRAMS[:30], ids=describe_program)
def test_the_same_seed_gives_the_same_texts_in_any_order(program: ParsedProgram) -> None:
    compiled = compile_program(program, DATA)
    once = edit_rows(compiled, ROWS, seed=3, copy=2)
    assert once == edit_rows(compile_program(program, DATA), ROWS, seed=3, copy=2)
    assert once == [edit_row(compiled, row, seed=3, copy=2) for row in ROWS]
    assert once[::-1] == edit_rows(compiled, ROWS[::-1], seed=3, copy=2)
    for row, edited in zip(ROWS, once, strict=True):
        if edited is not None:
            assert applies(compiled, row)
            assert edited.fields != row.fields
            assert edited.label == row.label


def test_copies_of_a_row_differ_and_no_text_comes_twice() -> None:
    misspell = {"edits": [{"kind": "misspell", "slips": ["swap", "deletion", "keyboard"], "at_most": 1}]}
    compiled = compile_program(parse_program(misspell), DATA)
    rows = ROWS[: len(TEXTS)]
    variants = distinct_variants(compiled, rows, 60, seed=0)
    assert len({edited.fields["text"] for _, _, edited in variants}) == len(variants) == 60
    assert Counter(copy for _, copy, _ in variants)[0] == len(rows)  # one of each row before a second of any
    assert distinct_variants(compiled, rows, 60, seed=0) == variants
    fixed = compile_program(parse_program({"edits": [{"kind": "casing", "to": "upper"}]}), DATA)
    assert len(distinct_variants(fixed, rows, 60, seed=0)) == len(rows)


def test_a_row_is_left_as_it_was() -> None:
    before = [dict(row.fields) for row in ROWS]
    for program in PROGRAMS:
        edit_rows(compile_program(program, DATA), ROWS, seed=0)
    assert [dict(row.fields) for row in ROWS] == before


def test_templates_give_distinct_texts_balanced_over_templates() -> None:
    other = {"texts": [{"field": "text", "text": "{name} met {name2} on {day} at {time}, {number} times."}]}
    one = {"texts": [{"field": "text", "text": "A {how} {thing}."}]}
    compiled = compile_program(parse_program(praising(templates=[PRAISE, other, one])), DATA)
    texts = [made.fields["text"] for made in fill_templates(compiled, 60, seed=1)]
    assert len(set(texts)) == len(texts) == 60
    kinds = Counter(text.split()[0] if text.startswith(("A ", "The ")) else "met" for text in texts)
    assert kinds == {"A": 6, "The": 27, "met": 27}  # the first has six texts in all
    assert all(text.split()[0] != text.split()[2] for text in texts if " met " in text)
    assert fill_templates(compiled, 60, seed=1) == fill_templates(compiled, 60, seed=1)
    assert fill_templates(compiled, 60, seed=1) != fill_templates(compiled, 60, seed=2)
    assert {made.label for made in fill_templates(compiled, 9, seed=1)} == {"positive"}
    assert edit_rows(compiled, ROWS, seed=0) == [None] * len(ROWS)


def test_a_slot_has_one_filler_in_both_texts_of_a_pair() -> None:
    texts = [{"field": "b", "text": "In {place}, {name} left."}, {"field": "a", "text": "{name} left {place}."}]
    program = parse_program({"templates": [{"texts": texts}], "label": "equal"})
    for made in fill_templates(compile_program(program, PAIRS), 20, seed=0):
        name, _, place = made.fields["a"].strip(".").split()
        assert made.fields == {"a": f"{name} left {place}.", "b": f"In {place}, {name} left."}


def test_templates_without_slots_give_one_text_each() -> None:
    plain = [{"texts": [{"field": "text", "text": text}]} for text in ("One.", "Two.", "One.")]
    compiled = compile_program(parse_program({"templates": plain, "label": "positive"}), DATA)
    assert sorted(made.fields["text"] for made in fill_templates(compiled, 9, seed=0)) == ["One.", "Two."]


def test_programs_that_edit_alike_are_duplicates() -> None:
    a, b, c = (Edited({"text": letter}, "x") for letter in "abc")
    assert same_rows([a, b, None, None], [a, c, None, b]) == pytest.approx(1 / 3)
    assert same_rows([None], [None]) == 0
    with pytest.raises(ValueError, match="2 and 1 rows"):
        same_rows([a, b], [a])
    nineteen = [a] * 19
    edited: dict[str, list[Edited | None]] = {
        "p1": [*nineteen, b],
        "p2": [*nineteen, c],
        "p3": [c, *nineteen],
        "p4": [*nineteen, None],
    }
    assert duplicates(edited) == {"p2": "p1", "p4": "p1"}
    assert duplicates(edited, least=0.5) == {"p2": "p1", "p3": "p1", "p4": "p1"}


def test_what_a_program_does_is_said_in_one_line() -> None:
    program = parse_program(
        {
            "where": [
                {"kind": "label_is", "labels": ["positive"]},
                {"kind": "contains", "words": ["not", "never"], "field": "a"},
                {"kind": "shows", "surface": "no_capitals", "present": False},
            ],
            "edits": [
                {"kind": "replace", "swaps": [{"old": "good", "new": ["fine", ""]}]} | {"field": "a"} | SAME,
                {"kind": "misspell", "slips": ["swap"], "which": "telling", "at_most": 2},
            ],
            "label": "negative",
        }
    )  # fmt: skip
    assert describe_program(program) == (
        'In texts labelled "positive" and with "not" or "never" in a and without no capitals, replace "good" by "fine" '
        "or nothing in a and likewise in the other field, then misspell the most telling words (swap) in at most 2 "
        'places; the label is then "negative".'
    )
    assert describe_program(parse_program(praising())) == (
        'Write new texts from 1 template, such as "The {thing} in {place} was {how}."; the label is then "positive".'
    )


def test_random_programs_differ_and_each_changes_a_row() -> None:
    assert len(PROGRAMS) == len({program_id(program, DATA.fields) for program in PROGRAMS}) == 60
    assert random_programs(60, ROWS, DATA, seed=7) == PROGRAMS
    assert random_programs(60, ROWS, DATA, seed=8) != PROGRAMS
    for program in PROGRAMS:
        assert any(edit_rows(compile_program(program, DATA), ROWS, seed=0))
    kinds = {edit.kind for program in PROGRAMS for edit in program.edits}
    assert kinds >= {"replace", "insert", "remove", "casing", "misspell", "punctuation", "register"}


def test_random_programs_take_the_shape_of_given_ones() -> None:
    shape = parse_program(
        {
            "where": [{"kind": "length", "at_least": 1}],
            "edits": [{"kind": "remove", "words": ["a", "b", "c"], "at_most": 2}, {"kind": "casing", "to": "lower"}],
        }
    )
    templates = parse_program(praising(templates=[PRAISE, PRAISE | {"texts": [{"field": "text", "text": "x"}]}]))
    made = random_programs(8, ROWS, DATA, seed=0, shapes=[shape, templates])
    assert [len(program.templates) for program in made] == [0, 2] * 4
    for program in made[::2]:
        assert [part.kind for part in program.where] == ["length"]
        assert [part.kind for part in program.edits] == ["remove", "casing"]
        assert program.edits[0].at_most == 2  # type: ignore[union-attr]
    for program in made[1::2]:
        assert fill_templates(compile_program(program, DATA), 1, seed=0)


def test_nothing_is_drawn_from_rows_without_words() -> None:
    assert random_programs(3, [Sample("s", "d", "train", 0, {"text": "…"}, "positive")], DATA, seed=0) == []
