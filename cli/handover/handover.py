"""Hand over what a run has made: the model version that it took, and the samples that it added."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blindspot.cli.handover.cards import Made, data_card, model_card, public
from blindspot.cli.show.summary import kind_of, read_summary, rows_of
from blindspot.storage.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blindspot.storage.analysts.results import Results

PROVENANCE = """
SELECT y.fields, y.label AS own_label, y.synthetic_id, y.round, y.origin, y.source_id, y.accepted, y.rejected_by,
       y.verdicts, y.scores, y.reasoning, y.hypothesis_id, h.kind AS hypothesis_kind, h.text AS hypothesis,
       h.reasoning AS hypothesis_reasoning, h.evidence, p.text AS abstraction, h.teacher,
       c.model AS teacher_model, y.call_id, u.uu_id, u.kind AS uu_kind, u.recipe AS uu_recipe,
       s.fields AS uu_original, CASE WHEN u.kind = 'adversarial' THEN u.fields END AS uu_perturbed,
       u.label AS uu_label, u.predicted AS uu_predicted, u.confidence AS uu_confidence
FROM synthetic_samples y
LEFT JOIN hypotheses h ON h.hypothesis_id = y.hypothesis_id
LEFT JOIN hypotheses p ON p.hypothesis_id = h.parent_id
LEFT JOIN uus u ON u.uu_id = coalesce(h.uu_id, y.source_id)
LEFT JOIN samples s ON s.sample_id = u.sample_id
LEFT JOIN teacher_calls c ON c.call_id = y.call_id
WHERE y.run_id = ? ORDER BY y.round, y.synthetic_id
"""

KNOWS_ORIGIN = """
FROM information_schema.columns WHERE table_name = 'synthetic_samples' AND column_name = 'origin'
"""

LAID_OUT = ("fields", "own_label", "verdicts", "scores")  # as columns of their own
SCORED = ("characters", "nearest_training", "nearest_synthetic", "bertscore")


def hand_over_model(results: Results, run_id: str | None, folder: Path) -> str:
    """Write the model version that a run took. Returns: what was written, in a line.

    Raises: StoreError, when the run took none, or the folder is not empty. ModelError, when its weights are gone.
    """
    from blindspot.tools.classifier.classifier import locate_model
    from blindspot.tools.classifier.handover import export_classifier

    made = read_made(results, run_id)
    summary = made.summary
    if not summary.accepted or summary.final_folder is None:
        kept = f"; the original is {summary.final_folder}" if summary.final_folder else ""
        raise StoreError(f"{summary.run_id}: took no new model version, so there is none to hand over{kept}")
    version = rows_of(results, "FROM model_versions WHERE model_id = ?", [summary.final_model_id])[0]
    source, limit = locate_model(summary.final_folder), int(made.settings["classifier"]["max_tokens"])
    temperature = float(version.get("temperature", 1))  # which an older blindspot did not know
    export_classifier(source, made.labels, limit, model_card(made, version), folder, temperature=temperature)
    return f"{folder}: model version {summary.final_model_id} of {summary.run_id}"


def hand_over_data(results: Results, run_id: str | None, folder: Path) -> str:
    """Write all synthetic samples of a run. Returns: what was written, in a line.

    Raises: StoreError, when there are none, an older blindspot has published them, or the folder is not empty.
    """
    from blindspot.tools.classifier.handover import export_samples

    made = read_made(results, run_id)
    if not rows_of(results, KNOWS_ORIGIN):
        raise StoreError(
            f"{results.path} was published by an older blindspot: `blindspot vacuum -w {results.path.parent}` brings "
            "it up to date"
        )
    samples = rows_of(results, PROVENANCE, [made.summary.run_id])
    if not samples:
        raise StoreError(f"{made.summary.run_id}: no synthetic sample was written, so there is none to hand over")
    label = made.settings["data"]["label"]
    rows = [lay_out(row, made.summary.run_id, made.fields, label) for row in samples]
    export_samples(rows, data_card(made, samples, list(rows[0])), folder)
    accepted = sum(bool(row["accepted"]) for row in samples)
    return f"{folder}: {len(rows)} synthetic samples of {made.summary.run_id}, {accepted} accepted"


def read_made(results: Results, run_id: str | None) -> Made:
    """Read what the cards tell of a run; without a name, of the newest mitigation.

    Raises: StoreError, when there is no such run.
    """
    runs = rows_of(results, "FROM runs ORDER BY started_at")
    if run_id is None:
        names = [row["run_id"] for row in runs if kind_of(row) == "mitigation"]
        if not names:
            raise StoreError(f"{results.path}: no mitigation run, so there is nothing to hand over")
        run_id = str(names[-1])
    summary = read_summary(results, run_id)
    run = next(row for row in runs if row["run_id"] == run_id)
    dataset = rows_of(results, "FROM datasets WHERE dataset_id = ?", [run["dataset_id"]])[0]
    return Made(
        summary=summary,
        settings=json.loads(run["settings"]),
        versions=json.loads(run["versions"]),
        fields=tuple(dataset["fields"]),
        labels=tuple(dataset["labels"]),
        task=dataset["task"],
        rows=json.loads(dataset["rows"]),
    )


def lay_out(row: Mapping[str, Any], run_id: str, fields: Sequence[str], label: str) -> dict[str, Any]:
    """Lay a synthetic sample out: its fields and label as in the training data, then where it comes from.

    Args:
        row: of PROVENANCE.
        fields, label: the columns of the training data.
    """
    from blindspot.tools.additions.filter import CHECKS

    verdicts, scores = (json.loads(row[name] or "{}") for name in ("verdicts", "scores"))
    origin: dict[str, Any] = {"run_id": run_id} | {name: value for name, value in row.items() if name not in LAID_OUT}
    origin |= {"teacher": row["teacher"] and public(row["teacher"])}
    origin |= {
        name: ordered_fields(json.loads(row[name] or "null"), fields) for name in ("uu_original", "uu_perturbed")
    }
    origin |= {f"passed_{name}": verdicts.get(name) for name in CHECKS}
    origin |= {f"score_{name}": scores.get(name) for name in SCORED}
    own = {**(ordered_fields(json.loads(row["fields"]), fields) or {}), label: row["own_label"]}
    return own | {f"blindspot_{name}" if name in own else name: value for name, value in origin.items()}


def ordered_fields(fields: Mapping[str, str] | None, names: Sequence[str]) -> dict[str, str | None] | None:
    """The fields of a text in the data set's order; None where there is no text."""
    return None if fields is None else {name: fields.get(name) for name in names}
