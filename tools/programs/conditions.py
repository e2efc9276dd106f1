"""The conditions of a program: which rows it is about."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from blindspot.tools.programs.parts import ANY, MOST_WORDS, FieldOrAny, Name, Part, Pattern

Surface = Literal[
    "digits",
    "url",
    "email_address",
    "question_mark",
    "exclamation_mark",
    "ellipsis",
    "all_caps_word",
    "no_capitals",
    "no_final_punctuation",
    "missing_apostrophe",
    "quotation",
    "parentheses",
    "money",
    "phone_number",
    "time_of_day",
    "repeated_letters",
    "repeated_punctuation",
    "emoticon",
    "non_ascii",
    "negation",
    "name",
    "unseen_word",
]


class LabelIs(Part):
    """The row's true label is one of these."""

    kind: Literal["label_is"]
    labels: Annotated[tuple[Name, ...], Field(min_length=1, max_length=50, description="Labels of the data set.")]


class Contains(Part):
    """The text contains words or phrases. Whole words are meant; not* also finds nothing and note."""

    kind: Literal["contains"]
    how: Annotated[
        Literal["any", "all", "none"], Field(description="any = one of them at least; all = every one; none = not one.")
    ] = "any"
    words: Annotated[
        tuple[Pattern, ...],
        Field(min_length=1, max_length=MOST_WORDS, description="Words or phrases; a trailing * for any ending."),
    ]
    case_sensitive: Annotated[bool, Field(description="Whether capitals must agree.")] = False
    field: FieldOrAny = ANY


class Shows(Part):
    """The text shows, or does not show, something of its surface."""

    kind: Literal["shows"]
    surface: Annotated[
        Surface,
        Field(
            description="What is looked for. no_capitals: no capital letter at all; all_caps_word: a word of two or "
            "more capitals; missing_apostrophe: dont, im, …; repeated_letters: sooo; name: a capitalised word inside "
            "of a sentence; unseen_word: a word that no training text has."
        ),
    ]
    present: Annotated[bool, Field(description="true = it shows it; false = it does not.")] = True
    field: FieldOrAny = ANY


class Length(Part):
    """The text has between so many words; with field = any, all fields together have."""

    kind: Literal["length"]
    at_least: Annotated[int, Field(ge=0, le=100_000, description="Fewest words.")] = 0
    at_most: Annotated[int | None, Field(ge=0, le=100_000, description="Most words; null: no limit.")] = None
    field: FieldOrAny = ANY

    @model_validator(mode="after")
    def check(self) -> Length:
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError(f"at_most {self.at_most} is less than at_least {self.at_least}")
        return self


class InCluster(Part):
    """The row belongs to a named cluster of rows."""

    kind: Literal["in_cluster"]
    cluster: Annotated[Name, Field(description="The cluster's name.")]


Condition = Annotated[LabelIs | Contains | Shows | Length | InCluster, Field(discriminator="kind")]
