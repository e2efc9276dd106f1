"""Ids of model versions: others where other weights were trained, the same where the same were."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from blindspot.graphs.running.run import start_run
from blindspot.graphs.versions.identity import fingerprint
from blindspot.storage.analysts.results import Results
from blindspot.storage.settings.sections import check_settings
from support.runs import Table


def ids_of(settings: dict[str, dict[str, Any]], folder: Path, **changes: dict[str, Any]) -> list[str]:
    table = {name: {**section, **changes.get(name, {})} for name, section in settings.items()}
    table["run"] |= {"workspace": str(folder)}
    table |= {name: values for name, values in changes.items() if name not in table}
    start_run(check_settings(table, where="test"), show=lambda _: None, cancelled=lambda: False)
    with Results.open(folder) as results:
        return [key for (key,) in results.query("SELECT model_id FROM model_versions ORDER BY round")[1]]


def test_what_is_trained_in_another_way_has_another_id(small_run: Table, tmp_path: Path) -> None:
    first = ids_of(small_run, tmp_path / "a")
    other = ids_of(small_run, tmp_path / "b", retrain={"label_smoothing": 0.2})
    assert ids_of(small_run, tmp_path / "c") == first
    assert first[0] == other[0]  # brought along, the same for both
    assert len({*first, *other}) == 3


def test_the_place_of_the_weights_and_of_the_data_does_not_matter(small_run: Table, tmp_path: Path) -> None:
    shutil.copytree(small_run["classifier"]["model"], tmp_path / "copied")
    shutil.copytree(small_run["data"]["path"], tmp_path / "data")
    moved = {"classifier": {"model": str(tmp_path / "copied")}, "data": {"path": str(tmp_path / "data")}}
    first = ids_of(small_run, tmp_path / "a")
    assert ids_of(small_run, tmp_path / "b", **moved) == first


def test_brought_weights_are_told_apart_by_their_bytes(tmp_path: Path) -> None:
    names = [tmp_path / name / "model.safetensors" for name in ("a", "b", "c")]
    for path, content in zip(names, (b"one", b"two", b"one"), strict=True):
        path.parent.mkdir()
        path.write_bytes(content)
    prints = [fingerprint(str(path.parent)) for path in names]
    assert prints[0] == prints[2] != prints[1]
    assert fingerprint("owner/on-a-hub") == "owner/on-a-hub"
