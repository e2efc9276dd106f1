"""select: draw the UUs that the teacher is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blindspot.graphs.attack import uus_of
from blindspot.graphs.state import Context, State
from blindspot.tools.progress import Report
from blindspot.tools.select import select_uus


def select(context: Context, state: State, report: Report) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Select a share of the training rows' number among this round's UUs. Source: IBS, section 3.1."""
    settings = context.settings.select
    uus = uus_of(context, state["round"])
    count = max(1, round(settings.share * context.dataset.rows["train"]))
    count = min(count, settings.most or count)
    chosen = select_uus(uus, count=count, seed=context.settings.run.seed, round_number=state["round"])
    context.store.put_many(chosen)
    return {}, {"selected": f"{len(chosen)} of {len(uus)} UUs"}
