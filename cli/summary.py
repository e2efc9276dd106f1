"""What a run changed: read from the published results, printed as a table or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from blindspot.cli.change import SHOWN, Change, Estimate, difference, in_words, name_of
from blindspot.cli.spend import PhaseSpend, by_phase, cost_of, read_spend, spend_in_words
from blindspot.cli.terminal import visible, workspace_option
from blindspot.storage.errors import StoreError
from blindspot.storage.records import LOGGED, POOLED
from blindspot.storage.results import Results


@dataclass(frozen=True, slots=True)
class RoundEnd:
    """How a round was decided."""

    round: int
    new_model_id: str | None
    accepted: bool | None  # None: not yet
    verdict: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """A run as far as it went."""

    run_id: str
    kind: str  # mitigation | attack
    workspace: Path
    status: str  # running | stopped | finished | failed
    stop_reason: str | None
    teacher: str
    tau: float
    started_at: datetime
    finished_at: datetime | None
    original_model_id: str | None
    new_model_id: str | None  # what the original is compared with: the final version, or the newest that was refused
    final_model_id: str | None
    final_folder: str | None
    rounds: tuple[RoundEnd, ...]
    changes: tuple[Change, ...]
    spend: tuple[PhaseSpend, ...]  # by phase, in the order in which they were first asked

    @property
    def teacher_calls(self) -> int:
        """Questions to the teacher, answers out of the cache left out."""
        return sum(phase.calls for phase in self.spend)

    @property
    def cost_usd(self) -> float | None:
        """US dollars; None, where no call has a known price."""
        return cost_of(self.spend)

    @property
    def unpriced_calls(self) -> int:
        """Answers without a known price."""
        return sum(phase.unpriced_calls for phase in self.spend)

    @property
    def usd_per_uu_removed(self) -> float | None:
        """US dollars for each UU that the model version which was taken has less; None, where that is not known."""
        if not self.accepted or self.cost_usd is None or self.unpriced_calls:
            return None
        uus = self.uus
        removed = uus.before.value - uus.after.value if uus and uus.before and uus.after else 0.0
        return self.cost_usd / removed if removed > 0 else None

    @property
    def accepted(self) -> bool | None:
        """Whether the original model version was replaced; None before the first verdict."""
        if not any(end.verdict for end in self.rounds):
            return None
        return self.final_model_id != self.original_model_id

    @property
    def verdict(self) -> str | None:
        """Why the new model version was taken or not."""
        told = [end.verdict for end in self.rounds if end.verdict and end.new_model_id == self.new_model_id]
        return told[-1] if told else None

    def find(self, metric: str, recipe: str | None) -> Change | None:
        """The change of one metric, if it was measured."""
        return next((row for row in self.changes if (row.metric, row.recipe) == (metric, recipe)), None)

    @property
    def uus(self) -> Change | None:
        """UUs at tau over all recipes together; natural ones where nothing was attacked."""
        return self.find("uus", POOLED) or self.find("uus", None)


def rows_of(results: Results, sql: str, params: Sequence[object] = ()) -> list[dict[str, Any]]:
    """Answer a query with a mapping for each row."""
    columns, rows = results.query(sql, params)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def kind_of(run: Mapping[str, Any]) -> str:
    """The kind of a run as a row of results, which an older blindspot may have published."""
    return str(run.get("kind", "mitigation"))


def read_summary(results: Results, run_id: str) -> Summary:
    """Read what a run changed, as far as it is published.

    Raises: StoreError, when there is no such run.
    """
    runs = rows_of(results, "FROM runs ORDER BY started_at")
    found = [row for row in runs if row["run_id"] == run_id]
    if not found:
        names = ", ".join(row["run_id"] for row in runs) or "none"
        raise StoreError(f"{results.path}: no run {run_id}; there are: {names}")
    run = found[0]
    rounds = rows_of(results, "FROM rounds WHERE run_id = ? ORDER BY round", [run_id])
    original, final = run["original_model_id"], run["final_model_id"]
    tried = [row["new_model_id"] for row in rounds if row["new_model_id"]]
    new = final if final != original else (tried or [None])[-1]
    folders = rows_of(results, "SELECT folder FROM model_versions WHERE model_id = ?", [final])
    return Summary(
        run_id=run_id,
        kind=kind_of(run),
        workspace=results.path.parent.resolve(),
        status=run["status"],
        stop_reason=run["stop_reason"],
        teacher=run["teacher"],
        tau=run["tau"],
        started_at=run["started_at"],
        finished_at=run["finished_at"],
        original_model_id=original,
        new_model_id=new,
        final_model_id=final,
        final_folder=str(results.path.parent.resolve() / folders[0]["folder"]) if folders else None,
        rounds=tuple(
            RoundEnd(*(row[name] for name in ("round", "new_model_id", "accepted", "verdict"))) for row in rounds
        ),
        changes=read_changes(results, run, new),
        spend=read_spend(results, run_id),
    )


def read_changes(results: Results, run: dict[str, Any], new: str | None) -> tuple[Change, ...]:
    """Read the figures at tau of the original model version and of another, and their differences.

    Those over a log stand among those of the test split: "logged" is their recipe.
    """
    original = run["original_model_id"]
    rows = rows_of(
        results,
        "SELECT * EXCLUDE (evaluation_id, split) FROM evaluations WHERE run_id = ? AND split IN ('test', 'logged') "
        "AND (threshold IS NULL OR abs(threshold - ?) < 1e-9) ORDER BY round, recipe",
        [run["run_id"], run["tau"]],
    )
    owners = {(original, None): "before", (new, None): "after", (new, original): "difference"}
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    for row in rows:
        side = owners.get((row["model_id"], row["baseline_id"]))
        if side and row["metric"] in SHOWN:
            estimate = Estimate(row["value"], row["low"], row["high"], row["p_value"], row["n"])
            place = found.setdefault((row["metric"], row["recipe"]), {"threshold": row["threshold"]})
            place[side] = estimate  # a version measured again in a later round: the latest figure stands
    sides = ("before", "after", "difference")
    changes = [
        Change(metric, recipe, place["threshold"], *(place.get(side) for side in sides))
        for (metric, recipe), place in found.items()
    ]
    return tuple(sorted(changes, key=lambda row: (SHOWN.index(row.metric), row.recipe == POOLED, row.recipe or "")))


def count_so_far(results: Results, run_id: str) -> str:
    """Say how many UUs a run has found and what its teacher was asked."""
    (row,) = rows_of(
        results,
        "SELECT (SELECT count(*) FROM uus WHERE run_id = $1) AS uus, (SELECT count(*) FROM attacks a JOIN runs r "
        "USING (run_id) WHERE run_id = $1 AND a.status = 'flipped' AND confidence >= tau "
        "AND (split = 'validation' OR r.kind = 'attack')) AS flipped, "
        "(SELECT count(*) FROM hypotheses WHERE run_id = $1) AS hypotheses",
        [run_id],
    )
    summary = read_summary(results, run_id)
    uus = max(row["uus"], row["flipped"])  # the attacks are published one by one, the UUs at the end of the phase
    parts = [f"{uus} UUs"] if uus else []
    parts += [f"{row['hypotheses']} hypotheses"] if row["hypotheses"] else []
    return " · ".join([*parts, *([spend_in_words(summary.spend)] if summary.teacher_calls else [])])


def as_table(summary: Summary) -> dict[str, Any]:
    """Lay a summary out for JSON."""
    return asdict(summary) | {
        "teacher_calls": summary.teacher_calls,
        "cost_usd": summary.cost_usd,
        "unpriced_calls": summary.unpriced_calls,
        "usd_per_uu_removed": summary.usd_per_uu_removed,
        "accepted": summary.accepted,
        "verdict": summary.verdict,
        "workspace": str(summary.workspace),
        "results": str(summary.workspace / "results.duckdb"),
        "started_at": summary.started_at.isoformat(),
        "finished_at": summary.finished_at.isoformat() if summary.finished_at else None,
    }


def print_summary(console: Console, summary: Summary) -> None:
    """Print before and after, the verdicts, where everything lies, and what to type next."""
    new = "after" if summary.accepted else "new model, not taken" if summary.new_model_id else "after"
    table = Table(
        title=f"{summary.run_id}: {summary.status}; UUs at confidence {summary.tau:g} or more",
        title_justify="left",
        title_style="bold",
    )
    for heading, side in (("test split", "left"), ("before", "right"), (new, "right"), ("difference (95 %)", "right")):
        table.add_column(heading, justify="right" if side == "right" else "left")
    for change in headline(summary.changes):
        cells = (in_words(change.metric, side) for side in (change.before, change.after))
        table.add_row(name_of(change), *cells, difference(change))
    console.print(table)
    for end in summary.rounds:
        if end.verdict:
            label = f"round {end.round}: " if len(summary.rounds) > 1 else ""
            console.print(Text(f"{label}{visible(end.verdict)}", style="green" if end.accepted else "yellow"))
    for name, text in facts_of(summary):  # paths stay in one piece, to be copied
        console.print(Text(f"{name:<9}", style="dim").append(visible(text), style="default"), soft_wrap=True)


def headline(changes: Sequence[Change]) -> list[Change]:
    """Choose what the table shows: UUs of each recipe, the rest once."""
    recipes = {row.recipe for row in changes if row.metric == "uus" and row.recipe not in (None, POOLED)}
    whole = POOLED if len(recipes) > 1 else next(iter(recipes), None)
    places = {"accuracy": (None,), "uus": (None, *recipes, whole), "mean_confidence": (None,), "ece": (None,)}
    return [row for row in changes if row.recipe in (*places.get(row.metric, (whole,)), LOGGED)]


def facts_of(summary: Summary) -> list[tuple[str, str]]:
    """Name and text of each line under the table."""
    option = workspace_option(summary.workspace)
    facts = [
        ("ended", summary.stop_reason or summary.status),
        ("teacher", f"{summary.teacher}, {spend_in_words(summary.spend)}"),
    ]
    if summary.cost_usd:
        facts.append(("spend", by_phase(summary.spend, summary.usd_per_uu_removed)))
    if summary.final_folder:
        kind = "retrained" if summary.accepted else "the original"
        facts.append(("model", f"{summary.final_folder} ({kind})"))
    facts.append(("results", str(summary.workspace / "results.duckdb")))
    facts.append(("next", f"blindspot hypotheses{option}"))
    facts.append(("", f'blindspot query{option} "FROM uu_reduction"'))
    return facts
