"""What the tools of a probing teacher take: models that check it, and their JSON schemas as a provider is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model

from blindspot.agents.teachers.answers import describe, named
from blindspot.storage.errors import MalformedAnswer

MOST_TEXTS = 8  # that one call of `classify` takes
MOST_CHARACTERS = 4_000  # of one field of a text that a teacher writes

STRICT = ConfigDict(extra="forbid")
Text = Annotated[str, StringConstraints(min_length=1, max_length=MOST_CHARACTERS)]


@dataclass(frozen=True, slots=True)
class Arguments:
    """The models of every tool's arguments, for the fields and labels of one data set."""

    models: Mapping[str, type[BaseModel]]  # by tool

    def schema(self, tool: str) -> dict[str, Any]:
        """The JSON schema of a tool's arguments, in one piece: not every server follows references."""
        schema = self.models[tool].model_json_schema()
        return cast(dict[str, Any], inlined(schema, schema.get("$defs", {})))

    def read(self, tool: str, arguments: str) -> dict[str, Any]:
        """Check arguments as a model wrote them.

        Returns: plain values under the data set's own names.
        Raises: MalformedAnswer, with the reasons for the model.
        """
        try:
            return self.models[tool].model_validate_json(arguments or "{}").model_dump(by_alias=True)
        except ValidationError as error:
            raise MalformedAnswer("; ".join(describe(dict(problem)) for problem in error.errors()[:3])) from None


@cache
def arguments_for(field_names: tuple[str, ...], labels: tuple[str, ...], recipes: tuple[str, ...]) -> Arguments:
    """Make the models for a data set's fields and labels; without a recipe there is no `attack`."""
    # a field's own name need be no identifier, so it is an alias
    named_fields: dict[str, Any] = {f"field_{n}": (Text, Field(alias=name)) for n, name in enumerate(field_names)}
    fields = create_model("Fields", __config__=STRICT, **named_fields)
    label = one_of(labels, "the label that is truly right for the text, in your judgement")
    labelled = create_model("LabelledText", __config__=STRICT, fields=(fields, ...), label=(label, ...))
    texts = Annotated[list[labelled], Field(min_length=1, max_length=MOST_TEXTS)]  # type: ignore[valid-type]
    models = {
        "classify": create_model("Classify", __config__=STRICT, texts=(texts, ...)),
        "check_similarity": create_model(
            "CheckSimilarity",
            __config__=STRICT,
            fields=(fields, ...),
            other=(fields | None, Field(default=None, description="left out: the text of the case")),
        ),
    }
    if recipes:
        recipe = one_of(recipes, "how the text is changed")
        models["attack"] = create_model(
            "Attack", __config__=STRICT, fields=(fields, ...), label=(label, ...), recipe=(recipe, recipes[0])
        )
    return Arguments(models)


def one_of(values: tuple[str, ...], description: str) -> Any:
    """A string that is one of these; a model writes the label "1" as 1."""

    def check(value: str) -> str:
        if value not in values:
            raise ValueError(f"{named(value)} is none of {list(values)}")
        return value

    known = Field(coerce_numbers_to_str=True, description=description, json_schema_extra={"enum": list(values)})
    return Annotated[str, known, AfterValidator(check)]


def inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Put definitions in the places that refer to them, and leave out the titles that pydantic gives."""
    if isinstance(schema, list):
        return [inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("$ref"), str):
        others = {key: value for key, value in schema.items() if key != "$ref"}
        return inlined({**definitions[schema["$ref"].rpartition("/")[2]], **others}, definitions)
    return {
        key: inlined(value, definitions)
        for key, value in schema.items()
        if key != "$defs" and not (key == "title" and isinstance(value, str))
    }
