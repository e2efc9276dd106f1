"""The reference pages of settings and commands are what the code gives, and leave nothing out."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest
import typer

from blindspot.cli.commands.init import STUDY, TEMPLATE
from blindspot.cli.main import app
from blindspot.storage.settings.sections import Settings
from blindspot.storage.settings.study_axes import Arm, StudySection, Variant
from blindspot.storage.settings.values import RENAMED
from support.places import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The script that writes the pages."""
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["settings.md", "commands.md"])
def test_a_page_is_what_the_code_gives(reference: ModuleType, name: str) -> None:
    page = (DOCS / name).read_text(encoding="utf-8")
    assert page == reference.PAGES[name](), f"docs/{name} lags behind the code: run `make docs`"


def test_every_setting_has_a_line_of_help(reference: ModuleType) -> None:
    helps = reference.read_help(TEMPLATE.read_text(encoding="utf-8"))
    study = reference.read_help(STUDY.read_text(encoding="utf-8"))
    helps |= {key: text for key, text in study.items() if key.startswith("study")}
    sections = [*reference.sections_of(Settings), ("study", StudySection), ("study.arms", Arm)]
    sections += [("study.datasets", Variant), ("study.classifiers", Variant)]
    keys = [key for name, model in sections for key, _ in reference.settings_of(model, name)]
    assert len(keys) > 100
    assert [key for key in keys if not helps.get(key)] == []


def test_every_command_argument_and_option_has_a_line_of_help(reference: ModuleType) -> None:
    command = typer.main.get_command(app)
    silent = []
    for each in (command, *reference.commands_of(command)):
        silent += [] if each.help else [each.name]
        silent += [f"{each.name} {parameter.name}" for parameter in each.params if not getattr(parameter, "help", None)]
    assert silent == []


def test_the_page_of_settings_says_old_names_and_bounds(reference: ModuleType) -> None:
    page = reference.settings_page()
    assert all(f"Old name: `{old.rpartition('.')[2]}`" in page for old in RENAMED)
    assert "| `seed` | whole number, at least 0, below 4,294,967,296 | `0` |" in page
    assert '| `bertscore` | `"calibrated"` or number, at least 0, at most 1 | `"calibrated"` |' in page


def test_help_shows_square_brackets() -> None:
    """Typer's default takes them for markup and leaves them out: a base URL, say, in `openai:MODEL[@BASE_URL]`."""
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert "openai:MODEL[@BASE_URL]" in page
