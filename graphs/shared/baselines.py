"""The rows that a baseline adds in place of a teacher: as many, from what the run has already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from blindspot.graphs.context import Context, PhaseResult, State
from blindspot.graphs.shared.attacks import flips_of, uus_of
from blindspot.graphs.shared.budgets import ADDING_NOTHING, BY_PROGRAMS, budget_rows
from blindspot.storage.records import Hypothesis, SyntheticSample, Uu

if TYPE_CHECKING:
    from blindspot.tools.additions.baselines import Addition


Row = SyntheticSample | Hypothesis | Uu


def take_rows(context: Context, state: State) -> PhaseResult:
    """Take a baseline's rows and add them; one that has fewer than are wanted uses all, and says so."""
    from blindspot.tools.additions.baselines import Addition

    settings, number = context.settings, state["round"]
    name, wanted = settings.method.name, budget_rows(settings, context.dataset.rows["train"])
    if name in ADDING_NOTHING:
        return PhaseResult({}, {"rows added": 0})
    if name in BY_PROGRAMS:
        return PhaseResult({}, {"rows added": "those that programs give"})
    rows = TAKEN[name](context, state, Addition(context.run_id, number, wanted, settings.run.seed))
    context.store.add([row for row in rows if not isinstance(row, Uu)])
    context.store.put_many([row for row in rows if isinstance(row, Uu)])
    count = sum(isinstance(row, SyntheticSample) for row in rows)
    if count < wanted:
        context.tell(number, "teach", f"{name} found only {count} of the {wanted} rows it may add", level="warning")
    return PhaseResult({}, {"rows added": f"{count} of {wanted}"})


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
