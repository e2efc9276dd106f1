"""Imports go one way, and light modules stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from support.places import ROOT

LAYERS = ("storage", "tools", "agents", "graphs", "cli")
FACE = ROOT / "blindspot" / "__init__.py"


def imported_layers(path: Path) -> set[str]:
    modules = [
        name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    ]
    assert not [name for name in modules if name.split(".")[0] in LAYERS], f"{path} imports a folder by its bare name"
    return {name.split(".")[1] for name in modules if name.startswith("blindspot.")}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_those_below_it(layer: str) -> None:
    allowed = set(LAYERS[: LAYERS.index(layer) + 1])
    allowed |= {"api"} if layer == "cli" else set()  # commands call what Python does
    files = sorted((ROOT / layer).rglob("*.py"))
    assert files
    assert {
        str(file.relative_to(ROOT)): imported_layers(file) - allowed
        for file in files
        if imported_layers(file) - allowed
    } == {}


def imports_of() -> dict[str, set[str]]:
    """Which of our modules each imports, in functions and for type checks too."""
    files = {
        ".".join(("blindspot", *file.relative_to(ROOT).with_suffix("").parts)): file
        for layer in LAYERS
        for file in (ROOT / layer).rglob("*.py")
        if file.name != "__init__.py"
    } | {"blindspot": FACE, **{f"blindspot.{file.stem}": file for file in FACE.parent.glob("[a-z]*.py")}}
    imports: dict[str, set[str]] = {}
    for module, file in files.items():
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        names = {
            name
            for node in nodes
            for name in (
                [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
        }
        imports[module] = (names & files.keys()) - {module}
    return imports


def room_of(module: str) -> str:
    """The sub-folder of a layer that a module lies in; a file beside the sub-folders is a room of its own."""
    return ".".join(module.split(".")[:3])


@pytest.mark.parametrize("named", [str, room_of], ids=["files", "rooms"])
def test_nothing_imports_in_circles(named: Callable[[str], str]) -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for module, imported in imports_of().items():
        graph[named(module)] |= {named(each) for each in imported} - {named(module)}
    TopologicalSorter(graph).prepare()  # raises CycleError, with the circle


def test_tools_and_agents_know_no_sql_and_no_graph() -> None:
    for layer in ("tools", "agents"):
        for file in (ROOT / layer).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            assert "duckdb" not in text, file
            assert "langgraph" not in text, file
            assert layer != "tools" or "storage.settings" not in text, file


@pytest.mark.parametrize(
    "module",
    [
        "blindspot",
        "blindspot.agents.teachers.teacher",
        "blindspot.cli.main",
        "blindspot.storage.settings.file",
        "blindspot.storage.store.store",
    ],
)
def test_a_light_module_imports_no_heavy_library(module: str) -> None:
    heavy = "{'torch', 'transformers', 'textattack', 'langgraph', 'openai', 'anthropic', 'pyarrow', 'scipy'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_folder_of_code_is_a_sub_package_under_its_own_name() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert tool["package-dir"] == {"blindspot": "blindspot"} | {f"blindspot.{layer}": layer for layer in LAYERS}
    for folder in {file.parent for layer in LAYERS for file in (ROOT / layer).rglob("*.py")}:
        module = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
        assert ast.get_docstring(module), f"{folder} does not say what is in it"


def test_a_wheel_holds_nothing_outside_of_blindspot(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("blindspot", *LAYERS, "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        ".",
        "--no-deps",
        "--no-build-isolation",
        "--quiet",
        "-w",
        str(tmp_path),
    ]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    code = f"import zipfile; print('\\n'.join(zipfile.ZipFile({str(wheel)!r}).namelist()))"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name.split("/")[0] for name in names} == {"blindspot", "blindspot-0.1.0.dist-info"}
    assert "blindspot/agents/prompts/abstraction.md" in names
    assert "blindspot/cli/mitigation.toml" in names
    assert "blindspot/py.typed" in names
    modules = {str(file.relative_to(ROOT)) for layer in LAYERS for file in (ROOT / layer).rglob("*.py")}
    assert {f"blindspot/{module}" for module in modules} <= set(names)
