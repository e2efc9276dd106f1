"""The figures of a study: read from its runs' rows, computed by the metrics, written while the study goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from blindspot.graphs.context import samples_of
from blindspot.graphs.study.cells import LoadedCell
from blindspot.storage.records import Attack, ModelVersion, Prediction, Round, Run, ToolCall
from blindspot.storage.settings.study_axes import ORIGINAL
from blindspot.storage.settings.study_cells import dose_of
from blindspot.storage.store.store import Store
from blindspot.storage.study_records import Study, StudyFigure

if TYPE_CHECKING:
    from blindspot.tools.metrics.outcomes import Outcomes
    from blindspot.tools.metrics.study_figures import Comparison, Measured

FIGURES_SHARE = 0.05  # of the time: what taking the figures again after each cell may cost
FIGURES_SEED = 0  # of their bootstrap


@dataclass(frozen=True, slots=True)
class RecipeView:
    """What figures are of: a name in the tables, the recipes that the runs had, and those that are counted."""

    name: str
    of_run: tuple[str, ...]
    counted: tuple[str, ...]


def views_of(recipes: Iterable[tuple[str, ...]]) -> list[RecipeView]:
    """A view for each set of recipes and, where a set has several, for each of them too."""
    views = []
    for of_run in recipes:
        name = "+".join(of_run)
        views.append(RecipeView(name, of_run, of_run))
        views += [RecipeView(f"{name}: {recipe}", of_run, (recipe,)) for recipe in of_run if len(of_run) > 1]
    return views


class FigureWriter:
    """Takes the figures of a study's finished cells, and puts them in place of the earlier ones."""

    def __init__(
        self,
        store: Store,
        study: Study,
        loaded_cells: Sequence[LoadedCell],
        run_of: Callable[[LoadedCell], Run | None],
        resamples: int | None = None,
    ) -> None:
        self.store, self.study, self.loaded_cells, self.run_of, self.resamples = (
            store,
            study,
            loaded_cells,
            run_of,
            resamples,
        )
        self.known: dict[tuple[object, ...], Measured] = {}  # run, its end, view -> what was read of it
        self.written: frozenset[object] | None = None  # the ended runs that the figures are of; None: not known
        self.written_at = time.monotonic()
        self.took_s = 0.0

    def write_if_due(self) -> None:
        """Write, unless that would take more than its share of the time."""
        if time.monotonic() - self.written_at >= self.took_s / FIGURES_SHARE:
            self.write()

    def write(self) -> None:
        """Take all figures again and publish them, unless no cell has ended since the last time."""
        from blindspot.tools.metrics.study_figures import compare_methods

        runs = [run for loaded in self.loaded_cells if (run := self.run_of(loaded)) and run.status == "finished"]
        finished = frozenset((run.run_id, run.finished_at) for run in runs)
        if finished == self.written or any(map(self.is_extended, self.loaded_cells)):
            return
        began = time.monotonic()
        rows = [row for comparison in self.comparisons() for row in compare_methods(comparison)]
        self.store.renew(StudyFigure, rows, study_id=self.study.study_id)
        self.store.publish()
        self.written = finished
        self.written_at = time.monotonic()
        self.took_s = self.written_at - began

    def is_extended(self, loaded: LoadedCell) -> bool:
        """Whether an original that was measured once is being measured on more: what was written of it stands."""
        run = self.run_of(loaded)
        if loaded.cell.kind != "original" or run is None or run.status == "finished":
            return False
        return self.store.count(ToolCall, run_id=run.run_id, tool="evaluate_original") > 0

    def comparisons(self) -> list[Comparison]:
        """What can be compared by now: the finished cells, by data set, classifier and view."""
        places = dict.fromkeys((loaded.cell.dataset, loaded.cell.classifier) for loaded in self.loaded_cells)
        comparisons = []
        for dataset, classifier in places:
            loaded_cells = [
                loaded
                for loaded in self.loaded_cells
                if (loaded.cell.dataset, loaded.cell.classifier) == (dataset, classifier)
            ]
            for view in views_of(
                next(loaded.cell.stands_for for loaded in loaded_cells if loaded.cell.arm == ORIGINAL)
            ):
                methods = self.methods_under(view, loaded_cells)
                if methods:
                    comparisons.append(self.comparison(loaded_cells[0], view, methods))
        return comparisons

    def methods_under(self, view: RecipeView, loaded_cells: Sequence[LoadedCell]) -> dict[str, dict[int, Measured]]:
        """What the finished cells of a data set and classifier measured: method -> seed, of seeds with an original."""
        finished = [
            (loaded, run)
            for loaded in loaded_cells
            if (run := self.run_of(loaded)) and run.status == "finished" and is_under(view, loaded, run)
        ]
        seeds = {loaded.cell.seed for loaded, _ in finished if loaded.cell.arm == ORIGINAL}
        methods: dict[str, dict[int, Measured]] = {}
        for loaded, run in finished:
            if loaded.cell.seed in seeds:
                methods.setdefault(loaded.cell.arm, {})[loaded.cell.seed] = self.measured(loaded, run, view)
        return methods

    def comparison(
        self, loaded: LoadedCell, view: RecipeView, methods: Mapping[str, Mapping[int, Measured]]
    ) -> Comparison:
        from blindspot.tools.metrics.study_figures import Comparison

        settings = loaded.cell.settings
        return Comparison(
            study_id=self.study.study_id,
            dataset=loaded.cell.dataset,
            classifier=loaded.cell.classifier,
            recipe=view.name,
            methods=methods,
            baselines={method: baselines_of(method, methods) for method in methods},
            tau=settings.run.tau,
            thresholds=settings.evaluate.thresholds,
            resamples=self.resamples or settings.evaluate.resamples,
            seed=FIGURES_SEED,
        )

    def measured(self, loaded: LoadedCell, run: Run, view: RecipeView) -> Measured:
        """What the model version of a finished cell does on the test split; read once."""
        key = (run.run_id, run.finished_at, view)
        if key not in self.known:
            self.known[key] = read_measured(self.store, loaded, run, view)
        return self.known[key]


def is_under(view: RecipeView, loaded: LoadedCell, run: Run) -> bool:
    """Whether a cell stands under a view and its run has the view's recipes: what is new in the file may be to come."""
    return view.of_run in loaded.cell.stands_for and set(view.of_run) <= set(run.settings["attack"]["recipes"])


def baselines_of(method: str, methods: Iterable[str]) -> dict[str, str]:
    """Which methods stand for the baselines: those of the same dose, where there are doses."""
    from blindspot.tools.metrics.study_figures import BASELINES

    dose = dose_of(method)[1]
    stand_ins = {}
    for name in BASELINES:
        for candidate in (f"{name}@{dose}", name):
            if candidate in methods and candidate != method:
                stand_ins[name] = candidate
                break
    return stand_ins


def read_measured(store: Store, loaded: LoadedCell, run: Run, view: RecipeView) -> Measured:
    """Read what a cell's model version says of the test split, and how its attacks and its training went."""
    from blindspot.tools.metrics.attack_statistics import attack_statistics
    from blindspot.tools.metrics.figure import Scope
    from blindspot.tools.metrics.outcomes import clean_outcomes, joined, perturbed_outcomes
    from blindspot.tools.metrics.study_figures import Measured

    model_id, accepted = version_of(store, run)
    samples = samples_of(store, loaded.source, loaded.dataset, "test")
    probabilities = {row.subject_id: row.probabilities for row in store.rows(Prediction, model_id=model_id)}
    clean = clean_outcomes(
        [sample.sample_id for sample in samples],
        [sample.label for sample in samples],
        [probabilities[sample.sample_id] for sample in samples],
        loaded.dataset.labels,
    )
    parts: list[Outcomes] = []
    others: dict[str, float] = {}
    for recipe in view.counted:
        attacks = store.rows(Attack, model_id=model_id, split="test", recipe=recipe)
        parts.append(perturbed_outcomes(clean, attacks, probabilities))
        if len(view.counted) == 1:
            scope = Scope(run.run_id, 0, run.tau, (), 0, 0)
            others |= {row.metric: row.value for row in attack_statistics(attacks, scope)}
    if run.kind != "original":
        version = store.one(ModelVersion, model_id=model_id)
        others["rows_added"] = float(version.rows_synthetic) if version else 0.0
        others["accepted"] = float(accepted)
    # Seeds that each draw a part of the split share rows of the source, not ids of samples.
    rows = {sample.sample_id: f"row {sample.row:09}" for sample in samples}
    clean, *parts = (
        replace(one, sample_ids=tuple(rows[sample_id] for sample_id in one.sample_ids)) for one in (clean, *parts)
    )
    return Measured(clean, joined(parts) if parts else None, others)


def version_of(store: Store, run: Run) -> tuple[str, bool]:
    """The model version that stands for a run, and whether the run's verdict took it.

    It is the one that the run trained last, taken or not: no method gains by what the verdict, which sees the test
    split, refused. A run that trained nothing is the original.
    """
    rounds = sorted(store.rows(Round, run_id=run.run_id), key=lambda each: each.round)
    trained = [each for each in rounds if each.new_model_id]
    if trained:
        return str(trained[-1].new_model_id), bool(trained[-1].accepted)
    assert run.original_model_id is not None
    return run.original_model_id, False
