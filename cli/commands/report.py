"""report: one HTML page about a run, to read in a browser and to send to others; it needs no network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blindspot.cli.terminal import DEFAULT_WORKSPACE, WorkspaceOption, result_console, visible
from blindspot.storage.errors import StoreError
from blindspot.storage.whole_files import write_whole

if TYPE_CHECKING:
    from blindspot.storage.analysts.results import Results


def report(
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="The run. Default: the newest.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE.html", help="Where to write it. Default: report-RUN.html in the workspace."
        ),
    ] = None,
) -> None:
    """Write a run as one HTML page that needs no network: verdict, charts, UUs, hypotheses, samples, cost."""
    from blindspot.cli.report.page import build_page
    from blindspot.storage.analysts.results import Results

    folder = workspace.expanduser()
    with Results.open(folder) as results:
        chosen = run_id or newest_run(results)
        page = build_page(results, chosen)
    path = (out or folder / f"report-{re.sub(r'[^A-Za-z0-9_-]', '_', chosen)}.html").expanduser().resolve()
    write_whole(path, page)
    result_console().print(visible(str(path)), soft_wrap=True)


def newest_run(results: Results) -> str:
    """Find the run that began last.

    Raises: StoreError, when there is none.
    """
    _, rows = results.query("SELECT run_id FROM runs ORDER BY started_at DESC, run_id DESC LIMIT 1")
    if not rows:
        raise StoreError(f"{results.path}: no run yet; `blindspot run` starts one")
    return str(rows[0][0])
