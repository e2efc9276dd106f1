"""The cells of a study: the runs that its axes make, each with settings of its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blindspot.storage.errors import SettingsError
from blindspot.storage.settings.file import (
    DATA,
    NAMES,
    Overrides,
    apply_overrides,
    complete_settings,
    plain_values,
    read_settings,
    resolve_paths,
)
from blindspot.storage.settings.sections import ClassifierSection, RunSection, Settings
from blindspot.storage.settings.study_axes import ORIGINAL, Arm, StudySection, TomlTable, Variant, check_axes
from blindspot.storage.words import RunKindName

ADDS_NOTHING = ("none", "temperature")  # methods without a dose
FREE = ("none", "temperature", "random", "typos", "recorded", "programs", "random-programs")  # learn of no attack
OF_STUDY = ("run.name", "run.seed", "run.workspace", "attack.recipes", "study")  # keys that no axis may change
OF_ARM = ("run.rounds", "attack.samples", "attack.train_samples", "method", "select", "teacher", "filter", "retrain",
          "accept", "hypotheses")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a study: the training and the attacks on the original model version, or a method's repair of it."""

    dataset: str
    classifier: str
    seed: int
    arm: str
    settings: Settings
    stands_for: tuple[tuple[str, ...], ...]  # the sets of recipes under which its figures stand in the tables

    @property
    def kind(self) -> RunKindName:
        """The kind of its run."""
        return "original" if self.arm == ORIGINAL else "mitigation"

    @property
    def origin(self) -> tuple[str, str, int]:
        """What the cells that share an original model version have in common."""
        return self.dataset, self.classifier, self.seed

    @property
    def is_shared(self) -> bool:
        """Whether its training depends on no recipe, so that one run does for all of them."""
        return self.arm == ORIGINAL or is_free(self.settings)

    def __str__(self) -> str:
        recipes = "every recipe" if len(self.stands_for) > 1 else "+".join(self.settings.attack.recipes) or "no attack"
        return f"{self.dataset}, {self.classifier}, seed {self.seed}, {self.arm}, {recipes}"


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """A study.toml, read: its axes and its cells, in the order in which they run."""

    axes: StudySection
    table: Mapping[str, Any]  # as it was written, with absolute paths
    workspace: Path
    cells: tuple[Cell, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """The methods' names with their doses, in the order of the file."""
        return tuple(dict.fromkeys(cell.arm for cell in self.cells if cell.arm != ORIGINAL))


def is_free(settings: Settings) -> bool:
    """Whether what a run trains is the same whatever its attacks find."""
    retrain = settings.retrain
    learns = (retrain.consistency > 0 and retrain.twins == "attacks") or retrain.choose == "uus"
    learns |= settings.method.adversarial > 0
    return settings.method.name in FREE and not learns and settings.run.rounds == 1


def load_study(source: str | Path | Mapping[str, Any], overrides: Overrides = ()) -> StudyPlan:
    """Read a study.toml, or a mapping of the same sections, apply overrides, and make its cells.

    Paths are read as those of a run's settings; those of samples for "recorded" begin at the file's own folder, or for
    a mapping at the current one.

    Raises: SettingsError, with the key, or the cell, and what is wrong with it.
    """
    if isinstance(source, Mapping):
        return make_plan(plain_values(source), overrides, where="study", folder=Path.cwd())
    path = Path(source).expanduser()
    return make_plan(read_settings(path), overrides, where=str(path), folder=path.resolve().parent)


def make_plan(table: TomlTable, overrides: Overrides, *, where: str, folder: Path) -> StudyPlan:
    """Make the cells of a study from a table of its own.

    Args:
        where: what the table was made from, for messages.
        folder: where relative paths in the tables of data sets, classifiers and arms begin.
    Raises: SettingsError.
    """
    apply_overrides(table, overrides)
    for name, section in table.items():
        if not isinstance(section, dict):
            raise SettingsError(f"{where}: {name} is a value, not a section; write [{name}]")
    for entry in entries_of(table):
        resolve_paths(entry, folder, DATA + NAMES)
    written = deepcopy(table)
    axes = check_axes(table.pop("study", {}), where=where)
    cells = tuple(make_cells(table, axes, where=where, folder=folder))
    return StudyPlan(axes, written, Path(cells[0].settings.run.workspace), cells)


def entries_of(table: TomlTable) -> list[TomlTable]:
    """The tables of the data sets and classifiers of a study that was not checked yet."""
    study = table.get("study")
    lists = [study.get(name) for name in ("datasets", "classifiers")] if isinstance(study, dict) else []
    return [entry for entries in lists if isinstance(entries, list) for entry in entries if isinstance(entry, dict)]


def make_cells(table: TomlTable, axes: StudySection, *, where: str, folder: Path) -> Iterable[Cell]:
    """Make the cells, all of the first seed first: a study that is stopped has whole seeds.

    Args:
        table: the file without [study]; it may be changed.
    """
    datasets = axes.datasets or (Variant(name=axes.name),)
    model = str(table.get("classifier", {}).get("model", ClassifierSection().model))
    classifiers = axes.classifiers or (Variant(name=Path(model).name),)
    recipes = axes.recipes or ((),)
    every = tuple(dict.fromkeys(itertools.chain.from_iterable(recipes)))
    for seed, dataset, classifier in itertools.product(axes.seeds, datasets, classifiers):
        place = f"{where} ({dataset.name}, {classifier.name})"
        shared = deepcopy(table)
        for entry in (dataset, classifier):
            overlay(shared, entry.changes(), refused=OF_STUDY, where=f'{where}: "{entry.name}"')
        overlay(shared, {"run": {"name": axes.name, "seed": seed}}, refused=(), where=where)
        yield Cell(
            dataset.name, classifier.name, seed, ORIGINAL, original_settings(shared, every, where=place), recipes
        )
        for arm in with_doses(axes):
            if arm.datasets is not None and dataset.name not in arm.datasets:
                continue
            own = arm_table(shared, arm, where=where, folder=folder)
            place = f'{where} ({dataset.name}, {classifier.name}, "{arm.name}")'
            settings = settings_of(own, every, where=place)
            if is_free(settings):
                yield Cell(dataset.name, classifier.name, seed, arm.name, settings, recipes)
                continue
            for group in recipes:
                settings = settings_of(own, group, where=place)
                yield Cell(dataset.name, classifier.name, seed, arm.name, settings, (group,))


def with_doses(axes: StudySection) -> Sequence[Arm]:
    """The arms, each that has a dose and none of its own at each of the shares."""
    arms: list[Arm] = []
    for arm in (*axes.methods, *axes.arms):
        if axes.shares and arm.share is None and (arm.method or arm.name) not in ADDS_NOTHING:
            arms += [arm.model_copy(update={"name": at_dose(arm.name, dose), "share": dose}) for dose in axes.shares]
        else:
            arms.append(arm)
    return arms


def at_dose(name: str, share: float) -> str:
    """The name of an arm at a dose, e.g. "relabel@5%"."""
    return f"{name}@{100 * share:g}%"


def dose_of(name: str) -> tuple[str, str | None]:
    """Split the name of an arm at a dose, e.g. ("relabel", "5%"); None: it has none, though it may hold an @."""
    match = re.fullmatch(r"(.+)@([0-9.e-]+%)", name)
    return (match[1], match[2]) if match else (name, None)


def arm_table(shared: TomlTable, arm: Arm, *, where: str, folder: Path) -> TomlTable:
    """The settings of a data set and a classifier as an arm has them.

    A method that asks no teacher keeps of [teacher] only what its budget of rows depends on.
    """
    own, changed = deepcopy(shared), arm.changes(folder)
    shared_method = own.pop("method", {})
    overlay(own, {name: values for name, values in changed.items() if name != "method"}, allowed=OF_ARM,
            where=f'{where}: the arm "{arm.name}"')  # fmt: skip
    method = shared_method | changed["method"]
    if method["name"] != "recorded":
        method.pop("file", None)
    if method["name"] in ADDS_NOTHING:
        method.pop("share", None)
    own["method"] = method
    if method["name"] != "teacher":
        kept = {k: v for k, v in own.get("teacher", {}).items() if k == "samples_per_hypothesis"}
        own["teacher"] = kept
    return own


def original_settings(shared: TomlTable, recipes: tuple[str, ...], *, where: str) -> Settings:
    """The settings of the run that trains and attacks an original model version: nothing of a method is in them."""
    own = {name: values for name, values in deepcopy(shared).items() if name not in
           ("method", "select", "teacher", "filter", "retrain", "accept", "compare")}  # fmt: skip
    own["method"] = {"name": "none"}
    own["run"].pop("rounds", None)
    return settings_of(own, recipes, where=where)


def settings_of(table: TomlTable, recipes: tuple[str, ...], *, where: str) -> Settings:
    own = deepcopy(table)
    own.setdefault("attack", {})["recipes"] = list(recipes)
    own["run"].setdefault("workspace", RunSection().workspace)
    return complete_settings(own, (), where=where)


def overlay(
    table: TomlTable,
    changes: Mapping[str, Any],
    *,
    where: str,
    refused: Sequence[str] = (),
    allowed: Sequence[str] = (),
) -> None:
    """Put settings in the places of others, in place.

    Args:
        refused, allowed: keys, or whole sections; where some are allowed, no other is.
    Raises: SettingsError, for a key that may not be changed here.
    """
    for section, values in changes.items():
        for name, value in values.items():
            key = f"{section}.{name}"
            if key in refused or section in refused or (allowed and key not in allowed and section not in allowed):
                raise SettingsError(f"{where}: {key} is fixed for the whole study, or one of its axes; leave it out")
            set_value(table.setdefault(section, {}), name, value)


def set_value(section: TomlTable, name: str, value: Any) -> None:
    """Set one key, or the keys of an inner table such as data.limit."""
    if isinstance(value, Mapping) and isinstance(section.get(name), dict):
        section[name] = section[name] | dict(value)
    else:
        section[name] = value
