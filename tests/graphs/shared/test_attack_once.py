"""Attacks within a budget, and over kills: where they stop, what is written, what is not done again."""

from __future__ import annotations

import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindspot.graphs.context import Context
from blindspot.graphs.running.run import start_run
from blindspot.graphs.shared.attacks import KEPT_EVERY_S, attack_once, budget_of, stops
from blindspot.graphs.shared.draws import fair_order
from blindspot.storage.analysts.results import Results
from blindspot.storage.clock import now
from blindspot.storage.errors import Cancelled
from blindspot.storage.records import Attack, ChangedWord, Dataset, ModelVersion, Sample
from blindspot.storage.settings.sections import check_settings
from blindspot.storage.store.store import Store
from blindspot.storage.workspace import Workspace
from blindspot.tools.attack.attacker import Models, attack_samples, oracle_of
from blindspot.tools.attack.plan import AttackPlan, Budget, SampleLimits
from blindspot.tools.data.datasets import DataSource
from blindspot.tools.data.planted import write_dataset
from blindspot.tools.progress import silent
from blindspot.tools.uu import is_adversarial_uu

LABELS = ("bad", "good")
WORDS = "the plot acting film story music never quietly clumsy brilliant dull charming wooden tender noisy was and"


class Words:
    """Weighs words by a hash; a misspelt word weighs something else. Nothing is trained."""

    model_id = "mod-1"
    texts_per_call = 256

    def __init__(self) -> None:
        self.heard: Counter[tuple[str, ...]] = Counter()

    def predict(self, texts: Sequence[tuple[str, ...]]) -> Any:
        self.heard.update(texts)
        scores = np.array([sum(zlib.crc32(word.encode()) % 201 - 100 for word in text[0].split()) for text in texts])
        good = 1 / (1 + np.exp(-scores / 80))
        return np.stack([1 - good, good], axis=1).astype(np.float32)


def make_samples(count: int) -> list[Sample]:
    rng = np.random.default_rng(count)
    texts = [" ".join(rng.choice(WORDS.split(), rng.integers(4, 9))) for _ in range(count)]
    classes = Words().predict([(text,) for text in texts]).argmax(axis=1)
    classes[::7] ^= 1  # some are wrong as they are
    return [
        Sample(f"s{i:03}", "d", "validation", i, {"text": text}, LABELS[classes[i]]) for i, text in enumerate(texts)
    ]


SAMPLES = make_samples(40)
PLAN = AttackPlan("run-1", "mod-1", "deepwordbug", 0, SampleLimits(), 8, ("text",), LABELS)
TAU = PLAN.tau


def run(samples: Sequence[Sample], budget: Budget = Budget(), *, together: int = 8, batch: int = 256) -> list[Attack]:  # noqa: B008
    models = Models(oracle_of(Words(), 2, batch=batch))
    rows = attack_samples(models, samples, replace(PLAN, together=together), budget=budget)
    return [replace(row, seconds=0.0) for row in rows]


@pytest.fixture(scope="module")
def everything() -> list[Attack]:
    rows = {row.sample_id: row for row in run(SAMPLES)}
    return [rows[sample.sample_id] for sample in SAMPLES]


def stopped(rows: Sequence[Attack], count: Callable[[Attack], int], limit: int) -> list[Attack]:
    """The rows up to the one at which the count reaches the limit."""
    total, kept = 0, []
    for row in rows:
        kept.append(row)
        total += count(row)
        if total >= limit:
            break
    return kept


@settings(deadline=None, max_examples=12)
@given(
    uus=st.none() | st.integers(1, 12),
    queries=st.none() | st.integers(1, 400),
    together=st.sampled_from([1, 3, 16, 64]),
    batch=st.sampled_from([1, 10, 256]),
    killed_after=st.integers(0, 40),
)
def test_where_attacks_stop_depends_on_the_samples_alone(
    everything: list[Attack], uus: int | None, queries: int | None, together: int, batch: int, killed_after: int
) -> None:
    expected = everything
    if uus is not None:
        expected = stopped(expected, lambda row: is_adversarial_uu(row, TAU), uus)
    if queries is not None:
        expected = min(expected, stopped(everything, lambda row: row.queries, queries), key=len)
    budget = Budget(uus, queries)
    rows = run(SAMPLES, budget, together=together, batch=batch)
    if budget.keeps_order:
        assert rows == expected
    assert sorted(rows, key=lambda row: row.sample_id) == expected
    before = expected[:killed_after]
    after = run(SAMPLES[len(before) :], budget.less(before, TAU), together=together)
    assert sorted([*before, *after], key=lambda row: row.sample_id) == expected


def test_a_budget_says_which_limit_was_reached(everything: list[Attack]) -> None:
    uus = sum(is_adversarial_uu(row, TAU) for row in everything)
    queries = sum(row.queries for row in everything)
    assert uus > 3
    assert Budget(uus, queries + 1).reached(everything, TAU) == f"{uus} UUs"
    assert Budget(uus + 1, queries).reached(everything, TAU) == f"{queries} queries"
    assert Budget(uus + 1, queries + 1, 2.5).reached(everything, TAU) == "2.5 s"


def test_no_sample_begins_far_ahead_of_the_last_row() -> None:
    begun: set[str] = set()

    class Watched(Words):
        def predict(self, texts: Sequence[tuple[str, ...]]) -> Any:
            begun.update(sample.sample_id for sample in SAMPLES if (sample.fields["text"],) in texts)
            if SAMPLES[0].fields["text"].split()[-1] in texts[0][0]:
                raise RuntimeError
            return super().predict(texts)

    plan = replace(PLAN, together=2)
    for done, _ in enumerate(attack_samples(Models(oracle_of(Watched(), 2)), SAMPLES, plan, budget=Budget(uus=99))):
        assert len(begun) <= done + 4 * 2 + 1


class Slow(Words):
    def predict(self, texts: Sequence[tuple[str, ...]]) -> Any:
        time.sleep(0.05)
        return super().predict(texts)


def test_attacks_stop_at_a_time() -> None:
    models = Models(oracle_of(Slow(), 2))
    plan = replace(PLAN, together=2)
    began = time.monotonic()
    rows = list(attack_samples(models, SAMPLES, plan, budget=Budget(seconds=1.5)))
    assert 0 < len(rows) < len(SAMPLES)
    assert time.monotonic() - began < 20
    assert sum(row.seconds for row in rows) < 3
    left = Budget(seconds=1.5).less([replace(rows[0], seconds=1.5)], TAU)
    assert list(attack_samples(models, SAMPLES, plan, budget=left)) == []
    with pytest.raises(Cancelled):
        list(attack_samples(models, SAMPLES, plan, budget=Budget(seconds=60), cancelled=lambda: True))


def test_samples_keep_the_share_of_their_classes_from_the_first_ones_on() -> None:
    samples = sorted(SAMPLES, key=lambda sample: sample.label)
    order = fair_order(samples, seed=1)
    assert sorted(order, key=lambda sample: sample.row) == SAMPLES
    assert fair_order(SAMPLES, seed=1) == order != fair_order(samples, seed=2)
    share = sum(sample.label == "good" for sample in samples) / len(samples)
    for count in (10, 20, 30):
        assert abs(sum(sample.label == "good" for sample in order[:count]) - share * count) <= 1


@pytest.fixture
def make_context(tmp_path: Path) -> Iterator[Callable[..., Context]]:
    stores: list[Store] = []

    def make(folder: str = "ws", cancelled: Callable[[], bool] = lambda: False, **attack: Any) -> Context:
        if not stores or stores[-1].workspace.folder != tmp_path / folder:
            stores.append(Store.open(tmp_path / folder))
            owned = ModelVersion("mod-1", "run-1", 0, None, "original", "", 0, 0, {}, None, 0.0, now())
            stores[-1].add([owned])
        table = {"data": {"path": "d"}, "attack": {"together": 3} | attack}
        return Context(
            run_id="run-1", settings=check_settings(table, where="test"), store=stores[-1],
            workspace=Workspace(tmp_path / folder),
            source=DataSource("d", None, {}, ("text",), "label", LABELS, "", {}, 0),
            dataset=Dataset("d", "d", "d", ("text",), LABELS, "", {}), cancelled=cancelled, show=lambda _: None,
        )  # fmt: skip

    yield make
    for store in stores:
        store.close()


def plain(rows: Sequence[Attack]) -> list[Attack]:
    return [replace(row, seconds=0.0) for row in rows]


def ready(model: Any) -> Any:
    """A model version that is loaded already."""
    return SimpleNamespace(model_id=model.model_id, classifier=model)


def attack(context: Context, model: Any = None) -> list[Attack]:
    return attack_once(context, ready(model or Words()), SAMPLES, silent, budget_of(context.settings.attack))


def test_a_run_that_repairs_anothers_model_version_finds_its_attacks_again(
    make_context: Callable[..., Context],
) -> None:
    context = make_context()
    rows = attack(context)
    other, model = replace(context, run_id="run-2"), Words()
    assert attack(other, model) == rows
    assert not model.heard
    added = attack_once(other, ready(model), [replace(SAMPLES[0], sample_id="smp-new")], silent)
    assert [row.run_id for row in added] == ["run-1"]


def test_recipes_share_what_the_model_has_answered(make_context: Callable[..., Context]) -> None:
    model = Words()
    rows = attack(make_context(recipes=("deepwordbug", "pruthi")), model)
    assert Counter(row.recipe for row in rows) == {"deepwordbug": 40, "pruthi": 40}
    assert set(model.heard.values()) == {1}


@pytest.mark.parametrize("limits", [{"stop_uus": 4}, {"stop_queries": 200}, {"stop_uus": 5, "stop_queries": 250}, {}])
def test_attacks_that_were_killed_stop_where_whole_ones_do(
    make_context: Callable[..., Context], limits: dict[str, int]
) -> None:
    expected = attack(make_context("whole", **limits))
    assert (len(expected) < 40) == bool(limits)
    first = fair_order(SAMPLES, seed=0)[: len(expected)]
    assert {row.sample_id for row in expected} == {sample.sample_id for sample in first}
    polls = iter([False] * 12)
    with pytest.raises(Cancelled):
        attack(make_context("killed", cancelled=lambda: next(polls, True), **limits))
    context = make_context("killed", **limits, together=16)
    kept = context.store.rows(Attack)
    assert 0 < len(kept) < len(expected)
    rows = attack(context)
    assert plain(rows) == plain(expected)
    assert len(context.store.rows(Attack)) == len(rows)
    model = Words()
    assert attack(context, model) == rows
    assert not model.heard


def test_rows_in_the_store_count_wherever_they_lie(
    make_context: Callable[..., Context], everything: list[Attack]
) -> None:
    context = make_context(stop_uus=3)
    last = [row for row in everything if is_adversarial_uu(row, TAU)][-2:]
    context.store.add(last)
    rows = attack(context)
    assert all(row in plain(rows) for row in last)
    assert sum(is_adversarial_uu(row, TAU) for row in rows) == 3
    context.store.add([row for row in everything if is_adversarial_uu(row, TAU)])
    rows = attack(context)
    assert sum(is_adversarial_uu(row, TAU) for row in rows) == sum(is_adversarial_uu(row, TAU) for row in everything)


def test_a_recipe_that_stopped_early_says_why(make_context: Callable[..., Context]) -> None:
    context = make_context(stop_uus=4, recipes=("deepwordbug", "input-reduction"))
    rows = attack(context)
    count = sum(row.recipe == "deepwordbug" for row in rows)
    assert stops(context, rows, len(SAMPLES)) == {"deepwordbug stopped": f"at 4 UUs, after {count} of 40 samples"}
    assert len(rows) - count == 40  # input reduction finds none


def test_rows_are_written_while_attacks_go_on(make_context: Callable[..., Context]) -> None:
    context, written = make_context(together=1), []

    class Looking(Words):
        def predict(self, texts: Sequence[tuple[str, ...]]) -> Any:
            time.sleep(KEPT_EVERY_S / 20)
            written.append(context.store.count(Attack))
            return super().predict(texts)

    attack_once(context, ready(Looking()), SAMPLES[:12], silent)
    assert written[0] == 0
    assert 0 < written[-1] < 12


def test_the_words_that_attacks_changed_are_kept_with_them(make_context: Callable[..., Context]) -> None:
    context = make_context(stop_uus=4)
    for _ in range(2):
        flipped = sorted(row.attack_id for row in attack(context) if row.status == "flipped")
        assert sorted(context.store.values(ChangedWord, "attack_id")) == flipped != []


def test_a_budget_bounds_the_attack_phase_and_not_the_evaluation(tiny_base: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", seed=0, rows={"train": 60, "validation": 40, "test": 40}, planted_share=0.3)
    table = {
        "run": {"workspace": str(tmp_path / "ws"), "tau": 0.0},
        "data": {"path": str(tmp_path / "data")},
        "classifier": {"model": str(tiny_base), "epochs": 1, "max_tokens": 64, "device": "cpu"},
        "attack": {"samples": 30, "stop_queries": 100},
        "select": {"most": 2},
        "filter": {"references": 10, "bertscore": 0.0},
        "evaluate": {"samples": 10, "resamples": 100},
    }
    start_run(check_settings(table, where="test"), show=lambda _: None, cancelled=lambda: False)
    with Results.open(tmp_path / "ws") as results:
        ((count,),) = results.query("select count(*) from attacks where split = 'validation'")[1]
        tests = results.query("select model_id, count(*) from attacks where split = 'test' group by all")[1]
        ((result,),) = results.query("select result from tool_calls where tool = 'attack'")[1]
    assert [each for _, each in tests] == [10, 10]
    assert f'"deepwordbug stopped": "at 100 queries, after {count} of 30 samples"' in result
    assert f'"attacked": "{count} of 30"' in result
