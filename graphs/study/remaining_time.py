"""How long the cells of a study will take: as long as cells like them took, or a rough guess from their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

from blindspot.agents.teachers.forecast import Forecast, add_up
from blindspot.graphs.preflight.forecast import forecast_teaching
from blindspot.graphs.study.cells import LoadedCell
from blindspot.storage.records import ToolCall
from blindspot.storage.settings.study_cells import Cell
from blindspot.storage.store.store import Store

TRAINED_PER_S, EPOCHS = 40.0, 4.0  # rows of MRPC with MiniLM on 2 cores; the preset's epochs (docs/experiments.md)
ATTACK_S, PREDICTED_PER_S = 0.6, 150.0  # seconds for a sample's attack (some 60 queries); rows, on the same machine
OVERHEAD_S = 20.0  # loading, filtering, the bootstrap


@dataclass(frozen=True, slots=True)
class Ended:
    """A cell that is done, and how long its phases took."""

    cell: Cell
    seconds: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """How long a study will take from here."""

    seconds: float  # of the cell in hand
    after_s: float  # of the cells after it
    is_rough: bool  # a guess from sizes: no cell like these has ended yet

    def left_s(self, elapsed_s: float) -> float:
        """What is left after some time in the cell in hand."""
        return max(0.0, self.seconds - elapsed_s) + self.after_s


def look_ahead(loaded_cells: Sequence[LoadedCell], ended: Sequence[Ended]) -> Outlook:
    """Forecast the cells that are left, the first of them the one in hand."""
    forecasts = [forecast_cell(loaded, ended) for loaded in loaded_cells]
    seconds = [each for each, _ in forecasts]
    return Outlook(seconds[0] if seconds else 0.0, sum(seconds[1:]), any(is_rough for _, is_rough in forecasts))


def forecast_cell(loaded: LoadedCell, ended: Sequence[Ended]) -> tuple[float, bool]:
    """Seconds that a cell will take, and whether they are a rough guess.

    Cells of the same method and recipes tell most, then those of the same method, then any of the same kind.
    """
    cell = loaded.cell
    same = [each for each in ended if alike(each.cell, cell)]
    method = [each for each in same if each.cell.arm == cell.arm]
    recipes = [each for each in method if each.cell.stands_for == cell.stands_for]
    kind = [each for each in same if trains(each.cell) and trains(cell) and each.cell.kind == cell.kind]
    for alike_cells in (recipes, method, kind):
        if alike_cells:
            return mean(each.seconds for each in alike_cells), False
    return rough_seconds(loaded), True


def trains(cell: Cell) -> bool:
    return cell.settings.classifier.fine_tune if cell.kind == "original" else cell.settings.method.name != "temperature"


def alike(one: Cell, other: Cell) -> bool:
    return (one.dataset, one.classifier) == (other.dataset, other.classifier)


def rough_seconds(loaded: LoadedCell) -> float:
    """Guess from sizes alone, as if the classifier were MiniLM, the texts short and the machine small."""
    settings, rows = loaded.cell.settings, loaded.dataset.rows
    is_original = loaded.cell.kind == "original"
    epochs = (None if is_original else settings.retrain.epochs) or settings.classifier.epochs or EPOCHS
    rounds = 1 if is_original else settings.run.rounds
    attack = settings.attack
    attacked = min(settings.evaluate.samples, rows["test"])
    if is_original or rounds > 1:
        attacked += min(attack.samples, rows["validation"]) + min(attack.train_samples, rows["train"])
    training_s = epochs * rows["train"] / TRAINED_PER_S if trains(loaded.cell) else 0.0
    predicting_s = (rows["test"] + rows["validation"]) / PREDICTED_PER_S
    return OVERHEAD_S + rounds * (training_s + predicting_s + attacked * len(attack.recipes) * ATTACK_S)


def seconds_spent(store: Store, run_id: str) -> float:
    """What the phases of a run took, all its starts together."""
    return sum(call.seconds for call in store.rows(ToolCall, run_id=run_id, caller="graph"))


def forecast_spend(loaded_cells: Sequence[LoadedCell]) -> Forecast | None:
    """Forecast what the teachers of cells will be asked, one cell after the other; None, where nobody is billed."""
    forecasts = [each for loaded in loaded_cells if (each := forecast_teaching(loaded.checked))]
    return replace(add_up(forecasts), seconds=sum(each.seconds for each in forecasts)) if forecasts else None
