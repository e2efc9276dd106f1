"""Write docs/settings.md and docs/commands.md from the code: `make docs`.

Types, defaults and bounds come from the settings' models, the lines of help from the commented files that
`blindspot init` writes, the commands from typer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from typer.cli import get_docs_for_click

from blindspot.cli.commands.init import STUDY, TEMPLATE
from blindspot.cli.main import app
from blindspot.storage.settings.sections import Section, Settings
from blindspot.storage.settings.study_axes import Arm, StudySection, Variant
from blindspot.storage.settings.values import RENAMED

FOLDER = Path(__file__).resolve().parent
COMMENT = re.compile(
    r"^(?:# )?(?:\[+([\w.]+)\]+|([\w.]+) = .*?)(?:\s+# (.*))?$"
)  # [section]  # help, or key = …  # help
MORE = re.compile(r"^\s{20,}# (.*)$")  # a help text goes on
WRITTEN = "<!-- Written by `make docs` from the code: change the help texts there, not this page. -->"

SETTINGS = f"""# Settings

{WRITTEN}

A `mitigation.toml` holds the settings of a run. `blindspot init` writes one with every key, and
`--set section.key=value` changes one value on the command line. Only `data.path` (or a file for each split) must be
set.

A number outside its bounds, a value of another type and an unknown key are refused before anything else happens, in one
line. Bounds are wide: they catch slips, such as a learning rate of 10, and values that cannot work.
"""

STUDIES = """
## [study]

A `study.toml` has these keys besides the sections above, without `run.name` and `run.seed`. [studies.md](studies.md)
explains them.
"""

COMMANDS = f"""{WRITTEN}

"""


def read_help(text: str) -> dict[str, str]:
    """Read the comment of each section and key of a commented settings file. Returns: e.g. "run.seed" -> help."""
    helps: dict[str, str] = {}
    section = name = ""
    for line in text.splitlines():
        if more := MORE.match(line):
            helps[name] = f"{helps[name]} {more[1]}".strip()
        elif match := COMMENT.match(line):
            section = match[1] or section
            name = section if match[1] else f"{section}.{match[2]}"
            helps.setdefault(name, match[3] or "")
    return helps


def settings_of(model: type[Section], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The keys of a section, e.g. ("run.seed", its JSON schema); sections within it are left out."""
    for key, described in model.model_json_schema()["properties"].items():
        kinds = [described, *described.get("anyOf", ())]
        if not any("$ref" in kind or kind.get("type") == "object" for kind in kinds):
            yield f"{name}.{key}", described


def sections_of(model: type[Section], name: str = "") -> Iterator[tuple[str, type[Section]]]:
    """The sections of the settings in their order, e.g. ("data.limit", Limit)."""
    for key, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield f"{name}{key}", field.annotation
            yield from sections_of(field.annotation, f"{name}{key}.")


def type_in_words(described: Mapping[str, Any]) -> str:
    """Say what a value may be, with its bounds, e.g. "whole number, at least 1, at most 1000"."""
    choices = [choice for choice in described.get("anyOf", ()) if choice.get("type") != "null"]
    if choices:
        return " or ".join(map(type_in_words, choices))
    if "$ref" in described or described.get("type") == "object":
        return "table"
    if "const" in described or "enum" in described:
        return " or ".join(f"`{json.dumps(value)}`" for value in described.get("enum", [described.get("const")]))
    if described["type"] == "array":
        parts = described.get("prefixItems")
        each = type_in_words(parts[0] if parts else described["items"])
        return f"{len(parts)} values: {each}" if parts else f"list: {each}{bounds(described)}"
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
    return f"{names[described['type']]}{bounds(described)}"


def bounds(described: Mapping[str, Any]) -> str:
    """Say which values are refused, e.g. ", at least 0, below 4294967296"."""
    words = {
        "minimum": "at least {:,}", "exclusiveMinimum": "above {:,}",
        "maximum": "at most {:,}", "exclusiveMaximum": "below {:,}",
        "minItems": "at least {} of them", "maxItems": "at most {:,} of them",
        "minLength": "not empty", "maxLength": "at most {:,} characters", "pattern": "matching `{}`",
    }  # fmt: skip
    return "".join(f", {words[key].format(described[key])}" for key in words if key in described)


def table_of(model: type[Section], name: str, helps: Mapping[str, str]) -> str:
    """Lay the keys of one section out as a Markdown table."""
    old = {f"{before.rpartition('.')[0]}.{now}": before.rpartition(".")[2] for before, now in RENAMED.items()}
    lines = ["| key | type and bounds | default | |", "|---|---|---|---|"]
    for setting, described in settings_of(model, name):
        default = (
            "" if described.get("default") is None else f"`{json.dumps(described['default'], ensure_ascii=False)}`"
        )
        renamed = f". Old name: `{old[setting]}`" if setting in old else ""
        cells = (f"`{setting.rpartition('.')[2]}`", type_in_words(described), default, f"{helps[setting]}{renamed}")
        row = " | ".join(cell.replace("|", "\\|") for cell in cells)
        lines.append(f"| {row} |")
    return "\n".join(lines)


def settings_page() -> str:
    """Make docs/settings.md. Raises: KeyError, for a setting that the commented files leave out."""
    helps = read_help(TEMPLATE.read_text(encoding="utf-8"))
    study = read_help(STUDY.read_text(encoding="utf-8"))
    parts = [SETTINGS]
    for name, model in sections_of(Settings):
        about = f"\n{helps[name][0].upper()}{helps[name][1:]}.\n" if helps[name] else ""
        parts.append(f"\n## [{name}]\n{about}\n{table_of(model, name, helps)}\n")
    parts.append(f"{STUDIES}\n{table_of(StudySection, 'study', study)}\n")
    tables: dict[str, type[Section]] = {"study.arms": Arm, "study.datasets": Variant, "study.classifiers": Variant}
    for name, model in tables.items():
        sections = [key for key in model.model_fields if key in Settings.model_fields and f"{name}.{key}" not in study]
        about = f"{study[name][0].upper()}{study[name][1:]}: any key of [{'], ['.join(sections)}]."
        parts.append(f"\n## [[{name}]]\n\n{about}\n\n{table_of(model, name, study)}\n")
    return "".join(parts)


def commands_page() -> str:
    """Make docs/commands.md."""
    command = typer.main.get_command(app)
    for each in (command, *commands_of(command)):
        each.short_help = " ".join((each.help or "").split("\n\n")[0].split())  # whole, where typer would cut it
    page = get_docs_for_click(obj=command, ctx=typer.Context(command), name="blindspot", title="Commands")
    return page.replace("# Commands\n\n", f"# Commands\n\n{COMMANDS}", 1).rstrip() + "\n"


def commands_of(command: Any) -> Iterator[Any]:
    """All commands below one."""
    for each in getattr(command, "commands", {}).values():
        yield each
        yield from commands_of(each)


PAGES = {"settings.md": settings_page, "commands.md": commands_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
