"""A study as far as it is published: its figures and the state of its runs, for tables, JSON and CSV."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blindspot.storage.errors import StoreError
from blindspot.storage.settings.study_axes import ORIGINAL
from blindspot.storage.study_records import StudyFigure

if TYPE_CHECKING:
    from blindspot.storage.analysts.results import Results
    from blindspot.storage.settings.study_cells import StudyPlan

NO_THRESHOLD = -1.0

Place = tuple[str, str, str]
"""Data set, classifier, recipe: what one block of the tables is of."""


@dataclass(frozen=True, slots=True)
class PublishedStudy:
    """What is published of a study."""

    study_id: str
    status: str
    results: Path
    methods: tuple[str, ...]  # in the order of the file, the original first
    seeds: tuple[int, ...]
    taus: Mapping[tuple[str, str], float]  # data set, classifier -> tau
    cells: int  # that the file has
    runs: Mapping[str, int]  # status -> runs
    failures: tuple[tuple[str, str], ...]  # run -> why it failed
    figures: Mapping[tuple[Place, str, str, float, str], StudyFigure]  # place, method, metric, threshold, baseline

    @property
    def places(self) -> list[Place]:
        """The blocks that there are figures of, in the order of the rows."""
        return list(dict.fromkeys(place for place, *_ in self.figures))

    def get(
        self, place: Place, method: str, metric: str, threshold: float = NO_THRESHOLD, baseline: str = ""
    ) -> StudyFigure | None:
        """One figure, if it was taken."""
        return self.figures.get((place, method, metric, threshold, baseline))

    def methods_at(self, place: Place) -> list[str]:
        """The methods that a block has figures of."""
        there = {method for other, method, *_ in self.figures if other == place}
        return [method for method in self.methods if method in there]

    def tau(self, place: Place) -> float:
        return self.taus[place[:2]]


def read_study(results: Results, plan: StudyPlan) -> PublishedStudy:
    """Read what is published of the study that a file describes.

    Raises: StoreError, where it has not begun.
    """
    from blindspot.cli.show.summary import rows_of

    known = rows_of(results, "FROM studies WHERE name = ?", [plan.axes.name])
    if not known:
        raise StoreError(f'{results.path}: the study "{plan.axes.name}" has not begun; start it without --show')
    study_id = known[0]["study_id"]
    names = [field.name for field in fields(StudyFigure)]
    rows = rows_of(results, f"SELECT {', '.join(names)} FROM study_figures WHERE study_id = ?", [study_id])
    runs = runs_of(results, study_id, (ORIGINAL, *plan.arms))
    statuses = [run["status"] for run in runs]
    taus = {(cell.dataset, cell.classifier): cell.settings.run.tau for cell in plan.cells}
    figures = [row for row in (StudyFigure(**row) for row in rows) if (row.dataset, row.classifier) in taus]
    order = order_of(plan)
    figures.sort(key=lambda row: [order.get(name, len(order)) for name in (row.dataset, row.classifier, row.recipe)])
    return PublishedStudy(
        study_id=study_id,
        status=known[0]["status"],
        results=results.path.resolve(),
        methods=(ORIGINAL, *plan.arms),
        seeds=plan.axes.seeds,
        taus=taus,
        cells=len(plan.cells),
        runs={status: statuses.count(status) for status in dict.fromkeys(statuses)},
        failures=tuple((run["run_id"], run["stop_reason"] or "") for run in runs if run["status"] == "failed"),
        figures={
            ((row.dataset, row.classifier, row.recipe), row.method, row.metric, row.threshold, row.baseline): row
            for row in figures
        },
    )


def runs_of(results: Results, study_id: str, methods: Sequence[str]) -> list[dict[str, Any]]:
    """The runs of a study's methods, but for those in whose place a later one stands, of other settings."""
    from blindspot.cli.show.summary import rows_of

    return rows_of(
        results,
        """
        SELECT run_id, status, stop_reason FROM runs r JOIN datasets d USING (dataset_id)
        WHERE study_id = ? AND list_contains(?, method)
        QUALIFY row_number() OVER (
            PARTITION BY method, seed, d.name, settings->'$.attack.recipes', settings->'$.classifier.model'
            ORDER BY started_at DESC
        ) = 1
        ORDER BY started_at
        """,
        [study_id, list(methods)],
    )


def order_of(plan: StudyPlan) -> dict[str, int]:
    """The place of each name of an axis in the file."""
    names: list[str] = []
    for cell in plan.cells:
        names += [cell.dataset, cell.classifier, *("+".join(recipes) for recipes in cell.stands_for)]
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def study_as_json(study: PublishedStudy) -> dict[str, Any]:
    """Lay a study out for JSON."""
    return {
        "study_id": study.study_id,
        "status": study.status,
        "cells": study.cells,
        "runs": dict(study.runs),
        "failures": dict(study.failures),
        "results": str(study.results),
        "figures": [asdict(row) for row in study.figures.values()],
    }


def study_as_csv(study: PublishedStudy) -> str:
    """Every figure as a line of CSV."""
    from blindspot.cli.query import formats as rows

    text = io.StringIO()
    names = [field.name for field in fields(StudyFigure)]
    rows.write_csv(names, (tuple(asdict(row).values()) for row in study.figures.values()), text)
    return text.getvalue()
