"""Methods other than a teacher, and levers: what they add, how they train, and that a run with each ends well."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.cli.handover.cards import cooled
from blindspot.graphs.running.run import resume_run, start_run
from blindspot.graphs.shared.budgets import budget_rows, budget_uus
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import DataError, SettingsError
from blindspot.storage.records import Attack, Hypothesis, Run, Sample, Uu
from blindspot.storage.settings.sections import Settings, check_settings
from blindspot.storage.words import AttackStatus
from blindspot.tools.additions.baselines import Addition, draw, perturbed, relabelled, training_again, training_misspelt
from blindspot.tools.additions.recorded import read_recorded, recorded_rows
from blindspot.tools.classifier.classifier import load_classifier
from blindspot.tools.classifier.handover import export_classifier
from blindspot.tools.classifier.precision import with_forward
from blindspot.tools.data.datasets import DataSource
from blindspot.tools.data.planted import generate_reviews, write_dataset
from blindspot.tools.metrics.calibration import fit_temperature, tempered
from blindspot.tools.metrics.outcomes import clean_outcomes
from blindspot.tools.metrics.temperature import bound_hit
from blindspot.tools.text.edits import edits, split_words
from blindspot.tools.text.rewrite import misspell_at_random, rng_of, slip_of
from blindspot.tools.training.batches import plan_epochs
from blindspot.tools.training.epoch_score import KnownTexts
from blindspot.tools.training.settings import Example, Training, Weights
from support.commands import Cli
from support.processes import WarmPython
from support.runs import Table, settings_with
from support.workspaces import read

LABELS = ("negative", "positive")
SOURCE = DataSource("d", None, {}, ("text",), "label", None, "", {}, 0)


def samples(count: int) -> list[Sample]:
    reviews = generate_reviews(count, planted=0, seed=1, split="train")
    return [
        Sample(f"smp-{row:03}", "ds", "train", row, {"text": review.text}, review.label)
        for row, review in enumerate(reviews)
    ]


def attack(number: int, status: AttackStatus = "flipped") -> Attack:
    fields = {"text": f"a pertrubed text {number}"} if status == "flipped" else None
    return Attack(
        f"atk-{number}", "run-1", "mod-1", f"smp-{number % 7}", "validation", "deepwordbug", status, fields, "positive",
        "negative", 0.6, "positive", 0.9, 10, 5, 1, None, 0.1,
    )  # fmt: skip


def uu(text: str) -> Uu:
    return Uu("uu-1", "run-1", 1, "mod-1", "adversarial", "deepwordbug", "smp-1", "atk-1", {"text": text}, "positive",
              "negative", 0.9)  # fmt: skip


# --- what is drawn, and what it becomes


@given(
    st.lists(st.text("abcdeé' .1-\n", max_size=60), min_size=1, max_size=3),
    st.floats(0, 1),
    st.integers(0, 2**31),
)
def test_typos_touch_so_many_words_each_by_one_slip_and_nothing_between_them(
    texts: list[str], share: float, seed: int
) -> None:
    fields = {f"field{number}": text for number, text in enumerate(texts)}
    made = misspell_at_random(fields, np.random.default_rng(seed), share=share)
    assert made == misspell_at_random(fields, np.random.default_rng(seed), share=share)
    words = [word for text in texts for word in split_words(text)]
    able = [word for word in words if len(word) > 2 and word.isalpha()]
    changed = edits(fields, made)
    assert len(changed) == min(len(able), max(1, round(share * len(words))))
    assert all(slip_of(edit) for edit in changed)
    assert set(made) == set(fields)


@given(st.integers(1, 40), st.integers(1, 130), st.integers(0, 1000))
def test_training_rows_are_added_as_often_as_wanted_and_evenly(there: int, wanted: int, seed: int) -> None:
    rows, addition = samples(there), Addition("run-1", 2, wanted, seed)
    added = training_again(rows, addition)
    assert len({row.synthetic_id for row in added}) == len(added) == wanted
    copies = Counter(row.source_id for row in added)
    assert max(copies.values()) - min([*copies.values(), *([0] if len(copies) < there else [])]) <= 1
    assert added == training_again(rows[::-1], addition)
    assert all(row.accepted and row.hypothesis_id is None and row.origin == "random" for row in added)
    elsewhere = training_again(rows, replace(addition, run_id="run-2"))
    assert [row.source_id for row in elsewhere] == [row.source_id for row in added]
    assert not {row.synthetic_id for row in elsewhere} & {row.synthetic_id for row in added}


def test_typos_are_made_in_the_rows_that_random_draws_and_keep_their_labels() -> None:
    rows, addition = samples(20), Addition("run-1", 1, 33, 0)
    misspelt, again = training_misspelt(rows, addition), training_again(rows, addition)
    assert [row.source_id for row in misspelt] == [row.source_id for row in again]
    assert [row.label for row in misspelt] == [row.label for row in again]
    assert len({row.fields["text"] for row in misspelt}) == 33  # a copy has typos of its own
    assert not {row.fields["text"] for row in misspelt} & {row.fields["text"] for row in again}


@given(st.lists(st.integers(), unique=True, max_size=30), st.integers(1, 40), st.integers(0, 9))
def test_a_draw_takes_what_is_wanted_or_all_and_none_twice(items: list[int], wanted: int, seed: int) -> None:
    drawn = draw(items, Addition("run-1", 1, wanted, seed))
    assert len(set(drawn)) == len(drawn) == min(wanted, len(items))
    assert drawn == [item for item in items if item in drawn]


def test_perturbed_texts_are_those_that_flipped_with_the_true_label() -> None:
    attacks = [attack(number, "flipped" if number % 3 else "failed") for number in range(12)]
    rows = perturbed(attacks, Addition("run-1", 1, 100, 0))
    assert {row.source_id for row in rows} == {row.attack_id for row in attacks if row.status == "flipped"}
    assert {row.label for row in rows} == {"positive"}


def test_a_relabelled_uu_has_its_text_and_its_true_label() -> None:
    (row,) = relabelled([uu("a pertrubed text")], Addition("run-1", 1, 5, 0))
    assert (row.fields, row.label, row.source_id) == ({"text": "a pertrubed text"}, "positive", "uu-1")


@pytest.mark.parametrize(
    ("changes", "rows", "uus"),
    [
        ({}, 74, 37),
        ({"teacher": {"samples_per_hypothesis": 3}}, 222, 37),
        ({"select": {"most": 10}}, 20, 10),
        ({"method": {"share": 0.1}}, 367, 184),
        ({"method": {"share": 0.1}, "select": {"most": 10}}, 367, 10),
        ({"method": {"name": "relabel"}}, 74, 74),
        ({"method": {"name": "relabel", "share": 0.5}}, 1834, 1834),
        ({"method": {"name": "random", "share": 2}}, 7336, 0),
        ({"method": {"name": "none", "share": 0.5}}, 0, 0),
        ({"method": {"name": "temperature"}}, 0, 0),
    ],
)
def test_every_method_has_the_same_budget_of_rows(changes: dict[str, Any], rows: int, uus: int) -> None:
    settings = check_settings({"data": {"path": "d"}} | changes, where="test")
    assert (budget_rows(settings, 3668), budget_uus(settings, 3668)) == (rows, uus)


# --- recorded samples

NESTED = {
    "perturbed": {"text": "a pertrubed text"},
    "abstraction": "Typos.",
    "extrapolation": "Slang.",
    "sample_abstraction": {"text": "one tpyo", "label": "positive"},
    "sample_extrapolation": {"text": "that is sick", "label": "negative"},
}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_a_file_holds_samples_line_by_line_or_what_a_teacher_made_of_a_uu(tmp_path: Path) -> None:
    file = write(tmp_path / "s.jsonl", {"text": "flat", "label": "positive", "more": 1}, "", NESTED)
    found = read_recorded(file, SOURCE, LABELS)
    assert [(row.line, row.kind, row.fields["text"], row.label) for row in found] == [
        (1, None, "flat", "positive"),
        (3, "abstraction", "one tpyo", "positive"),
        (3, "extrapolation", "that is sick", "negative"),
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "t", "label": "neutral"}, r'line 2: column "label": unknown label "neutral".*negative, positive'),
        ({"txt": "t", "label": "positive"}, r'line 2: no column "text"; it has txt, label; did you mean "txt"'),
        ({"text": " ", "label": "positive"}, r'line 2: column "text" holds an empty text'),
        ({"text": "t", "label": None}, r'line 2: column "label" holds no label'),
        (
            NESTED | {"sample_abstraction": {"text": 7, "label": "positive"}},
            r'"sample_abstraction.text" is not text: 7',
        ),
        (NESTED | {"sample_abstraction": {"label": "positive"}}, r'no column "sample_abstraction.text"'),
        (NESTED | {"sample_extrapolation": "a text"}, r'"sample_extrapolation" is not an object'),
        ("{broken", r"line 2: broken JSON"),
    ],
)
def test_a_mistake_in_a_file_is_one_line_with_its_place(row: Any, said: str, tmp_path: Path) -> None:
    file = write(tmp_path / "s.jsonl", {"text": "flat", "label": "positive"}, row)
    with pytest.raises(DataError, match=said) as found:
        read_recorded(file, SOURCE, LABELS)
    assert str(found.value).startswith(f"{file}, line 2")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("make", "told"), [(os.mkfifo, "is not a regular file"), (os.mkdir, "is a folder; name a file")]
)
def test_what_is_no_regular_file_is_refused_before_it_is_read(
    tmp_path: Path, make: Callable[[Path], None], told: str
) -> None:
    make(tmp_path / "s.jsonl")
    with pytest.raises(DataError, match=f"s.jsonl: {told}"):
        read_recorded(tmp_path / "s.jsonl", SOURCE, LABELS)
    with pytest.raises(DataError, match="/dev/zero: is not a regular file"):
        read_recorded(Path("/dev/zero"), SOURCE, LABELS)


def test_a_recorded_hypothesis_is_kept_where_its_uu_was_found_again(tmp_path: Path) -> None:
    records = read_recorded(write(tmp_path / "s.jsonl", NESTED), SOURCE, LABELS)
    addition = Addition("run-1", 1, 10, 0)
    rows = recorded_rows(records, [uu("a pertrubed text")], addition, "s.jsonl")
    hypotheses = {row.kind: row for row in rows if isinstance(row, Hypothesis)}
    assert {kind: row.text for kind, row in hypotheses.items()} == {"abstraction": "Typos.", "extrapolation": "Slang."}
    assert hypotheses["extrapolation"].parent_id == hypotheses["abstraction"].hypothesis_id
    assert [row.selected for row in rows if isinstance(row, Uu)] == [True]
    alone = recorded_rows(records, [uu("another text")], addition, "s.jsonl")
    assert [getattr(row, "reasoning", "") for row in alone] == [
        "Recorded in s.jsonl, line 1. Typos.",
        "Recorded in s.jsonl, line 1. Slang.",
    ]
    assert {getattr(row, "accepted", True) for row in alone} == {None}


# --- temperature, epochs


@given(st.integers(0, 1000), st.floats(0.3, 4), st.integers(2, 4))
def test_a_fitted_temperature_undoes_the_one_that_was_put_in(seed: int, temperature: float, classes: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = tempered(rng.dirichlet(np.ones(classes), size=200), 1.0)
    labels = np.array([rng.choice(classes, p=row) for row in probabilities])
    fitted = fit_temperature(probabilities, labels)
    changed = tempered(probabilities, temperature)
    assert fit_temperature(changed, labels) == pytest.approx(fitted / temperature, rel=1e-3)
    assert (changed.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert changed.sum(axis=1) == pytest.approx(1)


def test_an_epoch_that_is_only_less_sure_has_no_fewer_uus() -> None:
    rng = np.random.default_rng(0)
    clean, attacked = rng.dirichlet([1, 1], size=100), rng.dirichlet([1, 2], size=40)
    labels = [LABELS[label] for label in rng.integers(2, size=100)]
    texts = [(f"t{number}",) for number in range(100)]
    original = clean_outcomes([text for (text,) in texts], labels, clean, LABELS)
    known = KnownTexts(original, texts, [("p",)] * 40, [0] * 40, tau=0.8)

    class Says:
        def __init__(self, temperature: float) -> None:
            self.temperature = temperature

        def predict(self, asked: list[tuple[str, ...]]) -> Any:
            return tempered(clean if len(asked) == 100 else attacked, self.temperature)

    classifiers: list[Any] = [Says(temperature) for temperature in (0.5, 1.0, 3.0)]
    counts = set(map(known.count_uus, classifiers))
    assert len(counts) == 1
    assert counts.pop() > 10

    class Diverged:
        def predict(self, asked: list[tuple[str, ...]]) -> Any:
            return np.full((len(asked), 2), np.nan)

    diverged: Any = Diverged()
    assert known.count_uus(diverged) == np.inf


def test_training_on_nothing_new_takes_the_samples_in_another_order() -> None:
    training = Training(epochs=1, batch_size=4, learning_rate=1e-3)
    orders = [plan_epochs([1] * 40, replace(training, order=order)) for order in (0, 0, 1, 2)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2] != orders[3] != orders[0]


# --- whole runs


@pytest.fixture(scope="module")
def ready(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a classifier that was fine-tuned on them, and a file of samples."""
    from blindspot.tools.training.retrain import retrain

    folder = tmp_path_factory.mktemp("ready")
    write_dataset(folder / "data", seed=0, rows={"train": 160, "validation": 60, "test": 50}, planted_share=0.3)
    examples = [
        Example((review.text,), LABELS.index(review.label))
        for review in generate_reviews(160, planted=0, seed=0, split="train")
    ]
    start = Weights(str(tiny_base), fine_tuned=False, labels=LABELS, max_tokens=64, device="cpu")
    retrain(start, examples, Training(epochs=10, batch_size=16, learning_rate=4e-3), folder / "model")
    reviews = generate_reviews(8, planted=8, seed=9, split="validation")
    write(folder / "samples.jsonl", *({"text": review.text, "label": review.label} for review in reviews))
    return folder


def settings_of(ready: Path, workspace: Path, baseline: str, **changes: dict[str, Any]) -> Settings:
    table: Table = {
        "run": {"name": baseline, "workspace": str(workspace)},
        "data": {"path": str(ready / "data")},
        "classifier": {
            "model": str(ready / "model"), "fine_tune": False, "max_tokens": 64, "epochs": 1, "batch_size": 16,
            "learning_rate": 1e-3, "device": "cpu",
        },
        "attack": {"samples": 5, "train_samples": 5},
        "method": {"name": baseline},
        "select": {"share": 0.025},
        "filter": {"references": 20, "bertscore": 0.0},
        "evaluate": {"samples": 3, "resamples": 100},
    }  # fmt: skip
    if baseline == "recorded":
        table["method"]["file"] = str(ready / "samples.jsonl")
    return settings_with(table, changes)


def go(settings: Settings) -> tuple[Run, list[str]]:
    """Run to the end. Returns: the run, and what was told."""
    told: list[str] = []
    run = start_run(settings, show=lambda step: told.append(step.message), cancelled=lambda: False)
    return run, told


@pytest.mark.parametrize(
    ("method", "added"),
    [("random", 8), ("typos", 8), ("relabel", 8), ("adversarial", 0), ("recorded", 8)],
)
def test_a_run_with_a_baseline_adds_its_rows_and_trains(
    method: str, added: int, ready: Path, tmp_path: Path, cli: Cli
) -> None:
    run, told = go(settings_of(ready, tmp_path / "ws", method))
    assert (run.status, run.method, run.teacher) == ("finished", method, "none")
    rows = read(tmp_path / "ws", "select origin, accepted, label, source_id, fields->>'text' from synthetic_samples")
    assert {row[0] for row in rows} <= {method}
    ((trained, synthetic),) = read(
        tmp_path / "ws", "select rows_train, rows_synthetic from model_versions where kind = 'retrained'"
    )
    assert (trained, synthetic) == (160, sum(bool(row[1]) for row in rows))
    flipped = read(
        tmp_path / "ws", "select attack_id from attacks where model_id = (select original_model_id from runs) "
        "and status = 'flipped' and split in ('train', 'validation')"
    )  # fmt: skip
    assert len(rows) == (min(8, len(flipped)) if method == "adversarial" else added)
    if method == "adversarial":
        assert {row[3] for row in rows} <= {key for (key,) in flipped}
        assert any("of the 8 rows it may add" in line for line in told) == (len(flipped) < 8)
    if method == "relabel":
        assert read(tmp_path / "ws", "select count(*) from uus where selected") == [(8,)]
    assert (
        read(tmp_path / "ws", "select count(*) from attacks where split = 'train' and round(seconds) < 60")[0][0] == 5
    )
    assert read(tmp_path / "ws", "select count(*) from lineage")[0][0] > 0
    assert cli("hypotheses", "-w", tmp_path / "ws").code == 0
    if added:
        assert cli("export", "--data", tmp_path / "out", "-w", tmp_path / "ws").code == 0
        card = (tmp_path / "out" / "README.md").read_text()
        assert f'taken by the baseline "{method}"' in card
        assert "- origin:" in card


def test_temperature_alone_trains_nothing_and_changes_no_prediction(ready: Path, tmp_path: Path) -> None:
    run, _ = go(settings_of(ready, tmp_path / "ws", "temperature"))
    assert run.status == "finished"
    (before, after) = read(tmp_path / "ws", "select folder, temperature, model_id from model_versions order by round")
    assert before[0] == after[0]
    assert before[1] == 1 != after[1]
    pairs = read(
        tmp_path / "ws", f"select a.predicted, b.predicted, a.probabilities, b.probabilities from predictions a "
        f"join predictions b using (subject_id) where a.model_id = '{before[2]}' and b.model_id = '{after[2]}' "
        "and a.subject_kind = 'sample'"
    )  # fmt: skip
    assert len(pairs) >= 50
    assert all(old == new for old, new, _, _ in pairs)
    said = tempered([old for *_, old, _ in pairs], after[1])
    assert np.array([new for *_, new in pairs]) == pytest.approx(said, abs=1e-4)
    (verdict,) = read(tmp_path / "ws", "select accepted from rounds")
    assert verdict == (False,)


@pytest.mark.parametrize("confidence", [0.51, 0.9, 0.95, 0.9999, 1 - 6e-8])
def test_where_all_is_right_a_temperature_is_at_its_lower_bound_however_sure_the_classifier_is(
    confidence: float,
) -> None:
    probabilities = np.full((60, 2), [confidence, 1 - confidence])
    assert bound_hit(fit_temperature(probabilities, np.zeros(60, dtype=np.int64))) is not None


def test_a_temperature_at_the_bound_of_its_fit_is_said_to_be_there(ready: Path, tmp_path: Path) -> None:
    texts = [review.text for review in generate_reviews(60, planted=0, seed=5, split="validation")]
    classifier = load_classifier(ready / "model", model_id="m", labels=LABELS, max_tokens=64, device="cpu")
    right = classifier.predict([(text,) for text in texts]).argmax(axis=1)
    write(tmp_path / "easy.jsonl", *({"text": text, "label": LABELS[k]} for text, k in zip(texts, right, strict=True)))
    files = {name: str(ready / "data" / f"{name}.parquet") for name in ("train", "test")}
    data = {"path": None, "validation": str(tmp_path / "easy.jsonl"), **files}
    run, told = go(settings_of(ready, tmp_path / "ws", "temperature", data=data))
    bound = "T = 0.02, the lower bound of its fit"
    assert any("trained on nothing, temperature 0.02, which is the lower bound of its fit" in line for line in told)
    ((warned,),) = read(tmp_path / "ws", "select message from events where level = 'warning' and phase = 'retrain'")
    assert f"does not fit the 60 validation texts: {bound}" in warned
    with Results.open(tmp_path / "ws") as results:
        columns, rows = results.query("from model_versions where kind = 'calibrated'")
    version = dict(zip(columns, rows[0], strict=True))
    assert cooled(version).endswith(
        f"only its logits were divided by a temperature ({bound}, where every confidence is near 1)"
    )
    assert run.status == "finished"


def test_a_handed_over_classifier_has_its_temperature_in_its_weights(ready: Path, tmp_path: Path) -> None:
    texts = [(review.text,) for review in generate_reviews(12, planted=3, seed=3, split="validation")]
    kept: dict[str, Any] = {"model_id": "m", "labels": LABELS, "max_tokens": 64, "device": "cpu"}
    classifier = load_classifier(ready / "model", **kept, temperature=2.5)
    warm = classifier.predict(texts)
    assert with_forward(classifier, None).predict(texts) == pytest.approx(warm)
    assert warm == pytest.approx(tempered(load_classifier(ready / "model", **kept).predict(texts), 2.5), abs=1e-5)
    export_classifier(str(ready / "model"), LABELS, 64, "# card\n", tmp_path / "out", temperature=2.5)
    assert load_classifier(tmp_path / "out", **kept).predict(texts) == pytest.approx(warm, abs=1e-5)


@pytest.mark.parametrize("twins", ["attacks", "typos"])
def test_levers_have_twins_and_choose_the_epoch_by_uus(twins: str, ready: Path, tmp_path: Path) -> None:
    levers = {"consistency": 1.0, "twins": twins, "choose": "uus", "patience": 1, "epochs": 3, "start": "current"}
    run, told = go(settings_of(ready, tmp_path / "ws", "none", retrain=levers))
    assert run.status == "finished"
    ((settings,),) = read(tmp_path / "ws", "select settings from model_versions where kind = 'retrained'")
    trained = json.loads(settings)
    scores = trained["scores"]
    assert (trained["consistency"], trained["patience"], trained["order"]) == (1.0, 1, 1)
    assert scores[trained["epoch"] - 1] == min(scores)
    assert len(scores) == min(3, trained["epoch"] + 1)
    (twinned,) = (line for line in told if "training samples have a twin" in line)
    ((flipped,),) = read(
        tmp_path / "ws", "select count(*) from attacks where split = 'train' and status = 'flipped' "
        "and model_id = (select original_model_id from runs)"
    )  # fmt: skip
    assert twinned.startswith(f"{flipped if twins == 'attacks' else 160} of 160")


@pytest.mark.parametrize(("keep", "expected"), [("all", [8, 16]), ("round", [8, 8])])
def test_rows_of_all_rounds_or_of_one_alone_are_trained_on(
    keep: str, expected: list[int], ready: Path, tmp_path: Path
) -> None:
    changes: dict[str, dict[str, Any]] = {
        "run": {"rounds": 2},
        "accept": {"stop_without_gain": False},
        "attack": {"samples": 0, "recipes": []},
    }
    changes |= {"evaluate": {"samples": 0}}
    go(settings_of(ready, tmp_path, "random", retrain={"keep": keep}, **changes))
    counts = read(tmp_path, "select rows_synthetic from model_versions where round > 0 order by round")
    assert [count for (count,) in counts] == expected


MOMENTS = (("attack", 2), ("teach", -1), ("retrain", 3))


def test_a_run_with_a_baseline_that_was_killed_ends_with_the_same_rows(
    ready: Path, tmp_path: Path, warm_python: WarmPython
) -> None:
    go(settings_of(ready, tmp_path / "whole", "adversarial"))
    settings = settings_of(ready, tmp_path / "ws", "adversarial")
    warm_python.kill_run(settings.model_dump(mode="json"), tmp_path, *MOMENTS)
    assert resume_run(tmp_path / "ws", None, show=lambda _: None, cancelled=lambda: False).status == "finished"
    for sql in (
        "select * exclude (created_at, seconds, settings) from model_versions order by all",
        "select * from synthetic_samples order by all",
        "select * from uus order by all",
        "select metric, value, recipe, threshold, round from evaluations order by all",
    ):
        assert read(tmp_path / "ws", sql) == read(tmp_path / "whole", sql)


@pytest.mark.parametrize(
    ("method", "changes", "error", "said"),
    [
        ("relabel", {"teacher": {"autonomy": "autonomous"}}, SettingsError, "relabel"),
        ("adversarial", {"attack": {"recipes": []}}, SettingsError, "nothing is attacked"),
        ("none", {"retrain": {"consistency": 1.0}, "attack": {"train_samples": 0}}, SettingsError, "train_samples"),
        ("recorded", {"method": {"file": "/absent.jsonl"}}, DataError, "/absent.jsonl: no such file"),
    ],
)
def test_what_a_method_lacks_is_one_line_before_anything_is_written(
    method: str, changes: dict[str, Any], error: type[Exception], said: str, ready: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said) as found:
        go(settings_of(ready, tmp_path / "ws", method, **changes))
    assert "\n" not in str(found.value)
    assert not (tmp_path / "ws").exists()


def test_a_text_is_misspelt_alike_whatever_else_is() -> None:
    text = {"text": "The soundtrack was wonderful, and the plot held together until the very last scene of it."}
    assert misspell_at_random(text, rng_of(3, "x", 1)) == misspell_at_random(text, rng_of(3, "x", 1))
    assert misspell_at_random(text, rng_of(3, "x", 1)) != misspell_at_random(text, rng_of(4, "x", 1))
