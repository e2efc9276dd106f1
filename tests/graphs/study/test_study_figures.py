"""What a study's file may say, and the statistics over its seeds: worked by hand, and held to their laws."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindspot.cli.commands.init import STUDY
from blindspot.cli.study.display import LiveStudy, PlainStudy, outlook_in_words
from blindspot.cli.study.read import PublishedStudy
from blindspot.cli.study.tables import grids_of, in_markdown
from blindspot.graphs.context import Progress, samples_of
from blindspot.graphs.preflight.preflight import Preflight
from blindspot.graphs.study.cells import check_arm
from blindspot.graphs.study.course import StudyProgress
from blindspot.graphs.study.figures import baselines_of
from blindspot.graphs.study.remaining_time import Outlook
from blindspot.storage.errors import SettingsError
from blindspot.storage.records import Sample
from blindspot.storage.settings.study_cells import StudyPlan, load_study
from blindspot.storage.store.store import Store
from blindspot.storage.study_records import StudyFigure
from blindspot.tools.data.datasets import DataSource, inspect
from blindspot.tools.metrics.evaluate import differences
from blindspot.tools.metrics.figure import Scope
from blindspot.tools.metrics.outcomes import ModelOutcomes, Outcomes, joined
from blindspot.tools.metrics.study_figures import Comparison, Measured, compare_methods
from support.places import ROOT

TAU = 0.65
FILE = """
[data]
path = "data"
[attack]
samples = 5
[study]
name = "small"
seeds = [0, 1]
recipes = ["deepwordbug", "pruthi"]
"""


def made(ones: list[float], first: int = 0, labels: list[int] | None = None) -> Outcomes:
    """Outcomes of a binary task: the probability of class 1; class 0 is true unless it is said otherwise."""
    one = np.array(ones)
    ids = tuple(f"s{first + row:03d}" for row in range(len(ones)))
    truth = np.array(labels or [0] * len(ones))
    return Outcomes(ids, truth, np.stack([1 - one, one], axis=1), np.zeros(len(ones), dtype=bool))


def measured(ones: list[float], first: int = 0) -> Measured:
    """A model of which the clean split and P are the same texts."""
    outcomes = made(ones, first)
    return Measured(outcomes, outcomes, {})


def compared(methods: Mapping[str, Mapping[int, Measured]], baseline: str = "original") -> Comparison:
    stands = {method: {baseline: baseline} for method in methods if method != baseline}
    return Comparison("small-1", "data", "model", "pruthi", methods, stands, TAU, (TAU,), 400, 0)


def find(rows: list[StudyFigure], method: str, metric: str, baseline: str = "", at: float = TAU) -> StudyFigure:
    (row,) = [
        row for row in rows if (row.method, row.metric, row.baseline, row.threshold) == (method, metric, baseline, at)
    ]
    return row


WRONG, SHY, RIGHT = 0.9, 0.6, 0.1


def test_counts_are_averaged_over_seeds_and_reductions_are_taken_of_their_sums() -> None:
    rows = compare_methods(
        compared(
            {
                "original": {0: measured([WRONG] * 4), 1: measured([WRONG] * 2 + [RIGHT] * 2, 10)},
                "repaired": {0: measured([WRONG, RIGHT, RIGHT, RIGHT]), 1: measured([WRONG] * 2 + [RIGHT] * 2, 10)},
            }
        )
    )
    before, after = find(rows, "original", "uus"), find(rows, "repaired", "uus")
    assert (before.value, before.seeds, before.n) == (3, 2, 4)
    assert before.std == pytest.approx(np.sqrt(2))
    assert after.value == 1.5
    assert find(rows, "repaired", "uus", "original").value == -1.5
    gone = find(rows, "repaired", "uus_reduction", "original")
    assert gone.value == 0.5  # 3 of the 6 in both seeds, not the mean of 75 % and 0 %
    assert gone.std == pytest.approx(np.std([0.75, 0], ddof=1))
    right = find(rows, "repaired", "accuracy", "original", at=-1)
    assert right.value == pytest.approx((0.75 + 0) / 2)


def test_an_interval_of_two_texts_spans_what_can_be_drawn_of_them() -> None:
    rows = compare_methods(compared({"original": {0: measured([WRONG, WRONG])}, "new": {0: measured([WRONG, RIGHT])}}))
    gone = find(rows, "new", "uus_reduction", "original")
    assert (gone.value, gone.low, gone.high, gone.std) == (0.5, 0, 1, None)


def test_a_seed_that_says_the_same_of_the_same_texts_narrows_no_interval() -> None:
    generator = np.random.default_rng(1)
    ones = {who: [float(one) for one in generator.uniform(0.3, 1, 30)] for who in ("original", "new")}

    def gone(seeds: list[int]) -> StudyFigure:
        methods = {who: {seed: measured(values) for seed in seeds} for who, values in ones.items()}
        return find(compare_methods(compared(methods)), "new", "uus_reduction", "original")

    one, three = gone([0]), gone([0, 1, 2])
    assert (one.value, one.low, one.high) == (three.value, three.low, three.high)


def test_seeds_with_texts_of_their_own_narrow_the_interval() -> None:
    def width(seeds: int) -> float:
        methods = {
            who: {seed: measured(ones, 100 * seed) for seed in range(seeds)}
            for who, ones in (("original", [WRONG] * 20), ("new", [WRONG, RIGHT] * 10))
        }
        row = find(compare_methods(compared(methods)), "new", "uus_reduction", "original")
        assert row.low is not None
        assert row.high is not None
        return row.high - row.low

    assert width(4) < 0.7 * width(1)


def test_a_model_that_is_merely_shy_gains_at_tau_and_nothing_at_matched_coverage() -> None:
    generator = np.random.default_rng(2)
    odds = generator.normal(0.3, 2, 60)
    sharp, shy = (list(1 / (1 + np.exp(-odds / temperature))) for temperature in (1, 3))
    rows = compare_methods(compared({"original": {0: measured(sharp)}, "shy": {0: measured(shy)}}))
    assert find(rows, "shy", "uus_reduction", "original").value > 0.2
    assert find(rows, "shy", "uus_matched", "original").value == 0


def test_a_difference_is_that_of_a_run_and_only_seeds_that_both_have_count() -> None:
    generator = np.random.default_rng(3)
    old, new = (made([float(one) for one in generator.uniform(0, 1, 40)]) for _ in range(2))
    rows = compare_methods(
        compared(
            {
                "original": {0: Measured(old, old, {}), 1: measured([WRONG] * 5)},
                "none": {0: Measured(old, old, {})},
                "new": {0: Measured(new, new, {}), 1: measured([RIGHT] * 5)},
            },
            baseline="none",
        )
    )
    after, before = (ModelOutcomes(name, rows, {"pruthi": rows}) for name, rows in (("new", new), ("old", old)))
    single = differences(after, before, old, Scope("run-1", 1, TAU, (TAU,), 100, 0))
    (expected,) = [row.value for row in single if (row.metric, row.recipe) == ("uus_matched", "pruthi")]
    row = find(rows, "new", "uus_matched", "none")
    assert (row.value, row.seeds) == (expected, 1)


def test_a_split_is_whole_for_every_data_set_that_has_it(tmp_path: Path) -> None:
    for split, count in (("train", 40), ("validation", 10), ("test", 10)):
        rows = "".join(f"{split} {number},{'ab'[number % 2]}\n" for number in range(count))
        (tmp_path / f"{split}.csv").write_text(f"text,label\n{rows}")
    with Store.open(tmp_path / "w") as store:
        for seed in (0, 1):
            limits = {"train": 20}
            source = DataSource("reviews", str(tmp_path), {}, ("text",), "label", None, "t", limits, seed)
            samples = samples_of(store, source, inspect(source), "test")
            assert [sample.fields["text"] for sample in samples] == [f"test {number}" for number in range(10)]
        assert store.count(Sample, split="test") == 10


def test_a_text_that_one_methods_attack_broke_on_is_left_out_for_all() -> None:
    whole = measured([WRONG, WRONG, RIGHT])
    part = Measured(whole.clean, made([WRONG, RIGHT]), {})
    rows = compare_methods(compared({"original": {0: whole}, "new": {0: part}}))
    assert [find(rows, who, "uus").value for who in ("original", "new")] == [2, 1]
    rows = compare_methods(compared({"original": {0: whole}, "new": {0: replace(part, perturbed=made([WRONG]))}}))
    assert [find(rows, who, "uus").value for who in ("original", "new")] == [1, 1]


def test_a_text_that_broke_under_one_of_several_recipes_is_left_out_of_all() -> None:
    twice = joined([made([WRONG, WRONG, RIGHT]), made([WRONG, WRONG, RIGHT])])
    once = joined([made([WRONG, WRONG, RIGHT]), made([WRONG, RIGHT]).take([0])])  # the second text broke, and the third
    whole = Measured(made([RIGHT] * 3), twice, {})
    rows = compare_methods(compared({"original": {0: whole}, "new": {0: replace(whole, perturbed=once)}}))
    assert [(find(rows, who, "uus").value, find(rows, who, "uus").n) for who in ("original", "new")] == [(2, 2), (2, 2)]


@pytest.mark.parametrize("seeds", [1, 40])
def test_there_may_be_many_seeds(seeds: int) -> None:
    each = {seed: measured([WRONG, RIGHT]) for seed in range(seeds)}
    rows = compare_methods(replace(compared({"original": each, "new": each}), resamples=20))
    assert find(rows, "new", "uus").seeds == seeds


def test_without_uus_before_there_is_no_reduction_and_without_an_attack_the_clean_split_counts() -> None:
    nothing = Measured(made([RIGHT] * 3), None, {"rows_added": 4.0})
    rows = compare_methods(compared({"original": {0: nothing}, "new": {0: nothing}}))
    assert {row.metric for row in rows if row.baseline} == {"accuracy", "uus_clean", "uus_clean_matched"}
    assert find(rows, "new", "rows_added", at=-1).value == 4


def test_a_seed_of_which_every_attack_broke_has_figures_of_its_clean_split_alone() -> None:
    broken = Measured(made([RIGHT, WRONG]), made([]), {})
    rows = compare_methods(compared({"original": {0: broken}, "new": {0: broken}}))
    assert {row.metric for row in rows} >= {"accuracy", "uus_clean", "ece"}
    assert not [row for row in rows if row.metric in ("uus", "uus_matched")]


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(12)))
def test_no_figure_depends_on_the_order_of_texts(order: list[int]) -> None:
    generator = np.random.default_rng(4)
    old, new = (made([float(one) for one in generator.uniform(0, 1, 12)]) for _ in range(2))

    def taken(first: Outcomes) -> list[StudyFigure]:
        return compare_methods(
            replace(
                compared({"original": {0: Measured(old, old, {})}, "new": {0: Measured(first, first, {})}}),
                resamples=100,
            )
        )

    for one, other in zip(taken(new), taken(new.take(order)), strict=True):
        assert one.value == pytest.approx(other.value)
        assert (one.low, one.high) == pytest.approx((other.low, other.high))


def test_a_dose_is_compared_with_the_same_dose_and_a_base_url_is_none() -> None:
    remote = "openai:small@http://localhost:8000/v1"
    methods = ("original", "none", "relabel@5%", "relabel@50%", "random@5%", remote)
    assert baselines_of("random@5%", methods) == {"original": "original", "none": "none", "relabel": "relabel@5%"}
    assert baselines_of(remote, methods) == {"original": "original", "none": "none"}


def test_the_dose_curve_has_a_column_for_each_share() -> None:
    doses = {"relabel@5%": [WRONG] * 3 + [RIGHT], "relabel@50%": [RIGHT] * 4, "random@5%": [WRONG] * 4}
    methods = {"original": {0: measured([WRONG] * 4)}, "none": {0: measured([WRONG] * 4)}} | {
        name: {0: measured(ones)} for name, ones in doses.items()
    }
    stands = {name: baselines_of(name, methods) for name in methods}
    rows = compare_methods(replace(compared(methods), baselines=stands))
    place = ("data", "model", "pruthi")
    found = PublishedStudy(
        study_id="small-1",
        status="finished",
        results=Path("results.duckdb"),
        methods=tuple(methods),
        seeds=(0,),
        taus={("data", "model"): TAU},
        cells=5,
        runs={"finished": 5},
        failures=(("small-3", "a | b"),),
        figures={(place, row.method, row.metric, row.threshold, row.baseline): row for row in rows},
    )
    (at_tau, matched) = [grid for grid in grids_of(found) if "by rows added" in grid.title]
    assert at_tau.headings == ("method", "5%", "50%")
    assert [(row[0], row[1].split()[0], row[2].split()[0]) for row in at_tau.rows] == [
        ("relabel", "+25.0", "+100.0"),
        ("random", "+0.0", "–"),
    ]
    assert "matched" in matched.title
    text = in_markdown(found)
    assert "- data, model, pruthi: random@5% has 0.0 % fewer (inside the noise, 95 % interval 0.0 to 0.0 %) UUs" in text
    assert "small-3 failed: a \\| b" in text


def test_accuracy_is_told_once_where_a_run_has_several_recipes() -> None:
    rows = compare_methods(compared({name: {0: measured([WRONG, RIGHT])} for name in ("original", "none")}))
    recipes = ("pruthi+deepwordbug", "pruthi+deepwordbug: pruthi", "pruthi+deepwordbug: deepwordbug", "textfooler")
    found = PublishedStudy(
        study_id="small-1",
        status="finished",
        results=Path("results.duckdb"),
        methods=("original", "none"),
        seeds=(0,),
        taus={("data", "model"): TAU},
        cells=2,
        runs={"finished": 2},
        failures=(),
        figures={
            (("data", "model", recipe), row.method, row.metric, row.threshold, row.baseline): row
            for recipe in recipes
            for row in rows
        },
    )
    titles = [grid.title for grid in grids_of(found) if "reduction of UUs at matched" in grid.title]
    assert len(titles) == len(recipes)
    assert [grid.title for grid in grids_of(found) if "accuracy, difference" in grid.title] == [
        "data, model, pruthi+deepwordbug: accuracy, difference in points",
        "data, model, textfooler: accuracy, difference in points",
    ]


@pytest.mark.parametrize(
    ("seconds", "elapsed", "said"),
    [(600, 0, "about 70 min left"), (600, 300, "about 65 min left"), (600, 9000, "about 60 min left")],
)
def test_the_time_that_is_left_falls_and_never_below_that_of_the_other_cells(
    seconds: float, elapsed: float, said: str
) -> None:
    assert outlook_in_words(Outlook(seconds, 3600, False), elapsed) == said
    assert outlook_in_words(Outlook(seconds, 9000, True), 0) == "about 2.7 h left, a rough guess from sizes"


def test_a_display_says_which_cell_it_is_in(
    plan: Callable[..., StudyPlan], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cell = plan('methods = ["none", "relabel"]').cells[2]
    place = StudyProgress(3, 8, cell, Outlook(60, 60, False))
    plain, live = PlainStudy(), LiveStudy(tmp_path, lambda: False)
    for display in (plain, live):
        display.enter(place)
        display.show(Progress("small-3", 1, "evaluate", 0, 0, "accuracy 80.0%"))
        display.show(Progress("small-3", 1, "select", 0, 0, "selected 4 of 17 UUs"))
    named = "cell 3 of 8, small, minilm, seed 0, relabel, deepwordbug: about 2 min left"
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ", 1)[1] for line in lines[:3]] == [
        named,
        "cell 3 of 8 round 1 evaluate: accuracy 80.0%",
        "cell 3 of 8 round 1 select: selected 4 of 17 UUs",
    ]
    assert not any("selected" in line for line in lines[3:])
    assert live.render().title == live.title()
    assert live.title() == "cell 3 of 8 · small, minilm, seed 0, relabel, deepwordbug · about 2 min left"


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., StudyPlan]:
    monkeypatch.chdir(tmp_path)

    def read(more: str, *overrides: str) -> StudyPlan:
        (tmp_path / "study.toml").write_text(FILE + more)
        return load_study(tmp_path / "study.toml", overrides)

    return read


def test_all_of_one_seed_comes_before_the_next_and_a_method_that_learns_of_no_attack_is_one_cell(
    plan: Callable[..., StudyPlan],
) -> None:
    cells = plan('methods = ["none", "relabel"]').cells
    assert [(cell.seed, cell.arm, cell.settings.attack.recipes) for cell in cells[:4]] == [
        (0, "original", ("deepwordbug", "pruthi")),
        (0, "none", ("deepwordbug", "pruthi")),
        (0, "relabel", ("deepwordbug",)),
        (0, "relabel", ("pruthi",)),
    ]
    assert [cell.seed for cell in cells] == [0] * 4 + [1] * 4


def test_an_arm_that_learns_of_attacks_is_a_cell_for_each_recipe_whatever_its_method(
    plan: Callable[..., StudyPlan],
) -> None:
    cells = plan('methods = [{name = "twins", method = "none", retrain.consistency = 1.0}]').cells
    assert [cell.settings.attack.recipes for cell in cells if cell.arm == "twins"][:2] == [
        ("deepwordbug",),
        ("pruthi",),
    ]


def test_every_method_that_adds_rows_has_an_arm_for_each_dose(plan: Callable[..., StudyPlan]) -> None:
    found = plan('methods = ["none", "relabel", {name = "few", method = "random", share = 0.01}]\nshares = [0.05, 0.5]')
    assert found.arms == ("none", "relabel@5%", "relabel@50%", "few")
    assert {cell.settings.method.share for cell in found.cells if cell.arm == "relabel@5%"} == {0.05}


def test_data_sets_and_classifiers_change_what_they_name_and_no_more(
    plan: Callable[..., StudyPlan], tmp_path: Path
) -> None:
    found = plan(
        """
methods = ["none", "rules", "recorded:samples.jsonl"]
[[study.datasets]]
name = "one"
data.path = "./one"
[[study.datasets]]
name = "two"
data.path = "./two"
evaluate.samples = 7
[[study.classifiers]]
name = "large"
classifier.epochs = 2
[teacher]
autonomy = "probing"
spec = "openai:some-model"
samples_per_hypothesis = 3
""",
        "study.seeds=[4]",
    )
    first, second = (cell.settings for cell in found.cells if cell.arm == "none")
    assert (first.data.path, second.data.path) == (str(tmp_path / "one"), str(tmp_path / "two"))
    assert (first.evaluate.samples, second.evaluate.samples) == (300, 7)
    assert (first.classifier.epochs, first.run.seed, first.attack.samples) == (2, 4, 5)
    assert (first.teacher.spec, first.teacher.autonomy, first.teacher.samples_per_hypothesis) == (
        "rules",
        "scripted",
        3,
    )
    (recorded, _) = [cell.settings.method for cell in found.cells if cell.arm == "recorded"]
    assert recorded.file == str(tmp_path / "samples.jsonl")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", "study.methods: empty; name some"),
        ('methods = ["none", "none"]', 'study.methods: "none" is listed twice'),
        ('methods = ["original"]', '"original" is reserved for the model before any method'),
        ('methods = ["relable"]', '"relable" is not one of the methods (teacher, none, random, '),
        ('method = ["none"]', "study.method: unknown key; did you mean methods?"),
        ('methods = [{name = "a", methd = "none"}]', "study.methods.0.methd: unknown key; did you mean method?"),
        (
            'methods = [{name = "a", method = "none", attack.goal = "flip"}]',
            "attack.goal is fixed for the whole study",
        ),
        (
            'methods = [{name = "a", method = "none", retrain.epoch = 1}]',
            "retrain.epoch: unknown key; did you mean epochs",
        ),
        (
            'methods = [{name = "none", datasets = ["x"]}]',
            'the arm "none" is for the data set "x", which the study lacks',
        ),
        ('methods = ["none"]\n[[study.datasets]]\nname = "a"\nrun.seed = 3', "run.seed is fixed for the whole study"),
        ('methods = ["none"]\n[[study.arms]]\nname = "none"', 'study.arms: "none" is also among study.methods'),
    ],
)
def test_a_mistake_in_the_file_is_one_line(plan: Callable[..., StudyPlan], more: str, said: str) -> None:
    def begin() -> None:
        for cell in plan(more).cells:
            check_arm(cell, Preflight())

    with pytest.raises(SettingsError) as raised:
        begin()
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_template_is_a_study(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(STUDY.read_text())
    assert load_study(file).arms == ("none", "random", "relabel", "adversarial", "temperature", "rules")
    _, mark, examples = STUDY.read_text().partition("# [[study.arms]]")
    file.write_text(STUDY.read_text() + re.sub("^# ", "", mark + examples, flags=re.MULTILINE))
    assert load_study(file).cells[0].classifier == "bert"


def test_the_study_of_the_documentation_is_one(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "studies.md").read_text()
    (tmp_path / "study.toml").write_text(text.split("```toml\n")[1].split("```")[0])
    found: Any = load_study(tmp_path / "study.toml")
    assert found.arms[-1] == "twins"
