"""attack: TextAttack recipes against a classifier, as a tool of its own; nothing is taught and no model is changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import blindspot
from blindspot.cli.commands.run import SetOption, carry_out
from blindspot.cli.show.attack_table import print_attacks
from blindspot.cli.terminal import WORKSPACE_VARIABLE, JsonOption, QuietOption, workspace_option
from blindspot.storage.errors import SettingsError, StoreError

if TYPE_CHECKING:
    from blindspot.api import RunEnd
    from blindspot.cli.show.display import Show
    from blindspot.storage.settings.sections import Settings
    from blindspot.storage.words import RunKindName

WHAT, HOW, END = "What to attack", "How", "Limits"
NAME = "attack"  # of runs that are given none: a file's run.name is that of its mitigation


def attack(  # each option is one setting: what they may be is for the settings to say
    file: Annotated[
        Path | None,
        typer.Argument(metavar="MITIGATION.toml", help="Settings to start from; options override its keys."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="FOLDER", rich_help_panel=WHAT,
                     help="A classifier that is fine-tuned already: a folder or a Hugging Face id."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="FOLDER_OR_FILE", rich_help_panel=WHAT,
                     help="A folder of splits, one file (.parquet, .csv, .jsonl) or a Hugging Face id."),
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="COLUMN", rich_help_panel=WHAT,
                     help='A column with text; repeat it for a pair. Default: "text".'),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", rich_help_panel=WHAT, help='The column with the label. Default: "label".'),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", rich_help_panel=WHAT,
                     help="The labels, in the order of the model's classes. Needed if the classes have no names."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="train|validation|test", rich_help_panel=WHAT,
                     help="The split to take samples from. Default: test, or the split that the file is named after."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(rich_help_panel=WHAT,
                     help="Samples to attack, drawn at random with each class in proportion. Default: 200.")
    ] = None,
    recipes: Annotated[
        list[str] | None,
        typer.Option("--recipe", metavar="NAME", rich_help_panel=HOW,
                     help="A TextAttack recipe; repeat it for several. Default: deepwordbug."),
    ] = None,
    goal: Annotated[
        str | None,
        typer.Option(metavar="flip|confident", rich_help_panel=HOW,
                     help="Search until the label flips, or until it flips with confidence tau. Default: flip."),
    ] = None,
    tau: Annotated[
        float | None, typer.Option(rich_help_panel=HOW,
                     help="A flip with at least this confidence is a UU. Default: 0.65.")
    ] = None,
    change_fields: Annotated[
        list[str] | None,
        typer.Option("--change-field", metavar="COLUMN", rich_help_panel=HOW,
                     help="Change only this field; repeat it for several. Default: those that the recipe changes."),
    ] = None,
    sentence_encoder: Annotated[
        str | None,
        typer.Option(metavar="minilm|use", rich_help_panel=HOW,
                     help="What compares sentences, in recipes that do so. Default: minilm."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(metavar="fp32|fast", rich_help_panel=HOW,
                     help="Number format of the search; fp32 confirms what fast finds. Default: fp32."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda|mps", rich_help_panel=HOW,
                     help="Where the classifier runs. Default: auto.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(rich_help_panel=HOW,
                     help="Seed of the samples drawn and of the recipes' random choices. Default: 0.")
    ] = None,
    max_queries: Annotated[
        int | None, typer.Option(rich_help_panel=END,
                     help="Give up on a sample after this many queries. Default: no limit.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(rich_help_panel=END,
                     help="Give up on a sample after this many seconds of its own. Default: 300.")
    ] = None,
    stop_uus: Annotated[
        int | None, typer.Option(rich_help_panel=END, help="End a recipe after this many UUs. Default: no limit.")
    ] = None,
    stop_queries: Annotated[
        int | None, typer.Option(rich_help_panel=END, help="End a recipe after this many queries. Default: no limit.")
    ] = None,
    stop_after: Annotated[
        float | None, typer.Option(rich_help_panel=END, help="End a recipe after this many seconds. Default: no limit.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help=f"Runs are called NAME-1, NAME-2, …. Default: {NAME}.")
    ] = None,
    overrides: SetOption = None,
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", "-w", envvar=WORKSPACE_VARIABLE, help="The folder that holds the runs."),
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Attack samples with TextAttack recipes, print a table of the results and store each attack.

    blindspot attack --model FOLDER --data FOLDER_OR_FILE --recipe deepwordbug --samples 200

    blindspot attack mitigation.toml --recipe textfooler
    """
    options: dict[str, Any] = {
        "run.name": name or NAME, "run.seed": seed, "run.tau": tau, "run.workspace": workspace and str(workspace),
        "data.fields": fields, "data.label": label, "data.labels": labels and labels.split(","),
        "classifier.model": model, "classifier.fine_tune": False if model else None, "classifier.device": device,
        "attack.recipes": recipes, "attack.samples": samples, "attack.split": split, "attack.goal": goal,
        "attack.precision": precision, "attack.fields": change_fields, "attack.sentence_encoder": sentence_encoder,
        "attack.max_queries": max_queries, "attack.timeout_s": timeout, "attack.stop_uus": stop_uus,
        "attack.stop_queries": stop_queries, "attack.stop_s": stop_after,
    }  # fmt: skip
    if file is None and not (model and data):
        raise SettingsError("name a classifier with --model and data with --data, or give a settings file")
    settings = make_settings(file, data, options, overrides or ())
    folder = Path(settings.run.workspace)
    refuse_unfinished(folder, settings, "attack")

    def work(show: Show, cancelled: Callable[[], bool]) -> RunEnd:
        return blindspot.attack(settings, show=show, cancelled=cancelled)

    ended = carry_out(work, folder, quiet=quiet)
    print_attacks(folder, ended.run_id, as_json=as_json)


def make_settings(
    file: Path | None,
    data: str | None,
    options: Mapping[str, Any],
    overrides: Sequence[str],
    *,
    divides: bool = False,
) -> Settings:
    """Put options in place of a file's keys, and `section.key=value` overrides in place of both.

    Args:
        data: a folder, a file or a Hugging Face id; None: the settings' own.
        divides: a file is divided into splits; else it is one split.
        options: setting -> value; those that were not given are None or empty.
    Raises: SettingsError.
    """
    from blindspot.storage.settings.file import complete_settings, read_settings

    table = read_settings(file) if file else {}
    given = {key: value for key, value in options.items() if value not in (None, [])}
    if data:
        place, split = ({"path": data}, None) if divides else data_section(data, given.get("attack.split"))
        table["data"] = {**cleared(table.get("data")), **place}
        given |= {"attack.split": split} if split else {}
    return complete_settings(table, [*given.items(), *overrides], where=str(file) if file else "options")


def data_section(data: str, split: str | None) -> tuple[dict[str, str], str | None]:
    """Say where data lie, as keys of the section `data`, and which split is attacked, where the data tell."""
    path = Path(data).expanduser()
    if not path.is_file():
        return {"path": data}, split
    from blindspot.tools.data.datasets import split_named

    split = split or split_named(path) or "test"
    return {split: data}, split


def cleared(section: object) -> dict[str, Any]:
    """A file's section `data` without the places of its data set."""
    places = ("path", "train", "validation", "test")
    return {key: value for key, value in section.items() if key not in places} if isinstance(section, dict) else {}


def refuse_unfinished(folder: Path, settings: Settings, kind: RunKindName) -> None:
    """Refuse to do again what an unfinished run of the same kind and settings has begun.

    Raises: StoreError, saying how to go on with it.
    """
    from blindspot.storage.workspace import Workspace

    if not Workspace(folder).results.is_file():
        return
    from blindspot.cli.show.summary import kind_of, rows_of
    from blindspot.storage.analysts.results import Results

    with Results.open(folder) as results:
        runs = rows_of(results, "FROM runs WHERE status <> 'finished' ORDER BY started_at DESC")
    wanted = settings.model_dump(mode="json")
    for run in runs:
        if kind_of(run) == kind and json.loads(run["settings"]) == wanted:
            raise StoreError(
                f"{run['run_id']} has these settings and is not finished: "
                f"go on with `blindspot resume {run['run_id']}{workspace_option(folder)}`, "
                "or give the new run another --name"
            )
