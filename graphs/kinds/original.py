"""The graph of an original model version that several runs repair: trained, attacked and measured once for them all."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from langgraph.graph import END, START, StateGraph

from blindspot.graphs.context import Context, PhaseResult, State
from blindspot.graphs.kinds.kind import RunKind
from blindspot.graphs.nodes.attack import attack
from blindspot.graphs.nodes.evaluate import evaluate_original
from blindspot.graphs.nodes.prepare import prepare
from blindspot.graphs.phase import in_thread
from blindspot.tools.data.datasets import SPLITS
from blindspot.tools.progress import Report

PHASES = ("prepare", "attack", "evaluate_original")


def build_original() -> StateGraph[State, Context, Any, Any]:
    """Wire the graph; compile it with a checkpointer of the caller's."""
    graph = StateGraph(State, context_schema=Context)
    nodes: dict[str, Any] = {
        "prepare": in_thread("prepare", prepare),
        "attack": in_thread("attack", attack),
        "evaluate_original": in_thread("evaluate_original", evaluate_and_end),
    }
    for name in PHASES:
        graph.add_node(name, nodes[name])
    for before, after in pairwise((START, *PHASES, END)):
        graph.add_edge(before, after)
    return graph


def evaluate_and_end(context: Context, state: State, report: Report) -> PhaseResult:
    """Measure the version, which is all there is to do."""
    changes, summary = evaluate_original(context, state, report)
    return PhaseResult(changes | {"stop": "the original model version is measured"}, summary)


ORIGINAL = RunKind(
    name="original",
    build=build_original,
    phases={"original": PHASES},
    phases_of=lambda _: "original",
    splits=lambda _: SPLITS,
    check=lambda *_: None,
    unasked="only makes the original model version, and asks no teacher",
)
