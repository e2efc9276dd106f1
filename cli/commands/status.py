"""status: the runs of a workspace, how far each is and what it changed so far."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blindspot.cli.terminal import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    print_json,
    result_console,
    workspace_option,
)

if TYPE_CHECKING:
    from blindspot.cli.show.summary import Summary
    from blindspot.storage.analysts.results import Results

SILENT_S = 600  # training may take minutes without a new row; after this, say that the process may be gone


def status(workspace: WorkspaceOption = DEFAULT_WORKSPACE, as_json: JsonOption = False) -> None:
    """Show how far each run of a workspace is, and what it has changed so far."""
    from blindspot.cli.show.summary import read_summary
    from blindspot.storage.analysts.results import Results

    folder = workspace.expanduser()
    with Results.open(folder) as results:
        silent_s = time.time() - results.path.stat().st_mtime
        _, names = results.query("SELECT run_id FROM runs ORDER BY started_at")
        rows = []
        for (name,) in names:
            run = read_summary(results, name)
            own = {"attack": attack_counts, "comparison": comparison_counts}.get(run.kind, nothing_more)
            rows.append(status_row(results, run, silent_s) | own(results, name))
    if as_json:
        print_json(rows)
    else:
        print_status(folder, rows)


def status_row(results: Results, run: Summary, silent_s: float) -> dict[str, Any]:
    """Lay one run out: a row of the table, an object of the JSON."""
    from blindspot.cli.show.spend import spend_in_words
    from blindspot.cli.show.summary import rows_of

    (planned,) = rows_of(
        results,
        "SELECT CAST(settings->>'$.run.rounds' AS BIGINT) AS rounds FROM runs WHERE run_id = ?",
        [run.run_id],
    )
    (done,) = rows_of(
        results,
        "SELECT arg_max(tool, created_at) FILTER (tool <> 'decide') AS phase, coalesce(sum(seconds), 0) AS seconds "
        "FROM tool_calls WHERE run_id = ? AND caller = 'graph'",
        [run.run_id],
    )
    return {
        "run_id": run.run_id,
        "kind": run.kind,
        "status": run.status,
        "stop_reason": run.stop_reason,
        "nothing_new_for_s": round(silent_s) if run.status == "running" else None,
        "round": max((end.round for end in run.rounds), default=0),
        "rounds": planned["rounds"],
        "last_phase": done["phase"],
        "accuracy": before_after(run, "accuracy"),
        "uus": before_after(run, "uus"),
        "accepted": run.accepted,
        "decision": decision_of(run),
        "teacher": run.teacher,
        "teacher_calls": run.teacher_calls,
        "cost_usd": run.cost_usd,
        "usd_per_uu_removed": run.usd_per_uu_removed,
        "spend": spend_in_words(run.spend),
        "seconds": round(done["seconds"]),  # of the phases that are done
    }


def decision_of(run: Summary) -> str | None:
    """What became of the newest model version that is compared: taken or refused; None, where there is no verdict."""
    if run.accepted is None or run.new_model_id is None:
        return None
    return "taken" if run.accepted else "refused"


def attack_counts(results: Results, run_id: str) -> dict[str, Any]:
    """Lay out what an attack run has in place of rounds: how many samples it attacked, and the UUs among them."""
    from blindspot.cli.show.summary import rows_of

    rows = rows_of(results, "FROM attack_statistics WHERE run_id = ? ORDER BY samples DESC, recipe", [run_id])
    accuracy = rows[0]["original_accuracy"] if rows else None  # one model, the same samples: the most of them tell
    uus = sum(row["uus"] for row in rows) if rows else None
    return {
        "round": None,
        "rounds": None,
        "attacked": sum(row["samples"] for row in rows),
        "accuracy": {"before": accuracy, "after": None},
        "uus": {"before": uus, "after": None},
    }


def comparison_counts(results: Results, run_id: str) -> dict[str, Any]:
    """Lay out what a comparison has in place of rounds: how many teachers it compares, and the UUs they are shown."""
    from blindspot.cli.show.summary import rows_of

    (row,) = rows_of(
        results,
        "SELECT CAST(json_array_length(settings, '$.compare.teachers') AS BIGINT) AS compared, "
        "(SELECT count(*) FROM uus u WHERE u.run_id = r.run_id) AS uus FROM runs r WHERE run_id = ?",
        [run_id],
    )
    return {"round": None, "rounds": None, "compared": row["compared"], "uus": {"before": row["uus"], "after": None}}


def nothing_more(results: Results, run_id: str) -> dict[str, Any]:  # noqa: ARG001 - the signature of its siblings
    """A mitigation has its rounds."""
    return {}


def before_after(run: Summary, metric: str) -> dict[str, float | None]:
    """A metric of the original model version and of the newest that it is compared with."""
    change = run.uus if metric == "uus" else run.find(metric, None)
    sides = {"before": change and change.before, "after": change and change.after}
    return {side: estimate.value if estimate else None for side, estimate in sides.items()}


def print_status(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Print a line for each run, and below what needs a sentence."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from blindspot.cli.show.display import clock

    console = result_console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("run", "state", "round", "accuracy %", "UUs", "new model", "teacher", "work"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(
            row["run_id"],
            run_state(row),
            round_of(row),
            arrow(row["accuracy"], lambda value: f"{100 * value:.1f}"),
            arrow(row["uus"], lambda value: f"{value:,.0f}"),
            row["decision"] or "–",
            row["spend"] if row["teacher_calls"] else "–" if row["kind"] == "attack" else row["teacher"],
            clock(row["seconds"]),
        )
    console.print(table)
    option = workspace_option(folder)
    for row in rows:
        again = f"blindspot resume {row['run_id']}{option}"
        if row["status"] in ("stopped", "failed", "waiting"):
            first = {"failed": "once that is fixed, ", "waiting": "then "}.get(row["status"], "")
            console.print(Text(f"{row['run_id']}: {row['stop_reason']}; {first}go on with `{again}`"), soft_wrap=True)
        elif (row["nothing_new_for_s"] or 0) > SILENT_S:
            silent = f"nothing new for {row['nothing_new_for_s'] // 60} min, so it is in a long phase or was killed"
            console.print(Text(f"{row['run_id']}: {silent}; if it was killed, go on with `{again}`"), soft_wrap=True)


def run_state(row: dict[str, Any]) -> str:
    """The state, and of a run that is not over the phase that was done last."""
    done = (row["last_phase"] or "").replace("_", " ")
    return f"{row['status']}, {done} done" if done and row["status"] != "finished" else row["status"]


def round_of(row: dict[str, Any]) -> str:
    """The round, of how many; of an attack run the samples that it attacked, of a comparison its teachers."""
    if row["kind"] == "attack":
        return f"{row['attacked']:,} attacked"
    if row["kind"] == "comparison":
        return f"{row['compared']} teachers"
    return f"{row['round']} of {row['rounds']}" if row["rounds"] else str(row["round"])


def arrow(values: dict[str, float | None], show: Any) -> str:
    """Before -> after, as far as they are known."""
    before, after = values["before"], values["after"]
    if before is None:
        return "–"
    return show(before) if after is None else f"{show(before)} -> {show(after)}"
