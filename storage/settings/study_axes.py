"""The settings of a study: the axes that a study.toml may name, with one line for each mistake."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, field_validator

from blindspot.storage.errors import SettingsError
from blindspot.storage.settings.sections import MethodSection, RunName, Section, Seed, Share, check_unlike, explain_key

ORIGINAL = "original"  # the arm of the runs that train the original model versions
METHODS: tuple[str, ...] = get_args(MethodSection.model_fields["name"].annotation)

WITH_FILE = ("recorded", "programs")  # methods that an arm may give a file, as "recorded:FILE"

TomlTable = dict[str, Any]


def as_arm(value: object) -> object:
    """Read a method's name, "recorded:FILE", "programs:FILE" or a teacher's spec as the arm that has nothing else."""
    if not isinstance(value, str):
        return value
    kind = value.partition(":")[0]
    return {"name": kind if kind in WITH_FILE else value, "method": value}


def as_recipes(value: object) -> object:
    """Read a recipe by itself as a list of one."""
    return (value,) if isinstance(value, str) else value


Recipes = Annotated[tuple[str, ...], BeforeValidator(as_recipes), AfterValidator(check_unlike)]
Dose = Annotated[float, Field(gt=0, le=10)]
Name = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Variant(Section):
    """A data set or a classifier: a name, and the settings that it changes, section by section."""

    name: Name
    run: TomlTable | None = None
    data: TomlTable | None = None
    errors: TomlTable | None = None
    classifier: TomlTable | None = None
    attack: TomlTable | None = None
    method: TomlTable | None = None
    select: TomlTable | None = None
    teacher: TomlTable | None = None
    filter: TomlTable | None = None
    retrain: TomlTable | None = None
    evaluate: TomlTable | None = None
    accept: TomlTable | None = None

    def changes(self) -> TomlTable:
        """The settings that it changes."""
        return {name: dict(values) for name, values in self if isinstance(values, Mapping) and values}


class Arm(Section):
    """A method with settings of its own."""

    name: Name
    method: Name | None = None  # a method, "recorded:FILE", "programs:FILE" or a teacher's spec; None: the name is one
    share: Dose | None = None  # rows added, of the training rows
    adversarial: Share | None = None  # part of the rows that programs give: perturbed texts in their stead
    datasets: tuple[str, ...] | None = None  # names of those that it is for; None: all
    run: TomlTable | None = None
    attack: TomlTable | None = None
    select: TomlTable | None = None
    teacher: TomlTable | None = None
    filter: TomlTable | None = None
    retrain: TomlTable | None = None
    accept: TomlTable | None = None
    hypotheses: TomlTable | None = None

    @field_validator("name")
    @classmethod
    def check_name(cls, name: str) -> str:
        if name == ORIGINAL:
            raise ValueError(f'"{ORIGINAL}" is reserved for the model before any method; use another name')
        return name

    def changes(self, folder: Path) -> TomlTable:
        """The settings that it changes.

        Args:
            folder: where the path of a file of samples begins.
        """
        changed = {name: dict(values) for name, values in self if isinstance(values, Mapping) and values}
        named = self.method or self.name
        kind, _, path = named.partition(":")
        file = str((folder / Path(path).expanduser()).resolve())
        if kind == "recorded" and path:
            changed["method"] = {"name": kind, "file": file}
        elif kind == "programs" and path:
            changed["method"] = {"name": kind}
            changed.setdefault("hypotheses", {})["file"] = file
        elif named in METHODS:
            changed["method"] = {"name": named}
        else:
            changed["method"] = {"name": "teacher"}
            changed.setdefault("teacher", {})["spec"] = named
        if self.share is not None:
            changed["method"]["share"] = self.share
        if self.adversarial is not None:
            changed["method"]["adversarial"] = self.adversarial
        return changed


class StudySection(Section):
    """The axes of a study."""

    name: RunName = "study"
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=1000)] = (0, 1, 2)
    recipes: tuple[Recipes, ...] = (("deepwordbug",),)  # each in runs of its own; an inner list: together in one
    methods: tuple[Annotated[Arm, BeforeValidator(as_arm)], ...] = ()
    arms: tuple[Arm, ...] = ()  # further methods, each in a table of its own
    shares: tuple[Dose, ...] = ()  # the doses that every method is tried at which adds rows
    datasets: tuple[Variant, ...] = ()
    classifiers: tuple[Variant, ...] = ()
    resamples: Annotated[int, Field(ge=1, le=100_000)] | None = (
        None  # of the bootstrap of the study's figures; None: evaluate.resamples
    )

    @field_validator("seeds", "recipes", "shares")
    @classmethod
    def check_values(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        check_unlike(tuple(map(str, values)))
        return values

    @field_validator("methods", "arms", "datasets", "classifiers")
    @classmethod
    def check_names(cls, entries: tuple[Arm | Variant, ...]) -> tuple[Arm | Variant, ...]:
        check_unlike(tuple(entry.name for entry in entries))
        return entries


def check_axes(table: object, *, where: str) -> StudySection:
    """Validate the section [study].

    Raises: SettingsError, naming the first wrong key and how many more there are.
    """
    try:
        axes = StudySection.model_validate(table)
    except ValidationError as error:
        first, *others = error.errors()
        key = ".".join(("study", *map(str, first["loc"])))
        reason = unknown_key(first["loc"]) if first["type"] == "extra_forbidden" else explain_key(dict(first), key)
        raise SettingsError(f"{where}: {key}: {reason}{f' (and {len(others)} more)' if others else ''}") from None
    if not (axes.methods or axes.arms):
        raise SettingsError(f'{where}: study.methods: empty; name some, e.g. ["none", "relabel", "rules"]')
    twice = {arm.name for arm in axes.methods} & {arm.name for arm in axes.arms}
    if twice:
        raise SettingsError(f'{where}: study.arms: "{min(twice)}" is also among study.methods')
    names = [entry.name for entry in axes.datasets]
    for arm in (*axes.methods, *axes.arms):
        unknown = [name for name in arm.datasets or () if name not in names]
        if unknown:
            raise SettingsError(
                f'{where}: the arm "{arm.name}" is for the data set "{unknown[0]}", which the study lacks'
            )
    return axes


def unknown_key(place: tuple[int | str, ...]) -> str:
    """Say which key of [study] the unknown one may have been meant for."""
    models: dict[object, type[Section]] = {"methods": Arm, "arms": Arm, "datasets": Variant, "classifiers": Variant}
    known = (models[place[0]] if len(place) > 1 else StudySection).model_fields
    near = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known here: {', '.join(known)}"
