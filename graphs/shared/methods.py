"""Where a round's added rows come from: the teacher, or a baseline in its place that adds as many."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blindspot.graphs.context import Context, State
from blindspot.graphs.nodes.attack import uus_of
from blindspot.graphs.nodes.teach import teach
from blindspot.graphs.shared.flips import flips_of
from blindspot.storage.records import Hypothesis, SyntheticSample, Uu
from blindspot.storage.settings.sections import Settings
from blindspot.tools.progress import Report

if TYPE_CHECKING:
    from blindspot.tools.additions.baselines import Addition

FILTERED = ("teacher", "recorded")  # methods whose rows the filter judges; a round without any accepted trains nothing
ADDING_NOTHING = ("none", "temperature")

Row = SyntheticSample | Hypothesis | Uu


def budget_rows(settings: Settings, rows_train: int) -> int:
    """How many rows a round adds: a share of the training rows, or as many as a teacher writes about its share of UUs.

    Args:
        rows_train: training rows that are used.
    """
    if settings.method.name in ADDING_NOTHING:
        return 0
    if settings.method.share is not None:
        return max(1, round(settings.method.share * rows_train))
    uus = max(1, round(settings.select.share * rows_train))
    return 2 * min(uus, settings.select.most or uus) * settings.teacher.samples_per_hypothesis


def budget_uus(settings: Settings, rows_train: int) -> int:
    """How many UUs of a round are selected: to be shown to the teacher, or relabelled; other baselines take none."""
    rows, most = budget_rows(settings, rows_train), settings.select.most
    if settings.method.name == "teacher":
        uus = math.ceil(rows / (2 * settings.teacher.samples_per_hypothesis))  # an abstraction and an extrapolation
        return min(uus, most or uus)
    return rows if settings.method.name == "relabel" else 0


async def add_rows(context: Context, state: State, report: Report) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Have the teacher teach, or take a baseline's rows."""
    if context.settings.method.name == "teacher":
        return await teach(context, state, report)
    return await asyncio.to_thread(take_rows, context, state)


def take_rows(context: Context, state: State) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Take a baseline's rows and add them; one that has fewer than are wanted uses all, and says so."""
    from blindspot.tools.additions.baselines import Addition

    settings, number = context.settings, state["round"]
    name, wanted = settings.method.name, budget_rows(settings, context.dataset.rows["train"])
    if name in ADDING_NOTHING:
        return {}, {"rows added": 0}
    rows = TAKEN[name](context, state, Addition(context.run_id, number, wanted, settings.run.seed))
    context.store.add([row for row in rows if not isinstance(row, Uu)])
    context.store.put_many([row for row in rows if isinstance(row, Uu)])
    count = sum(isinstance(row, SyntheticSample) for row in rows)
    if count < wanted:
        context.tell(number, "teach", f"{name} has {count} of the {wanted} rows it may add", level="warning")
    return {}, {"rows added": f"{count} of {wanted}"}


def take_random(context: Context, state: State, addition: Addition) -> list[Row]:
    from blindspot.tools.additions.baselines import training_again

    return [*training_again(context.samples("train"), addition)]


def take_typos(context: Context, state: State, addition: Addition) -> list[Row]:
    from blindspot.tools.additions.baselines import training_misspelt

    return [*training_misspelt(context.samples("train"), addition)]


def take_relabelled(context: Context, state: State, addition: Addition) -> list[Row]:
    from blindspot.tools.additions.baselines import relabelled

    return [*relabelled([uu for uu in uus_of(context, addition.round) if uu.selected], addition)]


def take_perturbed(context: Context, state: State, addition: Addition) -> list[Row]:
    """Take texts of attacks on the round's model version, but for those that earlier rounds have added."""
    from blindspot.tools.additions.baselines import perturbed

    attacks = flips_of(context, state["model_id"], "validation") + flips_of(context, state["model_id"], "train")
    used = sources_before(context, addition.round)
    return [*perturbed([row for row in attacks if row.attack_id not in used], addition)]


def take_recorded(context: Context, state: State, addition: Addition) -> list[Row]:
    """Take samples of the file, but for those that earlier rounds have added."""
    from blindspot.tools.additions.baselines import draw
    from blindspot.tools.additions.recorded import read_recorded, recorded_rows

    file = Path(context.settings.method.file or "")
    used = sources_before(context, addition.round)
    records = read_recorded(file, context.source, context.dataset.labels)
    left = [record for record in records if record.source_id(file.name) not in used]
    return [*recorded_rows(draw(left, addition), uus_of(context, addition.round), addition, file.name)]


TAKEN: Mapping[str, Callable[[Context, State, Addition], list[Row]]] = {
    "random": take_random,
    "typos": take_typos,
    "relabel": take_relabelled,
    "adversarial": take_perturbed,
    "recorded": take_recorded,
}


def sources_before(context: Context, round_number: int) -> set[str | None]:
    """What earlier rounds of the run have taken their rows from."""
    rows = context.store.rows(SyntheticSample, run_id=context.run_id)
    return {row.source_id for row in rows if row.round < round_number}
