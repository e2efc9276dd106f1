"""select: draw the UUs that the teacher is shown, or that a baseline relabels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blindspot.graphs.autonomy.steps import NATURAL
from blindspot.graphs.context import Context, PhaseResult, State, arguments_of
from blindspot.graphs.shared.attacks import uus_of
from blindspot.graphs.shared.budgets import most_selected
from blindspot.storage.records import Uu
from blindspot.tools.additions.select import most_confident, select_uus
from blindspot.tools.progress import Report


def select(context: Context, state: State, report: Report) -> PhaseResult:
    """Select as many of this round's UUs as the settings allow: by default a share of the training rows' number.

    Source: IBS, section 3.1.
    """
    uus = uus_of(context, state["round"])
    arguments = arguments_of(state, "select")
    if arguments is None:
        count, seed = most_selected(context), context.settings.run.seed
        chosen = select_uus(uus, count=count, seed=seed, round_number=state["round"])
    else:
        chosen = [uu for uu in uus if uu.selected]
        if len(chosen) == arguments["before"]:  # else a run that was killed after this phase had added its rows
            chosen += select_more(context, uus, arguments)
    context.store.put_many(chosen)
    return PhaseResult({}, {"selected": f"{len(chosen)} of {len(uus)} UUs"})


def select_more(context: Context, uus: Sequence[Uu], arguments: Mapping[str, Any]) -> list[Uu]:
    """Select further UUs as a teacher wants them, within what the settings allow."""
    left = [uu for uu in uus if not uu.selected and arguments["recipe"] in ("any", uu.recipe or NATURAL)]
    count = min(arguments["count"], most_selected(context) - arguments["before"])
    if arguments["by"] == "confidence":
        return most_confident(left, count=count)
    return select_uus(left, count=count, seed=context.settings.run.seed, round_number=uus[0].round)
