"""teach: rows to add to training, from the teacher or from a baseline in its place."""

from __future__ import annotations

import asyncio

from blindspot.graphs.context import Context, PhaseResult, State
from blindspot.graphs.shared.baselines import take_rows
from blindspot.graphs.teaching.teach import teach
from blindspot.tools.progress import Report


async def add_rows(context: Context, state: State, report: Report) -> PhaseResult:
    """Have the teacher teach, or take a baseline's rows."""
    if context.settings.method.name == "teacher":
        return await teach(context, state, report)
    return await asyncio.to_thread(take_rows, context, state)
