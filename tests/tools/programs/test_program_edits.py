"""Every edit of a program, by an example that a reader believes."""

from __future__ import annotations

from typing import Any

import pytest

from blindspot.storage.records import Sample
from blindspot.tools.programs.apply import edit_row, edit_rows
from blindspot.tools.programs.compile import compile_program
from blindspot.tools.programs.data import DataDescription
from blindspot.tools.programs.vocabulary import parse_program
from blindspot.tools.text.edits import edits, split_words
from blindspot.tools.text.rewrite import SLIPS, slip_of
from blindspot.tools.text.vocabulary import Vocabulary

TRAINING = [
    ("positive", "A good film with a fine cast."),
    ("positive", "Such a good and warm story."),
    ("negative", "A bad film with a weak cast."),
    ("negative", "Such a bad and cold story."),
]
DATA = DataDescription(
    fields=("text",),
    labels=("positive", "negative"),
    vocabulary=Vocabulary(TRAINING),
    clusters={"odd": frozenset({"s1"})},
    neighbours=lambda word: {"film": ["movie"], "good": ["fine"]}.get(word, []),
)
PAIRS = DataDescription(fields=("a", "b"), labels=("equal", "different"))


def row(text: str, label: str = "positive", sample_id: str = "s1") -> Sample:
    return Sample(sample_id, "d", "train", 0, {"text": text}, label)


def pair(a: str, b: str) -> Sample:
    return Sample("p1", "d", "train", 0, {"a": a, "b": b}, "equal")


def edited(text: str, *edit: dict[str, Any], seed: int = 0, label: str = "positive") -> str | None:
    compiled = compile_program(parse_program({"edits": list(edit)}), DATA)
    made = edit_row(compiled, row(text, label), seed=seed)
    return None if made is None else made.fields["text"]


def edited_pair(a: str, b: str, **edit: Any) -> tuple[str, str] | None:
    made = edit_row(compile_program(parse_program({"edits": [edit]}), PAIRS), pair(a, b), seed=0)
    return None if made is None else (made.fields["a"], made.fields["b"])


def holds(text: str, label: str = "positive", **condition: Any) -> bool:
    program = {"where": [condition], "edits": [{"kind": "insert", "phrases": ["x"], "at": "end"}]}
    return edit_row(compile_program(parse_program(program), DATA), row(text, label), seed=0) is not None


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        ({"kind": "replace", "swaps": [{"old": "good", "new": ["bad"]}]}, "Good, goods, GOOD.", "Bad, goods, BAD."),
        (
            {"kind": "replace", "swaps": [{"old": "not bad", "new": ["fine"]}, {"old": "bad", "new": ["poor"]}]},
            "Not  bad, but bad.",
            "Fine, but poor.",
        ),
        ({"kind": "replace", "swaps": [{"old": "love*", "new": ["like"]}]}, "I loved the glove.", "I like the glove."),
        ({"kind": "replace", "swaps": [{"old": "don't", "new": ["do"]}]}, "They do n't and don’t.", "They do and do."),
        (
            {"kind": "replace", "swaps": [{"old": "US", "new": ["UK"]}], "case_sensitive": True},
            "The US told us.",
            "The UK told us.",
        ),
        ({"kind": "replace", "swaps": [{"old": ":)", "new": [":("]}]}, "great:) yes", "great:( yes"),
        ({"kind": "synonyms", "which": "content"}, "A good film.", "A fine movie."),
        ({"kind": "insert", "phrases": ["Honestly,"], "at": "start"}, "it works.", "Honestly, it works."),
        ({"kind": "insert", "phrases": ["Yes."], "at": "end"}, "It works. ", "It works. Yes. "),
        ({"kind": "insert", "phrases": ["Yes."], "at": "after_first_sentence"}, "One. Two.", "One. Yes. Two."),
        ({"kind": "insert", "phrases": ["Yes."], "at": "after_first_sentence"}, "One", "One Yes."),
        ({"kind": "insert", "phrases": ["really"], "at": "after_first_word"}, "It works", "It really works"),
        ({"kind": "remove", "words": ["very", "so so"]}, "Very good, a very so  so film very.", "Good, a film."),
        ({"kind": "remove", "words": ["fee*"]}, "I feel no fee at all.", "I no at all."),
        ({"kind": "negate", "change": "add"}, "It is good, we can go.", "It is not good, we cannot go."),
        ({"kind": "negate", "change": "add", "contracted": True}, "Will it be? It was.", "Won't it be? It wasn't."),
        ({"kind": "negate", "change": "add"}, "He has a car and has finished.", "He has a car and has not finished."),
        ({"kind": "negate", "change": "remove"}, "It isn't bad, is not dull, can't go.", "It is bad, is dull, can go."),
        ({"kind": "negate", "change": "remove"}, "they do n't know, not ever, cannot", "they do know, ever, can"),
        ({"kind": "casing", "to": "lower"}, "A GOOD Film", "a good film"),
        ({"kind": "casing", "to": "upper", "which": "listed", "words": ["film"]}, "A film, a filmy", "A FILM, a filmy"),
        ({"kind": "casing", "to": "title"}, "a good FILM", "A Good Film"),
        ({"kind": "casing", "to": "sentence"}, "a GOOD Film. so i said! YES", "A good film. So I said! Yes"),
        ({"kind": "punctuation", "change": "remove_all"}, "Well, it's (3.5) well-made!", "Well it's 3.5 well-made"),
        ({"kind": "punctuation", "change": "remove_final"}, "Really?! Yes. ", "Really?! Yes"),
        ({"kind": "punctuation", "change": "double"}, "No! At 3.5, yes.", "No!! At 3.5,, yes.."),
        ({"kind": "punctuation", "change": "add_exclamations"}, "It works.", "It works!!"),
        ({"kind": "punctuation", "change": "add_question_mark"}, "It works", "It works?"),
        ({"kind": "punctuation", "change": "drop_apostrophes"}, "I don't, it’s", "I dont, its"),
        ({"kind": "punctuation", "change": "tabs"}, "a b", "a\tb"),
        ({"kind": "punctuation", "change": "double_spaces"}, "a b", "a  b"),
        ({"kind": "punctuation", "change": "trailing_tabs"}, "a b ", "a b\t\t\t"),
        ({"kind": "punctuation", "change": "trim"}, " a b\t", "a b"),
        ({"kind": "register", "to": "sms"}, "See you later, don't wait.", "C u l8r, dont w8."),
        ({"kind": "register", "to": "formal"}, "I'm gonna buy it, can't go", "I am going to purchase it, cannot go"),
        ({"kind": "misspell", "slips": ["doubled"], "which": "listed", "words": ["oo"]}, "oo a", "ooo a"),
    ],
)  # fmt: skip
def test_an_edit_does_what_it_is_called(edit: dict[str, Any], before: str, after: str) -> None:
    assert edited(before, edit) == after


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        ({"kind": "replace", "swaps": [{"old": "good", "new": ["bad"]}]}, "goods are not on sale"),
        ({"kind": "replace", "swaps": [{"old": "don", "new": ["x"]}]}, "I don't, and don’t"),
        ({"kind": "replace", "swaps": [{"old": "made", "new": ["x"]}]}, "well-made"),
        ({"kind": "remove", "words": ["all"]}, "all"),
        ({"kind": "negate", "change": "add"}, "It is not, it isn't, it is n't, I have a car."),
        ({"kind": "synonyms"}, "no neighbours here"),
        ({"kind": "change_numbers"}, "the 2nd, the B2B"),
        ({"kind": "change_names"}, "The day was Monday. I left."),
        ({"kind": "insert", "by_label": [{"label": "negative", "phrases": ["No."]}], "at": "end"}, "It works."),
    ],
)
def test_a_row_that_an_edit_leaves_as_it_is_or_empties_is_left_out(edit: dict[str, Any], text: str) -> None:
    assert edited(text, edit) is None


def test_edits_follow_one_another() -> None:
    replace = {"kind": "replace", "swaps": [{"old": "good", "new": ["bad"]}]}
    assert edited("A good one.", replace, {"kind": "casing", "to": "upper"}) == "A BAD ONE."


@pytest.mark.parametrize("slip", SLIPS)
def test_a_misspelling_is_of_the_kind_asked_for(slip: str) -> None:
    before = "Wonderful performance throughout"
    after = edited(before, {"kind": "misspell", "slips": [slip]})
    assert after is not None
    assert [slip_of(edit) for edit in edits({"t": before}, {"t": after})] == [slip] * 3


def test_a_key_beside_and_a_letter_that_looks_alike() -> None:
    assert {edited("pap", {"kind": "misspell", "slips": ["homoglyph"]}, seed=n) for n in range(40)} >= {
        "рap",
        "pаp",
        "paр",
    }
    after = {edited("ggg", {"kind": "misspell", "slips": ["keyboard"]}, seed=n) for n in range(60)}
    assert {letter for text in after for letter in text or "" if letter != "g"} == set("fhtyvb")


def test_short_words_and_numbers_are_misspelt_only_where_they_are_listed() -> None:
    assert edited("it is 2024", {"kind": "misspell", "slips": ["deletion"]}) is None
    assert (
        edited("it is 2024", {"kind": "misspell", "slips": ["deletion"], "which": "listed", "words": ["it"]})
        is not None
    )


@pytest.mark.parametrize(("label", "after"), [("positive", "A GOOD but bad film"), ("negative", "A good but BAD film")])
def test_the_most_telling_word_is_the_one_that_speaks_for_the_rows_label(label: str, after: str) -> None:
    assert (
        edited("A good but bad film", {"kind": "casing", "to": "upper", "which": "telling", "at_most": 1}, label=label)
        == after
    )


def test_in_a_pair_the_words_that_both_texts_share_are_telling() -> None:
    training = Vocabulary([("equal", "rain"), ("different", "sun")])
    data = DataDescription(fields=("a", "b"), labels=("equal", "different"), vocabulary=training)
    edit = {"kind": "casing", "to": "upper", "which": "telling", "at_most": 2}
    made = edit_row(
        compile_program(parse_program({"edits": [edit]}), data), pair("the rain and moss", "the moss"), seed=0
    )
    assert made is not None
    assert made.fields == {"a": "the rain and MOSS", "b": "the MOSS"}


@pytest.mark.parametrize(
    ("amount", "changed"), [({"at_most": 2}, 2), ({"share": 0.3}, 3), ({"share": 0.01}, 1), ({}, 10)]
)
def test_as_many_places_change_as_are_asked_for(amount: dict[str, Any], changed: int) -> None:
    after = edited("word " * 10, {"kind": "replace", "swaps": [{"old": "word", "new": ["w"]}], **amount})
    assert after is not None
    assert split_words(after).count("w") == changed


def test_several_replacements_are_all_drawn() -> None:
    edit = {"kind": "replace", "swaps": [{"old": "a", "new": ["b", "c", ""]}]}
    assert {edited("a x", edit, seed=seed) for seed in range(40)} == {"b x", "c x", "x"}


def test_one_field_of_a_pair_changes_or_both_alike() -> None:
    swap = {"kind": "replace", "swaps": [{"old": "rain", "new": ["snow", "hail"]}]}
    assert edited_pair("rain", "rain", **swap, field="b") in (("rain", "snow"), ("rain", "hail"))
    assert edited_pair("Rain", "rain", **swap, field="a", other_field="same_edit") in (
        ("Snow", "snow"),
        ("Hail", "hail"),
    )


def test_names_change_alike_within_a_field_and_where_asked_for_in_both() -> None:
    a, b = "We saw Kim and later Kim with Lee.", "Then Kim left Oslo."
    one = edited_pair(a, b, kind="change_names", field="a")
    assert one is not None
    assert one[1] == b
    name, again, other = (one[0].split()[place] for place in (2, 5, 7))
    assert name == again != "Kim"
    assert other != "Lee."
    both = edited_pair(a, b, kind="change_names", field="any", other_field="same_edit")
    assert both is not None
    assert both[0].split()[2] == both[1].split()[1] != "Kim"
    assert both[1].split()[3] != "Oslo."


def test_numbers_keep_their_form_and_change_in_one_field_or_both() -> None:
    one = edited_pair("Up 5.5 to 1,200 (5.5)", "Up 5.5, two", kind="change_numbers", field="a")
    assert one is not None
    assert one[1] == "Up 5.5, two"
    words = one[0].split()
    assert words[1] == words[4].strip("()") != "5.5"
    assert len(words[3]) == 5
    assert words[3][1] == ","
    both = edited_pair("Up 5.5 to two", "Two or 5.5", kind="change_numbers", field="a", other_field="same_edit")
    assert both is not None
    assert both[0].split()[1] == both[1].split()[2] != "5.5"
    assert both[0].split()[3] == both[1].split()[0].lower() != "two"


def test_what_is_inserted_may_depend_on_the_label() -> None:
    edit = {
        "kind": "insert",
        "at": "end",
        "by_label": [{"label": "positive", "phrases": ["Yes."]}, {"label": "negative", "phrases": ["No."]}],
    }
    assert edited("It works.", edit) == "It works. Yes."
    assert edited("It works.", edit, label="negative") == "It works. No."


@pytest.mark.parametrize(
    ("condition", "yes", "no"),
    [
        ({"kind": "contains", "words": ["not"]}, "It is Not.", "A note."),
        ({"kind": "contains", "words": ["not*"]}, "A note.", "It is knot."),
        ({"kind": "contains", "words": ["no way"]}, "No   way!", "no, way"),
        ({"kind": "contains", "words": ["a", "b"], "how": "all"}, "b then a", "a then a"),
        ({"kind": "contains", "words": ["a", "b"], "how": "none"}, "c", "b"),
        ({"kind": "contains", "words": ["US"], "case_sensitive": True}, "the US", "us"),
        ({"kind": "length", "at_least": 2, "at_most": 3}, "one two three", "one"),
        ({"kind": "label_is", "labels": ["positive"]}, "x", None),
        ({"kind": "in_cluster", "cluster": "odd"}, "x", None),
        *(
            ({"kind": "shows", "surface": surface}, yes, no)
            for surface, yes, no in [
                ("digits", "at 9", "at nine"),
                ("url", "see www.example.org", "see example. Org"),
                ("email_address", "to a.b@example.org", "a @ b"),
                ("question_mark", "why?", "why"),
                ("exclamation_mark", "go!", "go"),
                ("ellipsis", "well...", "well."),
                ("all_caps_word", "so GOOD", "I am So"),
                ("no_capitals", "no capital", "One capital"),
                ("no_final_punctuation", "it ends", 'He said "it ends."'),
                ("missing_apostrophe", "I dont know", "I don't know its price"),
                ("quotation", 'so "good"', "it's the boys' game"),
                ("parentheses", "a (b)", "a b"),
                ("money", "for £5", "for 5"),
                ("phone_number", "call 08001 234 567", "call 911"),
                ("time_of_day", "at 7:30", "at 7"),
                ("repeated_letters", "sooo", "soon"),
                ("repeated_punctuation", "what?!", "what?"),
                ("emoticon", "nice :-)", "nice: (a)"),
                ("non_ascii", "café", "cafe"),
                ("negation", "I can't", "I can, notable"),
                ("name", "we met Kim", "We met. Then I left on Monday"),
                ("unseen_word", "a good zebra", "a good film"),
            ]
        ),
    ],
)  # fmt: skip
def test_a_condition_holds_where_it_should(condition: dict[str, Any], yes: str, no: str | None) -> None:
    assert holds(yes, **condition)
    if no is not None:
        assert not holds(no, **condition)
    if condition["kind"] == "shows":
        assert not holds(yes, **condition, present=False)
        assert holds(no or "", **condition, present=False)


def test_label_cluster_and_field_are_told_apart() -> None:
    assert not holds("x", label="negative", kind="label_is", labels=["positive"])
    insert = [{"kind": "insert", "phrases": ["x"], "at": "end"}]
    cluster = compile_program(
        parse_program({"where": [{"kind": "in_cluster", "cluster": "odd"}], "edits": insert}), DATA
    )
    assert [made is not None for made in edit_rows(cluster, [row("x"), row("x", sample_id="s2")], seed=0)] == [
        True,
        False,
    ]
    for field, expected in (("a", True), ("b", False), ("any", True)):
        condition = {"kind": "contains", "words": ["rain"], "field": field}
        compiled = compile_program(parse_program({"where": [condition], "edits": insert}), PAIRS)
        assert (edit_row(compiled, pair("rain", "sun"), seed=0) is not None) is expected


def test_a_named_label_takes_the_place_of_the_rows_own() -> None:
    program = parse_program({"edits": [{"kind": "negate", "change": "add"}], "label": "negative"})
    made = edit_row(compile_program(program, DATA), row("It is good."), seed=0)
    assert made is not None
    assert (made.fields["text"], made.label) == ("It is not good.", "negative")
