"""`blindspot attack`: what it prints, keeps, refuses and picks up again, on a tiny model."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console

from blindspot.cli.show.attack_table import print_attack_results, read_attacks
from blindspot.cli.show.display import LiveDisplay
from blindspot.graphs.context import Progress
from blindspot.graphs.running.run import resume_run, start_run
from blindspot.storage import records as rec
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import Cancelled, DataError
from blindspot.storage.schema.migrations import MIGRATIONS, migrate
from blindspot.storage.settings.sections import Settings, check_settings
from blindspot.storage.store.store import Store
from blindspot.storage.words import AttackStatus
from blindspot.tools.data.planted import generate_reviews, write_dataset
from support.commands import Cli
from support.processes import WarmPython
from support.workspaces import read, tables

LABELS = ("negative", "positive")
ROWS = {"train": 40, "validation": 40, "test": 60}
START = datetime(2026, 1, 2, 3, 4, 5)
TABLES = (
    "runs", "datasets", "samples", "model_versions", "predictions", "attacks", "uus", "tool_calls", "evaluations",
)  # fmt: skip
rows_of = partial(tables, names=TABLES, without=["runs.settings"])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted") / "data"
    write_dataset(folder, seed=0, rows=ROWS, planted_share=0.3)
    return folder


def make_settings(model: Path, data: Path, workspace: Path, **attack: Any) -> Settings:
    table = {
        "run": {"name": "attack", "workspace": str(workspace)},
        "data": {"path": str(data)},
        "classifier": {"model": str(model), "fine_tune": False, "device": "cpu"},
        "attack": {"samples": 12, **attack},
    }
    return check_settings(table, where="test")


def start(settings: Settings, cancelled: Callable[[], bool] = lambda: False, show: Any = lambda _: None) -> rec.Run:
    return start_run(settings, show=show, cancelled=cancelled, kind="attack")


@pytest.fixture(scope="module")
def finished(tuned: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of an attack run."""
    folder = tmp_path_factory.mktemp("finished") / "ws"
    assert start(make_settings(tuned, data, folder)).status == "finished"
    return folder


def test_a_model_and_one_file_are_enough(cli: Cli, tuned: Path, tmp_path: Path) -> None:
    reviews = generate_reviews(30, planted=9, seed=3, split="test")
    with (tmp_path / "mine.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("review", "verdict"), *((review.text, review.label) for review in reviews)])
    options = ("--model", tuned, "--data", "mine.csv", "--field", "review", "--label", "verdict", "--samples", 8)
    answer = cli("attack", *options, "--device", "cpu", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    workspace = tmp_path / "blindspot-workspace"
    assert (found["run_id"], found["status"], found["split"]) == ("attack-1", "finished", "test")
    assert (found["data"], found["results"]) == (str(tmp_path / "mine.csv"), str(workspace / "results.duckdb"))
    (statistics,) = found["statistics"]
    assert statistics["recipe"] == "deepwordbug"
    statuses = Counter(row["status"] for row in found["attacks"])
    counts = {"flipped": "flipped", "failed": "failed", "skipped": "skipped", "errors": "error"}
    assert {name: statistics[name] for name in counts} == {name: statuses[status] for name, status in counts.items()}
    assert statistics["samples"] == sum(statuses.values()) == 8
    assert statistics["uus"] == sum(row["is_uu"] for row in found["attacks"])
    flips = [row for row in found["attacks"] if row["status"] == "flipped"]
    assert flips
    for row in flips:
        assert set(row["original"]) == set(row["perturbed"]) == {"review"}
        assert row["original"] != row["perturbed"]
        assert row["predicted"] != row["label"]
    assert read(workspace, "SELECT kind, teacher FROM runs") == [("attack", "none")]


def test_the_rows_of_an_attack_run_are_in_the_store(finished: Path) -> None:
    assert read(finished, "SELECT DISTINCT split FROM attacks") == [("test",)]
    (counts,) = read(finished, "SELECT samples, flipped, uus, natural_uus FROM attack_statistics")
    assert counts[0] == 12
    flipped = read(finished, "SELECT confidence >= 0.65 FROM attacks WHERE status = 'flipped'")
    assert (len(flipped), sum(is_uu for (is_uu,) in flipped)) == counts[1:3]
    kinds: dict[str, int] = dict(read(finished, "SELECT kind, count(*) FROM uus GROUP BY kind"))
    assert (kinds.get("adversarial", 0), kinds.get("natural", 0)) == counts[2:]
    metrics = {metric for (metric,) in read(finished, "SELECT metric FROM evaluations WHERE split = 'test'")}
    assert {"attack_success_rate", "original_accuracy", "perturbed_words", "queries_per_sample"} <= metrics
    assert read(finished, "SELECT tool FROM tool_calls ORDER BY created_at") == [
        ("prepare",),
        ("attack",),
        ("measure",),
    ]


def test_samples_are_a_fair_draw_from_the_seed(finished: Path, tuned: Path, data: Path, tmp_path: Path) -> None:
    drawn = "SELECT s.row, s.label FROM attacks a JOIN samples s USING (sample_id) ORDER BY s.row"
    rows = read(finished, drawn)
    assert [row for row, _ in rows] != list(range(12))
    shares = Counter(label for _, label in rows)
    of_all = Counter(label for (label,) in read(finished, "SELECT label FROM samples"))
    assert all(abs(shares[label] - of_all[label] * 12 / sum(of_all.values())) <= 1 for label in LABELS)
    settings = make_settings(tuned, data, tmp_path / "ws")
    start(settings.model_copy(update={"run": settings.run.model_copy(update={"seed": 1})}))
    assert read(tmp_path / "ws", drawn) != rows


def test_options_take_the_place_of_a_files_keys(cli: Cli, tuned: Path, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "mitigation.toml"
    file.write_text(
        f'[run]\nname = "mine"\nworkspace = "theirs"\n[data]\ntrain = "absent.csv"\nvalidation = "absent.csv"\n'
        f'test = "absent.csv"\n[classifier]\nmodel = "{tuned}"\nmax_tokens = 64\n'
        '[attack]\nrecipes = ["deepwordbug"]\ngoal = "confident"\nsamples = 50\n[teacher]\nspec = "openai:m"\n'
    )
    given = ("--data", data / "validation.parquet", "--model", tuned, "--recipe", "pruthi", "--samples", 4)
    limits = ("--max-queries", 5, "--stop-queries", 1000, "--tau", 0.7, "--set", "attack.together=3")
    answer = cli("attack", file, *given, *limits, "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert (found["run_id"], found["workspace"]) == ("attack-1", str(tmp_path / "theirs"))
    assert (found["recipes"], found["goal"], found["samples"]) == (["pruthi"], "confident", 4)
    assert (found["split"], found["tau"], found["max_queries"]) == ("validation", 0.7, 5)
    (settings,) = read(tmp_path / "theirs", "SELECT settings FROM runs")
    table = json.loads(settings[0])
    assert (table["attack"]["together"], table["attack"]["stop_queries"]) == (3, 1000)
    assert (table["classifier"]["max_tokens"], table["classifier"]["fine_tune"]) == (64, False)


MISTAKES = [
    ([], "name a classifier with --model and data with --data, or give a settings file"),
    (["--data", "{data}"], "name a classifier with --model"),
    (["--model", "{model}", "--data", "./absent"], "absent: no such folder"),
    (["--model", "./absent", "--data", "{data}"], "absent: no such model folder"),
    (["--model", "{model}", "--data", "{data}", "--field", "review"], 'no column "review"; it has text, label'),
    (["--model", "{model}", "--data", "{data}", "--label", "text"], 'the label\'s column "text" is one of the fields'),
    (["--model", "{model}", "--data", "{data}", "--recipe", "deepwrdbug"], 'unknown attack recipe "deepwrdbug"'),
    (["--model", "{model}", "--data", "{data}", "--samples", "0"], "attack.samples: 0 leaves nothing to attack"),
    (["--model", "{model}", "--data", "{data}", "--samples", "-1"], "attack.samples: input should be greater than"),
    (["--model", "{model}", "--data", "{data}", "--goal", "win"], "attack.goal: input should be 'flip' or 'confident'"),
    (["--model", "{model}", "--data", "{data}", "--split", "dev"], "attack.split: input should be 'train',"),
    (["--model", "{model}", "--data", "{data}", "--change-field", "title"], '"title" is not among data.fields (text)'),
    (["--model", "{model}", "--data", "{data}", "--labels", "ham,spam"], 'unknown label "'),
    (["--model", "{model}", "--data", "{data}", "--set", "attack.recipies=1"], "did you mean recipes?"),
    (["--model", "{model}", "--data", "{data}", "--device", "abacus"], 'device "abacus" cannot be used'),
    (["absent.toml"], "absent.toml: no such file"),
]


@pytest.mark.parametrize(("options", "said"), MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(
    cli: Cli, tuned: Path, data: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    answer = cli("attack", *(option.format(model=tuned, data=data) for option in options))
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_attack_reads_the_split_that_it_attacks_and_no_other(tuned: Path, data: Path, tmp_path: Path) -> None:
    only = tmp_path / "only"
    only.mkdir()
    (only / "test.parquet").symlink_to(data / "test.parquet")
    start(make_settings(tuned, only, tmp_path / "ws", samples=2))
    assert json.loads(read(tmp_path / "ws", "SELECT rows FROM datasets")[0][0]) == {"test": 60}
    with pytest.raises(DataError, match="no file for the train split"):
        start_run(make_settings(tuned, only, tmp_path / "no"), show=lambda _: None, cancelled=lambda: False)
    one = {"data": {"test": str(data / "test.parquet")}, "classifier": {"model": str(tuned), "fine_tune": False}}
    with pytest.raises(DataError, match=r"no file for the train split; name one in data\.train"):
        start_run(check_settings(one, where="test"), show=lambda _: None, cancelled=lambda: False)


MOMENTS = [("prepare", 0), ("attack", 3), ("attack", 7), ("attack", -1), ("measure", -1)]


def test_a_killed_attack_ends_with_the_rows_of_one_that_was_not(
    cli: Cli, warm_python: WarmPython, finished: Path, tuned: Path, data: Path, tmp_path: Path
) -> None:
    settings = make_settings(tuned, data, tmp_path / "ws").model_dump(mode="json")
    again = ("attack", "--model", tuned, "--data", data, "--samples", 12, "--device", "cpu", "-w", "ws")
    warm_python.kill_run(settings, tmp_path, *MOMENTS, kind="attack")
    answer = cli(*again)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert "attack-1 has these settings and is not finished: go on with `blindspot resume attack-1 -w ws`" in answer.err
    answer = cli("resume", "-w", "ws", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["status"] == "finished"
    assert rows_of(tmp_path / "ws") == rows_of(finished)


def test_a_stopped_attack_says_so_and_goes_on(finished: Path, tuned: Path, data: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        start(
            make_settings(tuned, data, tmp_path / "ws"),
            lambda: bool(seen) and seen[-1].phase == "attack" and seen[-1].done >= 3,
            seen.append,
        )
    assert {progress.kind for progress in seen} == {"attack"}
    assert read(tmp_path / "ws", "SELECT status, stop_reason FROM runs") == [("stopped", "stopped by the operator")]
    run = resume_run(tmp_path / "ws", None, show=lambda _: None, cancelled=lambda: False)
    assert (run.status, run.kind, run.teacher) == ("finished", "attack", "none")
    assert rows_of(tmp_path / "ws") == rows_of(finished)


def test_a_budget_ends_a_recipe_and_is_told(cli: Cli, tuned: Path, data: Path) -> None:
    options = ("--model", tuned, "--data", data, "--samples", 20, "--device", "cpu", "--stop-queries", 40)
    answer = cli("attack", *options)
    assert answer.code == 0, answer.err
    assert re.search(r"attack-1: finished, deepwordbug stopped at 40 queries, after \d+ of 20 samples", answer.out)


def test_samples_that_time_out_are_counted_where_the_run_is_told(cli: Cli, tuned: Path, data: Path) -> None:
    options = ("--model", tuned, "--data", data, "--samples", 5, "--device", "cpu", "--timeout", 1e-9)
    answer = cli("attack", *options)
    assert answer.code == 0, answer.err
    assert "attack-1: finished, timed out 5 of 5, after 1e-09 s (attack.timeout_s)" in answer.out


ATTACK_RUN = rec.Run(
    "attack-1", "attack", "stopped", {"classifier": {"model": "m"}, "attack": {"recipes": ["typos", "synonyms"],
    "goal": "flip", "precision": "fp32", "split": "test"}}, 0, "none", "dat-1", 0.65, {}, START,
    stop_reason="stopped by the operator", original_model_id="mdl-0", kind="attack",
)  # fmt: skip
MITIGATION = replace(ATTACK_RUN, run_id="run-1", name="run", kind="mitigation", teacher="rules", status="finished")


def an_attack(
    name: str, recipe: str, status: AttackStatus, confidence: float | None = None, error: str = ""
) -> rec.Attack:
    """An attack on a sample of its own; "waiter" is misspelt where it flipped."""
    fields = {"text": f"[b]we liked the\x1b[2J watier {name}"} if status == "flipped" else None
    return rec.Attack(
        f"atk-{name}", "attack-1", "mdl-0", f"smp-{name}", "test", recipe, status, fields, "pos",
        "neg" if fields else None, confidence, "pos", 0.9, 10, 5, 1 if fields else None, error or None, 0.5,
    )  # fmt: skip


def published(folder: Path, *more: Any) -> Path:
    """A workspace with a mitigation run and a newer attack run."""
    attacks = [
        an_attack("a", "typos", "flipped", 0.7),
        an_attack("b", "typos", "flipped", 0.6),
        an_attack("c", "typos", "flipped", 0.97),
        an_attack("d", "typos", "failed", error="query budget"),
        *(an_attack(name, "typos", "error", error=f"ValueError: {why}") for name, why in ("ex", "fy", "gx")),
        replace(an_attack("h", "typos", "skipped"), original_predicted="neg", original_confidence=0.8),
        an_attack("i", "synonyms", "error", error="KeyError: 'x'"),
    ]
    samples = [
        rec.Sample(row.sample_id, "dat-1", "test", number, {"text": f"[b]we liked the\x1b[2J waiter {name}"}, "pos")
        for number, row in enumerate(attacks)
        for name in row.sample_id[-1]
    ]
    dataset = rec.Dataset("dat-1", "films", "/films", ("text",), ("neg", "pos"), "films", {"test": 9})
    with Store.open(folder) as store:
        store.add([dataset, MITIGATION, replace(ATTACK_RUN, started_at=datetime(2026, 1, 3))])
        store.add([*samples, *attacks, *more])
        store.publish()
    return folder


def test_the_table_counts_and_the_examples_begin_with_the_most_confident(tmp_path: Path) -> None:
    with Results.open(published(tmp_path)) as results:
        found = read_attacks(results, "attack-1")
    assert [row["recipe"] for row in found["statistics"]] == ["typos", "synonyms"]
    file = io.StringIO()
    print_attack_results(Console(file=file, width=60, markup=False, highlight=False, emoji=False), found)
    out = file.getvalue()
    for name, value in {"attacked": 8, "flipped": 3, "broken": 3, "UUs (flipped at 0.65 or more)": 2}.items():
        assert re.search(rf"│ {re.escape(name)} +│ +{value} │", out), name
    assert re.search(r"│ natural UUs among those skipped │ +1 │", out)
    assert re.search(r"│ UUs per 1,000 queries +│ +25.0 │", out)
    assert re.search(r"│ queries/s +│ +20.0 │", out)
    assert "typos: 3 broken, most often (1): ValueError: x" not in out
    assert "typos: 3 broken" in out
    assert "typos: 1 of the failed: query budget" in out
    assert "synonyms: 1 broken: KeyError: 'x'" in out
    assert out.index("pos -> neg (0.97)") < out.index("pos -> neg (0.70)")
    assert "(0.60)" not in out  # a flip that is no UU
    assert "[b]we liked the\N{REPLACEMENT CHARACTER}[2J [-waiter-]{+watier+} c" in out
    assert max(len(line) for line in out.splitlines() if "results" not in line and "rows" not in line) <= 60


def test_the_commonest_reason_is_told_first(tmp_path: Path) -> None:
    more = [an_attack(name, "typos", "error", error="ValueError: y") for name in ("j", "k")]
    with Results.open(published(tmp_path, *more)) as results:
        found = read_attacks(results, "attack-1")
    reasons = [(row["error"], row["attacks"]) for row in found["statistics"][0]["reasons"] if row["status"] == "error"]
    assert reasons[0] == ("ValueError: y", 3)
    assert sum(count for _, count in reasons) == 5


def test_status_tells_an_attack_run_from_a_mitigation(cli: Cli, tmp_path: Path) -> None:
    published(tmp_path / "ws")
    mitigation, attacked = json.loads(cli("status", "-w", "ws", "--json").out)
    assert (mitigation["kind"], attacked["kind"], attacked["attacked"]) == ("mitigation", "attack", 9)
    assert (attacked["round"], attacked["uus"]) == (None, {"before": 2, "after": None})
    out = cli("status", "-w", "ws").out
    assert re.search(r"attack-1 +stopped +9 attacked", out)
    assert "attack-1: stopped by the operator; go on with `blindspot resume attack-1 -w ws`" in out


def test_hypotheses_pass_an_attack_run_over(cli: Cli, tmp_path: Path) -> None:
    published(tmp_path / "ws")
    assert "run-1: 0 hypotheses" in cli("hypotheses", "-w", "ws").out
    answer = cli("hypotheses", "attack-1", "-w", "ws")
    assert (answer.code, "attack-1 is an attack run: no teacher explained its UUs" in answer.err) == (2, True)
    with Store.open(tmp_path / "alone") as store:
        store.add([ATTACK_RUN])
        store.publish()
    answer = cli("hypotheses", "-w", "alone")
    assert (answer.code, "only attack runs, which have no hypotheses" in answer.err) == (2, True)


def test_the_live_panel_shows_the_phases_of_an_attack_run_and_its_uus(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None, markup=False)
    display = LiveDisplay(console, published(tmp_path), lambda: False)
    display.show(Progress("attack-1", 0, "attack", 3, 12, kind="attack"))
    display.looked_at -= 60
    console.print(display.render())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r"✓ prepare +attack +measure ", shown)
    assert "2 UUs" in shown


def test_runs_of_an_older_store_become_mitigation_runs(tmp_path: Path) -> None:
    old = duckdb.connect(str(tmp_path / "store.duckdb"))
    migrate(old, tmp_path / "store.duckdb", MIGRATIONS[:0])
    MIGRATIONS[0](old)
    old.execute("INSERT INTO _migrations VALUES (1, 'create_tables', now()::TIMESTAMP)")
    old.execute(
        "INSERT INTO runs VALUES ('run-1', 'run', 'finished', '{}', 0, 'rules', 'dat-1', 0.65, '{}', "
        "TIMESTAMP '2026-01-02', NULL, NULL, NULL, NULL)"
    )
    old.close()
    with Store.open(tmp_path) as store:
        assert [(run.run_id, run.kind) for run in store.rows(rec.Run)] == [("run-1", "mitigation")]


def test_results_that_an_older_blindspot_published_are_read(cli: Cli, tmp_path: Path) -> None:
    with Store.open(tmp_path / "ws") as store:
        store.add([replace(MITIGATION, settings={"run": {"rounds": 1}})])
        store.publish()
    with duckdb.connect(str(tmp_path / "ws" / "results.duckdb")) as connection:
        connection.execute("ALTER TABLE runs DROP COLUMN kind")
    assert re.search(r"run-1 +finished", cli("status", "-w", "ws").out)
    assert cli("hypotheses", "-w", "ws").code == 0
