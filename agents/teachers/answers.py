"""A model's reply, read leniently and checked strictly."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from blindspot.storage.errors import MalformedAnswer

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
NAMED_CHARACTERS = 40  # of what a model made up, in a message to it
MOST_NAMED = 8
MOST_CHARACTERS = 400_000  # of a reply that is read
MOST_LEVELS = 32  # of brackets within an object: an answer has three
MOST_PASSES = 8  # over one reply
STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}\[\]]', re.DOTALL)
BRACE = re.compile("{")

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
            names = ", ".join(map(quoted_value, sorted(sample.fields)[:MOST_NAMED]))
            raise MalformedAnswer(f"sample {number} has the fields [{names}], not exactly {list(field_names)}")
        if sample.label not in labels:
            raise MalformedAnswer(
                f"sample {number} has the label {quoted_value(sample.label)}, which is not one of {list(labels)}"
            )
    return samples


def read_object(reply: str, validate: Callable[[Any], Answer]) -> Answer:
    """Validate the last fitting JSON object of a reply: thoughts and drafts come before the answer."""
    if len(reply) > MOST_CHARACTERS:
        raise MalformedAnswer(f"it has {len(reply)} characters; only answers of up to {MOST_CHARACTERS} are read")
    reasons = []
    for candidate in reversed(json_objects(reply)):
        try:
            return validate(candidate)
        except ValidationError as error:
            reasons.append("; ".join(describe_problem(dict(problem)) for problem in error.errors()[:3]))
    nothing = "no complete JSON object in it" if reply.strip() else "it is empty"
    raise MalformedAnswer(reasons[0] if reasons else nothing)


def describe_problem(problem: dict[str, Any]) -> str:
    """Say where in the object something is wrong, and what."""
    parts = (part if isinstance(part, str) and part.isidentifier() else quoted_value(part) for part in problem["loc"])
    place = ".".join(part[:NAMED_CHARACTERS] for part in parts)
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def quoted_value(value: object) -> str:
    """Name what a model wrote in a message to it: short, on one line, and not to be taken for anything else."""
    text = str(value)
    short = text if len(text) <= NAMED_CHARACTERS else f"{text[:NAMED_CHARACTERS]}…"
    return (repr(short) if isinstance(value, str) else short).replace("<", "\\x3c")


def json_objects(text: str) -> list[dict[str, Any]]:
    """Find the JSON objects in a text, with code fences or prose around them or not, in a time linear in its length.

    A quotation mark in prose turns what is inside and outside of strings around. So braces that stood in strings in
    one pass, and in no object after it, are looked at in the next one.
    """
    spans: dict[tuple[int, int], Any] = {}  # (start, end) of what braces enclose -> its object, None where it is none
    opened: set[int] = set()
    objects: list[tuple[int, int]] = []
    start = text.find("{")
    for _ in range(MOST_PASSES):
        if start < 0:
            break
        closed, strings = match_braces(text, start, opened)
        spans |= {span: parsed_json(text[slice(*span)]) for span in closed if span not in spans}
        objects = outermost(span for span, value in spans.items() if value is not None)
        start = first_outside(objects, (brace for brace in braces_in(text, strings) if brace not in opened))
    return [spans[span] for span in objects]


def match_braces(text: str, start: int, opened: set[int]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Match brackets from a brace on to the end of a text.

    Args:
        opened: gains the braces that stood outside of strings.
    Returns: the spans of matched braces with few levels of brackets in them, and those of strings.
    """
    closed, strings = [], []
    stack: list[tuple[int, int]] = []  # of each open bracket: its place, and the levels closed within it so far
    position = start
    while (token := STRUCTURE.search(text, position)) is not None:
        mark, position = token.group(), token.end()
        if mark[0] == '"':
            if stack:
                strings.append(token.span())
            else:
                position = token.start() + 1  # in prose it begins no string
        elif mark == "{" or (mark == "[" and stack):
            stack.append((token.start(), 0))
            opened |= {token.start()} if mark == "{" else set()
        elif stack and text[stack[-1][0]] + mark in ("{}", "[]"):
            begun, levels = stack.pop()
            if mark == "}" and levels < MOST_LEVELS:
                closed.append((begun, token.end()))
            if stack:
                stack[-1] = stack[-1][0], max(stack[-1][1], levels + 1)
        else:
            stack.clear()
    return closed, strings


def parsed_json(text: str) -> Any:
    """Read JSON; None where it is none."""
    try:
        return json.loads(text, strict=False)  # models put bare line breaks into strings
    except ValueError:
        return None


def outermost(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Keep, from the left, the spans that begin in no other."""
    kept: list[tuple[int, int]] = []
    for span in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept


def braces_in(text: str, strings: Iterable[tuple[int, int]]) -> Iterator[int]:
    """The places of the braces that stand in strings, from the left."""
    return (brace.start() for string in strings for brace in BRACE.finditer(text, *string))


def first_outside(objects: Sequence[tuple[int, int]], braces: Iterator[int]) -> int:
    """The first of these places that is in none of the objects; -1: all are."""
    remaining = deque(objects)
    for brace in braces:
        while remaining and remaining[0][1] <= brace:
            remaining.popleft()
        if not remaining or brace < remaining[0][0]:
            return brace
    return -1
