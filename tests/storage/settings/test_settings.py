"""The settings: where paths are looked for, what is refused and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blindspot.storage.errors import SettingsError
from blindspot.storage.settings.file import change_settings, load_settings
from blindspot.storage.settings.sections import check_settings


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The folder of a settings file, and the current folder; each holds a `data`, `model` and `encoder` of its own."""
    own, here = tmp_path / "own", tmp_path / "here"
    for folder in (own, here):
        for name in ("data", "model", "encoder"):
            (folder / name).mkdir(parents=True)
    monkeypatch.chdir(here)
    return own, here


def write(folder: Path, text: str) -> Path:
    file = folder / "mitigation.toml"
    file.write_text(text, encoding="utf-8")
    return file


def paths(file: Path, *overrides: str) -> tuple[str | None, str, str]:
    settings = load_settings(file, overrides)
    return settings.data.path, settings.classifier.model, settings.filter.encoder


def test_paths_of_a_file_are_looked_for_beside_it(folders: tuple[Path, Path]) -> None:
    own, _ = folders
    file = write(own, '[data]\npath = "data"\n[classifier]\nmodel = "model"\n[filter]\nencoder = "../own/encoder"\n')
    assert paths(file) == (str(own / "data"), str(own / "model"), str(own / "encoder"))


def test_paths_of_an_override_are_looked_for_in_the_current_folder_first(folders: tuple[Path, Path]) -> None:
    own, here = folders
    file = write(own, '[data]\npath = "data"\n')
    overrides = ("data.path=data", "classifier.model=./model", "filter.encoder=encoder")
    assert paths(file, *overrides) == (str(here / "data"), str(here / "model"), str(here / "encoder"))


def test_a_path_of_an_override_that_lies_beside_the_file_alone_is_none(folders: tuple[Path, Path]) -> None:
    own, _ = folders
    (own / "reviews").mkdir()
    file = write(own, '[data]\npath = "data"\n')
    assert paths(file, "data.path=reviews")[0] == "reviews"  # an id of Hugging Face, as far as can be seen


def test_a_path_of_the_file_that_lies_in_the_current_folder_alone_is_made_absolute(
    folders: tuple[Path, Path],
) -> None:
    own, here = folders
    (here / "reviews").mkdir()
    assert paths(write(own, '[data]\npath = "reviews"\n'))[0] == str(here / "reviews")


def test_what_can_only_be_a_path_is_made_absolute_there_or_not(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own, here = folders
    monkeypatch.setenv("HOME", str(tmp_path))
    file = write(own, '[data]\ntrain = "a.csv"\nvalidation = "../b.csv"\ntest = "~/c.csv"\n')
    data = load_settings(file, ["data.test=c.csv"]).data
    assert (data.train, data.validation, data.test) == (
        str(own / "a.csv"),
        str(tmp_path / "b.csv"),
        str(here / "c.csv"),
    )
    assert load_settings(file).data.test == str(tmp_path / "c.csv")
    assert load_settings(file, ["classifier.model=./absent"]).classifier.model == str(here / "absent")


def test_names_that_are_no_paths_stay(folders: tuple[Path, Path]) -> None:
    own, here = folders
    for folder in folders:
        (folder / "minilm").mkdir()
    file = write(own, '[data]\npath = "nyu-mll/glue"\n[classifier]\nmodel = "minilm"\n')
    assert paths(file) == ("nyu-mll/glue", "minilm", "minilm")
    assert paths(file, "classifier.model=./minilm")[1] == str(here / "minilm")


def test_the_workspace_is_taken_from_the_current_folder_and_made_absolute(folders: tuple[Path, Path]) -> None:
    own, here = folders
    file = write(own, '[data]\npath = "data"\n')
    assert load_settings(file).run.workspace == str(here / "blindspot-workspace")
    assert load_settings(file, ["run.workspace=../ws"]).run.workspace == str(here.parent / "ws")


def test_settings_that_were_checked_can_be_changed(folders: tuple[Path, Path]) -> None:
    _, here = folders
    settings = check_settings({"data": {"path": "model"}}, where="test")  # an id: what lies here is not meant
    changed = change_settings(settings, ["teacher.timeout_s=5", "filter.encoder=encoder"])
    assert (changed.teacher.timeout_s, changed.filter.encoder) == (5.0, str(here / "encoder"))
    assert (changed.data, changed.run) == (settings.data, settings.run)
    with pytest.raises(SettingsError, match=r"^--set: teacher\.timeout_s: input should be greater than 0"):
        change_settings(settings, ["teacher.timeout_s=0"])


WRONG = [
    ({"data": {"fields": ["text", "text"]}}, 'data.fields: "text" is listed twice'),
    ({"data": {"fields": ["text", "label"]}}, 'data: the label\'s column "label" is one of the fields'),
    ({"data": {"fields": "text"}}, "data.fields: input should be a list, got 'text'"),
    ({"data": {"fields": []}}, "data.fields: "),
    ({"data": {"labels": ["a", "b", "a"]}}, 'data.labels: "a" is listed twice'),
    ({"attack": {"recipes": ["deepwordbug", "textfooler", "DeepWordBug"]}},
     'attack.recipes: "DeepWordBug" is the same recipe as "deepwordbug"'),
    ({"attack": {"recipes": ["text-fooler", "text-fooler"]}}, 'attack.recipes: "text-fooler" is listed twice'),
    ({"attack": {"fields": ["text", "title"]}}, 'attack: the field "title" is not among data.fields (text)'),
    ({"attack": {"fields": []}}, "attack.fields: "),
    ({"attack": {"sentence_encoder": "x"}}, "attack.sentence_encoder: input should be 'minilm' or 'use', got 'x'"),
    ({"attack": {"timeout_s": 0}}, "attack.timeout_s: input should be greater than 0, got 0"),
    ({"attack": {"stop_uus": 0}}, "attack.stop_uus: input should be greater than or equal to 1, got 0"),
    ({"attack": {"stop_s": -1}}, "attack.stop_s: input should be greater than 0, got -1"),
    ({"filter": {"bertscore": "x"}}, 'filter.bertscore: write "calibrated" or a number from 0 to 1, got \'x\''),
    ({"filter": {"bertscore": 1.5}}, 'filter.bertscore: write "calibrated" or a number from 0 to 1, got 1.5'),
    ({"filter": {"bertscore": True}}, 'filter.bertscore: write "calibrated" or a number from 0 to 1, got True'),
    ({"retrain": {"epochs": float("inf")}}, "retrain.epochs: input should be a finite number"),
    ({"run": {"tau": float("nan")}}, "run.tau: "),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), WRONG)
def test_what_cannot_be_meant_is_refused_in_plain_words(changes: dict[str, dict[str, Any]], said: str) -> None:
    table = {"data": {"path": "data"}}
    for section, values in changes.items():
        table.setdefault(section, {}).update(values)
    with pytest.raises(SettingsError) as found:
        check_settings(table, where="m.toml")
    assert str(found.value).startswith(f"m.toml: {said}"), found.value
    assert "(and" not in str(found.value)


@pytest.mark.parametrize("value", ["calibrated", 0, 0.5, 1])
def test_a_threshold_of_bertscore_is_calibrated_or_a_number(value: str | float) -> None:
    assert check_settings({"data": {"path": "d"}, "filter": {"bertscore": value}}, where="").filter.bertscore == value
