"""Settings that are slips or attacks: each is refused in one short line, before anything is done."""

from __future__ import annotations

import itertools
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from blindspot.storage.errors import SettingsError
from blindspot.storage.settings.sections import Settings, check_settings
from blindspot.storage.settings.study_axes import StudySection, check_axes
from support.commands import Cli

NUL, LONG = '"a\\u0000b"', f'"{"a" * 300}"'
FILES = {
    "seed": "[run]\nseed = 4294967296\n",
    "negative seed": "[run]\nseed = -1\n",
    "resamples": "[evaluate]\nresamples = 1000000000000\n",
    "rounds": "[run]\nrounds = 1000001\n",
    "digits": f"[run]\nseed = {'9' * 5000}\n",
    "bits": f"[run]\nseed = {'9' * 4000}\n",
    "huge float": "[teacher]\ntimeout_s = 1e300\n",
    "infinite": "[teacher]\ntimeout_s = inf\n",
    "not a number": "[run]\ntau = nan\n",
    "lists in lists": f"[data]\nfields = {'[' * 5000}{']' * 5000}\n",
    "twenty lists": f"[data]\nfields = {'[' * 20}{']' * 20}\n",
    "tables in tables": f"[data]\nlimit = {'{a = ' * 3000}1{'}' * 3000}\n",
    "dotted": f"{'.'.join('a' * 900)} = 1\n",
    "dotted section": f"[{'.'.join('a' * 900)}]\n",
    "no section": "run = 3\n",
    "a date": "[run]\nseed = 2026-13-45\n",
    "a real date": "[run]\nseed = 2026-01-02\n",
    "a long value": f"[run]\nseed = [{', '.join('1' * 5000)}]\n",
    "a long key": f"[run]\n{'k' * 20_000} = 1\n",
    "an odd key": '[run]\n"a\\u001bb\\u0000" = 1\n',
    "NUL as name": f"[run]\nname = {NUL}\n",
    "a long name": f"[run]\nname = {LONG}\n",
    "a long text": f'[data]\ntask = "{"a" * 20_000}"\n',
    "not TOML": "[run\n",
    "too large": f"# {'a' * 2**20}\n",
    **{
        f"{value[:6]} in {section}.{key}": f"[{section}]\n{key} = {value}\n"
        for (section, key), value in itertools.product(
            (
                ("run", "workspace"),
                ("data", "path"),
                ("data", "train"),
                ("errors", "file"),
                ("classifier", "model"),
                ("filter", "encoder"),
            ),
            (NUL, LONG),
        )
    },
    **{
        f"{value[:6]} in {kind}": f'[teacher]\nspec = "{kind}:{value[1:]}\n'
        for kind, value in itertools.product(("file", "replay"), (NUL, LONG))
    },
    "NUL in a label": f"[data]\nlabels = [{NUL}]\n",
    "NUL in a device": f"[classifier]\ndevice = {NUL}\n",
    "NUL in a column": f"[errors]\nconfidence = {NUL}\n",
    "NUL in a recipe": f"[attack]\nrecipes = [{NUL}]\n",
}


def check_refused(answer: Any, folder: Path) -> None:
    """See that there is one short line, and nothing else anywhere."""
    (line,) = answer.err.splitlines()
    assert answer.code == 2, answer
    assert line.startswith("blindspot: ")
    assert len(line) < 700, line
    assert "Traceback" not in line
    assert answer.out == ""
    assert {path.name for path in folder.iterdir()} <= {"mitigation.toml", "study.toml"}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused_in_one_line(cli: Cli, tmp_path: Path, name: str) -> None:
    text = FILES[name]
    (tmp_path / "mitigation.toml").write_text(text if "[data]" in text else f'{text}\n[data]\npath = "data"\n')
    check_refused(cli("run", "mitigation.toml"), tmp_path)


@pytest.mark.parametrize("name", [name for name in FILES if "seed" in name or "NUL" in name or "lists" in name])
def test_so_is_one_of_a_study(cli: Cli, tmp_path: Path, name: str) -> None:
    text = FILES[name]
    start = '[study]\nmethods = ["none"]\n'
    (tmp_path / "study.toml").write_text(start + (text if "[data]" in text else f'{text}\n[data]\npath = "data"\n'))
    check_refused(cli("study", "study.toml"), tmp_path)


@pytest.mark.parametrize(
    "override",
    [
        "run.seed=4294967296",
        f"run.seed={'9' * 5000}",
        f"run.seed={'[' * 5000}",
        f"run.workspace={'w' * 300}",
        f"{'a' * 20_000}.b=1",
        ".".join("a" * 900) + "=1",
        "data.task=\udcff",
        'data.path="a\\u0000b"',
        f"data.path={'d' * 300}",
        f"teacher.spec=file:{'d' * 300}",
    ],
    ids=lambda value: value[:24].encode("ascii", "backslashreplace").decode(),
)
def test_a_hostile_override_is_refused_in_one_line(cli: Cli, tmp_path: Path, override: str) -> None:
    (tmp_path / "mitigation.toml").write_text('[data]\npath = "data"\n')
    check_refused(cli("run", "mitigation.toml", "--set", override), tmp_path)


def numbers_of(model: type[BaseModel], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The keys of a model that take numbers, and whether in a list."""
    for name, field in model.model_fields.items():
        annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        kinds = set(leaves(annotation))
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from numbers_of(kind, (*place, name))
        if kinds & {int, float}:
            yield (*place, name), tuple in kinds


def leaves(annotation: Any) -> Iterator[Any]:
    """The plain types in an annotation, and `tuple` for lists."""
    origin = typing.get_origin(annotation)
    if origin is tuple:
        yield tuple
    if origin in (typing.Union, types.UnionType, tuple):
        for inner in typing.get_args(annotation):
            yield from leaves(inner)
    elif origin is Annotated:
        yield from leaves(typing.get_args(annotation)[0])
    elif origin is None:
        yield annotation


NUMBERS = [(place, in_list) for place, in_list in numbers_of(Settings)]


def test_the_numbers_are_seen() -> None:
    names = {".".join(place) for place, _ in NUMBERS}
    assert {"run.seed", "data.limit.train", "evaluate.thresholds", "filter.bertscore", "retrain.patience"} <= names
    assert len(names) > 50


@pytest.mark.parametrize(
    ("place", "in_list"), NUMBERS, ids=lambda value: ".".join(value) if isinstance(value, tuple) else ""
)
@pytest.mark.parametrize("number", [10**12, -(10**12)])
def test_every_number_of_the_settings_has_bounds(place: tuple[str, ...], in_list: bool, number: int) -> None:
    inner: Any = [number] if in_list else number
    for name in reversed(place):
        inner = {name: inner}
    table: dict[str, Any] = {"data": {"path": "data"}}
    section = place[0]
    table[section] = {**table.get(section, {}), **inner[section]}
    if section == "retrain":
        table[section].setdefault("choose", "uus")
    with pytest.raises(SettingsError) as refused:
        check_settings(table, where="m.toml")
    assert ".".join(place[:2]) in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [{"seeds": [2**32]}, {"seeds": [-1]}, {"resamples": 10**12}, {"shares": [10**12]}, {"name": "n" * 300}],
)
def test_so_has_every_number_of_a_study(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=rf"study\.{next(iter(changes))}"):
        check_axes({"methods": ["none"], **changes}, where="s.toml")
    assert StudySection.model_validate({"seeds": [2**32 - 1]}).seeds == (2**32 - 1,)
