"""A model's reply, read leniently and checked strictly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from blindspot.storage.errors import MalformedAnswer

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
NAMED_CHARACTERS = 40  # of what a model made up, in a message to it
MOST_NAMED = 8

Answer = TypeVar("Answer", bound=BaseModel)


class ExplanationAnswer(BaseModel):
    """The answer to abstraction and extrapolation."""

    reasoning: Text
    hypothesis: Text


class SampleAnswer(BaseModel):
    """One sample of a generation answer."""

    fields: dict[str, Text]
    label: Annotated[Text, Field(coerce_numbers_to_str=True)]  # a model writes the label "1" as 1
    reasoning: Text


class GenerationAnswer(BaseModel):
    """The answer to generation."""

    samples: list[SampleAnswer]


def read_explanation(reply: str) -> ExplanationAnswer:
    """Find reasoning and hypothesis in a reply. Raises: MalformedAnswer, with the reason for the model."""
    return read_object(reply, ExplanationAnswer.model_validate)


def read_samples(reply: str, *, field_names: Sequence[str], labels: Sequence[str], n: int) -> list[SampleAnswer]:
    """Find n samples in a reply; what a model wrote beyond them is dropped.

    Raises: MalformedAnswer, with the reason for the model: too few, other fields, an unknown label.
    """
    samples = read_object(reply, GenerationAnswer.model_validate).samples[:n]
    if len(samples) < n:
        raise MalformedAnswer(f"{len(samples)} samples, {n} were asked for")
    for number, sample in enumerate(samples, start=1):
        if set(sample.fields) != set(field_names):
            found = ", ".join(map(named, sorted(sample.fields)[:MOST_NAMED]))
            raise MalformedAnswer(f"sample {number} has the fields [{found}], not exactly {list(field_names)}")
        if sample.label not in labels:
            raise MalformedAnswer(
                f"sample {number} has the label {named(sample.label)}, which is none of {list(labels)}"
            )
    return samples


def read_object(reply: str, validate: Callable[[Any], Answer]) -> Answer:
    """Validate the last fitting JSON object of a reply: thoughts and drafts come before the answer."""
    reasons = []
    for candidate in reversed(list(json_objects(reply))):
        try:
            return validate(candidate)
        except ValidationError as error:
            reasons.append("; ".join(describe(dict(problem)) for problem in error.errors()[:3]))
    nothing = "no complete JSON object in it" if reply.strip() else "it is empty"
    raise MalformedAnswer(reasons[0] if reasons else nothing)


def describe(problem: dict[str, Any]) -> str:
    """Say where in the object something is wrong, and what."""
    parts = (part if isinstance(part, str) and part.isidentifier() else named(part) for part in problem["loc"])
    place = ".".join(part[:NAMED_CHARACTERS] for part in parts)
    said = str(problem["msg"]).removeprefix("Value error, ")
    return f"{place}: {said}" if place else said


def named(value: object) -> str:
    """Name what a model wrote in a message to it: short, on one line, and not to be taken for anything else."""
    text = str(value)
    short = text if len(text) <= NAMED_CHARACTERS else f"{text[:NAMED_CHARACTERS]}…"
    return (repr(short) if isinstance(value, str) else short).replace("<", "\\x3c")


def json_objects(text: str) -> Iterator[dict[str, Any]]:
    """Find the JSON objects in a text, with code fences or prose around them or not."""
    decoder = json.JSONDecoder(strict=False)  # models put bare line breaks into strings
    start = text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield value
        start = text.find("{", end)
