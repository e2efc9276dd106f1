"""The tools as a teacher sees them: what it may ask for, what it gets, how often, and what its probes showed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from blindspot.agents.chat import Tool, ToolResult, ToolUse
from blindspot.agents.prompts.prompting import load_prompt, quote
from blindspot.agents.providers.tool_wire import sendable_arguments, sendable_name
from blindspot.agents.teachers.probes import Labelled, Probes, Verdict
from blindspot.agents.teachers.teacher import Case
from blindspot.agents.teachers.tool_arguments import MOST_TEXTS, arguments_for
from blindspot.storage.errors import MalformedAnswer
from blindspot.storage.records import Fields, ToolCall, make_id, now

DIGITS = 2  # of what a teacher is told: a GPU's last bits must not change a conversation


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
            return {"verdicts": [told(verdict) for verdict in verdicts]}
        if tool == "attack":
            made = await self._probes.attack(Labelled(given["fields"], given["label"]), given["recipe"])
            return {
                "status": made.status,
                **({"perturbed": dict(made.fields)} if made.fields else {}),
                **(told(made.verdict) if made.verdict else {}),
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
        own = {key_of(text) for text in (self._case.original, self._case.perturbed) if text}
        probes: dict[object, bool] = {}
        attacks: dict[object, bool] = {}
        for call in self._done:
            if "error" in call.result:
                continue
            if call.tool == "classify":
                for text, verdict in zip(call.arguments["texts"], call.result["verdicts"], strict=True):
                    if key_of(text["fields"]) not in own:
                        probes[key_of(text["fields"]), text["label"]] = verdict["is_uu"]
            elif call.tool == "attack":
                given = call.arguments
                attacked = (key_of(given["fields"]), given["label"], given["recipe"])
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


def told(verdict: Verdict) -> dict[str, Any]:
    return asdict(replace(verdict, confidence=round(verdict.confidence, DIGITS)))


def key_of(fields: Fields) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(fields.items()))
