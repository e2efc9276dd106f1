"""The kinds of run as records, and the one preflight that all of them begin with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from blindspot.graphs.context import PhasesName, State, StateChanges
from blindspot.graphs.kinds.asked import ASKED
from blindspot.graphs.kinds.kinds import KINDS, PHASES
from blindspot.graphs.preflight import preflight as module
from blindspot.graphs.preflight.preflight import Preflight
from blindspot.storage.errors import DataError, ModelError, SettingsError
from blindspot.storage.settings.sections import Settings
from blindspot.storage.words import RunKindName
from blindspot.tools.data.planted import write_dataset
from support.runs import Table, settings_with

ROWS = {"train": 60, "validation": 30, "test": 30}
KIND_NAMES = get_args(RunKindName)


@pytest.fixture
def make_settings(tiny_base: Path, tmp_path: Path) -> Callable[..., Settings]:
    write_dataset(tmp_path / "data", seed=0, rows=ROWS, planted_share=0.3)

    def make(**changes: dict[str, Any]) -> Settings:
        table: Table = {
            "run": {"workspace": str(tmp_path / "ws")},
            "data": {"path": str(tmp_path / "data")},
            "classifier": {"model": str(tiny_base), "max_tokens": 64, "device": "cpu"},
            "compare": {"teachers": ["rules", "openai:m@http://127.0.0.1:9/v1"]},
        }
        return settings_with(table, changes)

    return make


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each heavy look is taken; the looks themselves stay what they are."""
    counts: Counter[str] = Counter()

    def count(name: str) -> None:
        look = getattr(module, name)

        def taken(*args: Any, **options: Any) -> Any:
            counts[name] += 1
            return look(*args, **options)

        monkeypatch.setattr(module, name, taken)

    for name in ("inspect", "check_places", "check_classifier", "check_encoder", "check_recipes"):
        count(name)
    return counts


def test_every_kind_that_a_row_may_name_has_a_record_and_its_phases() -> None:
    assert set(KINDS) == set(ASKED) == set(KIND_NAMES)
    assert set(PHASES) == set(get_args(PhasesName))
    assert all(kind.name == name for name, kind in KINDS.items())


def test_a_phase_may_change_all_of_the_state_but_whose_it_is() -> None:
    assert get_type_hints(StateChanges).keys() == get_type_hints(State).keys() - {"run_id"}


@pytest.mark.parametrize("name", KIND_NAMES)
def test_the_phases_of_a_kind_are_the_nodes_of_its_graph(name: RunKindName) -> None:
    named = {phase for course in KINDS[name].phases.values() for phase in course}
    assert named == set(KINDS[name].build().nodes)


@pytest.mark.parametrize("name", KIND_NAMES)
def test_one_preflight_looks_at_each_thing_once(
    make_settings: Callable[..., Settings], counted: Counter[str], name: RunKindName
) -> None:
    preflight, settings = Preflight(), make_settings()
    first = preflight.check(settings, KINDS[name])
    again = preflight.check(make_settings(run={"seed": 3}), KINDS[name])
    assert again == replace(first, settings=again.settings, source=again.source)
    assert set(counted.values()) == {1}
    assert ("check_encoder" in counted) == KINDS[name].filters(settings)
    other = make_settings(classifier={"max_tokens": 32}, attack={"recipes": ["input-reduction"]})
    preflight.check(other, KINDS[name])
    assert (counted["check_classifier"], counted["check_recipes"], counted["inspect"]) == (2, 2, 1)


@pytest.mark.parametrize("name", KIND_NAMES)
def test_what_is_missing_is_told_for_every_kind(make_settings: Callable[..., Settings], name: RunKindName) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        Preflight().check(make_settings(classifier={"model": "/nowhere"}), KINDS[name])
    with pytest.raises(DataError, match="nothing-here"):
        Preflight().check(make_settings(data={"path": "/nothing-here"}), KINDS[name])
    with pytest.raises(SettingsError, match="no-such-recipe"):
        Preflight().check(make_settings(attack={"recipes": ["no-such-recipe"]}), KINDS[name])


def test_a_check_that_failed_is_made_again(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    preflight, settings = Preflight(), make_settings(data={"path": str(tmp_path / "later")})
    with pytest.raises(DataError):
        preflight.check(settings, KINDS["attack"])
    write_dataset(tmp_path / "later", seed=0, rows=ROWS, planted_share=0.3)
    assert preflight.check(settings, KINDS["attack"]).dataset.rows["test"] == ROWS["test"]
