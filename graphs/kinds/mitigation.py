"""The mitigation graph: rounds of attack, select, teach, filter, retrain, evaluate, until close_round says stop.

One graph serves scripted and autonomous runs: in an autonomous one the teacher decides, after each phase of a round,
which one comes next; the others, and what close_round looks at, are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from blindspot.graphs.context import Context, State
from blindspot.graphs.nodes.attack import attack
from blindspot.graphs.nodes.close_round import close_round, open_round
from blindspot.graphs.nodes.decide import decide
from blindspot.graphs.nodes.evaluate import evaluate, evaluate_original
from blindspot.graphs.nodes.filter import filter_round
from blindspot.graphs.nodes.prepare import prepare
from blindspot.graphs.nodes.retrain import retrain
from blindspot.graphs.nodes.select import select
from blindspot.graphs.nodes.teach import add_rows
from blindspot.graphs.nodes.write_more import write_more
from blindspot.graphs.phase import in_thread, on_loop

PHASES = (
    "prepare", "evaluate_original", "open_round", "attack", "select", "teach", "filter", "retrain", "evaluate",
    "close_round",
)  # fmt: skip

BEFORE_CHOICES = PHASES[:3]
AUTONOMOUS_PHASES = (
    *BEFORE_CHOICES, "decide", "attack", "select", "teach", "write_more", "filter", "retrain", "evaluate",
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
        "decide": on_loop("decide", decide),
        "teach": on_loop("teach", add_rows),
        "write_more": on_loop("write_more", write_more),
        "filter": in_thread("filter", filter_round),
        "retrain": in_thread("retrain", retrain),
        "evaluate": in_thread("evaluate", evaluate),
        "close_round": in_thread("close_round", close_round),
    }
    for name in AUTONOMOUS_PHASES:
        graph.add_node(name, nodes[name])
    graph.add_edge(START, PHASES[0])
    for before, after in pairwise(PHASES):
        if after in BEFORE_CHOICES:
            graph.add_edge(before, after)
        else:
            graph.add_conditional_edges(before, scripted_or_decided(after), [after, "decide"])
    graph.add_edge("write_more", "decide")
    graph.add_conditional_edges("decide", as_decided, list(AUTONOMOUS_PHASES[AUTONOMOUS_PHASES.index("attack") :]))
    graph.add_conditional_edges("close_round", after_round, ["open_round", END])
    return graph


def scripted_or_decided(after: str) -> Callable[[State, Runtime[Context]], str]:
    """Go on with the next phase of the script, or let the teacher decide."""

    def route(state: State, runtime: Runtime[Context]) -> str:
        return "decide" if runtime.context.settings.teacher.autonomy == "autonomous" else after

    return route


def as_decided(state: State) -> str:
    """The phase that was chosen; to stop is to close the round for the last time."""
    return "close_round" if state["chosen"] == "stop" else state["chosen"]


def after_round(state: State) -> str:
    """Another round, unless close_round gave a reason to stop."""
    return END if state["stop"] else "open_round"
