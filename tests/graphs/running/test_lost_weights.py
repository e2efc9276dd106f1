"""Weights that are deleted while a run needs them: one line says which, and nothing looks for them elsewhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blindspot.graphs.context import Progress
from blindspot.graphs.running.run import resume_run, start_run
from blindspot.storage.errors import ModelError
from blindspot.storage.settings.sections import check_settings
from blindspot.storage.workspace import Workspace
from blindspot.tools.classifier.weights import load_weights
from support.runs import Table


def after(phase: str, act: Callable[[], object]) -> Callable[[Progress], None]:
    """Do something as soon as a phase has told its end."""

    def show(progress: Progress) -> None:
        if progress.phase == phase and progress.message:
            act()

    return show


@pytest.mark.parametrize("phase", ["prepare", "retrain"])
@pytest.mark.parametrize("lost", ["", "model.safetensors"])
def test_weights_that_are_gone_are_named_and_a_run_goes_on_once_they_are_back(
    tiny_base: Path, small_run: Table, tmp_path: Path, phase: str, lost: str
) -> None:
    models, kept = tmp_path / "ws" / "models", tmp_path / "kept"
    names: list[Path] = []

    def lose() -> None:
        names[:] = sorted(models.iterdir(), key=lambda folder: folder.stat().st_mtime_ns)[-1:]
        (names[0] / lost).rename(kept)

    own = {"model": str(tiny_base), "fine_tune": True} if phase == "prepare" else {}
    changes: dict[str, dict[str, Any]] = {"run": {"workspace": str(tmp_path / "ws")}, "classifier": own}
    table = {**small_run, **{section: small_run[section] | values for section, values in changes.items()}}
    settings = check_settings(table, where="test")
    with pytest.raises(ModelError) as caught:
        start_run(settings, show=after(phase, lose), cancelled=lambda: False)
    assert str(caught.value) == (
        f"{names[0]}: the weights of model version {names[0].name} are gone; put them back, or start a new run"
    )
    shutil.move(kept, names[0] / lost)
    run = resume_run(tmp_path / "ws", None, show=lambda _: None, cancelled=lambda: False)
    assert run.status == "finished"


def test_a_workspaces_own_weights_are_never_taken_for_those_of_a_hub(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert workspace.locate("models/mod-0123") == str(tmp_path / "models" / "mod-0123")
    assert workspace.locate("models/bert") == "models/bert"
    assert workspace.locate("google-bert/bert-base-uncased") == "google-bert/bert-base-uncased"


def test_an_adapter_whose_base_model_is_gone_is_refused_by_name(tiny_base: Path, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(tiny_base / name, tmp_path)
    base = tmp_path / "gone" / "base"
    adapter = {"peft_type": "LORA", "task_type": "SEQ_CLS", "base_model_name_or_path": str(base), "r": 2}
    (tmp_path / "adapter_config.json").write_text(json.dumps(adapter))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError) as caught:
        load_weights(str(tmp_path), ("a", "b"), fine_tuned=True)
    assert str(caught.value) == f"{tmp_path}: the base model of the adapter is gone: {base}; put it back"
