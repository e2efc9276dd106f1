"""What is looked at before a run begins, and what a run under way lets be changed."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from blindspot.graphs.preflight.preflight import check_classifier, check_recipes
from blindspot.graphs.running.mend import MENDABLE, mend_settings
from blindspot.graphs.running.run import resume_run, start_run
from blindspot.storage import records as rec
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import ModelError, SettingsError, TeacherError
from blindspot.storage.settings.sections import Settings
from blindspot.storage.store.store import Store
from blindspot.tools.data.planted import generate_reviews, write_dataset
from blindspot.tools.training.retrain import Example, Lora, Training, Weights, retrain
from support.assets import needs_assets, use_assets
from support.runs import Table, settings_with
from support.teacher_server import TeacherServer

LABELS = ("negative", "positive")
ROWS = {"train": 60, "validation": 30, "test": 30}


def make_settings(base: Path, folder: Path, **changes: dict[str, Any]) -> Settings:
    table: Table = {
        "run": {"workspace": str(folder / "ws"), "tau": 0.0},
        "data": {"path": str(folder / "data")},
        "classifier": {"model": str(base), "epochs": 1, "max_tokens": 64, "device": "cpu"},
        "attack": {"samples": 2},
        "select": {"most": 2},
        "filter": {"references": 10, "bertscore": 0.0},
        "evaluate": {"samples": 2, "resamples": 100},
    }
    return settings_with(table, changes)


def start(settings: Settings) -> rec.Run:
    return start_run(settings, show=lambda _: None, cancelled=lambda: False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "data", seed=0, rows=ROWS, planted_share=0.3)
    return tmp_path / "data"


@pytest.fixture(scope="module")
def tuned(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A classifier and an adapter that were fine-tuned elsewhere."""
    folder = tmp_path_factory.mktemp("tuned")
    reviews = generate_reviews(32, planted=0, seed=0, split="train")
    rows = [Example((review.text,), LABELS.index(review.label)) for review in reviews]
    start = Weights(str(tiny_base), fine_tuned=False, labels=LABELS, max_tokens=64, device="cpu")
    trainings = {
        "whole": Training(epochs=1, batch_size=16, learning_rate=1e-3),
        "adapter": Training(epochs=1, batch_size=16, learning_rate=1e-3, lora=Lora(rank=2, alpha=2)),
    }
    return {name: retrain(start, rows, training, folder / name).folder for name, training in trainings.items()}


def unnamed(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["id2label"], config["label2id"]
    (folder / "config.json").write_text(json.dumps(config))


def broken(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x00" * 64)


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (broken, ModelError, "cannot be loaded"),
        (unnamed, SettingsError, r"no names \(LABEL_0, …\); set data.labels .* \['negative', 'positive'\]"),
    ],
)
def test_a_classifier_that_will_not_do_is_found_before_anything_is_written(
    tuned: dict[str, Path],
    data: Path,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    error: type[Exception],
    said: str,
) -> None:
    folder = shutil.copytree(tuned["whole"], tmp_path / "model")
    spoil(folder)
    with pytest.raises(error, match=said) as found:
        start(make_settings(folder, data.parent, classifier={"fine_tune": False}))
    assert "\n" not in str(found.value)
    assert not (tmp_path / "ws").exists()


def test_classes_without_names_are_taken_in_the_order_that_the_settings_give(
    tuned: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(tuned["whole"], tmp_path / "model")
    unnamed(folder)
    changes: Table = {"classifier": {"fine_tune": False}, "data": {"labels": LABELS[::-1]}}
    check_classifier(make_settings(folder, tmp_path, **changes), LABELS[::-1])


def test_classes_of_other_names_are_refused_at_once(tuned: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"classes are negative, positive, the data's labels are ham, spam"):
        check_classifier(make_settings(tuned["whole"], tmp_path, classifier={"fine_tune": False}), ("ham", "spam"))


def test_an_adapter_that_was_trained_elsewhere_is_taken_with_its_names(tuned: dict[str, Path], tmp_path: Path) -> None:
    check_classifier(make_settings(tuned["adapter"], tmp_path, classifier={"fine_tune": False}), LABELS)
    with pytest.raises(ModelError, match="is an adapter"):
        check_classifier(make_settings(tuned["adapter"], tmp_path), LABELS)


def test_an_encoder_that_cannot_be_read_is_found_before_anything_is_written(
    tiny_base: Path, data: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "roberta-large")  # a name that bert_score knows
    broken(folder)
    with pytest.raises(ModelError, match="roberta-large: the encoder cannot be loaded"):
        start(make_settings(tiny_base, data.parent, filter={"encoder": str(folder)}))
    with pytest.raises(ModelError, match="no such model folder"):
        start(make_settings(tiny_base, data.parent, filter={"encoder": "./absent"}))
    assert not (tmp_path / "ws").exists()


def test_two_names_of_one_recipe_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    recipes = ["deepwordbug", "DeepWordBugGao2018"]
    with pytest.raises(SettingsError, match='"DeepWordBugGao2018" is the same recipe as "deepwordbug"'):
        check_recipes(make_settings(tiny_base, tmp_path, attack={"recipes": recipes}))


def test_fields_that_may_be_changed_are_seen_to_be_there_for_the_recipe(tiny_base: Path, tmp_path: Path) -> None:
    data = {"fields": ["premise", "hypothesis"]}
    check_recipes(make_settings(tiny_base, tmp_path, data=data, attack={"fields": ["premise"]}))
    check_recipes(make_settings(tiny_base, tmp_path, data=data, attack={"sentence_encoder": "use"}))  # has none


@needs_assets
def test_what_a_recipe_lacks_for_its_settings_is_found_before_anything_is_written(
    tiny_base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_assets(monkeypatch)
    monkeypatch.setitem(sys.modules, "tensorflow_hub", None)
    attack = {"recipes": ["textfooler"], "sentence_encoder": "use"}
    with pytest.raises(SettingsError, match=r"pip install tensorflow tensorflow_hub, or set .*minilm") as found:
        start(make_settings(tiny_base, data.parent, attack=attack))
    assert "\n" not in str(found.value)
    assert not (tmp_path / "ws").exists()
    fields = {"fields": ["premise", "hypothesis"]}
    attack = {"recipes": ["textfooler"], "fields": ["premise"]}
    with pytest.raises(SettingsError, match=r"never changes premise of \(premise, hypothesis\)"):
        check_recipes(make_settings(tiny_base, tmp_path, data=fields, attack=attack))


def stored_run(store: Store, settings: Settings, **changes: Any) -> rec.Run:
    run = rec.Run(
        "run-1", "run", "failed", settings.model_dump(mode="json"), 0, settings.teacher.spec, "ds", 0.65, {},
        datetime(2026, 1, 2),
    )  # fmt: skip
    run = replace(run, **changes)
    store.add([run])
    return run


HYPOTHESIS = rec.Hypothesis("h", "run-1", 1, "uu", "abstraction", None, "t", "r", "rules", None, datetime(2026, 1, 2))
FILTERED = rec.ToolCall("t", "run-1", 1, "filter", "graph", {}, {}, 1.0, datetime(2026, 1, 2))


def test_a_run_can_be_given_what_no_row_of_it_depends_on(tiny_base: Path, tmp_path: Path) -> None:
    with Store.open(tmp_path / "ws") as store:
        run = stored_run(store, make_settings(tiny_base, tmp_path))
        changes = ["teacher.spec=openai:m@http://127.0.0.1:1/v1", "attack.together=2", "filter.encoder=roberta-large"]
        mended, events = mend_settings(store, run, changes)
        assert (mended.teacher, mended.settings["attack"]["together"]) == ("openai:m@http://127.0.0.1:1/v1", 2)
        assert [event.message for event in events] == [
            "attack.together: 64 -> 2",
            "teacher.spec: rules -> openai:m@http://127.0.0.1:1/v1",
            "filter.encoder: minilm -> roberta-large",
        ]
        assert mend_settings(store, run, []) == (run, [])
        for change in ("run.seed=1", "select.most=7", "teacher.samples_per_hypothesis=2", "data.path=elsewhere"):
            with pytest.raises(SettingsError, match=rf"--set {change.split('=')[0]}: rows of run-1 depend on it"):
                mend_settings(store, run, [change])
        with pytest.raises(SettingsError, match=r"attack\.together: input should be greater"):
            mend_settings(store, run, ["attack.together=0"])


def test_what_the_teacher_and_the_filter_left_fixes_their_settings(tiny_base: Path, tmp_path: Path) -> None:
    with Store.open(tmp_path / "ws") as store:
        spec = "openai:m@http://127.0.0.1:1/v1"
        run = stored_run(store, make_settings(tiny_base, tmp_path, teacher={"spec": spec}))
        store.add([HYPOTHESIS, FILTERED])
        for change in ("teacher.spec=rules", "teacher.temperature=0.5", "filter.encoder=roberta-large"):
            with pytest.raises(SettingsError, match=rf"{change.split('=')[0]}: rows of run-1 depend on it since"):
                mend_settings(store, run, [change])
        moved, _ = mend_settings(store, run, ["teacher.spec=openai:m", "teacher.timeout_s=9"])  # at another address
        assert moved.teacher == "openai:m"


@pytest.mark.parametrize("kind", ["attack", "original"])
def test_a_run_without_a_teacher_is_given_none(tiny_base: Path, tmp_path: Path, kind: str) -> None:
    with Store.open(tmp_path / "ws") as store:
        run = stored_run(store, make_settings(tiny_base, tmp_path), kind=kind, teacher="none")
        for change in ("teacher.spec=openai:m", "teacher.timeout_s=9"):
            told = rf"--set {change.split('=')[0]}: run-1 .* no teacher"
            with pytest.raises(SettingsError, match=told):
                mend_settings(store, run, [change])
        mended, _ = mend_settings(store, run, ["attack.together=2"])
        assert (mended.teacher, mended.settings["attack"]["together"]) == ("none", 2)


def test_every_setting_that_can_be_mended_is_a_setting(tiny_base: Path, tmp_path: Path) -> None:
    table = make_settings(tiny_base, tmp_path).model_dump()
    for key in MENDABLE:
        section, name = key.split(".")
        assert name in table[section]


async def test_a_run_whose_teacher_is_unknown_goes_on_with_another(
    teacher_server: TeacherServer, tiny_base: Path, data: Path, tmp_path: Path
) -> None:
    teacher_server.then(*[teacher_server.refuse(404, "no such model")] * 20)
    settings = make_settings(tiny_base, data.parent, teacher={"spec": teacher_server.spec("openai", "absent")})
    with pytest.raises(TeacherError, match="no such model"):
        await asyncio.to_thread(start, settings)

    def resume() -> rec.Run:
        changes = ["teacher.spec=rules"]
        return resume_run(tmp_path / "ws", None, show=lambda _: None, cancelled=lambda: False, overrides=changes)

    run = await asyncio.to_thread(resume)
    assert (run.status, run.teacher, run.settings["teacher"]["spec"]) == ("finished", "rules", "rules")
    with Results.open(tmp_path / "ws") as results:
        _, told = results.query("SELECT message FROM events WHERE phase = 'resume'")
        _, teachers = results.query("SELECT DISTINCT teacher FROM hypotheses")
    assert told == [(f"teacher.spec: {settings.teacher.spec} -> rules",)]
    assert teachers == [("rules",)]
