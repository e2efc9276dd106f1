"""A study from its file to its tables: killed, stopped, hit by an error and changed, it ends with every cell once."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from blindspot.graphs.context import Progress
from blindspot.graphs.study.cells import choose_cells
from blindspot.graphs.study.course import Callbacks, StudyProgress
from blindspot.graphs.study.study import StudyEnd, run_study
from blindspot.storage.errors import Cancelled
from blindspot.storage.settings.study_cells import load_study
from blindspot.tools.data.planted import write_dataset
from support.commands import Cli
from support.processes import WarmPython
from support.workspaces import read

ROWS = {"train": 120, "validation": 30, "test": 30}
STUDY = """
[run]
workspace = "{folder}/workspace"
[data]
path = "{data}"
task = "sentiment of reviews"
[classifier]
model = "{base}"
epochs = 10
batch_size = 16
learning_rate = 3e-3
max_tokens = 64
device = "cpu"
[attack]
samples = 6
max_queries = 30
[filter]
references = 20
bertscore = 0.0
[evaluate]
samples = 6
resamples = 100
thresholds = [0.65]
[study]
name = "tiny"
seeds = [0, 1]
recipes = ["pruthi"]
methods = ["none", "relabel"]
"""
KILLED = """
import os, signal, sys
from pathlib import Path
from blindspot.graphs.study.study import run_study
from blindspot.graphs.study.course import Callbacks
from blindspot.storage.settings.study_cells import load_study

def show(progress):
    if progress.phase == "retrain" and not progress.message:
        os.kill(os.getpid(), signal.SIGKILL)

run_study(load_study(Path("study.toml")), Callbacks(show, lambda place: None, lambda: False))
"""


@dataclass
class Watched:
    """What a study told."""

    end: StudyEnd | None = None
    entered: list[StudyProgress] = field(default_factory=list)


def start(folder: Path, *only: str, breaks: str = "", stops_at: int = 0) -> Watched:
    """Start a study, or go on with it.

    Args:
        breaks: the method of which every retraining meets an error.
        stops_at: number of the cell at which a stop is asked for; 0: none is.
    """
    seen, plan = Watched(), load_study(folder / "study.toml")

    def show(progress: Progress) -> None:
        if progress.phase == "retrain" and seen.entered[-1].cell.arm == breaks:
            raise RuntimeError("the machine is on fire")

    told = Callbacks(show, seen.entered.append, lambda: bool(stops_at) and len(seen.entered) >= stops_at)
    seen.end = run_study(plan, told, chosen=choose_cells(only, plan))
    return seen


@dataclass
class Story:
    """A study that was killed, stopped and hit by an error, and what it told each time."""

    folder: Path
    killed: list[tuple[Any, ...]]  # its runs after the kill
    stopped: list[tuple[Any, ...]]
    broken: Watched
    left: tuple[str, ...]  # cells after the error
    mended: Watched


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, warm_python: WarmPython) -> Story:
    folder = tmp_path_factory.mktemp("study")
    write_dataset(folder / "data", seed=0, rows=ROWS, planted_share=0.3)
    (folder / "study.toml").write_text(STUDY.format(base=tiny_base, folder=folder, data=folder / "data"))
    runs = "select run_id, status from runs order by started_at"

    ended = warm_python.run("-c", KILLED, folder=folder)
    assert ended.code == -signal.SIGKILL, ended
    killed = read(folder / "workspace", runs)
    with pytest.raises(Cancelled):
        start(folder, stops_at=1)
    stopped = read(folder / "workspace", runs)
    broken = start(folder, breaks="relabel")
    assert broken.end is not None
    mended = start(folder)
    return Story(folder, killed, stopped, broken, tuple(broken.end.failed), mended)


def test_a_killed_study_goes_on_with_the_cell_in_hand(story: Story) -> None:
    assert story.killed == [("tiny-1", "finished"), ("tiny-2", "running")]
    assert story.stopped == [("tiny-1", "finished"), ("tiny-2", "stopped")]
    numbers = [(place.number, place.cells, place.cell.arm, place.cell.seed) for place in story.broken.entered]
    assert numbers[:2] == [(2, 6, "none", 0), (3, 6, "relabel", 0)]


def test_an_error_in_one_cell_is_told_and_the_others_run(story: Story) -> None:
    end = story.broken.end
    assert end is not None
    assert [place.cell.arm for place in story.broken.entered] == ["none", "relabel", "original", "none", "relabel"]
    assert set(end.failed.values()) == {"RuntimeError: the machine is on fire"}
    assert (end.study.status, end.done, len(end.failed), end.left) == ("failed", 4, 2, 0)
    (trace,) = read(
        story.folder / "workspace", "select message from events where level = 'error' and run_id = 'tiny-3'"
    )[0]
    assert "Traceback" in trace


def test_what_failed_is_tried_again_and_nothing_is_done_twice(story: Story) -> None:
    end = story.mended.end
    assert end is not None
    assert [(place.number, place.cell.arm) for place in story.mended.entered] == [(5, "relabel"), (6, "relabel")]
    assert (end.study.status, end.done, end.failed) == ("finished", 6, {})
    runs = read(
        story.folder / "workspace",
        "select method, seed, origin_id, kind, study_id from runs order by started_at, run_id",
    )
    assert runs == [
        ("original", 0, None, "original", "tiny-1"),
        ("none", 0, "tiny-1", "mitigation", "tiny-1"),
        ("relabel", 0, "tiny-1", "mitigation", "tiny-1"),
        ("original", 1, None, "original", "tiny-1"),
        ("none", 1, "tiny-4", "mitigation", "tiny-1"),
        ("relabel", 1, "tiny-4", "mitigation", "tiny-1"),
    ]


def test_the_cells_of_a_seed_begin_with_one_model_and_its_attacks(story: Story) -> None:
    originals = read(
        story.folder / "workspace", "select seed, count(distinct original_model_id), count(*) from runs group by all"
    )
    assert sorted(originals) == [(0, 1, 3), (1, 1, 3)]
    attacks = read(
        story.folder / "workspace",
        "select m.run_id, a.run_id, count(*) from attacks a join model_versions m using (model_id) "
        "where m.kind = 'original' group by all order by all",
    )
    assert attacks == [("tiny-1", "tiny-1", 12), ("tiny-4", "tiny-4", 12)]


def test_each_cell_has_a_verdict_and_its_rows_say_where_they_are_from(story: Story) -> None:
    rounds = read(story.folder / "workspace", "select run_id, verdict from rounds order by run_id")
    assert [run for run, _ in rounds] == ["tiny-2", "tiny-3", "tiny-5", "tiny-6"]
    assert all("natural UUs" in verdict for _, verdict in rounds)
    assert read(story.folder / "workspace", "select distinct origin, run_id from synthetic_samples order by all") == [
        ("relabel", "tiny-3"), ("relabel", "tiny-6")
    ]  # fmt: skip


def test_the_figures_are_those_of_the_runs(story: Story) -> None:
    sql = """select avg(e.value) from evaluations e join runs using (run_id) join rounds o using (run_id)
        where o.new_model_id = e.model_id and metric = '{}' and recipe is not distinct from {} and method = 'relabel'
        and baseline_id is null and (threshold is null or threshold = 0.65)"""
    figure = """select value, seeds from study_figures where metric = '{}' and method = 'relabel' and baseline = ''"""
    for metric, place in (("accuracy", "null"), ("uus", "'pruthi'"), ("attack_success_rate", "'pruthi'")):
        ((expected,),) = read(story.folder / "workspace", sql.format(metric, place))
        assert read(story.folder / "workspace", figure.format(metric)) == [(pytest.approx(expected), 2)], metric


def test_the_time_that_is_left_is_counted_from_cells_that_have_ended(story: Story) -> None:
    first, last = story.broken.entered[0].outlook, story.mended.entered[-1].outlook
    assert first.is_rough
    assert not last.is_rough
    assert (last.after_s, 0 < last.seconds < 60) == (0, True)
    assert last.left_s(last.seconds + 5) == 0


@pytest.fixture
def copy(story: Story, tmp_path: Path) -> Path:
    """The study as it ended, to be changed."""
    shutil.copytree(story.folder / "workspace", tmp_path / "workspace")
    text = (story.folder / "study.toml").read_text()
    (tmp_path / "study.toml").write_text(text.replace(str(story.folder / "workspace"), str(tmp_path / "workspace")))
    return tmp_path


def change(folder: Path, old: str, new: str) -> None:
    file = folder / "study.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_what_a_changed_file_adds_is_run_and_what_is_there_is_kept(copy: Path) -> None:
    change(copy, '"pruthi"]', '"pruthi", "deepwordbug"]')
    again = start(copy, "seed=0", "method=relabel")
    assert [(place.cell.arm, place.cell.settings.attack.recipes) for place in again.entered] == [
        ("original", ("pruthi", "deepwordbug")),
        ("relabel", ("deepwordbug",)),
    ]
    assert read(copy / "workspace", "select count(*) from runs") == [(7,)]
    counts = "select recipe, count(*) from attacks where run_id = 'tiny-1' group by all order by all"
    assert read(copy / "workspace", counts) == [
        ("deepwordbug", 12), ("pruthi", 12)
    ]  # fmt: skip
    assert read(copy / "workspace", "select count(*) from model_versions where kind = 'original'") == [(2,)]
    assert again.end is not None
    assert (again.end.study.status, again.end.left) == ("stopped", 4)
    recipes = read(
        copy / "workspace", "select distinct recipe from study_figures where method = 'relabel' order by all"
    )
    assert recipes == [("deepwordbug",), ("pruthi",)]
    pooled = "select distinct n from evaluations where run_id = 'tiny-1' and metric = 'uus' and recipe = 'all'"
    assert read(copy / "workspace", pooled) == [(12,)]  # measured again, on both recipes


def test_thresholds_and_names_are_no_reason_to_run_anything_again(copy: Path, cli: Cli) -> None:
    change(copy, "thresholds = [0.65]", "thresholds = [0.65, 0.9]")
    change(copy, '"relabel"]', '{name = "again", method = "relabel"}]')
    assert start(copy).entered == []
    assert read(copy / "workspace", "select distinct method from runs order by all") == [
        ("again",),
        ("none",),
        ("original",),
    ]
    thresholds = "select distinct threshold from study_figures where metric = 'uus' order by all"
    assert read(copy / "workspace", thresholds) == [
        (0.65,), (0.9,)
    ]  # fmt: skip
    answer = cli("study", copy / "study.toml", "--dry-run")
    assert (answer.code, answer.out) == (0, "nothing is left to run: all 6 cells are done\n")


def test_the_tables_are_shown_while_nothing_runs(story: Story, cli: Cli, tmp_path: Path) -> None:
    file = story.folder / "study.toml"
    answer = cli("study", file, "--show", "--markdown", tmp_path / "t.md", "--csv", tmp_path / "t.csv")
    assert answer.code == 0, answer.err
    for said in (
        "tiny-1: finished; 6 cells",
        "accuracy and UUs at 0.65",
        "relabel has",
        "than none",
        "attack statistics",
    ):
        assert said in answer.out
    text = (tmp_path / "t.md").read_text()
    assert "## study, tiny" not in text
    assert "| method | accuracy, % | UUs of 6 | at matched coverage | natural UUs of 30 |" in text
    header, *lines = (tmp_path / "t.csv").read_text().splitlines()
    found = json.loads(cli("study", file, "--show", "--json").out)
    assert header.split(",")[:6] == ["study_id", "dataset", "classifier", "recipe", "method", "metric"]
    assert len(lines) == len(found["figures"]) > 20
    assert (found["status"], found["runs"]) == ("finished", {"finished": 6})


def test_other_commands_know_the_runs_of_a_study(story: Story, cli: Cli) -> None:
    workspace = story.folder / "workspace"
    for command in (["status"], ["report", "tiny-1"]):
        answer = cli(*command, "-w", workspace)
        assert answer.code == 0, answer.err


def test_a_forecast_and_a_wrong_choice_write_nothing(story: Story, cli: Cli, tmp_path: Path) -> None:
    file = story.folder / "study.toml"
    elsewhere = ("-w", tmp_path / "new")
    answer = cli("study", file, "--dry-run", "--only", "seed=1", *elsewhere)
    assert answer.out.splitlines()[-1].startswith("3 of 6 cells are left: about ")
    assert "a rough guess from sizes; no teacher costs anything" in answer.out
    answer = cli("study", file, "--only", "method=rules", *elsewhere)
    assert answer.code == 2
    assert "the study has no such method; it has none, original, relabel" in answer.err
    answer = cli("study", file, "--show", *elsewhere)
    assert answer.code == 2
    assert not (tmp_path / "new").exists()
