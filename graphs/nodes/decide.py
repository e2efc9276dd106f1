"""decide: in an autonomous run the teacher chooses the next step; what it asks for and what it gets is recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from blindspot.agents.calls.caller import Caller
from blindspot.agents.calls.log import Question
from blindspot.agents.chat import Reply
from blindspot.agents.prompts.prompting import content_hash
from blindspot.agents.teachers.decisions import Choice, decision_question, read_choice, refused
from blindspot.graphs.autonomy.scene import Scene, read_scene
from blindspot.graphs.autonomy.steps import NATURAL, last_step, possible, refusal, scripted_step
from blindspot.graphs.context import Context, PhaseResult, State
from blindspot.graphs.teaching.tasks import run_all
from blindspot.graphs.teaching.teachers import asking
from blindspot.storage.clock import now
from blindspot.storage.errors import BudgetSpent, MalformedAnswer, SettingsError, Unanswered
from blindspot.storage.ids import make_id
from blindspot.storage.records import SyntheticSample, ToolCall
from blindspot.tools.progress import Report

MOST_REFUSED = 4  # choices in a row, before the scripted order decides


async def decide(context: Context, state: State, report: Report) -> PhaseResult:
    """Have the next step chosen, and its arguments made definite so that a resumed run does just the same.

    At the limit of steps the round is brought to an end. Where the teacher cannot decide, the scripted order does.

    Raises: TeacherError, when the teacher cannot be used at all. Cancelled, when asked to stop.
    """
    step, limit = state.get("step", 0), context.settings.teacher.steps
    scene = await asyncio.to_thread(read_scene, context, state, step)
    choice, why = None, ""
    if step < limit:
        step, choice, why = await ask_choice(context, state, scene, report)
    if choice is None and step >= limit:
        why = f"the limit of {limit} steps is reached (teacher.steps)"
        choice = last_step(scene.facts, why)
    elif choice is None:
        choice = scripted_step(scene.facts, context.settings.attack.samples)
    if why:
        message = f"step {step}: {why}: goes on with {choice.step}"
        await asyncio.to_thread(context.tell, state["round"], "decide", message, level="warning")
        step += step >= limit  # the phases that end a round have steps of their own
    arguments = await asyncio.to_thread(make_definite, context, scene, choice)
    given = {key: value for key, value in choice.arguments.items() if value is not None}
    return PhaseResult({"step": step, "chosen": choice.step, "knobs": arguments}, {"next": choice.step, **given})


async def ask_choice(context: Context, state: State, scene: Scene, report: Report) -> tuple[int, Choice | None, str]:
    """Ask until a choice can be followed.

    Returns: the last step, and the choice; or None and why the teacher made none.
    """
    step, settings = state.get("step", 0), context.settings
    question = decision_question(context.dataset.task, scene.summary, possible(scene.facts))
    summary = content_hash(question.text)
    last, asked = min(settings.teacher.steps, step + MOST_REFUSED), 0
    async with asking(context, state["round"]) as caller:
        while step < last:
            began = time.monotonic()
            step, asked = step + 1, asked + 1
            try:
                reply = await answer_to(context, caller, question)
            except (MalformedAnswer, Unanswered, BudgetSpent) as error:
                await record_request(context, state, step, {"state": summary}, str(error), began)
                return step, None, f"the teacher cannot decide ({error})"
            choice, reason = await asyncio.to_thread(check_choice, context, scene, reply)
            wanted = {"chosen": choice.step, **choice.arguments} if choice else raw(reply)
            await record_request(context, state, step, {"state": summary, **wanted}, reason, began)
            if choice and not reason:
                return step, attributed(choice), ""
            question = refused(question, reply, reason or "")
            report(asked, 0)
    return step, None, f"{asked} choices in a row were refused"


async def answer_to(context: Context, caller: Caller, question: Question) -> Reply:
    """Get a reply; a stop lets the request in flight come to its end."""
    replies: list[Reply] = []

    async def one() -> None:
        reply, _ = await caller.ask(question, lambda reply: reply)
        replies.append(reply)

    await run_all([one()], cancelled=context.cancelled)
    return replies[0]


def check_choice(context: Context, scene: Scene, reply: Reply) -> tuple[Choice | None, str | None]:
    """Read a reply. Returns: the choice, None where there is none to be read; and why it is refused."""
    try:
        choice = read_choice(reply)
    except MalformedAnswer as error:
        return None, str(error)
    return choice, refusal(choice, scene.facts) or out_of_reach(context, choice)


def out_of_reach(context: Context, choice: Choice) -> str | None:
    """Why a recipe cannot reach the goal of a choice; that of the settings was looked at before the run began."""
    goal = choice.arguments.get("goal")
    if goal != "confident" or context.settings.attack.goal == goal or choice.arguments["recipe"] == NATURAL:
        return None
    from blindspot.tools.attack.goal import copy_attack
    from blindspot.tools.attack.recipes import try_recipe

    try:
        recipe = try_recipe(choice.arguments["recipe"], context.settings.attack.sentence_encoder)
        copy_attack(recipe, confidence=context.settings.run.tau)
    except SettingsError as error:
        return str(error)
    return None


def attributed(choice: Choice) -> Choice:
    """Say whose the reason is, where a teacher stops the run."""
    if choice.step != "stop":
        return choice
    return Choice(choice.step, {"reason": f"the teacher stopped: {choice.arguments['reason']}"})


def raw(reply: Reply) -> dict[str, Any]:
    """What a reply asks for where no choice can be read from it."""
    return {"asked": [{"name": use.name, "arguments": use.arguments} for use in reply.uses], "said": reply.text[:1000]}


async def record_request(
    context: Context, state: State, step: int, wanted: Mapping[str, Any], reason: str | None, began: float
) -> None:
    """Record what the teacher asked for, and whether it got it."""
    row = ToolCall(
        tool_call_id=make_id("tool", context.run_id, state["round"], "decide", step, "teacher"),
        run_id=context.run_id,
        round=state["round"],
        tool="decide",
        caller="teacher",
        arguments={"step": step, **wanted},
        result={"accepted": reason is None} | ({"why": reason} if reason else {}),
        seconds=time.monotonic() - began,
        created_at=now(),
    )
    await asyncio.to_thread(context.store.put, row)


def make_definite(context: Context, scene: Scene, choice: Choice) -> dict[str, Any]:
    """Turn "so many more" into what there will be in the end: doing it twice then does it once."""
    arguments, facts = dict(choice.arguments), scene.facts
    if choice.step == "attack" and arguments["recipe"] != NATURAL:
        recipe = arguments["recipe"]
        arguments["samples"] = facts.attacked[recipe] + min(arguments["samples"], facts.left(recipe))
    if choice.step == "select":
        arguments["before"] = sum(facts.selected.values())
    if choice.step == "write_more":
        ids = [scene.names[name] for name in dict.fromkeys(arguments["hypotheses"])]
        arguments["before"] = {key: context.store.count(SyntheticSample, hypothesis_id=key) for key in ids}
    return arguments
