"""The command line: what it prints, what it refuses, how it stops. Training is left to the tests of the graph."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pydantic import BaseModel
from rich.console import Console

from blindspot.cli.commands.init import TEMPLATE
from blindspot.cli.commands.run import print_result
from blindspot.cli.show.display import LiveDisplay, open_display
from blindspot.cli.show.hypotheses import mark
from blindspot.cli.show.summary import read_summary
from blindspot.cli.show.table import print_summary
from blindspot.graphs.context import Progress
from blindspot.storage import records as rec
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import StoreError
from blindspot.storage.ids import make_id
from blindspot.storage.schema.tables import Record
from blindspot.storage.settings.sections import Settings, check_settings
from blindspot.storage.store.store import Store
from blindspot.tools.text.edits import edits
from support.commands import Cli

START = datetime(2026, 1, 2, 3, 4, 5)
RUN = rec.Run(
    "run-1", "run", "finished", {"run": {"rounds": 2}}, 0, "openai:m", "dat-1", 0.65, {}, START,
    finished_at=START + timedelta(seconds=201), stop_reason="no gain in round 2",
    original_model_id="mdl-0", final_model_id="mdl-1",
)  # fmt: skip
HEAVY = ("torch", "transformers", "textattack", "duckdb", "langgraph", "openai", "numpy", "pyarrow")


def figure(metric: str, sides: tuple[float, float, float], recipe: str | None, threshold: float | None) -> list[Record]:
    """A metric of both model versions and the difference, with an interval of one to either side."""
    owners = (("mdl-0", None), ("mdl-1", None), ("mdl-1", "mdl-0"))
    return [
        rec.Evaluation(
            make_id("ev", metric, recipe, threshold, *owner), "run-1", 1, owner[0], owner[1], metric, value,
            value - 1, value + 1, 0.01 if owner[1] else None, "test", recipe, threshold, 300,
        )
        for owner, value in zip(owners, sides, strict=True)
    ]  # fmt: skip


def records() -> list[Record]:
    """A run of two rounds that took the first round's model version; texts that mean something to a terminal."""
    text = {"text": "the [bold]soup[/bold] was sick, and we liked the waiter"}
    hard = {"text": "the [bold]soup[/bold] was sikc, and we liked waiter"}
    uu = rec.Uu("uu-1", "run-1", 1, "mdl-0", "adversarial", "typos", "smp-1", "atk-1", hard, "pos", "neg", 0.97, True)
    hypothesis = rec.Hypothesis(
        "hyp-1", "run-1", 1, "uu-1", "abstraction", None, "[red]slang\x1b]0;gotcha\x07 is read literally", "so",
        "openai:m", "call-1", START,
    )  # fmt: skip
    sample = rec.SyntheticSample("syn-1", "run-1", 1, "hyp-1", 0, text, "pos", "so", None, accepted=True)
    call = rec.TeacherCall(
        "call-1", "run-1", 1, "abstract", "uu-1", "k", "openai:m", "?", "h", "!", "m", 10, 5, 0.25, 1.0, 1, False,
        None, START,
    )  # fmt: skip
    return [
        RUN,
        rec.Round("run-1", 1, "mdl-0", START, "mdl-1", True, "took the new model: UUs went 120 -> 40", START),
        rec.Round("run-1", 2, "mdl-1", START, "mdl-2", False, "kept the old model: no change", START),
        *(
            rec.ModelVersion(f"mdl-{i}", "run-1", i, None, "original", f"/w/mdl-{i}", 1, 0, {}, None, 1.0, START)
            for i in range(3)
        ),
        rec.Sample("smp-1", "dat-1", "validation", 0, text, "pos"),
        uu,
        hypothesis,
        replace(hypothesis, hypothesis_id="hyp-2", kind="extrapolation", text="irony too"),
        sample,
        call,
        rec.ToolCall("tool-1", "run-1", 2, "close_round", "graph", {}, {}, 1.0, START),
        *figure("accuracy", (0.81, 0.823, 0.013), None, None),
        *figure("uus", (12, 11, -1), None, 0.65),
        *figure("uus", (120, 40, -80), "typos", 0.65),
        *figure("uus", (60, 10, -50), "typos", 0.9),
        *figure("uus", (120, 40, -80), "all", 0.65),
        *figure("uus_matched", (120, 44, -76), "typos", 0.65),
        *figure("uus_matched", (12, 9, -3), None, 0.65),
        *figure("uus_calibrated", (0, 78, 78), None, 0.65),
        *figure("uus_calibrated_matched", (12, 9, -3), None, 0.65),
        *figure("balanced_accuracy", (0.5, 0.552, 0.052), None, None),
        *figure("majority_share", (0.866, 0.866, 0), None, None),
        *figure("recall: spam", (0, 0.11, 0.11), None, None),
        rec.Evaluation(
            "evl-t", "run-1", 1, "mdl-0", None, "temperature", 49.9999, None, None, None, "validation", None, None, 90
        ),
        *figure("ece", (0.05, 0.04, -0.01), None, None),
    ]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published results of one run."""
    folder = tmp_path_factory.mktemp("a workspace")
    with Store.open(folder) as store:
        store.add(records())
        store.publish()
    return folder


IMPORTED = """
import sys
from blindspot.cli.main import main
heavy, sys.argv = set(sys.argv[1].split()), ["blindspot", *sys.argv[2:]]
try:
    main()
finally:
    print("imported:", *sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize(
    "command", [["--help"], ["run", "--help"], ["attack", "--help"], ["--version"], ["query", "FROM runs"]]
)
def test_a_command_imports_nothing_heavy_that_it_does_not_use(command: list[str], workspace: Path) -> None:
    environment = os.environ | {"BLINDSPOT_WORKSPACE": str(workspace)}
    answer = subprocess.run(
        [sys.executable, "-c", IMPORTED, " ".join(HEAVY), *command], env=environment, capture_output=True, text=True
    )
    used = " duckdb" if command[0] == "query" else ""
    assert (answer.returncode, answer.stdout.splitlines()[-1]) == (0, f"imported:{used}"), answer


def test_the_template_loads_and_its_values_are_the_defaults(cli: Cli, tmp_path: Path) -> None:
    assert cli("init").code == 0
    table = tomllib.loads((tmp_path / "mitigation.toml").read_text())
    loaded = check_settings(table, where="template")
    assert loaded == Settings.model_validate({"data": {"path": "data"}})


def test_the_template_names_every_key_and_leaves_out_those_without_a_value() -> None:
    """A key without a default stands in a comment that is a valid line once the `#` is gone."""
    text = TEMPLATE.read_text()
    table = tomllib.loads(text)
    live = tomllib.loads(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE))
    missing = []
    for name, default in keys_of(Settings.model_validate({"data": {"path": "data"}})):
        *sections, key = name.split(".")
        with_comments, without = live, table
        for section in sections:
            with_comments, without = with_comments[section], without[section]
        if key not in with_comments or (key in without) != (default is not None):
            missing.append(name)
    assert not missing
    del live["data"]["path"]
    live["method"]["name"], live["retrain"]["choose"] = "recorded", "uus"  # which keys without a default go with
    check_settings(live, where="template")


def keys_of(section: BaseModel, before: str = "") -> Iterator[tuple[str, Any]]:
    """All keys of the settings with their values, e.g. ("run.seed", 0)."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from keys_of(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def test_init_names_the_keys_that_must_be_set(cli: Cli) -> None:
    keys = "path (a folder of splits, or one file), fields and label"
    out = f"wrote mitigation.toml; set {keys} under [data] in it, then: blindspot run mitigation.toml\n"
    assert cli("init").out == out


def test_init_does_not_overwrite_what_is_there(cli: Cli, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("mine")
    answer = cli("init", mine)
    assert (answer.code, mine.read_text()) == (2, "mine")
    assert "--force" in answer.err
    assert cli("init", mine, "--force").code == 0
    assert mine.read_text() == TEMPLATE.read_text()


MISTAKES = [
    (["run", "nowhere.toml"], "nowhere.toml: no such file; `blindspot init` writes one"),
    (
        ["run", "good.toml", "--set", "attack.recipies=1"],
        "good.toml: attack.recipies: unknown key; did you mean recipes?",
    ),
    (["run", "good.toml", "--set", "run.tau=high"], "good.toml: run.tau: "),
    (["run", "good.toml", "--set", "tau"], "--set tau: write section.key=value"),
    (["run", "good.toml", "--set", "teacher.spec=openai:m"], "openai:m needs a key: set OPENAI_API_KEY"),
    (["run", "broken.toml"], "broken.toml: not valid TOML"),
    (["resume"], "has no store.duckdb"),
    (["status", "-w", "empty"], "nothing is published in this workspace yet"),
    (["query", "FROM runs"], "nothing is published in this workspace yet"),
    (["init", "nowhere/mitigation.toml"], "nowhere/mitigation.toml: cannot be written"),
    (["demo", "-w", "good.toml"], "good.toml: no workspace can be made here (File exists); choose another folder"),
    (["demo", "-w", "full"], "full/data/seed-0: the reviews cannot be written (Not a directory)"),
]


@pytest.mark.parametrize(("command", "message"), MISTAKES)
def test_a_mistake_is_told_in_one_line(cli: Cli, tmp_path: Path, command: list[str], message: str) -> None:
    (tmp_path / "good.toml").write_text('[data]\npath = "data"\n')
    (tmp_path / "broken.toml").write_text("[data\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "data").write_text("no folder")
    answer = cli(*command)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("blindspot: ")
    assert message in answer.err
    assert answer.err.count("\n") == 1


def test_a_store_of_a_newer_blindspot_is_refused_in_one_line(cli: Cli, tmp_path: Path) -> None:
    with Store.open(tmp_path / "ws") as store:
        path = store.workspace.store
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO _migrations VALUES (99, 'later', now()::TIMESTAMP)")
    answer = cli("resume", "-w", "ws")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "written by a newer blindspot" in answer.err


def test_a_run_is_resumed_with_the_settings_that_may_change(cli: Cli, tmp_path: Path) -> None:
    settings = check_settings({"data": {"path": "data"}}, where="test").model_dump(mode="json")
    with Store.open(tmp_path / "ws") as store:
        store.add([replace(RUN, status="failed", settings=settings, teacher="rules")])
    answer = cli("resume", "-w", "ws", "--set", "run.seed=4")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "--set run.seed: rows of run-1 depend on it, so it cannot change" in answer.err
    answer = cli("resume", "-w", "ws", "--set", "teacher.timeout_s=9", "--set", "teacher.spec=openai:m")
    assert "openai:m needs a key" in answer.err  # the teacher that was asked for is the one that is looked at


def test_a_wrong_command_line_exits_with_2(cli: Cli) -> None:
    assert cli("run").code == 2
    assert cli("fly").code == 2
    assert cli("query", "FROM runs", "--format", "xml").code == 2


def test_a_workspace_is_named_by_option_or_by_environment(
    cli: Cli, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("query", "SELECT 1", "-w", workspace).code == 0
    monkeypatch.setenv("BLINDSPOT_WORKSPACE", str(workspace))
    assert cli("query", "SELECT 1").code == 0


def test_a_query_comes_from_the_argument_or_from_standard_input(cli: Cli, workspace: Path) -> None:
    sql = "SELECT run_id FROM runs"
    answers = [
        cli("query", sql, "-w", workspace, "-f", "csv"),
        cli("query", "-", "-w", workspace, "-f", "csv", stdin=sql),
        cli("query", "-w", workspace, "-f", "csv", stdin=sql),
    ]
    assert [answer.out for answer in answers] == ["run_id\nrun-1\n"] * 3


def test_json_and_csv_are_complete_and_can_be_read_back(cli: Cli, workspace: Path) -> None:
    sql = (
        "SELECT repeat('x', 5000) AS long, NULL AS nothing, 'NaN'::DOUBLE AS nan, [1, 2] AS list, "
        "map(['a'], [1]) AS map, "
        "TIMESTAMP '2026-01-02 03:04:05' AS at, 1.5::DECIMAL(4, 1) AS price, 'a\n\"b\"' AS text, 1 AS twice, 2 AS twice"
    )
    (row,) = json.loads(cli("query", sql, "-w", workspace, "--format", "json").out)
    assert row == {
        "long": "x" * 5000, "nothing": None, "nan": None, "list": [1, 2], "map": {"a": 1},
        "at": "2026-01-02T03:04:05", "price": 1.5, "text": 'a\n"b"', "twice": 1, "twice_2": 2,
    }  # fmt: skip
    header, cells = csv.reader(io.StringIO(cli("query", sql, "-w", workspace, "--format", "csv").out))
    assert header[-2:] == ["twice", "twice"]
    assert cells == [
        "x" * 5000, "", "nan", "[1, 2]", '{"a": 1}', "2026-01-02 03:04:05", "1.5", 'a\n"b"', "1", "2"
    ]  # fmt: skip


def test_a_table_shows_texts_as_they_are_and_no_escape_sequence(cli: Cli, workspace: Path) -> None:
    out = cli("query", "SELECT text FROM hypotheses WHERE kind = 'abstraction'", "-w", workspace).out
    assert "[red]slang" in out
    assert "\x1b" not in out
    assert "\x07" not in out


def test_a_long_answer_is_cut_as_a_table_and_says_so(cli: Cli, workspace: Path) -> None:
    out = cli("query", "SELECT unnest(range(600)) AS number", "-w", workspace).out
    assert "500 of 600 rows; --format csv or json gives all" in out
    assert len(cli("query", "SELECT unnest(range(600))", "-w", workspace, "-f", "csv").out.splitlines()) == 601


def test_a_query_changes_nothing_and_works_while_the_store_is_open(cli: Cli, tmp_path: Path) -> None:
    with Store.open(tmp_path / "ws") as store:
        store.add([RUN])
        store.publish()
        answer = cli("query", "DELETE FROM runs", "-w", "ws")
        assert (answer.code, answer.out) == (2, "")
        assert "run-1" in cli("query", "FROM runs", "-w", "ws").out
        assert store.count(rec.Run) == 1


def test_hypotheses_mark_the_changed_words(cli: Cli, workspace: Path) -> None:
    out = cli("hypotheses", "-w", workspace).out
    assert "the [bold]soup[/bold] was [-sick-]{+sikc+}, and we liked [-the-] waiter" in out
    assert "pos -> neg (0.97)" in out
    assert "1 of 1 synthetic samples accepted" in out
    assert out.index("abstraction  [red]slang") < out.index("extrapolation  irony too")
    assert "\x1b" not in out


def test_hypotheses_can_be_narrowed_down(cli: Cli, workspace: Path) -> None:
    rows = json.loads(cli("hypotheses", "run-1", "-w", workspace, "--kind", "extrapolation", "--json").out)
    assert [(row["kind"], row["text"], row["perturbed"]["text"][:3]) for row in rows] == [
        ("extrapolation", "irony too", "the")
    ]
    assert "run-1: 1 of 2 hypotheses; --limit 2 shows all" in cli("hypotheses", "-w", workspace, "--limit", "1").out
    answer = cli("hypotheses", "run-9", "-w", workspace)
    assert (answer.code, "there are: run-1" in answer.err) == (2, True)


def test_of_a_long_text_what_stands_near_a_change_is_shown() -> None:
    words = [f"w{number}" for number in range(200)]
    text = " ".join(words)
    changed = " ".join([*words[:100], "new", *words[101:]])
    marked = mark(text, edits({"text": text}, {"text": changed})).plain
    assert marked.startswith("… w88 ")
    assert "w99 [-w100-]{+new+} w101" in marked
    assert marked.endswith(" w112 …")
    added = mark("a b", edits({"text": "a b"}, {"text": "a so b too"})).plain
    assert added.replace(" ", "") == "a{+so+}b{+too+}"


def test_status_tells_how_far_a_run_is_and_what_changed(cli: Cli, workspace: Path) -> None:
    (row,) = json.loads(cli("status", "-w", workspace, "--json").out)
    assert (row["run_id"], row["status"], row["round"], row["rounds"]) == ("run-1", "finished", 2, 2)
    assert (row["last_phase"], row["accepted"], row["cost_usd"]) == ("close_round", True, 0.25)
    assert (row["accuracy"], row["uus"]) == ({"before": 0.81, "after": 0.823}, {"before": 120, "after": 40})
    out = cli("status", "-w", workspace).out
    for text in ("2 of 2", "81.0 -> 82.3", "120 -> 40", "new model", "taken", "1 call, $0.25"):
        assert text in out


def test_status_says_that_the_new_model_was_refused(cli: Cli, tmp_path: Path) -> None:
    refused = replace(RUN, final_model_id="mdl-0")
    kept = rec.Round("run-1", 1, "mdl-0", START, "mdl-1", False, "kept the old model: no change", START)
    with Store.open(tmp_path / "ws") as store:
        store.add([refused, kept, *figure("uus", (206, 224, 18), None, 0.65)])
        store.publish()
    (row,) = json.loads(cli("status", "-w", "ws", "--json").out)
    assert (row["decision"], row["uus"]) == ("refused", {"before": 206, "after": 224})
    assert "refused" in cli("status", "-w", "ws").out


def test_the_table_shows_what_a_verdict_decides_by_and_says_how_to_read_it(workspace: Path) -> None:
    console = Console(width=150, file=io.StringIO())
    with Results.open(workspace) as results:
        print_summary(console, read_summary(results, "run-1"))
    out = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    for wanted in (
        "UUs at matched coverage, natural (300)",
        "UUs at matched coverage, typos (300)", "Temperature scaling of the original would not change its counts",
        "balanced accuracy", "86.6 %", "recall, spam", "11.0 %", "At matched coverage, the threshold is moved until",
        "T = 50.00, the upper bound of its fit",
    ):  # fmt: skip
        assert wanted in out, wanted
    assert "original calibrated" not in out


def test_counts_that_calibration_changes_have_rows_of_their_own(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.add([*records(), *figure("uus_calibrated_matched", (110, 44, -66), "typos", 0.65)])
        store.publish()
    console = Console(width=150, file=io.StringIO())
    with Results.open(tmp_path) as results:
        print_summary(console, read_summary(results, "run-1"))
    out = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    for wanted in ("original calibrated, natural (300)", "original calibrated, typos (300)"):
        assert f"UUs at matched coverage, {wanted}" in out
    assert "UUs, original calibrated" not in out
    assert "are the same" not in out


def test_status_says_of_a_silent_run_that_it_may_be_dead(cli: Cli, tmp_path: Path) -> None:
    running = replace(RUN, status="running", stop_reason=None, finished_at=None, final_model_id="mdl-0")
    with Store.open(tmp_path / "ws") as store:
        store.add([running, replace(running, run_id="run-2", status="stopped", stop_reason="stopped by the operator")])
        store.publish()
        results = store.workspace.results
        store.add([replace(running, run_id="run-3", status="failed", stop_reason="TeacherError: no credit")])
        store.publish()
    out = cli("status", "-w", "ws").out
    assert "was killed" not in out
    assert "run-3: TeacherError: no credit; once that is fixed, go on with `blindspot resume run-3 -w ws`" in out
    assert "run-2: stopped by the operator; go on with `blindspot resume run-2 -w ws`" in out
    before = results.stat().st_mtime - 3600
    os.utime(results, (before, before))
    assert "run-1: nothing new for 60 min, so it is in a long phase or was killed" in cli("status", "-w", "ws").out


def test_the_summary_has_the_changes_with_their_intervals(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_result(workspace, "run-1", as_json=True)
    table = json.loads(capsys.readouterr().out)
    assert (table["status"], table["accepted"]) == ("finished", True)
    assert table["verdict"] == "took the new model: UUs went 120 -> 40"
    assert (table["final_folder"], table["results"]) == ("/w/mdl-1", str(workspace / "results.duckdb"))
    (pooled,) = [row for row in table["changes"] if (row["metric"], row["recipe"]) == ("uus", "all")]
    assert {side: (pooled[side]["value"], pooled[side]["low"], pooled[side]["high"]) for side in
            ("before", "after", "difference")} == {
        "before": (120, 119, 121), "after": (40, 39, 41), "difference": (-80, -81, -79)
    }  # fmt: skip


def test_the_summary_for_eyes_names_what_to_type_next(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_result(workspace, "run-1", as_json=False)
    out = capsys.readouterr().out
    assert re.search(r"UUs, typos \(300\) .* 120 .* 40 .* -80 \(-81 to -79\)", out)
    assert "UUs, all attacks" not in out  # there is one attack only
    assert "round 2: kept the old model: no change" in out
    assert "/w/mdl-1 (retrained)" in out
    assert f"blindspot hypotheses -w '{workspace}'" in out


def test_a_run_that_is_not_there_is_named_with_those_that_are(workspace: Path) -> None:
    with Results.open(workspace) as results, pytest.raises(StoreError, match="no run run-9; there are: run-1"):
        read_summary(results, "run-9")


def test_a_run_without_any_figure_can_be_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blank = replace(RUN, status="failed", stop_reason="no luck", original_model_id=None, final_model_id=None)
    with Store.open(tmp_path) as store:
        store.add([blank])
        store.publish()
    with Results.open(tmp_path) as results:
        summary = read_summary(results, "run-1")
    assert (summary.accepted, summary.changes, summary.uus) == (None, (), None)
    print_result(tmp_path, "run-1", as_json=False)
    assert "no luck" in capsys.readouterr().out


def test_plain_progress_is_a_line_a_phase(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with open_display("plain", tmp_path, lambda: False) as show:
        show(Progress("run-1", 0, "prepare", 0, 0))
        show(Progress("run-1", 0, "prepare", 1, 10))
        show(Progress("run-1", 0, "prepare", 0, 0, "trained on 10 (1.0 s)"))
        show(Progress("run-1", 1, "close_round", 0, 0, "a\x1b[2Jb"))
        show(Progress("run-1", 1, "teach", 0, 0, "skipped uu-1", level="warning"))
    first, second, third = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d prepare: trained on 10 \(1\.0 s\)", first)
    assert second.endswith("round 1 close round: a\N{REPLACEMENT CHARACTER}[2Jb")
    assert third.endswith("round 1 teach: warning: skipped uu-1")


def test_quiet_progress_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with open_display("none", tmp_path, lambda: False) as show:
        show(Progress("run-1", 1, "teach", 0, 0, "told"))
    assert capsys.readouterr() == ("", "")


def test_the_live_panel_tells_the_phase_the_pace_and_the_counts(workspace: Path) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None, markup=False)
    display = LiveDisplay(console, workspace, lambda: True)
    display.show(Progress("run-1", 1, "teach", 0, 0))
    display.show(Progress("run-1", 1, "teach", 3, 12))
    display.show(Progress("run-1", 1, "attack", 0, 0, "natural UUs [3] of 200"))
    display.looked_at -= 60
    console.print(display.render())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("run-1 · round 1", "✓ attack", "3 of 12", "natural UUs [3] of 200", "stopping after the current item"):
        assert text in shown
    assert "1 UUs · 2 hypotheses · 1 call, $0.25" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_warning_stands_out_from_the_other_lines(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard", markup=False)
    display = LiveDisplay(console, tmp_path, lambda: False)
    display.show(Progress("run-1", 0, "teach", 0, 0, "done"))
    display.show(Progress("run-1", 0, "teach", 0, 0, "skipped uu-1", level="warning"))
    done, skipped = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    yellow = "\x1b[33m"
    assert yellow not in done
    assert f"{yellow}warning: skipped uu-1" in skipped


WORK = """
import asyncio, sys, time
from pathlib import Path
from blindspot.cli import main
from blindspot.cli.commands import run
from blindspot.graphs.context import Progress
from blindspot.storage.errors import Cancelled, TeacherError

def item(cancelled, patient):
    while not (patient and cancelled()):
        time.sleep(0.01)
    raise Cancelled("stopped while teaching")

def work(show, cancelled):
    show(Progress("run-7", 1, "teach", 0, 0, "begun"))
    print("a library talks")
    if sys.argv[2] == "fail":
        raise TeacherError("no credit left")
    asyncio.run(asyncio.to_thread(item, cancelled, sys.argv[2] == "patient"))

@main.app.command("work")
def command(how: str):
    run.carry_out(work, Path("ws"), quiet=False)

sys.exit(main.main())
"""


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a process that carries out a run which never ends by itself; returns once it has begun."""
    started: list[subprocess.Popen[str]] = []

    def start(how: str) -> subprocess.Popen[str]:
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([sys.executable, "-u", "-c", WORK, "work", how], cwd=tmp_path, **pipes)
        started.append(process)
        assert process.stderr is not None
        assert process.stderr.readline().endswith("round 1 teach: begun\n")
        assert process.stderr.readline() == "a library talks\n"
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a process. Returns: its exit code, and what it printed that was not read yet."""
    assert process.stdout is not None
    assert process.stderr is not None
    return process.wait(timeout=20), process.stdout.read(), process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_lets_the_item_in_hand_end(
    work: Callable[[str], subprocess.Popen[str]], number: signal.Signals
) -> None:
    process = work("patient")
    process.send_signal(number)
    code, out, err = ended(process)
    said, told = err.splitlines()
    assert (code, out) == (130, "")
    assert said.startswith("blindspot: stopping after the current item")
    assert told == "blindspot: stopped; what is done is kept: go on with `blindspot resume run-7 -w ws`"


def test_the_second_signal_ends_the_process_at_once(work: Callable[[str], subprocess.Popen[str]]) -> None:
    process = work("stubborn")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "stopping after the current item" in process.stderr.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert code == 130
    assert err.splitlines()[-1] == (
        "blindspot: ended at once; what is done is kept: go on with `blindspot resume run-7 -w ws`"
    )


def test_an_error_of_a_run_that_began_says_how_to_go_on(work: Callable[[str], subprocess.Popen[str]]) -> None:
    code, out, err = ended(work("fail"))
    assert (code, out) == (2, "")
    assert err == (
        "blindspot: no credit left; what is done is kept: once that is fixed, go on with "
        "`blindspot resume run-7 -w ws` (--set section.key=value changes a setting)\n"
    )


def test_what_a_command_writes_is_for_its_owner_only(cli: Cli, tmp_path: Path) -> None:
    cli("init")
    assert stat.S_IMODE((tmp_path / "mitigation.toml").stat().st_mode) == 0o600


def test_doctor_finds_what_is_missing_and_tells_no_key(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resources of TextFooler are nowhere to be found in an empty folder; the rest is installed."""
    monkeypatch.setenv("TA_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    answer = cli("doctor", "--json")
    table = json.loads(answer.out)
    checks = {check["name"]: check for check in table["checks"]}
    assert (answer.code, table["demo_can_run"]) == (0, True)
    assert checks["attack deepwordbug"]["ok"]
    assert not checks["attack textfooler"]["ok"]
    assert "TA_CACHE_DIR" in checks["word vectors"]["found"]
    assert (checks["OPENAI_API_KEY"]["found"], checks["ANTHROPIC_API_KEY"]["ok"]) == ("set", False)
    assert "secret" not in answer.out + answer.err


def test_doctor_exits_with_1_where_the_demo_cannot_run(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    answer = cli("doctor", "-w", tmp_path / "file" / "ws")
    assert answer.code == 1
    assert "the demo cannot run yet" in answer.out
