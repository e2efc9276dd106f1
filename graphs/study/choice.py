"""Which cells of a study to run this time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from blindspot.graphs.study.cells import LoadedCell
from blindspot.storage.errors import SettingsError
from blindspot.storage.settings.study_cells import Cell, StudyPlan

Chosen = Callable[[Cell], bool]


def left_of(loaded_cells: Sequence[LoadedCell], chosen: Chosen) -> list[LoadedCell]:
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
            raise SettingsError(f"--only {word}: write axis=value, the axis one of {', '.join(known)}")
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
