"""A program: a hypothesis in a form that can be run. It is data in a closed vocabulary, never code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator
from pydantic.json_schema import DEFAULT_REF_TEMPLATE, GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import ErrorDetails, core_schema

from blindspot.storage.errors import MalformedAnswer
from blindspot.tools.programs.conditions import Condition
from blindspot.tools.programs.edit_types import AnyEdit
from blindspot.tools.programs.parts import MOST_WORDS, Name, Part, without_controls

BOUNDS = frozenset(
    {
        "default", "minLength", "maxLength", "minItems", "maxItems", "pattern", "minimum", "maximum",
        "exclusiveMinimum", "exclusiveMaximum", "title",
    }
)  # fmt: skip


class ToolSchema(GenerateJsonSchema):
    """Writes a choice by `kind` as a plain `anyOf`: `oneOf` with a discriminator is refused by strict servers."""

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """Write the choices alone: each names its `kind` as a constant."""
        tagged = super().tagged_union_schema(schema)
        return {"anyOf": tagged["oneOf"]}


def strict_schema(schema: Any) -> Any:
    """Turn a schema into what strict tools take: every key required, and no bounds, which are checked on reading.

    Source: the supported subsets of JSON Schema of OpenAI's structured outputs and Anthropic's strict tool use.
    """
    if isinstance(schema, list):
        return [strict_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):  # names of ours, not keywords
            strict[key] = {name: strict_schema(part) for name, part in value.items()}
        elif key not in BOUNDS:
            strict[key] = strict_schema(value)
    if "properties" in strict:
        strict["required"] = list(strict["properties"])
    return strict


KEEP = "keep"
MOST_CHARACTERS = 400_000  # of a program as JSON
SLOT = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def without_stray_braces(text: str) -> str:
    """Refuse braces that enclose no slot's name. Raises: ValueError."""
    if "{" in (rest := SLOT.sub("", text)) or "}" in rest:
        raise ValueError("braces may only enclose the name of a slot, such as {name}: small letters, digits and _")
    return text


def without_braces(text: str) -> str:
    """Refuse slots within fillers. Raises: ValueError."""
    if "{" in text or "}" in text:
        raise ValueError("a filler must be plain text, without slots or braces")
    return text


TemplateText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=4_000),
    AfterValidator(without_controls),
    AfterValidator(without_stray_braces),
]
Filler = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=200),
    AfterValidator(without_controls),
    AfterValidator(without_braces),
]
SlotName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class FieldText(Part):
    """The text of one field."""

    field: Annotated[Name, Field(description="A field of the data set.")]
    text: Annotated[TemplateText, Field(description="Its text, with slots such as {name} in braces.")]


class Template(Part):
    """One new text: a text for each field of the data set."""

    texts: Annotated[tuple[FieldText, ...], Field(min_length=1, max_length=10, description="One entry for each field.")]


class Slot(Part):
    """What a slot is filled with."""

    name: Annotated[SlotName, Field(description="As in the templates, without braces.")]
    fillers: Annotated[tuple[Filler, ...], Field(min_length=1, max_length=MOST_WORDS, description="One is drawn.")]


class ParsedProgram(Part):
    """A hypothesis as a program: which rows, what is done to them, and which label is right afterwards.

    Give edits, to change rows that exist, or templates, to write texts that no training sample resembles; not both.
    """

    where: Annotated[
        tuple[Condition, ...],
        Field(max_length=6, description="All of these must hold for a row. Empty: every row. With templates: empty."),
    ] = ()
    edits: Annotated[tuple[AnyEdit, ...], Field(max_length=6, description="Done in this order.")] = ()
    templates: Annotated[
        tuple[Template, ...],
        Field(max_length=40, description="Texts with slots; the more they differ, the more is learnt from them."),
    ] = ()
    slots: Annotated[
        tuple[Slot, ...],
        Field(
            max_length=20,
            description="Fillers of the templates' slots. Known without an entry: {number}, {name}, {time}, {day}, "
            "{month}, {place}, {amount}. A slot has one filler within a text; {name2} is another draw of {name}.",
        ),
    ] = ()
    label: Annotated[
        Name,
        Field(description='The label that is right afterwards: "keep" for the row\'s own, or a label of the data set.'),
    ] = KEEP

    @model_validator(mode="after")
    def check(self) -> ParsedProgram:
        if bool(self.edits) == bool(self.templates):
            raise ValueError("give either edits or templates")
        if self.slots and not self.templates:
            raise ValueError("slots are for templates, and there are none")
        if self.templates and self.where:
            raise ValueError("templates make new texts, so they cannot choose rows: leave where empty")
        names = [slot.name for slot in self.slots]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"the slot {{{twice}}} has two entries; put all of its fillers into one")
        return self

    @classmethod
    def model_json_schema(
        cls,
        by_alias: bool | None = True,
        ref_template: str = DEFAULT_REF_TEMPLATE,
        schema_generator: type[GenerateJsonSchema] = ToolSchema,
        mode: JsonSchemaMode = "validation",
        **options: Any,
    ) -> dict[str, Any]:
        """The schema of a tool's arguments: choices are `anyOf`, without the discriminator that few servers know."""
        return super().model_json_schema(by_alias, ref_template, schema_generator, mode, **options)


def parse_program(value: str | bytes | Mapping[str, Any]) -> ParsedProgram:
    """Read a program that a teacher wrote, as JSON or as what JSON was read into.

    Raises: MalformedAnswer, with at most three reasons in one line.
    """
    try:
        written = value if isinstance(value, str | bytes) else json.dumps(value)
        if len(written) > MOST_CHARACTERS:
            raise MalformedAnswer(f"the program has {len(written)} characters, more than {MOST_CHARACTERS}; shorten it")
        return ParsedProgram.model_validate_json(written)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        deepest = [problem for problem in problems if not is_consequence(problem, problems)]
        raise MalformedAnswer("; ".join(dict.fromkeys(map(reason_of, deepest[:3])))) from None
    except (TypeError, ValueError, RecursionError):  # what json.dumps cannot write
        raise MalformedAnswer("the program is not a JSON object of texts, numbers and lists") from None


def is_consequence(problem: ErrorDetails, problems: Sequence[ErrorDetails]) -> bool:
    """Whether a list is too short only because an entry of it was refused."""
    place = problem["loc"]
    return problem["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in problems
    )


def reason_of(problem: ErrorDetails) -> str:
    """Say where in a program something is wrong, and what, in one line."""
    place = ".".join(str(part)[:40] for part in problem["loc"])
    reason = " ".join(str(problem["msg"]).removeprefix("Value error, ").split())[:300]
    return (f"{place}: {reason}" if place else reason).encode("ascii", "backslashreplace").decode()
