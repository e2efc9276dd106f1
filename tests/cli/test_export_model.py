"""What a run hands over loads with plain transformers, datasets and pandas, and says where it comes from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from blindspot.cli.handover.cards import escaped, public
from blindspot.cli.handover.handover import lay_out
from blindspot.graphs.running.run import start_run
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import StoreError
from blindspot.storage.records import Dataset, Run
from blindspot.storage.settings.sections import check_settings
from blindspot.storage.store.store import Store
from blindspot.tools.classifier.classifier import load_classifier
from blindspot.tools.classifier.handover import export_classifier, export_samples, new_folder
from blindspot.tools.data.planted import generate_reviews, write_dataset
from blindspot.tools.training.retrain import Example, Lora, Training, Weights, retrain
from support.commands import Cli

LABELS = ("negative", "positive")
TEXTS = [(review.text,) for review in generate_reviews(24, planted=4, seed=3, split="validation")]


@pytest.fixture(scope="module")
def finished(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp("finished")
    rows = {"train": 240, "validation": 100, "test": 120}
    write_dataset(folder / "data", seed=0, rows=rows, planted_share=0.5)
    table: dict[str, dict[str, Any]] = {
        "run": {"name": "tiny", "workspace": str(folder / "ws")},
        "data": {"path": str(folder / "data"), "task": "sentiment of <b>reviews</b>"},
        "classifier": {
            "model": str(tiny_base), "epochs": 12, "batch_size": 16, "learning_rate": 3e-3, "max_tokens": 64,
            "device": "cpu",
        },
        "attack": {"samples": 4},
        "select": {"share": 0.15},
        "teacher": {"samples_per_hypothesis": 2},
        "filter": {"references": 40, "bertscore": 0.0},
        "evaluate": {"samples": 4, "resamples": 100},
    }  # fmt: skip
    return folder, start_run(check_settings(table, where="test"), show=lambda _: None, cancelled=lambda: False)


def probabilities_of(folder: Path, texts: Sequence[tuple[str, ...]]) -> tuple[np.ndarray[Any, Any], list[str]]:
    """What plain transformers makes of texts, and the names of the classes."""
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(folder), device="cpu", top_k=None)
    said: Any = classify([text for (text,) in texts], truncation=True)
    names = sorted({row["label"] for row in said[0]})
    by_name = [{row["label"]: row["score"] for row in rows} for rows in said]
    return np.array([[row[name] for name in names] for row in by_name]), names


def front_matter(folder: Path) -> tuple[dict[str, Any], str]:
    _, head, body = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def test_the_model_that_was_taken_predicts_the_same_under_plain_transformers(
    finished: tuple[Path, Run], cli: Cli, tmp_path: Path
) -> None:
    folder, run = finished
    assert run.final_model_id != run.original_model_id
    ended = cli("export", "--model", tmp_path / "model", "-w", folder / "ws")
    assert ended.code == 0, ended.err
    assert str(run.final_model_id) in ended.out
    with Results.open(folder / "ws") as results:
        ((kept,),) = results.query("SELECT folder FROM model_versions WHERE kind = 'retrained'")[1]
    ours = load_classifier(folder / "ws" / kept, model_id="m", labels=LABELS, max_tokens=64, device="cpu")
    said, names = probabilities_of(tmp_path / "model", TEXTS)
    assert names == list(LABELS)
    assert np.abs(said - ours.predict(TEXTS)).max() < 1e-5
    assert [file.name for file in (tmp_path / "model").glob("*.safetensors")] == ["model.safetensors"]
    assert not list((tmp_path / "model").glob("*.bin"))
    head, body = front_matter(tmp_path / "model")
    assert head["pipeline_tag"] == "text-classification"
    assert 0 < head["model-index"][0]["results"][0]["metrics"][0]["value"] <= 1
    assert "took the new model" in body
    assert "| accuracy" in body
    assert "sentiment of \\<b\\>reviews" in body
    assert str(folder) not in body


def test_an_adapter_is_merged_with_its_head_and_cuts_as_it_was_trained(tiny_base: Path, tmp_path: Path) -> None:
    reviews = generate_reviews(160, planted=0, seed=0, split="train")
    rows = [Example((review.text,), LABELS.index(review.label)) for review in reviews]
    start = Weights(str(tiny_base), fine_tuned=False, labels=LABELS, max_tokens=24, device="cpu")
    training = Training(epochs=30, batch_size=8, learning_rate=3e-3, lora=Lora(rank=8, alpha=16, dropout=0.0))
    adapter = retrain(start, rows, training, tmp_path / "adapter").folder
    ours = load_classifier(adapter, model_id="m", labels=LABELS, max_tokens=24, device="cpu")
    export_classifier(str(adapter), LABELS, 24, "# card\n", tmp_path / "whole")
    assert not (tmp_path / "whole" / "adapter_config.json").exists()
    said, names = probabilities_of(tmp_path / "whole", TEXTS)
    assert names == list(LABELS)
    assert np.ptp(said[:, 0]) > 0.1  # it has learned something that could be lost
    assert np.abs(said - ours.predict(TEXTS)).max() < 1e-4
    again = load_classifier(tmp_path / "whole", model_id="m", labels=LABELS, max_tokens=512, device="cpu")
    assert again.max_tokens == 24


def test_the_samples_load_with_datasets_and_pandas_and_tell_where_they_come_from(
    finished: tuple[Path, Run], cli: Cli, tmp_path: Path
) -> None:
    import datasets
    import pandas as pd

    folder, run = finished
    ended = cli("export", run.run_id, "--data", tmp_path / "data", "-w", folder / "ws")
    assert ended.code == 0, ended.err
    loaded = datasets.load_dataset(str(tmp_path / "data"), split="train", cache_dir=str(tmp_path / "cache"))
    frame = pd.read_parquet(tmp_path / "data" / "synthetic.parquet")
    assert len(loaded) == len(frame) > 10
    with Results.open(folder / "ws") as results:
        rows = results.query(
            "SELECT y.fields->>'text', y.label, y.accepted, h.text, (y.scores->>'bertscore')::DOUBLE "
            "FROM synthetic_samples y JOIN hypotheses h USING (hypothesis_id) ORDER BY y.synthetic_id"
        )[1]
    columns = ["text", "label", "accepted", "hypothesis", "score_bertscore"]
    assert list(frame[columns].itertuples(index=False, name=None)) == rows
    assert set(frame["hypothesis_kind"]) == {"abstraction", "extrapolation"}
    assert frame["uu_original"].map(lambda fields: bool(fields["text"])).all()
    assert frame["passed_length"].dtype == bool
    head, body = front_matter(tmp_path / "data")
    assert head["configs"] == [{"config_name": "default", "data_files": "synthetic.parquet"}]
    assert f"{int(frame['accepted'].sum())} passed the filter" in body


def test_a_field_that_has_the_name_of_a_column_keeps_it(tmp_path: Path) -> None:
    row = {
        "fields": json.dumps({"hypothesis": "A man sleeps.", "premise": "A man runs."}), "own_label": "contradiction",
        "verdicts": None, "scores": None, "hypothesis": "It overlooks verbs.", "accepted": None, "teacher": "openai:m@http://10.0.0.1:8000/v1",
        "uu_original": json.dumps({"hypothesis": "h", "premise": "p"}), "uu_perturbed": None,
    }  # fmt: skip
    laid = lay_out(row, "nli-1", ("premise", "hypothesis"), "gold")
    assert list(laid)[:3] == ["premise", "hypothesis", "gold"]
    assert laid["hypothesis"] == "A man sleeps."
    assert laid["teacher"] == "openai:m"
    assert laid["blindspot_hypothesis"] == "It overlooks verbs."
    export_samples([laid, laid], "# card\n", tmp_path / "out")
    assert (tmp_path / "out" / "synthetic.parquet").is_file()


def test_nothing_is_overwritten_and_a_failure_leaves_nothing(
    finished: tuple[Path, Run], cli: Cli, tmp_path: Path
) -> None:
    folder, _ = finished
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for option in ("--model", "--data"):
        ended = cli("export", option, tmp_path / "full", "-w", folder / "ws")
        assert ended.code == 2
        assert "is not overwritten" in ended.err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    with pytest.raises(RuntimeError, match="half way"):
        fill_half(tmp_path / "new")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"), new_folder(tmp_path / "file" / "new"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]


def fill_half(folder: Path) -> None:
    with new_folder(folder) as partial:
        (partial / "a").write_text("a")
        raise RuntimeError("half way")


def test_a_run_that_kept_its_model_has_none_to_hand_over(finished: tuple[Path, Run], cli: Cli, tmp_path: Path) -> None:
    folder, run = finished
    with Store.open(tmp_path / "ws") as store:
        store.add(
            [
                replace(run, final_model_id=run.original_model_id),
                Dataset(run.dataset_id, "d", "s", ("text",), LABELS, "t", {"train": 1}),
            ]
        )
        store.publish()
    assert "took no new model version" in cli("export", "--model", "m", "-w", tmp_path / "ws").err
    assert "no synthetic sample was written" in cli("export", "--data", "d", "-w", tmp_path / "ws").err
    ended = cli("export", "other-1", "--model", "m", "-w", folder / "ws")
    assert ended.code == 2
    assert "no run other-1" in ended.err
    assert cli("export", "-w", folder / "ws").code == 2
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("rules, file:/home/me/answers", "rules, file"),
        ("replay:/home/me/calls@home.jsonl", "replay"),
        ("openai:org/m-1", "openai:org/m-1"),
    ],
)
def test_a_card_names_no_folder_and_no_address_of_a_teacher(spec: str, named: str) -> None:
    assert public(spec) == named


def test_text_of_others_stays_text_in_a_card() -> None:
    hostile = "</script> [x](http://e) `a` |b|\n# c ![i](u) &lt; $x$"
    assert escaped(hostile) == (
        r"\</script\> \[x\](http://e) \`a\` \|b\| \# c \!\[i\](u) \&lt; \$x\$"
    )  # fmt: skip
