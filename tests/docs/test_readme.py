"""What the README, and the pages that it leads to, say is so."""

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
from support.places import ROOT

LAYERS = ("storage", "tools", "agents", "graphs", "cli")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")}


def test_its_settings_are_settings() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)
    assert check_settings(tomllib.loads(block), where="README").teacher.samples_per_hypothesis == 2


def test_its_commands_are_commands() -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    text = "\n".join([README, PAGES["running.md"], PAGES["attacks.md"]])
    named = set(re.findall(r"^    (?:\.venv/bin/)?blindspot ([a-z-]+)(?=[ `\n])", text, flags=re.MULTILINE))
    named |= set(re.findall(r"`blindspot ([a-z-]+)(?=[ `\n])", text))
    assert len(named) >= 10
    assert named <= commands, named - commands


def test_its_queries_are_answered(tmp_path: Path) -> None:
    queries = re.findall(r'blindspot query -w blindspot-demo "([^"]+)"', README + PAGES["analysts.md"])
    assert len(queries) >= 4
    with Store.open(tmp_path) as store:
        store.publish()
    with Results.open(tmp_path) as results:
        for sql in queries:
            assert results.query(sql)[0], sql


def test_its_picture_shows_every_step_in_order() -> None:
    (line,) = [line for line in README.splitlines() if line.strip().startswith("prepare -->")]
    assert tuple(line.split()[::2]) == PHASES


def test_its_folders_are_there() -> None:
    block = PAGES["architecture.md"].split("## Where things are")[1]
    told: set[Path] = set()
    above = Path()
    for indent, name in re.findall(r"^( +)(\w+)/ ", block, flags=re.MULTILINE):
        above = Path(name) if len(indent) == 4 else above
        told.add(above if len(indent) == 4 else above / name)
    code = {file.parent.relative_to(ROOT) for layer in LAYERS for file in (ROOT / layer).rglob("*.py")}
    assert code <= told
    assert all((ROOT / folder).is_dir() for folder in told)


def test_its_links_and_those_of_the_pages_lead_somewhere() -> None:
    texts = {ROOT / "README.md": README, **{ROOT / "docs" / name: text for name, text in PAGES.items()}}
    texts |= {ROOT / name: (ROOT / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "CONTRIBUTING.md")}
    for page, text in texts.items():
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
            path, _, part = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), f"{page.name}: {target}"
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE) if part else []
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert not part or part in anchors, f"{page.name}: {target}"


def test_what_it_shows_of_a_run_is_nowhere_cut_off() -> None:
    shown = [line for line in README.splitlines() if line.startswith("    ")]
    assert [line for line in shown if line.endswith("…")] == []
