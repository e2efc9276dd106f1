"""The mitigation graph: rounds of attack, select, teach, filter, retrain, evaluate, until close_round says stop."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from langgraph.graph import END, START, StateGraph

from blindspot.graphs.attack import attack
from blindspot.graphs.close_round import close_round, open_round
from blindspot.graphs.evaluate import evaluate, evaluate_original
from blindspot.graphs.filter import filter_round
from blindspot.graphs.phase import in_thread, on_loop
from blindspot.graphs.prepare import prepare
from blindspot.graphs.retrain import retrain
from blindspot.graphs.select import select
from blindspot.graphs.state import Context, State
from blindspot.graphs.teach import teach

PHASES = (
    "prepare", "evaluate_original", "open_round", "attack", "select", "teach", "filter", "retrain", "evaluate",
    "close_round",
)  # fmt: skip


def build_mitigation() -> StateGraph[State, Context, Any, Any]:
    """Wire the graph; compile it with a checkpointer of the caller's."""
    graph = StateGraph(State, context_schema=Context)
    nodes: dict[str, Any] = {
        "prepare": in_thread("prepare", prepare),
        "evaluate_original": in_thread("evaluate_original", evaluate_original),
        "open_round": in_thread("open_round", open_round),
        "attack": in_thread("attack", attack),
        "select": in_thread("select", select),
        "teach": on_loop("teach", teach),
        "filter": in_thread("filter", filter_round),
        "retrain": in_thread("retrain", retrain),
        "evaluate": in_thread("evaluate", evaluate),
        "close_round": in_thread("close_round", close_round),
    }
    for name in PHASES:
        graph.add_node(name, nodes[name])
    graph.add_edge(START, PHASES[0])
    for before, after in pairwise(PHASES):
        graph.add_edge(before, after)
    graph.add_conditional_edges("close_round", after_round, ["open_round", END])
    return graph


def after_round(state: State) -> str:
    """Another round, unless close_round gave a reason to stop."""
    return END if state["stop"] else "open_round"
