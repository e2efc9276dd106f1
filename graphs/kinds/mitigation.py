"""The mitigation graph: rounds of attack, select, teach, filter, retrain, evaluate, until close_round says stop.

One graph serves scripted and autonomous runs: in an autonomous one the teacher decides, after each phase of a round,
which one comes next; the others, and what close_round looks at, are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from blindspot.agents.teachers.given import Given
from blindspot.graphs.context import Context, PhasesName, State
from blindspot.graphs.kinds.kind import RunKind
from blindspot.graphs.nodes.attack import attack
from blindspot.graphs.nodes.close_round import close_round, open_round
from blindspot.graphs.nodes.decide import decide
from blindspot.graphs.nodes.evaluate import evaluate, evaluate_original
from blindspot.graphs.nodes.filter import filter_round
from blindspot.graphs.nodes.prepare import prepare
from blindspot.graphs.nodes.programs import run_programs
from blindspot.graphs.nodes.retrain import retrain
from blindspot.graphs.nodes.select import select
from blindspot.graphs.nodes.teach import add_rows
from blindspot.graphs.nodes.write_more import write_more
from blindspot.graphs.phase import in_thread, on_loop
from blindspot.graphs.shared.budgets import FILTERED, runs_programs
from blindspot.graphs.teaching.teachers import check_judge, check_teacher
from blindspot.storage.errors import SettingsError
from blindspot.storage.records import Dataset
from blindspot.storage.settings.sections import Settings
from blindspot.tools.data.datasets import SPLITS, DataSource

PHASES = (
    "prepare", "evaluate_original", "open_round", "attack", "select", "teach", "programs", "filter", "retrain",
    "evaluate", "close_round",
)  # fmt: skip

WITHOUT_PROGRAMS = tuple(name for name in PHASES if name != "programs")
OTHERWISE = {"programs": ("filter",)}  # where a phase is left out
BEFORE_CHOICES = PHASES[:3]
AUTONOMOUS_PHASES = (
    *BEFORE_CHOICES, "decide", "attack", "select", "teach", "write_more", "programs", "filter", "retrain",
    "evaluate", "close_round",
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
        "programs": on_loop("programs", run_programs),
        "filter": in_thread("filter", filter_round),
        "retrain": in_thread("retrain", retrain),
        "evaluate": on_loop("evaluate", evaluate),
        "close_round": in_thread("close_round", close_round),
    }
    for name in AUTONOMOUS_PHASES:
        graph.add_node(name, nodes[name])
    graph.add_edge(START, PHASES[0])
    for before, after in pairwise(PHASES):
        if after in BEFORE_CHOICES:
            graph.add_edge(before, after)
        else:
            graph.add_conditional_edges(
                before, scripted_or_decided(after), [after, *OTHERWISE.get(after, ()), "decide"]
            )
    graph.add_edge("write_more", "decide")
    graph.add_conditional_edges("decide", as_decided, list(AUTONOMOUS_PHASES[AUTONOMOUS_PHASES.index("attack") :]))
    graph.add_conditional_edges("close_round", after_round, ["open_round", END])
    return graph


def scripted_or_decided(after: str) -> Callable[[State, Runtime[Context]], str]:
    """Go on with the next phase of the script, or let the teacher decide; what it taught as programs is run at once."""

    def route(state: State, runtime: Runtime[Context]) -> str:
        programs = after == "programs" and runs_programs(runtime.context.settings)
        if runtime.context.settings.teacher.autonomy == "autonomous" and not programs:
            return "decide"
        return "filter" if after == "programs" and not programs else after

    return route


def as_decided(state: State) -> str:
    """The phase that was chosen; to stop is to close the round for the last time."""
    return "close_round" if state["chosen"] == "stop" else state["chosen"]


def after_round(state: State) -> str:
    """Another round, unless close_round gave a reason to stop."""
    return END if state["stop"] else "open_round"


def check_teaching(settings: Settings, teachers: Given) -> None:
    """Check that the teacher and the judge could be opened, or that a method without a teacher leaves no choice to one.

    Raises: SettingsError, TeacherError.
    """
    check_judge(settings)
    if settings.method.name == "teacher":
        check_teacher(settings.teacher, teachers)
    elif settings.teacher.autonomy != "scripted":
        raise SettingsError(
            f'teacher.autonomy = "{settings.teacher.autonomy}": the method "{settings.method.name}" asks no teacher; '
            'set teacher.autonomy = "scripted"'
        )


def check_method(settings: Settings, source: DataSource, dataset: Dataset) -> None:
    """Check that the method and the levers have what they learn of: a file that can be read, attacks to be made.

    Raises: DataError, for a recorded sample that is wrong. SettingsError.
    """
    attack, method = settings.attack, settings.method
    if method.name == "recorded" and method.file:
        from blindspot.tools.additions.recorded import read_recorded

        read_recorded(Path(method.file), source, dataset.labels)
    if settings.hypotheses.file and runs_programs(settings):
        from blindspot.tools.programs.files import read_programs

        read_programs(Path(settings.hypotheses.file))
    if method.name == "programs" and not settings.hypotheses.file:
        raise SettingsError(
            'method.name = "programs": no programs are given; name a file of them in hypotheses.file, or choose '
            "another method"
        )
    if method.name == "adversarial" and not (attack.recipes and attack.samples + attack.train_samples):
        raise SettingsError(
            'method.name = "adversarial": nothing is attacked; name a recipe in attack.recipes, and samples to attack'
        )
    takes_attacks = bool(settings.retrain.consistency) and settings.retrain.twins == "attacks"
    if takes_attacks and method.name != "temperature" and not (attack.recipes and attack.train_samples):
        raise SettingsError(
            'retrain.twins = "attacks": no training sample is attacked, so none has a twin; set attack.train_samples, '
            'or retrain.twins = "typos"'
        )


def phases_of(settings: Settings) -> PhasesName:
    """Which of its courses a mitigation takes."""
    if settings.teacher.autonomy == "autonomous":
        return "autonomous"
    if runs_programs(settings):
        return "programs"
    return "mitigation" if settings.method.name == "teacher" else "baseline"


MITIGATION = RunKind(
    name="mitigation",
    build=build_mitigation,
    phases={
        "mitigation": WITHOUT_PROGRAMS,
        "baseline": WITHOUT_PROGRAMS,
        "programs": PHASES,
        "autonomous": AUTONOMOUS_PHASES,
    },
    phases_of=phases_of,
    splits=lambda _: SPLITS,
    check=check_teaching,
    check_data=check_method,
    filters=lambda settings: settings.method.name in FILTERED,
    has_rounds=True,
    judges=True,
)
