"""The names that a query may have in it: for its list, and for the shell's completion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import typer

from blindspot.cli.terminal import DEFAULT_WORKSPACE
from blindspot.storage.errors import StoreError

LAST_WORD = re.compile(r"\w*\Z")

Completions = list[tuple[str, str]]
"""What can stand there, and what it is."""


@cache
def known_tables() -> Mapping[str, tuple[str, Mapping[str, str]]]:
    """The views and tables of the newest version, views first: name -> what it holds, column -> what it holds."""
    from blindspot.storage.schema.comments import COMMENTS
    from blindspot.storage.schema.views import VIEWS

    tables = {name: about for name, about in COMMENTS.items() if not name.startswith("_")}
    return {view.name: (view.comment, view.columns) for view in VIEWS} | tables


def complete_question(incomplete: str) -> Completions:
    """Complete a name; within SQL its last word: a table, or a column of those that it names (of any, before that)."""
    from blindspot.storage.analysts.ready_queries import QUERIES

    if " " not in incomplete.lstrip():
        names = {query.name: query.question for query in QUERIES}
        names |= {name: comment for name, (comment, _) in known_tables().items()}
        return [(name, about) for name, about in names.items() if name.startswith(incomplete)]
    word = LAST_WORD.findall(incomplete)[0]
    before = incomplete[: len(incomplete) - len(word)]
    named = known_tables().keys() & re.findall(r"\w+", before) or (known_tables().keys() if word else ())
    candidates: dict[str, str] = {}
    if not before.endswith("."):
        candidates = {name: comment for name, (comment, _) in known_tables().items()}
    for name in named:
        candidates |= known_tables()[name][1]
    return [(before + name, about) for name, about in candidates.items() if name.startswith(word)]


def complete_run(ctx: typer.Context, incomplete: str) -> Completions:
    """Complete the id of a run of the workspace, the newest first."""
    from blindspot.storage.analysts.results import Results

    folder = ctx.params.get("workspace") or DEFAULT_WORKSPACE
    try:
        with Results.open(Path(folder).expanduser()) as results:
            rows = results.query("SELECT run_id, kind || ', ' || status FROM runs ORDER BY started_at DESC")[1]
    except StoreError:  # nothing is published: nothing to complete
        return []
    return [(run_id, about) for run_id, about in rows if run_id.startswith(incomplete)]
