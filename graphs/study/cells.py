"""The cells of a study before they run: their data and models looked at, and what each is known by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from blindspot.agents.teachers.given import NOBODY, Given
from blindspot.graphs.preflight.checks import check_method, check_models, check_places, check_recipes
from blindspot.graphs.preflight.kind_checks import check_kind, check_named, names_of
from blindspot.graphs.preflight.source import source_of
from blindspot.graphs.running.mend import MENDABLE
from blindspot.graphs.shared.logged import inspect_data
from blindspot.storage.errors import SettingsError
from blindspot.storage.records import Dataset, make_id
from blindspot.storage.settings.sections import Settings
from blindspot.storage.settings.study_axes import METHODS
from blindspot.storage.settings.study_cells import Cell, StudyPlan, is_free
from blindspot.tools.data.datasets import DataSource
from blindspot.tools.data.review import Notice

UNKNOWN_BY = (
    *(key for key, phase in MENDABLE.items() if phase is None),
    "run.name", "run.workspace", "attack.split", "compare.teachers", "evaluate.samples", "evaluate.thresholds",
    "evaluate.resamples", "accept.keep_rejected", "data.path", "data.train", "data.validation", "data.test",
)  # fmt: skip
"""Settings that no cell is known by: how the work is done, where it lies, what can be added to or taken anew."""


@dataclass(frozen=True, slots=True)
class LoadedCell:
    """A cell with its data set."""

    cell: Cell
    source: DataSource
    dataset: Dataset
    identity: str
    notices: Sequence[Notice] = ()  # what is worth knowing about the data set
    teachers: Given = field(default_factory=dict)  # those that are objects


def identity(settings: Settings, dataset_id: str, kind: str) -> str:
    """What a cell is known by: the settings that its rows hang on, and its data set."""
    table: dict[str, dict[str, Any]] = settings.model_dump(mode="json")
    unknown = [*UNKNOWN_BY, *(["attack.recipes"] if kind == "original" or is_free(settings) else [])]
    for key in unknown:
        section, _, name = key.partition(".")
        del table[section][name]
    return make_id("cell", kind, dataset_id, json.dumps(table, sort_keys=True))


def inspect_cells(plan: StudyPlan, teachers: Given = NOBODY) -> list[LoadedCell]:
    """Check everything that can be checked before a study begins, and nothing twice.

    Args:
        teachers: those that are objects; methods name each of them by its spec.
    Raises: OperatorError.
    """
    datasets: dict[str, tuple[Dataset, list[Notice]]] = {}
    checked: set[str] = set()
    loaded_cells: dict[str, LoadedCell] = {}
    for cell in plan.cells:
        settings, kind = cell.settings, cell.kind
        own = check_arm(cell, teachers)
        source = replace(source_of(settings, kind), name=cell.dataset)
        read = repr((replace(source, seed=source.seed if source.is_drawn else 0), settings.errors))
        if read not in datasets:
            check_places(settings, kind)
            noticed: list[Notice] = []
            datasets[read] = inspect_data(settings, source, kind, noticed), noticed
        dataset, notices = datasets[read]
        check_method(settings, source, dataset, kind)
        look_at(settings, kind, dataset, checked)
        loaded = LoadedCell(cell, source, dataset, identity(settings, dataset.dataset_id, kind), notices, own)
        twin = loaded_cells.setdefault(loaded.identity, loaded)
        if twin is not loaded:
            raise SettingsError(f"study: these are the same cell: {twin.cell}; {cell}: leave one of them out")
    check_named([name for cell in plan.cells for name in names_of(cell.settings, cell.kind)], teachers)
    return list(loaded_cells.values())


def check_arm(cell: Cell, teachers: Given) -> Given:
    """See that the run of a cell has what only a run of its kind needs.

    Args:
        teachers: those that are objects, of all cells.
    Returns: those of them that teach in this cell.
    Raises: SettingsError, TeacherError.
    """
    try:
        own = {name: teachers[name] for name in names_of(cell.settings, cell.kind) if name in teachers}
        check_kind(cell.settings, cell.kind, own)
    except SettingsError as error:
        is_teacher = cell.kind != "original" and cell.settings.method.name == "teacher"
        read = f'"{cell.arm}" is none of the methods ({", ".join(METHODS)}), so it is read as a teacher: '
        raise SettingsError(f"{read if is_teacher else f'{cell}: '}{error}") from None
    return own


def look_at(settings: Settings, kind: str, dataset: Dataset, checked: set[str]) -> None:
    """Check the models and recipes of a cell, but for those that were checked for an earlier one."""
    recipes = repr((settings.attack, settings.data.fields, settings.run.tau))
    models = repr((settings.classifier, settings.filter.encoder, settings.data.labels, dataset.labels))
    if recipes not in checked:
        check_recipes(settings)
    if models not in checked:
        check_places(settings, kind)
        check_models(settings, dataset.labels, kind)
    checked |= {recipes, models}
