"""The steps that a teacher may choose among, as tools with arguments, and how its choice is asked for and read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from blindspot.agents.calls.log import Question
from blindspot.agents.chat import Message, Reply, Tool, ToolResult
from blindspot.agents.prompts.prompting import load_prompt, quote, without_titles
from blindspot.agents.teachers.answers import describe_problem
from blindspot.storage.errors import MalformedAnswer

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]


class StepArguments(BaseModel):
    """What can be chosen about a step; what is None or has a default may be left out."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class AttackArguments(StepArguments):
    """Find UUs: natural ones, and adversarial ones by attacking validation samples that were not attacked yet."""

    recipe: str = Field(description='a recipe that the state names, or "natural" to look at samples as they are')
    samples: int = Field(default=100, ge=1, description="attack at most this many more samples")
    goal: Literal["flip", "confident"] | None = Field(
        default=None, description="stop where the label flips, or only where it does so with confidence"
    )


class SelectArguments(StepArguments):
    """Select UUs of this round to be explained, in addition to those already selected."""

    count: int = Field(ge=1, description="select at most this many more")
    recipe: str = Field(default="any", description='"any", "natural", or the recipe that found them')
    by: Literal["random", "confidence"] = Field(
        default="random", description="draw them at random, or take those that the classifier is most confident of"
    )


class TeachArguments(StepArguments):
    """Have every selected UU that was not taught about yet explained, and samples written after the hypotheses."""


class WriteMoreArguments(StepArguments):
    """Have more samples written after hypotheses of this round."""

    hypotheses: list[str] = Field(min_length=1, max_length=20, description="their names in the state, such as h3")
    samples: int = Field(ge=1, le=10, description="how many more samples to write after each of them")


class FilterArguments(StepArguments):
    """Check the samples that were written; only accepted ones are trained on."""


class RetrainArguments(StepArguments):
    """Train this round's model version on the training samples and all accepted ones; once in a round."""

    start: Literal["base", "current"] | None = Field(
        default=None, description="base: start again from the base model; current: go on from the current model version"
    )
    epochs: float | None = Field(default=None, gt=0, description="within the bounds that the state names")
    synthetic_weight: float | None = Field(
        default=None, ge=0.1, le=10, description="weight of an accepted sample in the loss; a training sample's is 1"
    )


class EvaluateArguments(StepArguments):
    """Measure the model version that this round trained."""


class CloseRoundArguments(StepArguments):
    """Close the round: the new model version is kept or dropped by fixed rules."""


class StopArguments(StepArguments):
    """End the run here, because nothing that is left is worth its price."""

    reason: Line = Field(description="why, in one sentence")


ARGUMENTS: Mapping[str, type[StepArguments]] = {
    "attack": AttackArguments,
    "select": SelectArguments,
    "teach": TeachArguments,
    "write_more": WriteMoreArguments,
    "filter": FilterArguments,
    "retrain": RetrainArguments,
    "evaluate": EvaluateArguments,
    "close_round": CloseRoundArguments,
    "stop": StopArguments,
}
"""Every step, in the order of a round."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A step and its arguments, as they were asked for; whether it makes sense now is for others to say."""

    step: str
    arguments: Mapping[str, Any]


def decision_question(task: str, state: Mapping[str, Any], steps: Sequence[str]) -> Question:
    """Ask for the next step.

    Args:
        state: the state of things, in plain JSON values.
        steps: those that make sense now.
    """
    prompt = load_prompt("decide")
    text = prompt.fill(task=task.rstrip(". "), state=quote(state))
    return Question("decide", "", text, prompt.content_hash, tools=tuple(map(tool_of, steps)))


def tool_of(step: str) -> Tool:
    """Describe a step to a model."""
    schema = without_titles(ARGUMENTS[step].model_json_schema())
    description = schema.pop("description")
    return Tool(step, description, schema)


def read_choice(reply: Reply) -> Choice:
    """Find the one step that a reply asks for.

    Raises: MalformedAnswer, with the reason for the model.
    """
    if len(reply.uses) != 1:
        asked = f"{len(reply.uses)} at once" if reply.uses else "none"
        raise MalformedAnswer(f"call exactly one tool, the next step: you called {asked}")
    (use,) = reply.uses
    if use.name not in ARGUMENTS:
        raise MalformedAnswer(f"there is no step {use.name!r}; the steps are {', '.join(ARGUMENTS)}")
    try:
        arguments = ARGUMENTS[use.name].model_validate_json(use.arguments.strip() or "{}")
    except ValidationError as error:
        reasons = "; ".join(describe_problem(dict(problem)) for problem in error.errors()[:3])
        raise MalformedAnswer(f"the arguments of {use.name} cannot be used: {reasons}") from None
    return Choice(use.name, arguments.model_dump(mode="json"))


def refused(question: Question, reply: Reply, reason: str) -> Question:
    """Put the question again after a choice that was refused."""
    why = f"refused: {reason}"
    if reply.uses:
        results = tuple(ToolResult(use.use_id, json.dumps({"refused": reason})) for use in reply.uses)
        turns = Message("assistant", reply.text, uses=reply.uses), Message("user", "", results=results)
    else:  # providers refuse an empty turn
        turns = Message("assistant", reply.text.strip() or "(nothing)"), Message("user", why)
    return replace(question, turns=(*question.turns, *turns))
