"""What a run changed, read from the published results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from blindspot.cli.show.change import SHOWN, MetricChange, MetricValue, sort_of
from blindspot.cli.show.spend import PhaseSpend, cost_of, read_spend, spend_in_words
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import StoreError
from blindspot.storage.schema.uu import is_adversarial_uu
from blindspot.storage.words import LOGGED, POOLED, RunKindName, RunStatus
from blindspot.storage.workspace import Workspace

RECALLS_SHOWN = 4  # classes in the table; the report and the store have all


@dataclass(frozen=True, slots=True)
class RoundEnd:
    """How a round was decided."""

    round: int
    new_model_id: str | None
    accepted: bool | None  # None: not yet
    verdict: str | None

    @property
    def clauses(self) -> tuple[str, tuple[str, ...]]:
        """The verdict's decision, and what it rests on, clause by clause."""
        decision, colon, reasons = (self.verdict or "").partition(": ")
        return decision, tuple(reasons.split("; ")) if colon else ()


@dataclass(frozen=True, slots=True)
class Summary:
    """A run as far as it went."""

    run_id: str
    kind: RunKindName
    workspace: Path
    status: RunStatus
    stop_reason: str | None
    teacher: str
    method: str  # where the added rows come from: teacher, or a baseline
    tau: float
    started_at: datetime
    finished_at: datetime | None
    original_model_id: str | None
    new_model_id: str | None  # what the original is compared with: the final version, or the newest that was refused
    final_model_id: str | None
    final_folder: str | None
    rounds: tuple[RoundEnd, ...]
    changes: tuple[MetricChange, ...]
    temperature: float | None  # of the original model version, fitted on the validation split
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
        verdicts = [end.verdict for end in self.rounds if end.verdict and end.new_model_id == self.new_model_id]
        return verdicts[-1] if verdicts else None

    def find(self, metric: str, recipe: str | None) -> MetricChange | None:
        """The change of one metric, if it was measured."""
        return next((row for row in self.changes if (row.metric, row.recipe) == (metric, recipe)), None)

    @property
    def uus(self) -> MetricChange | None:
        """UUs at tau over all recipes together; natural ones where nothing was attacked."""
        return self.find("uus", POOLED) or self.find("uus", None)


def rows_of(results: Results, sql: str, params: Sequence[object] = ()) -> list[dict[str, Any]]:
    """Answer a query with a mapping for each row."""
    columns, rows = results.query(sql, params)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def kind_of(run: Mapping[str, Any]) -> RunKindName:
    """The kind of a run as a row of results, which an older blindspot may have published."""
    kind: RunKindName = run.get("kind", "mitigation")
    return kind


def read_summary(results: Results, run_id: str) -> Summary:
    """Read what a run changed, as far as it is published.

    Raises: StoreError, when there is no such run.
    """
    runs = rows_of(results, "FROM runs ORDER BY started_at")
    of_name = [row for row in runs if row["run_id"] == run_id]
    if not of_name:
        names = ", ".join(row["run_id"] for row in runs) or "none"
        raise StoreError(f"{results.path}: no run {run_id}; there are: {names}")
    run = of_name[0]
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
        method=run.get("method", "teacher"),  # an older blindspot had teachers alone
        tau=run["tau"],
        started_at=run["started_at"],
        finished_at=run["finished_at"],
        original_model_id=original,
        new_model_id=new,
        final_model_id=final,
        final_folder=Workspace(results.path.parent.resolve()).locate(folders[0]["folder"]) if folders else None,
        rounds=tuple(
            RoundEnd(*(row[name] for name in ("round", "new_model_id", "accepted", "verdict"))) for row in rounds
        ),
        changes=read_changes(results, run, new),
        temperature=read_temperature(results, run_id, original),
        spend=read_spend(results, run_id),
    )


def read_changes(results: Results, run: dict[str, Any], new: str | None) -> tuple[MetricChange, ...]:
    """Read the figures at tau of the original model version and of another, and their differences.

    Those over a log stand among those of the test split: "logged" is their recipe. Of UUs beside calibration alone,
    at matched coverage, "before" is the original calibrated, "after" the other version as it is.
    """
    original = run["original_model_id"]
    rows = rows_of(
        results,
        "SELECT * EXCLUDE (evaluation_id, split) FROM evaluations WHERE run_id = ? "
        "AND split IN ('test', 'logged', 'repaired') AND (threshold IS NULL OR abs(threshold - ?) < 1e-9) "
        "ORDER BY round, recipe",
        [run["run_id"], run["tau"]],
    )
    owners = {(original, None): "before", (new, None): "after", (new, original): "difference"}
    sides_of: dict[tuple[str, str | None], dict[str, Any]] = {}
    for row in rows:
        side = owners.get((row["model_id"], row["baseline_id"]))
        if side and sort_of(row["metric"]) in SHOWN:
            estimate = MetricValue(row["value"], row["low"], row["high"], row["p_value"], row["n"])
            place = sides_of.setdefault((row["metric"], row["recipe"]), {"threshold": row["threshold"]})
            place[side] = estimate  # a version measured again in a later round: the latest figure stands
    for (metric, recipe), place in sides_of.items():
        if metric == "uus_calibrated_matched":
            place["after"] = sides_of.get(("uus_matched", recipe), {}).get("after")
    sides = ("before", "after", "difference")
    changes = [
        MetricChange(metric, recipe, place["threshold"], *(place.get(side) for side in sides))
        for (metric, recipe), place in sides_of.items()
    ]
    return tuple(
        sorted(changes, key=lambda row: (SHOWN.index(row.sort), row.recipe == POOLED, row.recipe or "", row.metric))
    )


def read_temperature(results: Results, run_id: str, model_id: str | None) -> float | None:
    """Read the temperature that scaling alone would give a model version; None, where it was not fitted."""
    rows = rows_of(
        results,
        "SELECT value FROM evaluations WHERE run_id = ? AND model_id = ? AND metric = 'temperature' "
        "ORDER BY round DESC LIMIT 1",
        [run_id, model_id],
    )
    return rows[0]["value"] if rows else None


def count_so_far(results: Results, run_id: str) -> str:
    """Say how many UUs a run has found and what its teacher was asked."""
    (row,) = rows_of(
        results,
        "SELECT (SELECT count(*) FROM uus WHERE run_id = $1) AS uus, (SELECT count(*) FROM attacks a JOIN runs r "
        f"USING (run_id) WHERE run_id = $1 AND {is_adversarial_uu('a', 'r.tau')} "
        "AND (split = 'validation' OR r.kind = 'attack')) AS flipped, "
        "(SELECT count(*) FROM hypotheses WHERE run_id = $1) AS hypotheses",
        [run_id],
    )
    summary = read_summary(results, run_id)
    uus = max(row["uus"], row["flipped"])  # the attacks are published one by one, the UUs at the end of the phase
    parts = [f"{uus} UUs"] if uus else []
    parts += [f"{row['hypotheses']} hypotheses"] if row["hypotheses"] else []
    return " · ".join([*parts, *([spend_in_words(summary.spend)] if summary.teacher_calls else [])])


def summary_as_json(summary: Summary) -> dict[str, Any]:
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


def headline_changes(changes: Sequence[MetricChange], *, recalls: int | None = RECALLS_SHOWN) -> list[MetricChange]:
    """Choose what the table shows: UUs of each recipe, the rest once; figures that calibration leaves as they are once.

    Args:
        recalls: of how many classes, those with the lowest; None: of all.
    """
    recipes = {row.recipe for row in changes if row.metric == "uus" and row.recipe not in (None, POOLED)}
    whole = POOLED if len(recipes) > 1 else next(iter(recipes), None)
    once: tuple[str | None, ...] = (None,)
    on_clean = ("accuracy", "majority_share", "balanced_accuracy", "recall", "mean_confidence", "ece", "repaired_kept")
    places = dict.fromkeys(on_clean, once)
    places["uus"] = (None, *recipes, whole)
    for metric in ("uus_validated", "judge_agreement", "judge_kappa"):
        places[metric] = tuple(recipes)
    places["uus_matched"] = places["uus_calibrated_matched"] = (None, whole)
    unshown = calibrated_alike(changes)
    by_class = sorted((row for row in changes if row.sort == "recall"), key=lowest)
    unshown += by_class[recalls:] if recalls is not None else []
    return [row for row in changes if row.recipe in (*places.get(row.sort, (whole,)), LOGGED) and row not in unshown]


def calibrated_alike(changes: Sequence[MetricChange]) -> list[MetricChange]:
    """The UUs beside the original calibrated, where all are those beside it as it is; none where they differ."""
    matched = {row.recipe: row.figures for row in changes if row.metric == "uus_matched"}
    beside = [row for row in changes if row.metric == "uus_calibrated_matched"]
    return beside if all(row.figures == matched.get(row.recipe) for row in beside) else []


def lowest(change: MetricChange) -> float:
    """A metric where it is lower, before or after."""
    return min(side.value for side in (change.before, change.after) if side)
