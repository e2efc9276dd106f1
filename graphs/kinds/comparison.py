"""The graph of `blindspot compare-teachers`: several teachers explain the same UUs, and what came of it is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from langgraph.errors import GraphInterrupt
from langgraph.graph import END, START, StateGraph

from blindspot.agents.calls.prices import UNCHARGED
from blindspot.agents.spec import OBJECT, TeacherSpec
from blindspot.agents.teachers.given import NOBODY, Given
from blindspot.graphs.context import Context, PhaseResult, State
from blindspot.graphs.kinds.asked import teachers_of
from blindspot.graphs.kinds.kind import RunKind
from blindspot.graphs.nodes.attack import attack
from blindspot.graphs.nodes.filter import compared_with, tell_uneven
from blindspot.graphs.nodes.prepare import prepare
from blindspot.graphs.nodes.select import select
from blindspot.graphs.phase import in_thread, on_loop
from blindspot.graphs.shared.attacks import uus_of
from blindspot.graphs.teaching.teach import teach
from blindspot.graphs.teaching.teachers import WITHOUT_TOOLS, check_teacher
from blindspot.graphs.versions.versions import OnDemand, predict_once
from blindspot.storage.errors import Cancelled, SettingsError, TeacherError
from blindspot.storage.records import Hypothesis, SyntheticSample, TeacherCall, TeacherComparison
from blindspot.storage.settings.sections import Settings
from blindspot.tools.metrics.teacher_comparison import FAILED, Taught, count_taught
from blindspot.tools.progress import Report

UNCAPPED = ("rules", OBJECT)  # teachers whose calls are not counted
PHASES = ("prepare", "attack", "select", "teach", "filter", "compare")


def build_comparison() -> StateGraph[State, Context, Any, Any]:
    """Wire the graph; compile it with a checkpointer of the caller's."""
    graph = StateGraph(State, context_schema=Context)
    nodes: dict[str, Any] = {
        "prepare": in_thread("prepare", prepare),
        "attack": in_thread("attack", attack),
        "select": in_thread("select", select),
        "teach": on_loop("teach", teach_each),
        "filter": in_thread("filter", filter_each),
        "compare": in_thread("compare", compare),
    }
    for name in PHASES:
        graph.add_node(name, nodes[name])
    for before, after in pairwise((START, *PHASES, END)):
        graph.add_edge(before, after)
    return graph


def check_comparison(settings: Settings, teachers: Given = NOBODY) -> None:
    """Check that there are teachers to compare, that each could be opened, and that there is a call for each.

    Args:
        teachers: those that are objects.
    Raises: SettingsError, TeacherError.
    """
    specs = teachers_of(settings)
    if len(specs) < 2:
        raise SettingsError(f"compare.teachers: {len(specs)} given; name two or more, e.g. --teacher rules --teacher …")
    for place, spec in enumerate(specs):
        if spec in specs[:place]:
            raise SettingsError(f'compare.teachers: "{spec}" is listed twice')
    most, asked = settings.teacher.max_calls, len(without(settings, UNCAPPED))
    if most is not None and most < asked:
        raise SettingsError(f"teacher.max_calls: {most} is too few for {asked} teachers; allow one call for each")
    for spec in specs:
        check_teacher(teacher_settings(settings, spec).teacher, teachers)


def without(settings: Settings, providers: Collection[str]) -> list[str]:
    """The teachers to compare but for those of some providers."""
    return [spec for spec in teachers_of(settings) if TeacherSpec.parse(spec).provider not in providers]


def teacher_settings(settings: Settings, spec: str) -> Settings:
    """The settings as one of the teachers has them.

    The caps are those of the whole run: each teacher that they hold back may spend the same part of them, whatever the
    others do. Those that cannot call tools teach as ever beside others that do; none decides what comes next.
    """
    part: dict[str, Any] = {"spec": spec}
    teacher = settings.teacher
    asked, billed = without(settings, UNCAPPED), without(settings, UNCHARGED)
    if spec not in without(settings, WITHOUT_TOOLS):
        part["autonomy"] = "scripted"
    elif teacher.autonomy == "autonomous":
        part["autonomy"] = "probing"
    if spec in asked and teacher.max_calls is not None:
        part["max_calls"] = teacher.max_calls // len(asked)
    if spec in billed and teacher.max_usd is not None:
        part["max_usd"] = teacher.max_usd / len(billed)
    return settings.model_copy(update={"teacher": teacher.model_copy(update=part)})


async def teach_each(context: Context, state: State, report: Report) -> PhaseResult:
    """Have every teacher teach about the selected UUs, side by side; one that cannot be used is recorded.

    Raises: TeacherError, when none of them can be used. Cancelled, when asked to stop. GraphInterrupt, when what is
        left waits for answers in files; the other teachers are through with it by then.
    """
    specs = teachers_of(context.settings)
    steps = dict.fromkeys(specs, (0, 0))  # done and total of each

    async def teach_one(spec: str) -> None:
        def report_all(done: int, total: int) -> None:
            steps[spec] = (done, total)
            report(sum(done for done, _ in steps.values()), len(specs) * total)

        own = replace(context, settings=teacher_settings(context.settings, spec), has_many_teachers=True)
        await teach(own, state, report_all)

    ended = await asyncio.gather(*map(teach_one, specs), return_exceptions=True)
    failures = {spec: error for spec, error in zip(specs, ended, strict=True) if isinstance(error, TeacherError)}
    for spec, error in failures.items():
        message = f"{spec} {FAILED}{error}"
        await asyncio.to_thread(context.tell, state["round"], "teach", message, level="error")
    raise_others(error for error in ended if error is not None and not isinstance(error, TeacherError))
    if len(failures) == len(specs):
        raise TeacherError("; ".join(f"{spec}: {error}" for spec, error in failures.items()))
    written = {spec: len(await asyncio.to_thread(written_by, context, spec)) for spec in specs}
    summary = {spec: f"{count} samples" for spec, count in written.items()}
    return PhaseResult({}, summary | {spec: f"{FAILED}{error}" for spec, error in failures.items()})


def raise_others(errors: Iterable[BaseException]) -> None:
    """Raise what ended teachers' work and is not a failure of theirs: a bug before a stop, a stop before waits."""
    waits = []
    for error in sorted(errors, key=lambda error: isinstance(error, Cancelled)):
        if not isinstance(error, GraphInterrupt):
            raise error
        waits += error.args[0]
    if waits:
        raise GraphInterrupt(waits)


def filter_each(context: Context, state: State, report: Report) -> PhaseResult:
    """Check what each teacher wrote against training samples and its own other samples, as if it had been alone."""
    from blindspot.tools.additions.filter import filter_samples

    written = {spec: samples for spec in teachers_of(context.settings) if (samples := written_by(context, spec))}
    if not written:
        return PhaseResult({}, {"accepted": "0 of 0"})
    checks, counts = compared_with(context, state["round"], report)
    summary: dict[str, Any] = {}
    for place, (spec, samples) in enumerate(written.items()):

        def report_all(done: int, total: int, place: int = place) -> None:
            report(place * total + done, len(written) * total)

        checked = filter_samples(samples, checks, report_all, context.cancelled)
        context.store.put_many(checked)
        tell_uneven(context, state["round"], checked, f"{spec}: ")
        summary[spec] = f"{sum(bool(sample.accepted) for sample in checked)} of {len(checked)} accepted"
    return PhaseResult({}, summary | {"BERTScore threshold": round(checks.plan.bertscore, 3), "compared with": counts})


def compare(context: Context, state: State, report: Report) -> PhaseResult:
    """See which samples fool the model version under test, and add what each teacher made of the UUs."""
    specs, run_id = teachers_of(context.settings), context.run_id
    version = OnDemand(context, state["model_id"])
    written = {spec: written_by(context, spec) for spec in specs}
    samples = [sample for of_teacher in written.values() for sample in of_teacher]
    predictions = predict_once(context, version, samples, kind="synthetic", report=report)
    selected = [uu for uu in uus_of(context, state["round"]) if uu.selected]
    rows = [
        count_taught(
            Taught(
                run_id=run_id,
                teacher=spec,
                uus=selected,
                hypotheses=context.store.rows(Hypothesis, run_id=run_id, teacher=spec),
                samples=written[spec],
                calls=context.store.rows(TeacherCall, teacher=spec),
            ),
            predictions,
            tau=context.settings.run.tau,
        )
        for spec in specs
    ]
    context.store.put_many(rows)
    stop = "the comparison is done" if selected else "no UUs were found, so there was nothing to teach"
    return PhaseResult({"stop": stop}, {row.teacher: counts_in_words(row) for row in rows})


def counts_in_words(row: TeacherComparison) -> str:
    return f"{row.accepted} accepted and {row.fooling} fooling of {row.written}"


def written_by(context: Context, spec: str) -> list[SyntheticSample]:
    """What one teacher wrote in this run."""
    own = {row.hypothesis_id for row in context.store.rows(Hypothesis, run_id=context.run_id, teacher=spec)}
    rows = context.store.rows(SyntheticSample, run_id=context.run_id)
    return [row for row in rows if row.hypothesis_id in own]


COMPARISON = RunKind(
    name="comparison",
    build=build_comparison,
    phases={"comparison": PHASES},
    phases_of=lambda _: "comparison",
    splits=lambda _: ("train", "validation"),
    check=check_comparison,
    settings_for=teacher_settings,
    filters=lambda _: True,
    fixed=frozenset({"teacher.spec"}),  # its teachers are those of compare.teachers
)
