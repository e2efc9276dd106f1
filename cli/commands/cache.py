"""cache: the answers that later runs on a workspace find again, what they saved, and clearing them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from blindspot.cli.terminal import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, print_json, result_console, visible
from blindspot.storage.errors import SettingsError

# A run that takes an answer from the cache has a row of its own for it, with cache_hit set.
ANSWERS = """
WITH answers AS (
    SELECT teacher, cache_key, sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out, sum(cost_usd) AS usd,
           max(cost_usd) FILTER (NOT cache_hit) AS price, count(*) FILTER (cache_hit) AS hits
    FROM teacher_calls WHERE error IS NULL AND reply IS NOT NULL AND NOT cleared GROUP BY ALL
)
SELECT teacher, count(*) AS answers, CAST(sum(tokens_in) AS BIGINT) AS tokens_in,
       CAST(sum(tokens_out) AS BIGINT) AS tokens_out, sum(usd) AS cost_usd, CAST(sum(hits) AS BIGINT) AS found_again,
       coalesce(sum(hits * price), 0) AS saved_usd
FROM answers GROUP BY teacher ORDER BY teacher
"""


def cache(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    clear: Annotated[
        bool, typer.Option("--clear", help="Stop later runs from reusing these answers; their rows stay as history.")
    ] = False,
    teacher: Annotated[
        str | None, typer.Option("--teacher", metavar="SPEC", help="Clear only this teacher's answers.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show which teachers' answers later runs can reuse, and what that saved; or clear them."""
    from blindspot.agents.spec import TeacherSpec
    from blindspot.cli.show.summary import rows_of
    from blindspot.storage.analysts.results import Results

    folder = workspace.expanduser()
    if clear:
        clear_answers(folder, str(TeacherSpec.parse(teacher)) if teacher else None, yes=yes)
        return
    if teacher or yes:
        raise SettingsError("--teacher and --yes need --clear")
    with Results.open(folder) as results:
        rows = rows_of(results, ANSWERS)
    if as_json:
        print_json(rows)
    else:
        print_answers(rows)


def clear_answers(folder: Path, teacher: str | None, *, yes: bool) -> None:
    """Clear after confirmation, and report how many there were."""
    from blindspot.graphs.teaching.cache import clear_cache

    whose = f"of {teacher}" if teacher else "of every teacher"
    if not yes and not sys.stdin.isatty():
        raise SettingsError("--clear: there is no terminal to confirm it on; add --yes")
    if not yes:
        typer.confirm(f"Stop later runs from reusing the answers {whose} in {folder}?", abort=True)
    cleared, kept = clear_cache(folder.resolve(), teacher)
    more = f"; {kept} are kept, because a run that can be resumed has used them" if kept else ""
    result_console().print(visible(f"{cleared} answers {whose} are cleared{more}"), soft_wrap=True)


def print_answers(rows: list[dict[str, Any]]) -> None:
    """Print a line for each teacher."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("teacher", "answers", "tokens in", "tokens out", "cost USD", "found again", "saved USD"):
        table.add_column(heading, overflow="fold", justify="left" if heading == "teacher" else "right")
    for row in rows:
        counts = [f"{row[name]:,}" for name in ("answers", "tokens_in", "tokens_out")]
        cost = "unknown" if row["cost_usd"] is None else f"{row['cost_usd']:.4f}"
        cells = [visible(row["teacher"]), *counts, cost, f"{row['found_again']:,}", f"{row['saved_usd']:.4f}"]
        table.add_row(*map(Text, cells))
    result_console().print(table if rows else "no answers yet")
