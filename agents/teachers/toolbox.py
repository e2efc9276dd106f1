"""The tools as a teacher sees them: what it may ask for, what it gets, how often, and what its probes showed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Annotated, Any, Protocol, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model

from blindspot.agents.chat import Tool, ToolResult, ToolUse
from blindspot.agents.prompts.prompting import load_prompt, quote
from blindspot.agents.providers.wire import sendable_arguments, sendable_name
from blindspot.agents.teachers.answers import describe_problem, quoted_value
from blindspot.agents.teachers.teacher import Case
from blindspot.storage.clock import now
from blindspot.storage.errors import MalformedAnswer
from blindspot.storage.ids import fields_key, make_id
from blindspot.storage.records import Fields, ToolCall
from blindspot.storage.words import AttackStatus

MOST_TEXTS = 8  # that one call of `classify` takes
MOST_CHARACTERS = 4_000  # of one field of a text that a teacher writes

STRICT = ConfigDict(extra="forbid")
Text = Annotated[str, StringConstraints(min_length=1, max_length=MOST_CHARACTERS)]

DIGITS = 2  # of what a teacher is told: a GPU's last bits must not change a conversation


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text of the teacher's own, and the label that it believes true."""

    fields: Fields
    label: str


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the classifier says of a text."""

    predicted: str
    confidence: float  # in [0, 1]
    is_uu: bool  # wrong by the label that the teacher gave it, with confidence >= tau


@dataclass(frozen=True, slots=True)
class Perturbation:
    """What an attack made of a text."""

    status: AttackStatus
    fields: Fields | None  # where it flipped
    verdict: ProbeResult | None  # on the perturbed text, or on the text where nothing flipped
    queries: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much alike two texts are."""

    meaning: float  # BERTScore F1
    characters: float  # share in common, in order, in [0, 1]


class Probes(Protocol):
    """The tools on one model version, and the record of what a teacher made of them."""

    model_id: str
    tau: float
    recipes: tuple[str, ...]  # to attack with

    async def classify(self, texts: Sequence[Labelled]) -> list[ProbeResult]:
        """Ask the classifier about each text."""

    async def attack(self, text: Labelled, recipe: str) -> Perturbation:
        """Attack one text; the same text always gives the same."""

    async def compare(self, text: Fields, other: Fields) -> Likeness:
        """Say how much alike two texts are."""

    async def find(self, tool_call_id: str) -> ToolCall | None:
        """What an earlier pass of this run recorded."""

    async def add(self, call: ToolCall) -> None:
        """Record a use and what it gave."""

    async def aclose(self) -> None:
        """Release models and threads."""


@dataclass(frozen=True, slots=True)
class ToolArguments:
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
            raise MalformedAnswer(
                "; ".join(describe_problem(dict(problem)) for problem in error.errors()[:3])
            ) from None


@cache
def arguments_for(field_names: tuple[str, ...], labels: tuple[str, ...], recipes: tuple[str, ...]) -> ToolArguments:
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
            other=(fields | None, Field(default=None, description="if left out: the text of the case")),
        ),
    }
    if recipes:
        recipe = one_of(recipes, "how the text is changed")
        models["attack"] = create_model(
            "Attack", __config__=STRICT, fields=(fields, ...), label=(label, ...), recipe=(recipe, recipes[0])
        )
    return ToolArguments(models)


def one_of(values: tuple[str, ...], description: str) -> Any:
    """A string that is one of these; a model writes the label "1" as 1."""

    def check(value: str) -> str:
        if value not in values:
            raise ValueError(f"{quoted_value(value)} is not one of {list(values)}")
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


@dataclass(frozen=True, slots=True)
class Talk:
    """The conversation that tools are used in, as their records name it."""

    run_id: str
    round: int
    causes: tuple[object, ...]  # who asks, and what was said so far


class Toolbox:
    """Tools for one conversation about one case, up to a limit of uses.

    What a model gets wrong comes back to it as a result that says what, and counts as a use. What it asks for beyond
    the limit, several calls being asked for at once, is not done. All of it is recorded.
    """

    def __init__(self, case: Case, probes: Probes, limit: int) -> None:
        self._case = case
        self._probes = probes
        self._limit = limit
        self._arguments = arguments_for(case.field_names, case.labels, probes.recipes)
        self._done: list[ToolCall] = []  # within the limit

    @property
    def left(self) -> int:
        """Uses that are left."""
        return self._limit - len(self._done)

    @property
    def offered(self) -> tuple[Tool, ...]:
        """The tools, as long as there is a use left."""
        if not self.left:
            return ()
        case, probes = self._case, self._probes
        return offered_tools(case.field_names, case.labels, recipes=probes.recipes, tau=probes.tau)

    async def use(self, use: ToolUse, talk: Talk, position: int) -> ToolResult:
        """Do what a model asks for, or take it from the record.

        Args:
            position: of the use among those of its reply, from 0.
        """
        call_id = make_id("use", talk.run_id, talk.round, self._case.uu_id, *talk.causes, position)
        is_beyond = not self.left
        call = await self._probes.find(call_id)
        if call is None:
            began = time.perf_counter()
            arguments, result = await self._outcome(use)
            call = ToolCall(
                tool_call_id=call_id,
                run_id=talk.run_id,
                round=talk.round,
                tool=sendable_name(use.name),
                caller="teacher",
                arguments=arguments,
                result=result,
                seconds=time.perf_counter() - began,
                created_at=now(),
                uu_id=self._case.uu_id,
            )
            await self._probes.add(call)
        if not is_beyond:
            self._done.append(call)
        return ToolResult(use.use_id, quote({**call.result, "calls_left": self.left}, indent=None))

    async def _outcome(self, use: ToolUse) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Returns: the arguments and the result, in plain JSON values."""
        arguments: Mapping[str, Any] = sendable_arguments(use.arguments)
        if not self.left:
            return arguments, {"error": f"not done: all {self._limit} calls are used up"}
        if use.name not in self._arguments.models:
            return arguments, {"error": f"there is no such tool; there are: {', '.join(self._arguments.models)}"}
        try:
            arguments = self._arguments.read(use.name, use.arguments)
        except MalformedAnswer as error:
            return arguments, {"error": f"these arguments cannot be used: {error}"}
        return arguments, await self._run(use.name, arguments)

    async def _run(self, tool: str, given: Mapping[str, Any]) -> dict[str, Any]:
        if tool == "classify":
            verdicts = await self._probes.classify([Labelled(text["fields"], text["label"]) for text in given["texts"]])
            return {"verdicts": [result_fields(verdict) for verdict in verdicts]}
        if tool == "attack":
            made = await self._probes.attack(Labelled(given["fields"], given["label"]), given["recipe"])
            return {
                "status": made.status,
                **({"perturbed": dict(made.fields)} if made.fields else {}),
                **(result_fields(made.verdict) if made.verdict else {}),
                "queries": made.queries,
                **({"error": made.error} if made.error else {}),
            }
        likeness = await self._probes.compare(given["fields"], given["other"] or self._fooling)
        return {"meaning": round(likeness.meaning, DIGITS), "characters": round(likeness.characters, DIGITS)}

    @property
    def _fooling(self) -> Fields:
        """The text of the case that fools the classifier."""
        return self._case.perturbed or self._case.original

    def evidence(self) -> dict[str, Any] | None:
        """What the probes showed; None where none was made.

        Only different texts of the teacher's own count as probes, and the case's texts do not: `probes`, `uus` (of
        them); `attacks`, `attack_uus` (those that ended in a UU); `tool_calls`, those that failed too; `model_id`.
        """
        if not self._done:
            return None
        own = {fields_key(text) for text in (self._case.original, self._case.perturbed) if text}
        probes: dict[object, bool] = {}
        attacks: dict[object, bool] = {}
        for call in self._done:
            if "error" in call.result:
                continue
            if call.tool == "classify":
                for text, verdict in zip(call.arguments["texts"], call.result["verdicts"], strict=True):
                    if fields_key(text["fields"]) not in own:
                        probes[fields_key(text["fields"]), text["label"]] = verdict["is_uu"]
            elif call.tool == "attack":
                given = call.arguments
                attacked = (fields_key(given["fields"]), given["label"], given["recipe"])
                attacks[attacked] = call.result["status"] == "flipped" and call.result["is_uu"]
        return {
            "probes": len(probes),
            "uus": sum(probes.values()),
            "attacks": len(attacks),
            "attack_uus": sum(attacks.values()),
            "tool_calls": len(self._done),
            "model_id": self._probes.model_id,
        }


def offered_tools(
    field_names: tuple[str, ...], labels: tuple[str, ...], *, recipes: tuple[str, ...], tau: float
) -> tuple[Tool, ...]:
    """What a model is told of its tools; without a recipe there is no `attack`."""
    arguments = arguments_for(field_names, labels, recipes)
    values = {"texts": str(MOST_TEXTS), "tau": f"{tau:g}"}
    tools = []
    for name in arguments.models:
        prompt = load_prompt(f"tool_{name}")
        description = prompt.fill(**{key: values[key] for key in prompt.placeholders})
        tools.append(Tool(name, description, arguments.schema(name)))
    return tuple(tools)


def result_fields(verdict: ProbeResult) -> dict[str, Any]:
    return asdict(replace(verdict, confidence=round(verdict.confidence, DIGITS)))
