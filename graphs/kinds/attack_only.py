"""The graph of `blindspot attack`: samples of one split are attacked, and how that went is measured; no round."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from langgraph.graph import END, START, StateGraph

from blindspot.graphs.context import Context, PhaseResult, State
from blindspot.graphs.kinds.kind import RunKind
from blindspot.graphs.nodes.evaluate import scope_of, statistics_of
from blindspot.graphs.nodes.prepare import prepare
from blindspot.graphs.phase import in_thread
from blindspot.graphs.shared.attacks import stops
from blindspot.graphs.shared.draws import draw_samples
from blindspot.graphs.shared.finding import find_uus
from blindspot.storage.errors import SettingsError
from blindspot.storage.records import Attack, Sample
from blindspot.storage.settings.sections import Settings
from blindspot.storage.words import Split
from blindspot.tools.data.datasets import SPLITS
from blindspot.tools.progress import Report

PHASES = ("prepare", "attack", "measure")


def build_attack_only() -> StateGraph[State, Context, Any, Any]:
    """Wire the graph; compile it with a checkpointer of the caller's."""
    graph = StateGraph(State, context_schema=Context)
    nodes: dict[str, Any] = {
        "prepare": in_thread("prepare", prepare),
        "attack": in_thread("attack", attack_drawn),
        "measure": in_thread("measure", measure_attacks),
    }
    for name in PHASES:
        graph.add_node(name, nodes[name])
    for before, after in pairwise((START, *PHASES, END)):
        graph.add_edge(before, after)
    return graph


def check_attack(settings: Settings) -> None:
    """Check that there is something to attack, and something to attack it with.

    Raises: SettingsError.
    """
    if not settings.attack.recipes:
        raise SettingsError("attack.recipes: empty; name a recipe, e.g. deepwordbug")
    if not settings.attack.samples:
        raise SettingsError("attack.samples: 0 leaves nothing to attack; use 1 or more")


def attack_drawn(context: Context, state: State, report: Report) -> PhaseResult:
    """Attack samples of the split that the settings name; add the UUs among them, natural and adversarial."""
    samples = drawn(context)
    attacks, uus = find_uus(context, state, samples, samples, report)
    result = {
        "attacked": len(attacks),
        "flipped": sum(row.status == "flipped" for row in attacks),
        "UUs": sum(uu.kind == "adversarial" for uu in uus),
        "queries": sum(row.queries for row in attacks),
    }
    return PhaseResult({}, result | stops(context, attacks, len(samples)))


def measure_attacks(context: Context, state: State, report: Report) -> PhaseResult:
    """Add the statistics of each recipe's attacks, and say why the run ends."""
    attacks = context.store.rows(Attack, model_id=state["model_id"])
    rows = statistics_of(attacks, replace(scope_of(context, 0), split=context.settings.attack.split))
    context.store.add(rows)
    early = [f"{who} {where}" for who, where in stops(context, attacks, len(drawn(context))).items()]
    return PhaseResult({"stop": "; ".join(early) or "every attack is done"}, {"figures": len(rows)})


def drawn(context: Context) -> list[Sample]:
    """The samples that are attacked: a random draw from the split, each class in its share."""
    settings = context.settings
    return draw_samples(context.samples(settings.attack.split), settings.attack.samples, seed=settings.run.seed)


def splits_attacked(settings: Settings) -> tuple[Split, ...]:
    """The split under attack, and the one that the classifier is fine-tuned on, where it is."""
    wanted = {settings.attack.split, "train" if settings.classifier.fine_tune else settings.attack.split}
    return tuple(split for split in SPLITS if split in wanted)


ATTACK_ONLY = RunKind(
    name="attack",
    build=build_attack_only,
    phases={"attack": PHASES},
    phases_of=lambda _: "attack",
    splits=splits_attacked,
    check=lambda settings, _: check_attack(settings),
    reads_log=False,
    unasked="only attacks, and asks no teacher",
)
