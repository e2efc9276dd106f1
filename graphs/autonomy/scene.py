"""The state of things in an autonomous run, read from its rows: as facts for code, and in words for the teacher.

Nothing in it comes from the test split: of evaluations a teacher only learns which model versions were kept.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blindspot.graphs.autonomy.steps import NATURAL, Facts, hindrances, possible
from blindspot.graphs.context import Context, State
from blindspot.graphs.shared.attacks import budget_of, uus_of
from blindspot.graphs.shared.budgets import most_selected
from blindspot.graphs.shared.draws import fair_order
from blindspot.storage.records import Attack, Hypothesis, Round, SyntheticSample, TeacherCall, ToolCall, Uu

HYPOTHESES_SHOWN = 20
HYPOTHESIS_CHARACTERS = 300  # shown of each
EVIDENCE = ("probes", "uus", "attacks", "attack_uus")  # of what a hypothesis holds; its model_id tells nothing
UNTOLD = ("decide", "open_round", "evaluate", "close_round")  # phases whose results a teacher is not shown


@dataclass(frozen=True, slots=True)
class RoundRows:
    """What a round has so far."""

    uus: list[Uu]
    attacks: list[Attack]  # on validation samples, of the model version under repair, that this run asked for
    hypotheses: list[Hypothesis]  # in an order that is the same in every run that finds the same UUs
    samples: list[SyntheticSample]
    phases: list[ToolCall]  # in the order of their steps


@dataclass(frozen=True, slots=True)
class Scene:
    """The state of things before a step."""

    facts: Facts
    summary: dict[str, Any]  # in plain JSON values
    names: dict[str, str]  # of hypotheses: as they are told -> id


def read_scene(context: Context, state: State, step: int) -> Scene:
    """See where a run is, from what the phases before a step have left: looking again shows the same.

    Args:
        step: the last one, from 0.
    """
    rows = read_rows(context, state)
    names = {f"h{number}": row.hypothesis_id for number, row in enumerate(rows.hypotheses, start=1)}
    facts = facts_of(context, state, rows, names)
    summary = {
        "round": state["round"],
        "earlier_rounds": [
            {"round": row.round, "new_model_kept": row.accepted}
            for row in context.store.rows(Round, run_id=context.run_id)
            if row.round < state["round"]
        ],
        "left": budget_left(context, state, step),
        "done_in_this_round": [story(row) for row in rows.phases if row.tool not in ("decide", "open_round")],
        "uus": uus_told(facts),
        "uus_that_may_still_be_selected": facts.room,
        "selected_uus_not_taught_yet": facts.untaught,
        "hypotheses": hypotheses_told(names, rows),
        "samples": samples_told(rows.samples),
        "labels": list(context.dataset.labels),
        "training_samples": context.dataset.rows["train"],
        "epochs": {"usual": facts.epochs, "from": facts.epoch_bounds[0], "to": facts.epoch_bounds[1]},
        "possible_now": possible(facts),
        "not_possible_now": hindrances(facts),
    }
    return Scene(facts, summary, names)


def read_rows(context: Context, state: State) -> RoundRows:
    """Read a round's rows; those that attacks and predictions on the test split left are not among them."""
    of_round = {"run_id": context.run_id, "round": state["round"]}
    uus = uus_of(context, state["round"])
    found_by = {uu.uu_id: (uu.sample_id, uu.recipe or "") for uu in uus}
    store = context.store
    hypotheses = store.rows(Hypothesis, **of_round)
    phases = [row for row in store.rows(ToolCall, **of_round, caller="graph") if row.arguments.get("step")]
    return RoundRows(
        uus=uus,
        attacks=attacks_asked_for(context, state),
        hypotheses=sorted(hypotheses, key=lambda row: (*found_by[row.uu_id], row.kind)),
        samples=store.rows(SyntheticSample, **of_round),
        phases=sorted(phases, key=lambda row: row.arguments["step"]),
    )


def attacks_asked_for(context: Context, state: State) -> list[Attack]:
    """The attacks whose UUs this run has looked for; another run that repairs the same version may have made more."""
    asked: dict[str, int] = {}  # recipe -> samples, the first in the order of attacks
    for row in context.store.rows(ToolCall, run_id=context.run_id, tool="attack", caller="graph"):
        if row.arguments["model_id"] == state["model_id"]:
            recipe = row.arguments["recipe"]
            asked[recipe] = max(asked.get(recipe, 0), row.arguments["samples"])
    order = fair_order(context.samples("validation"), seed=context.settings.run.seed)
    places = {sample.sample_id: place for place, sample in enumerate(order)}
    rows = context.store.rows(Attack, model_id=state["model_id"], split="validation")
    return [row for row in rows if places[row.sample_id] < asked.get(row.recipe, 0)]


def facts_of(context: Context, state: State, rows: RoundRows, names: Mapping[str, str]) -> Facts:
    settings = context.settings
    attacks = {name: [row for row in rows.attacks if row.recipe == name] for name in settings.attack.recipes}
    budget = budget_of(settings.attack)
    tau = settings.run.tau
    begun = {row.tool: row.arguments["step"] for row in rows.phases}  # the last step of each
    return Facts(
        validation=context.dataset.rows["validation"],
        attacked={name: len(own) for name, own in attacks.items()},
        spent={name: budget.reached(own, tau) for name, own in attacks.items() if budget.less(own, tau).is_spent},
        searched="attack" in begun,
        found=Counter(uu.recipe or NATURAL for uu in rows.uus),
        selected=Counter(uu.recipe or NATURAL for uu in rows.uus if uu.selected),
        most_selected=most_selected(context),
        untaught=count_untaught(rows),
        taught=begun.get("teach", 0) > begun.get("select", 0),
        hypotheses=frozenset(names),
        unfiltered=sum(sample.accepted is None for sample in rows.samples),
        accepted=sum(bool(sample.accepted) for sample in rows.samples),
        trained=state["new_model_id"] is not None,
        evaluated="evaluate" in begun,
        epochs=usual_epochs(context),
    )


def count_untaught(rows: RoundRows) -> int:
    """Count the selected UUs that lack one of their hypotheses, or samples after one."""
    illustrated = {sample.hypothesis_id for sample in rows.samples}
    done = Counter(row.uu_id for row in rows.hypotheses if row.hypothesis_id in illustrated)
    return sum(uu.selected and done[uu.uu_id] < 2 for uu in rows.uus)  # an abstraction and an extrapolation


def usual_epochs(context: Context) -> float:
    """How many epochs a scripted round trains."""
    from blindspot.tools.training.retrain import choose_training

    classifier = context.settings.classifier
    epochs = context.settings.retrain.epochs or classifier.epochs
    return choose_training(classifier.preset, epochs=epochs).epochs


def story(row: ToolCall) -> dict[str, Any]:
    """Tell of a phase what was chosen and what came of it."""
    hidden = ("model_id", "hypotheses", "before")  # ids, and names that mean others by now
    chosen = {key: value for key, value in row.arguments.items() if key not in hidden and value is not None}
    return {"phase": row.tool, **chosen} | ({} if row.tool in UNTOLD else {"result": dict(row.result)})


def uus_told(facts: Facts) -> dict[str, dict[str, int]]:
    """UUs by what found them, natural ones first."""
    counts = {NATURAL: {"found": facts.found.get(NATURAL, 0), "selected": facts.selected.get(NATURAL, 0)}}
    for recipe, attacked in facts.attacked.items():
        counts[recipe] = {
            "samples_attacked": attacked,
            "samples_left": facts.left(recipe),
            "found": facts.found.get(recipe, 0),
            "selected": facts.selected.get(recipe, 0),
        }
    return counts


def hypotheses_told(names: Mapping[str, str], rows: RoundRows) -> dict[str, Any]:
    """The hypotheses with their evidence and what came of their samples; of many, those with the most evidence."""
    ranked = sorted(zip(names, rows.hypotheses, strict=True), key=lambda pair: -strength(pair[1]))
    shown = {name: hypothesis_told(row, rows) for name, row in ranked[:HYPOTHESES_SHOWN]}
    return shown | ({"not_shown": len(ranked) - len(shown)} if len(ranked) > len(shown) else {})


def strength(row: Hypothesis) -> float:
    """The share of a hypothesis's probes and attacks that showed UUs; 0 without any."""
    evidence = row.evidence or {}
    made = evidence.get("probes", 0) + evidence.get("attacks", 0)
    return (evidence["uus"] + evidence["attack_uus"]) / made if made else 0.0


def hypothesis_told(row: Hypothesis, rows: RoundRows) -> dict[str, Any]:
    evidence = row.evidence or {}
    (uu,) = (uu for uu in rows.uus if uu.uu_id == row.uu_id)
    samples = [sample for sample in rows.samples if sample.hypothesis_id == row.hypothesis_id]
    text = row.text if len(row.text) <= HYPOTHESIS_CHARACTERS else f"{row.text[:HYPOTHESIS_CHARACTERS]}…"
    return {
        "kind": row.kind,
        "about": uu.recipe or NATURAL,
        "hypothesis": text,
        "evidence": {key: evidence[key] for key in EVIDENCE if key in evidence},
        "samples": ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in samples_told(samples).items()),
    }


def samples_told(samples: Sequence[SyntheticSample]) -> dict[str, int]:
    """Count samples by what the filter said of them."""
    reasons = Counter(sample.rejected_by for sample in samples if sample.rejected_by)
    return {
        "written": len(samples),
        "not_filtered_yet": sum(sample.accepted is None for sample in samples),
        "accepted": sum(bool(sample.accepted) for sample in samples),
        **{f"rejected_by_{reason}": count for reason, count in sorted(reasons.items())},
    }


def budget_left(context: Context, state: State, step: int) -> dict[str, Any]:
    """What is left of the budget, as the last phase left it.

    What is bought for the decision at hand is not counted: a run that is killed meanwhile puts the same question again.
    """
    settings = context.settings
    left: dict[str, Any] = {
        "steps": settings.teacher.steps - step,
        "rounds_after_this_one": settings.run.rounds - state["round"],
    }
    phases = [
        row for row in context.store.rows(ToolCall, run_id=context.run_id, caller="graph") if row.tool != "decide"
    ]
    since = max(row.created_at for row in phases)
    calls = [row for row in context.store.rows(TeacherCall, run_id=context.run_id) if not row.cache_hit]
    calls = [row for row in calls if row.created_at <= since]
    bought = sum(row.reply is not None for row in calls)
    if settings.teacher.max_calls is not None:
        left["answers"] = max(0, settings.teacher.max_calls - bought)
    if settings.teacher.max_usd is not None:
        left["usd"] = max(0.0, round(settings.teacher.max_usd - math.fsum(row.cost_usd or 0.0 for row in calls), 4))
    return left
