"""Settings with a new name: the old one works, is said once, and old runs are read as before."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from blindspot.storage.errors import SettingsError
from blindspot.storage.settings.file import load_settings
from blindspot.storage.settings.sections import Settings, check_settings
from blindspot.storage.settings.values import RENAMED, RenamedSetting
from support.commands import Cli

DATA = 'data = {path = "reviews", fields = ["text"], label = "label", task = "whether praise"}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mitigation.toml"
    path.write_text(DATA + "[retrain]\ndoubt = 0.25\n")
    return path


def test_an_old_name_works_and_says_the_new_one(file: Path) -> None:
    with pytest.warns(RenamedSetting, match=r"^retrain.doubt is called retrain.label_smoothing now; the old name"):
        settings = load_settings(file)
    assert settings.retrain.label_smoothing == 0.25
    assert "doubt" not in settings.model_dump()["retrain"]


def test_an_override_may_have_the_old_name_too(tmp_path: Path) -> None:
    path = tmp_path / "mitigation.toml"
    path.write_text(DATA)
    with pytest.warns(RenamedSetting):
        assert load_settings(path, ["retrain.doubt=0.5"]).retrain.label_smoothing == 0.5


def test_both_names_at_once_are_refused(file: Path) -> None:
    with pytest.raises(SettingsError, match=r"retrain.doubt is the old name of retrain.label_smoothing, which is set"):
        load_settings(file, ["retrain.label_smoothing=0.5"])


def test_settings_that_a_run_has_stored_are_read_without_a_warning() -> None:
    table = {
        "data": {"path": "/reviews", "fields": ["text"], "label": "label", "task": "whether praise"},
        "retrain": {"doubt": 0.25},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_settings(table, where="settings of run-1").retrain.label_smoothing == 0.25
    assert table["retrain"] == {"doubt": 0.25}


def test_every_new_name_is_a_setting_and_no_old_one_is() -> None:
    for old, new in RENAMED.items():
        section, key = old.split(".")
        fields = Settings.model_fields[section].annotation.model_fields  # type: ignore[union-attr]
        assert new in fields
        assert key not in fields


def test_the_command_tells_an_old_name_in_one_line(cli: Cli, file: Path) -> None:
    answer = cli("run", str(file))
    assert answer.code == 2  # there are no such data
    lines = answer.err.splitlines()
    assert lines[0] == "blindspot: retrain.doubt is called retrain.label_smoothing now; the old name still works"
    assert len(lines) == 2
