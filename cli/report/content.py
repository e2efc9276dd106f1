"""What a report tells of a run, read from the published results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from blindspot.cli.show.hypotheses import STATEMENT, merge_alike
from blindspot.cli.show.summary import Summary, rows_of
from blindspot.storage.words import POOLED

if TYPE_CHECKING:
    from blindspot.storage.analysts.results import Results
    from blindspot.tools.metrics.statistics import Floats, Mask

ORIGINAL, NEW = "original", "new"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model version says of n texts."""

    confidence: Floats  # (n,)
    wrong: Mask  # (n,)

    def __len__(self) -> int:
        return len(self.confidence)


@dataclass(frozen=True, slots=True)
class Split:
    """What the original and the new model version say of the split that a run measures on."""

    clean: Mapping[str, Predictions]  # the texts as they are, by "original" and, where there is one, "new"
    attacked: Mapping[str, Predictions]  # all recipes' texts: perturbed where that flipped them, else as they are
    flipped: Mapping[str, Mapping[str, Floats]]  # recipe -> the confidences of the texts that it flipped


def read_run(results: Results, run_id: str) -> Row:
    """Read the row of a run with that of its data set, settings and versions as mappings."""
    (row,) = rows_of(
        results,
        "SELECT r.*, d.source, d.task, d.fields AS field_names, d.labels, d.rows FROM runs r "
        "LEFT JOIN datasets d USING (dataset_id) WHERE run_id = ?",
        [run_id],
    )
    return with_parsed(row, "settings", "versions", "rows")


def read_predictions(results: Results, summary: Summary, run: Row) -> Split:
    """Read what both model versions say of the test split; of an attack run, of the split that it attacked."""
    split = run["settings"].get("attack", {}).get("split", "test") if summary.kind == "attack" else "test"
    sides = {summary.new_model_id: NEW, summary.original_model_id: ORIGINAL}
    models = [model_id for model_id in sides if model_id]
    marks = ", ".join("?" for _ in models) or "NULL"
    clean = rows_of(
        results,
        "SELECT p.model_id, p.confidence, p.predicted <> p.label AS wrong "
        "FROM predictions p JOIN samples s ON s.sample_id = p.subject_id AND p.subject_kind = 'sample' "
        f"WHERE s.split = ? AND p.model_id IN ({marks}) ORDER BY s.sample_id",
        [split, *models],
    )
    attacked = rows_of(
        results,
        "SELECT model_id, recipe, status = 'flipped' AS flipped, status <> 'failed' AS wrong, "
        "CASE WHEN status = 'flipped' THEN confidence ELSE original_confidence END AS confidence FROM attacks "
        f"WHERE split = ? AND status <> 'error' AND model_id IN ({marks}) ORDER BY attack_id",
        [split, *models],
    )
    attacked = [row for row in own_recipes(attacked, run) if row["confidence"] is not None]
    flips = [row for row in attacked if row["flipped"]]
    return Split(
        clean=predictions_by_side(clean, sides),
        attacked=predictions_by_side(attacked, sides),
        flipped={
            recipe: {side: one.confidence for side, one in predictions_by_side(of_recipe(flips, recipe), sides).items()}
            for recipe in sorted({row["recipe"] for row in attacked})
        },
    )


def own_recipes(rows: Sequence[Row], run: Row) -> list[Row]:
    """Leave out what other runs attacked a shared model version with: keep the recipes that the settings name."""
    named = set(run["settings"].get("attack", {}).get("recipes", ())) & {row["recipe"] for row in rows}
    return [row for row in rows if row["recipe"] in named or not named]


def of_recipe(rows: Sequence[Row], recipe: str) -> list[Row]:
    return [row for row in rows if row["recipe"] == recipe]


def predictions_by_side(rows: Sequence[Row], sides: Mapping[Any, str]) -> dict[str, Predictions]:
    """Lay rows out as columns, the original model version first; one that says nothing of any text has none."""
    by_side: dict[str, list[Row]] = {}
    for row in rows:
        by_side.setdefault(sides[row["model_id"]], []).append(row)
    return {
        side: Predictions(
            np.array([row["confidence"] for row in by_side[side]], dtype=np.float64),
            np.array([row["wrong"] for row in by_side[side]], dtype=np.bool_),
        )
        for side in (ORIGINAL, NEW)
        if side in by_side
    }


def read_rounds(results: Results, summary: Summary) -> list[Row]:
    """Read UUs on the test split at tau, by recipe: of the original (round 0) and of what each round trained."""
    rows = rows_of(
        results,
        "SELECT e.model_id, m.round, e.recipe, arg_max(e.value, e.round) AS uus, arg_max(e.low, e.round) AS low, "
        "arg_max(e.high, e.round) AS high, any_value(e.n) AS n FROM evaluations e "
        "JOIN model_versions m USING (model_id) WHERE e.run_id = ? AND e.metric = 'uus' AND e.split = 'test' "
        "AND e.baseline_id IS NULL AND abs(e.threshold - ?) < 1e-9 "
        "GROUP BY ALL ORDER BY e.recipe NULLS FIRST, m.round",
        [summary.run_id, summary.tau],
    )
    taken = {end.new_model_id for end in summary.rounds if end.accepted} | {summary.original_model_id}
    recipes = {row["recipe"] for row in rows} - {None, POOLED}
    names = {None: "natural", POOLED: "all attacks"}
    return [
        row | {"recipe": names.get(row["recipe"], row["recipe"]), "taken": row["model_id"] in taken}
        for row in sorted(rows, key=lambda row: row["recipe"] == POOLED)
        if row["recipe"] != POOLED or len(recipes) > 1
    ]


def read_uus(results: Results, run_id: str) -> list[Row]:
    """Read every UU that a run found, the most confident of a round first, and what its round's new model makes of it.

    Returns: the columns of uus; `original` and `perturbed` (None: no attack made it) in place of `fields`; and
        `predicted_after`, `confidence_after` and `fixed`, None where the new model version was not asked.
    """
    rows = rows_of(
        results,
        "SELECT u.* EXCLUDE (fields), coalesce(s.fields, u.fields) AS original, "
        "CASE WHEN u.attack_id IS NOT NULL THEN u.fields END AS perturbed, p.predicted AS predicted_after, "
        "p.confidence AS confidence_after, p.predicted = u.label AS fixed FROM uus u "
        "LEFT JOIN samples s USING (sample_id) LEFT JOIN rounds r ON r.run_id = u.run_id AND r.round = u.round "
        "LEFT JOIN predictions p ON p.model_id = r.new_model_id AND p.subject_id = coalesce(u.attack_id, u.sample_id) "
        "WHERE u.run_id = ? ORDER BY u.round, u.confidence DESC, u.uu_id",
        [run_id],
    )
    return [with_parsed(row, "original", "perturbed") for row in rows]


def read_explained(results: Results, run_id: str, uus: Sequence[Row]) -> list[Row]:
    """Read what a teacher explained: UUs whose abstractions say the same together, with what was stated about them.

    Returns: for each group its `uus`, in the order given, and what was `stated`: kind, teacher, text, how often it was
        `repeated`, `reasonings`, and the `evidence` and `samples` of all the hypotheses that say so.
    """
    samples: dict[str, list[Row]] = {}
    for row in rows_of(
        results, "FROM synthetic_samples WHERE run_id = ? ORDER BY hypothesis_id, position, synthetic_id", [run_id]
    ):
        samples.setdefault(row["hypothesis_id"], []).append(with_parsed(row, "fields", "scores"))
    rows = rows_of(results, f"SELECT *, {STATEMENT} FROM hypotheses WHERE run_id = ?", [run_id])
    place = {uu["uu_id"]: number for number, uu in enumerate(uus)}
    known = [row for row in rows if row["uu_id"] in place]
    known.sort(key=lambda row: (place[row["uu_id"]], row["teacher"], row["kind"], row["hypothesis_id"]))
    return [
        {
            "uus": [uus[place[uu_id]] for uu_id in group.uu_ids],
            "stated": [
                {
                    "kind": one.kind,
                    "teacher": one.teacher,
                    "text": one.text,
                    "repeated": one.repeated,
                    "reasonings": one.reasonings,
                    "evidence": sum_evidence(one.rows),
                    "samples": [sample for row in one.rows for sample in samples.get(row["hypothesis_id"], [])],
                }
                for one in group.stated
            ],
        }
        for group in merge_alike(known)
    ]


def sum_evidence(rows: Sequence[Mapping[str, Any]]) -> Row:
    """Add up what the teacher's own probes of several hypotheses showed."""
    totals: Row = {}
    for row in rows:
        for name, value in (json.loads(row.get("evidence") or "null") or {}).items():
            if isinstance(value, int):
                totals[name] = totals.get(name, 0) + value
    return totals


def read_troubles(results: Results, run_id: str) -> list[Row]:
    """Read the warnings and errors of a run, in the order of time."""
    sql = "FROM events WHERE run_id = ? AND level IN (?, ?) ORDER BY happened_at, event_id"
    return rows_of(results, sql, [run_id, "warning", "error"])


def with_parsed(row: Row, *names: str) -> Row:
    """Turn columns of JSON into mappings; an empty one stays None."""
    return row | {name: json.loads(row[name]) if row.get(name) else None for name in names}
