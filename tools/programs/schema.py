"""The JSON schema of programs, as servers of language models take it for a tool's arguments."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

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
