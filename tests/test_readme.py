"""What the README says is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import typer

from blindspot.cli.main import app
from blindspot.graphs.kinds.mitigation import PHASES
from blindspot.storage.analysts.results import Results
from blindspot.storage.settings.sections import check_settings
from blindspot.storage.store.store import Store

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("storage", "tools", "agents", "graphs", "cli")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_settings_are_settings() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)
    assert check_settings(tomllib.loads(block), where="README").teacher.samples_per_hypothesis == 2


def test_its_commands_are_commands() -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"(?<![-/\w])blindspot ([a-z]+)(?=[ `\n])", README)) - {"finds"}
    assert named <= commands, named - commands


def test_its_queries_are_answered(tmp_path: Path) -> None:
    queries = re.findall(r'blindspot query[^"\n]*"([^"]+)"', README)
    assert len(queries) >= 3
    with Store.open(tmp_path) as store:
        store.publish()
    with Results.open(tmp_path) as results:
        for sql in queries:
            assert results.query(sql)[0], sql


def test_its_picture_shows_every_step_in_order() -> None:
    (line,) = [line for line in README.splitlines() if line.strip().startswith("prepare -->")]
    assert tuple(line.split()[::2]) == PHASES


def test_its_folders_are_there() -> None:
    block = README.split("## Where things are")[1].split("Imports go one way")[0]
    told: set[Path] = set()
    above = Path()
    for indent, name in re.findall(r"^( +)(\w+)/ ", block, flags=re.MULTILINE):
        above = Path(name) if len(indent) == 4 else above
        told.add(above if len(indent) == 4 else above / name)
    code = {file.parent.relative_to(ROOT) for layer in LAYERS for file in (ROOT / layer).rglob("*.py")}
    assert code <= told
    assert all((ROOT / folder).is_dir() for folder in told)
