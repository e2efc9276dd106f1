"""The cells of a study before they run: which are chosen, their data and models looked at, what each is known by."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from blindspot.agents.teachers.given import NOBODY, Given
from blindspot.graphs.kinds.kinds import KINDS
from blindspot.graphs.preflight.preflight import Checked, Preflight
from blindspot.graphs.running.mend import MENDABLE
from blindspot.storage.errors import SettingsError
from blindspot.storage.ids import make_id
from blindspot.storage.records import Dataset
from blindspot.storage.settings.sections import Settings
from blindspot.storage.settings.study_axes import METHODS
from blindspot.storage.settings.study_cells import Cell, StudyPlan, is_free
from blindspot.storage.words import RunKindName
from blindspot.tools.data.datasets import DataSource
from blindspot.tools.data.review import Notice

Chosen = Callable[[Cell], bool]


def cells_left(loaded_cells: Sequence[LoadedCell], chosen: Chosen) -> list[LoadedCell]:
    """The chosen ones of some cells, and the original model versions that they need, in their order."""
    needed = {loaded.cell.origin for loaded in loaded_cells if chosen(loaded.cell)}
    return [
        loaded
        for loaded in loaded_cells
        if chosen(loaded.cell) or (loaded.cell.kind == "original" and loaded.cell.origin in needed)
    ]


def choose_cells(words: Iterable[str], plan: StudyPlan) -> Chosen:
    """Read which cells to run: "axis=value"; of one axis any of the values, of several axes all of them.

    Raises: SettingsError, for an axis or a value that the study has not got.
    """
    wanted: dict[str, set[str]] = {}
    known: dict[str, set[str]] = {name: set() for name in ("dataset", "classifier", "seed", "method", "recipe")}
    for cell in plan.cells:
        for name, values in axes_of(cell).items():
            known[name] |= values
    for word in words:
        axis, _, value = word.partition("=")
        if axis not in known:
            raise SettingsError(f"--only {word}: write axis=value, where axis is one of {', '.join(known)}")
        if value not in known[axis]:
            raise SettingsError(f"--only {word}: the study has no such {axis}; it has {', '.join(sorted(known[axis]))}")
        wanted.setdefault(axis, set()).add(value)
    return lambda cell: all(axes_of(cell)[axis] & values for axis, values in wanted.items())


def axes_of(cell: Cell) -> dict[str, set[str]]:
    """Where a cell stands on each axis."""
    return {
        "dataset": {cell.dataset},
        "classifier": {cell.classifier},
        "seed": {str(cell.seed)},
        "method": {cell.arm},
        "recipe": set(cell.settings.attack.recipes),
    }


UNKNOWN_BY = (
    *(key for key, phase in MENDABLE.items() if phase is None),
    "run.name", "run.workspace", "attack.split", "compare.teachers", "evaluate.samples", "evaluate.thresholds",
    "evaluate.resamples", "accept.keep_rejected", "data.path", "data.train", "data.validation", "data.test",
)  # fmt: skip
"""Settings that no cell is known by: how the work is done, where it lies, what can be added to or taken again."""


@dataclass(frozen=True, slots=True)
class LoadedCell:
    """A cell with its data set."""

    cell: Cell
    checked: Checked
    identity: str

    @property
    def source(self) -> DataSource:
        return self.checked.source

    @property
    def dataset(self) -> Dataset:
        return self.checked.dataset

    @property
    def notices(self) -> Sequence[Notice]:
        """What is worth knowing about the data set."""
        return self.checked.notices


def identity(settings: Settings, dataset_id: str, kind: RunKindName) -> str:
    """What a cell is known by: the settings that its rows depend on, and its data set."""
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
    preflight = Preflight(teachers)
    loaded_cells: dict[str, LoadedCell] = {}
    for cell in plan.cells:
        check_arm(cell, preflight)
        checked = preflight.check(cell.settings, KINDS[cell.kind], name=cell.dataset)
        loaded = LoadedCell(cell, checked, identity(cell.settings, checked.dataset.dataset_id, cell.kind))
        twin = loaded_cells.setdefault(loaded.identity, loaded)
        if twin is not loaded:
            raise SettingsError(f"study: two cells are the same: {twin.cell}; {cell}: leave one of them out")
    preflight.check_asked([name for cell in plan.cells for name in KINDS[cell.kind].teachers(cell.settings)])
    return list(loaded_cells.values())


def check_arm(cell: Cell, preflight: Preflight) -> None:
    """Check that the run of a cell has what only a run of its kind needs.

    Raises: SettingsError, TeacherError.
    """
    try:
        preflight.check_settings(cell.settings, KINDS[cell.kind])
    except SettingsError as error:
        is_teacher = cell.kind != "original" and cell.settings.method.name == "teacher"
        read = f'"{cell.arm}" is not one of the methods ({", ".join(METHODS)}), so it is read as a teacher: '
        raise SettingsError(f"{read if is_teacher else f'{cell}: '}{error}") from None
