"""The rows of a finished run, of every kind that there is, keyed as a run's are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from blindspot.storage.ids import make_id
from blindspot.storage.records import Run
from blindspot.storage.schema.tables import TABLES, Column, Record

START = datetime(2026, 1, 2, 3, 4, 5, 678901)
PLAIN: dict[str, Any] = {
    "VARCHAR": "text", "BIGINT": 3, "DOUBLE": 0.1, "BOOLEAN": True, "VARCHAR[]": ("a", "b"),
    "FLOAT[]": (0.25, 0.75), "JSON": {"text": "dull"},
}  # fmt: skip
PREFIXES = {
    "dataset": "ds", "sample": "smp", "model": "mod", "attack": "atk", "uu": "uu", "hypothesis": "hyp",
    "synthetic": "syn", "call": "call", "tool_call": "tool", "evaluation": "evl", "event": "evt",
    "program": "prg", "judgement": "jdg", "same_as": "prg", "revised_from": "prg",
}  # fmt: skip


def whole_run(run_id: str = "run-1", *, begun_s: float = 0.0, rows: int = 2, **of_run: Any) -> list[Record]:
    """Make the rows of a run.

    Args: rows: of each kind that a run has several of; of_run: other fields of its Run.
    """
    name = run_id.rpartition("-")[0]
    run = {"dataset_id": make_id("ds", "shared"), "status": "finished", "name": name} | of_run
    making = Making(run_id, START + timedelta(seconds=begun_s), run)
    made = []
    for kind, table in TABLES.items():
        if table.name in ("studies", "study_figures") and "study_id" not in run:
            continue
        for number in range(1 if kind is Run or table.name in ("datasets", "studies") else rows):
            record = {column.name: making.value(column, number) for column in table.columns}
            if table.name == "teacher_comparisons":
                record["teacher"] = f"teacher-{number}"
            if table.name == "tool_calls":
                record["arguments"] = {"before": {record["uu_id"]: 1}, "model_id": making.key("model_id", number)}
            if kind is Run:
                record |= {"started_at": making.began, "finished_at": making.began + timedelta(seconds=60), **run}
            made.append(kind(**record))
    return made


@dataclass(frozen=True)
class Making:
    """Finds the values of a run's rows."""

    run_id: str
    began: datetime
    run: dict[str, Any]

    def key(self, name: str, number: int) -> str | None:
        """What stands in a column of keys, in the row of a number."""
        stem = name.removesuffix("_id").removeprefix("original_").removeprefix("final_").removeprefix("new_")
        dataset_id = self.run["dataset_id"]
        if name in ("run_id", "study_id", "origin_id"):
            return self.run_id if name == "run_id" else self.run.get(name)
        if name in ("dataset_id", "sample_id"):
            return str(dataset_id) if name == "dataset_id" else make_id("smp", dataset_id, number)
        if name == "subject_id":
            return make_id("smp", dataset_id, number) if number else make_id("atk", self.run_id, 0)
        if name in ("parent_id", "baseline_id", "source_id"):
            return None
        return make_id(PREFIXES[stem], self.run_id, number)

    def value(self, column: Column, number: int) -> Any:
        """What stands in a column, in the row of a number."""
        if column.name.endswith("_id"):
            return self.key(column.name, number)
        if column.sql_type == "TIMESTAMP":
            return self.began + timedelta(seconds=number)
        if column.name in ("round", "number", "row"):
            return number + 1
        model_id = self.key("model_id", number)
        texts = {"folder": f"models/{model_id}", "subject_kind": "sample" if number else "attack"}
        texts |= {"message": f"starts with {model_id}", "recipe": f"recipe-{number}"}
        return texts.get(column.name, PLAIN[column.sql_type])
