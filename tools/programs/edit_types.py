"""The edits of a program: what is done to a text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from blindspot.tools.programs.parts import (
    ANY,
    MOST_WORDS,
    FieldOrAny,
    ListedWords,
    Name,
    Part,
    Pattern,
    Replacement,
    Sentence,
    WordsField,
)

Slip = Literal["swap", "deletion", "insertion", "substitution", "keyboard", "homoglyph", "doubled"]
Place = Literal["start", "end", "after_first_sentence", "after_first_word"]


class FieldEdit(Part):
    """An edit of one field, or of each."""

    field: FieldOrAny = ANY
    other_field: Annotated[
        Literal["unchanged", "same_edit"],
        Field(
            description="For data of two fields. unchanged: the other field stays as it is (with field = any: each "
            "field is edited by itself). same_edit: the same words change in the same way in the other field too, so "
            "that what both share stays shared."
        ),
    ] = "unchanged"


class WordEdit(FieldEdit):
    """An edit of words, in a number of places."""

    at_most: Annotated[
        int | None, Field(ge=1, le=100, description="Edit at most this many places of a row; null: no limit.")
    ] = None
    share: Annotated[
        float | None,
        Field(gt=0, le=1, description="Edit this share of the places where it is possible; null: all of them."),
    ] = None

    @model_validator(mode="after")
    def check_amount(self) -> WordEdit:
        if self.at_most is not None and self.share is not None:
            raise ValueError("at_most and share are both given; leave one of them out")
        return self


class ChosenWordsEdit(WordEdit):
    """An edit of words of a kind."""

    which: WordsField = "any"
    words: ListedWords = ()

    @model_validator(mode="after")
    def check_words(self) -> ChosenWordsEdit:
        if (self.which == "listed") != bool(self.words):
            raise ValueError("words must be given with which = listed, and only then")
        if self.which == "telling" and self.at_most is None and self.share is None:
            raise ValueError("with which = telling, say in at_most or share how many of the words are meant")
        return self


class Swap(Part):
    """One entry of a map of words."""

    old: Annotated[Pattern, Field(description="The word or phrase that is replaced; a trailing * for any ending.")]
    new: Annotated[
        tuple[Replacement, ...],
        Field(min_length=1, max_length=20, description="What takes its place; one of several is drawn each time."),
    ]


class Replace(WordEdit):
    """Replace words or phrases by others after a map; also for phrases in other words. Capitals are kept."""

    kind: Literal["replace"]
    swaps: Annotated[tuple[Swap, ...], Field(min_length=1, max_length=MOST_WORDS, description="The map.")]
    case_sensitive: Annotated[bool, Field(description="Whether capitals must agree.")] = False

    @model_validator(mode="after")
    def check_swaps(self) -> Replace:
        keys = [swap.old if self.case_sensitive else swap.old.lower() for swap in self.swaps]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise ValueError(f'"{twice}" is replaced twice; put all of its replacements into one entry')
        return self


class Synonyms(ChosenWordsEdit):
    """Replace words by words of nearly the same meaning, from the project's word vectors."""

    kind: Literal["synonyms"]


class LabelPhrases(Part):
    """What is inserted into rows of one label."""

    label: Name
    phrases: Annotated[tuple[Sentence, ...], Field(min_length=1, max_length=MOST_WORDS)]


class Insert(FieldEdit):
    """Insert a phrase or sentence; one of several is drawn for each row."""

    kind: Literal["insert"]
    phrases: Annotated[
        tuple[Sentence, ...], Field(max_length=MOST_WORDS, description="For rows of every label. Or give by_label.")
    ] = ()
    by_label: Annotated[
        tuple[LabelPhrases, ...], Field(max_length=50, description="Other phrases for each label. Or give phrases.")
    ] = ()
    at: Annotated[Place, Field(description="Where it goes.")]

    @model_validator(mode="after")
    def check(self) -> Insert:
        if bool(self.phrases) == bool(self.by_label):
            raise ValueError("give either phrases or by_label")
        labels = [entry.label for entry in self.by_label]
        if len(set(labels)) < len(labels):
            raise ValueError("by_label names a label twice")
        return self


class Remove(WordEdit):
    """Remove words or phrases."""

    kind: Literal["remove"]
    words: Annotated[
        tuple[Pattern, ...],
        Field(min_length=1, max_length=MOST_WORDS, description="Words or phrases; a trailing * for any ending."),
    ]
    case_sensitive: Annotated[bool, Field(description="Whether capitals must agree.")] = False


class Negate(WordEdit):
    """Add a negation after an auxiliary (is -> is not), or take one away (isn't -> is, not -> nothing).

    A text without an auxiliary cannot be negated and is left out.
    """

    kind: Literal["negate"]
    change: Annotated[Literal["add", "remove"], Field(description="add or remove negations.")]
    contracted: Annotated[bool, Field(description="With add: true writes isn't, false writes is not.")] = False


class ChangeNames(WordEdit):
    """Replace names (capitalised words inside of sentences) by other names; equal names of a field by equal ones."""

    kind: Literal["change_names"]


class ChangeNumbers(WordEdit):
    """Replace numbers by others with as many digits, or as words; equal numbers of a field by equal ones."""

    kind: Literal["change_numbers"]


class Casing(ChosenWordsEdit):
    """Change capitals."""

    kind: Literal["casing"]
    to: Annotated[
        Literal["lower", "upper", "title", "sentence", "random"],
        Field(description="title: Each Word; sentence: the first letter of each sentence only; random: rAnDoM."),
    ]

    @model_validator(mode="after")
    def check(self) -> Casing:
        if self.to == "sentence" and (self.which != "any" or self.at_most or self.share):
            raise ValueError("to = sentence is for whole texts: leave which, at_most and share out")
        return self


class Punctuation(FieldEdit):
    """Change punctuation or white space."""

    kind: Literal["punctuation"]
    change: Annotated[
        Literal[
            "remove_all",
            "remove_final",
            "double",
            "add_exclamations",
            "add_question_mark",
            "drop_apostrophes",
            "tabs",
            "double_spaces",
            "trailing_tabs",
            "trim",
        ],
        Field(
            description="double: ! becomes !!; add_exclamations: the text ends with !!; tabs, double_spaces: in the "
            "place of single spaces; trailing_tabs: three tabs at the end; trim: no white space at either end."
        ),
    ]


class Misspell(ChosenWordsEdit):
    """Misspell words, each by one slip."""

    kind: Literal["misspell"]
    slips: Annotated[
        tuple[Slip, ...],
        Field(
            min_length=1,
            max_length=7,
            description="One is drawn for each word. swap: of two neighbouring letters; keyboard: a neighbouring key; "
            "homoglyph: a letter or digit that looks alike; doubled: a letter twice.",
        ),
    ]


class Register(WordEdit):
    """Write as in text messages (you -> u, don't -> dont), or formally (don't -> do not)."""

    kind: Literal["register"]
    to: Annotated[Literal["sms", "formal"], Field(description="The register to write in.")]


AnyEdit = Annotated[
    Replace
    | Synonyms
    | Insert
    | Remove
    | Negate
    | ChangeNames
    | ChangeNumbers
    | Casing
    | Punctuation
    | Misspell
    | Register,
    Field(discriminator="kind"),
]
