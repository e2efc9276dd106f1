"""The ready queries: each true to the rows that it is asked of, for one run and for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blindspot.storage import records as rec
from blindspot.storage.analysts.ready_queries import QUERIES, READY
from blindspot.storage.analysts.ready_query import ReadyQuery
from blindspot.storage.analysts.results import Results
from blindspot.storage.ids import make_id
from blindspot.storage.schema.tables import Record
from blindspot.storage.store.store import Store
from blindspot.storage.words import AttackStatus, HypothesisKind, SubjectKind, UuKind
from blindspot.tools.metrics.statistics import share_interval

START = datetime(2026, 1, 2, 3, 4, 5)


def run(run_id: str, **others: Any) -> rec.Run:
    settled: dict[str, Any] = {"original_model_id": f"{run_id}-m0", "final_model_id": f"{run_id}-m1"} | others
    teacher = settled.pop("teacher", "rules")
    return rec.Run(run_id, run_id, "finished", {}, 0, teacher, "dat-1", 0.65, {}, START, **settled)


def model(run_id: str, number: int) -> rec.ModelVersion:
    return rec.ModelVersion(f"{run_id}-m{number}", run_id, number, None, "retrained", "x", 1, 0, {}, None, 1.0, START)


def sample(name: str, split: str = "test") -> rec.Sample:
    return rec.Sample(name, "dat-1", split, 0, {"text": name}, "good")


def said(model_id: str, name: str, right: bool, sure: float = 0.9, kind: SubjectKind = "sample") -> rec.Prediction:
    return rec.Prediction(model_id, name, kind, "good", "good" if right else "bad", sure, (sure, 1 - sure))


def attack(name: str, status: AttackStatus, words: int, sure: float = 0.9, run_id: str = "one") -> rec.Attack:
    fields = {"text": "x"} if status == "flipped" else None
    return rec.Attack(
        name, run_id, f"{run_id}-m0", f"s-{name}", "test", "typos", status, fields, "good", "bad", sure, "good", 0.8,
        10, words, 1, None, 0.5,
    )  # fmt: skip


def uu(name: str, attack_id: str | None = None, run_id: str = "one") -> rec.Uu:
    kind: UuKind = "adversarial" if attack_id else "natural"
    recipe = "typos" if attack_id else None
    return rec.Uu(
        name, run_id, 1, f"{run_id}-m0", kind, recipe, f"s-{name}", attack_id, {"text": "x"}, "good", "bad", 0.8, True
    )


def word(attack_id: str, number: int, before: str, after: str, part: str | None) -> rec.ChangedWord:
    return rec.ChangedWord(attack_id, number, "one", "text", number, before, after, part)


def hypothesis(
    name: str,
    uu_id: str,
    text: str = "words",
    *,
    run_id: str = "one",
    kind: HypothesisKind = "abstraction",
    teacher: str = "rules",
) -> rec.Hypothesis:
    return rec.Hypothesis(name, run_id, 1, uu_id, kind, None, text, "because", teacher, None, START)


def synthetic(
    name: str, hypothesis_id: str, accepted: bool, *, label: str = "good", run_id: str = "one", **others: Any
) -> rec.SyntheticSample:
    return rec.SyntheticSample(
        name, run_id, 1, hypothesis_id, others.get("position", 0), {"text": name}, label, "so", None, accepted,
        others.get("rejected_by"), {}, others.get("scores"),
    )  # fmt: skip


def figure(run_id: str, number: int, metric: str, value: float, recipe: str | None = None) -> rec.Evaluation:
    threshold = 0.65 if metric == "uus" else None
    return rec.Evaluation(
        make_id("evl", run_id, number, metric, recipe), run_id, number, f"{run_id}-m{number}", None, metric, value,
        None, None, None, "test", recipe, threshold, 100,
    )  # fmt: skip


def call(name: str, run_id: str, cost_usd: float | None) -> rec.TeacherCall:
    return rec.TeacherCall(
        name, run_id, 1, "abstract", "uu-1", name, "t", "?", "hash", "!", "m", 100, 10, cost_usd, 2.0, 1, False, None,
        START,
    )  # fmt: skip


def ask(folder: Path, rows: Sequence[Record], name: str, **given: object) -> list[dict[str, Any]]:
    with Store.open(folder) as store:
        store.add(rows)
        store.publish()
    with Results.open(folder) as results:
        columns, found = results.query(READY[name].sql, READY[name].values(given))
    return [dict(zip(columns, row, strict=True)) for row in found]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    folder = tmp_path_factory.mktemp("empty")
    with Store.open(folder) as store:
        store.publish()
    with Results.open(folder) as results:
        yield results


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_each_answers_with_the_columns_that_it_describes(empty: Results, query: ReadyQuery) -> None:
    one: dict[str, object] = {"run": "it's one", **dict.fromkeys(query.parameters, 1)}
    for values in ({}, one):
        assert empty.query(query.sql, query.values(values)) == (list(query.columns), [])
        assert empty.query(query.text(values)) == (list(query.columns), [])
    assert all(about.endswith(".") for about in query.columns.values())
    assert query.question.endswith("?")


def test_working_hypotheses_led_to_an_accepted_sample_and_a_fixed_uu(tmp_path: Path) -> None:
    rows: list[Record] = [run("one"), rec.Round("one", 1, "one-m0", START, "one-m1", True)]
    for name, accepted, fixed in (("a", True, True), ("b", False, True), ("c", True, False)):
        rows += [uu(f"u-{name}"), hypothesis(f"h-{name}", f"u-{name}", f"about {name}")]
        rows += [synthetic(f"y-{name}", f"h-{name}", accepted), said("one-m1", f"s-u-{name}", fixed, 0.7)]
    rows += [synthetic("y-a2", "h-a", False, position=1), uu("u-d"), hypothesis("h-d", "u-d")]
    (found,) = ask(tmp_path, rows, "working-hypotheses")
    assert (found["text"], found["samples_accepted"], found["samples_written"]) == ("about a", 1, 2)
    assert (found["wrong_before"], found["right_after"], found["version_accepted"]) == (0.8, 0.7, True)
    assert ask(tmp_path, [], "working-hypotheses", run="two") == []


def test_uus_are_counted_once_for_each_part_of_speech_that_was_changed(tmp_path: Path) -> None:
    rows: list[Record] = [
        run("one"),
        *(uu(f"u-{number}", f"atk-{number}") for number in (1, 2, 3)),
        uu("u-natural"),
        word("atk-1", 0, "film", "flim", "noun"),
        word("atk-1", 1, "plot", "polt", "noun"),
        word("atk-1", 2, "good", "goood", "adjective"),
        word("atk-2", 0, "act", "akt", "noun"),
        word("atk-2", 1, "", "new", None),
        word("atk-2", 2, "qua", "quo", None),
    ]
    found = {row.pop("part_of_speech"): row for row in ask(tmp_path, rows, "uus-by-part-of-speech", run="one")}
    counted = {part: (row["uus"], row["changed_words"]) for part, row in found.items()}
    assert counted == {"noun": (2, 3), "adjective": (1, 1), "inserted": (1, 1), "unknown": (2, 1)}
    assert found["noun"]["share_of_uus"] == pytest.approx(2 / 3)
    assert found["noun"]["example"] == "act > akt, film > flim"


def test_spend_is_shared_by_the_uus_that_a_teacher_removed(tmp_path: Path) -> None:
    rows: list[Record] = []
    for run_id, teacher, before, after, cost in (
        ("one", "openai:a", 40, 10, 3.0),
        ("two", "openai:a", 20, 10, 1.0),
        ("three", "openai:a", 9, None, 100.0),
        ("four", "rules", 10, 12, None),
        ("five", "openai:b", 10, 5, None),
    ):
        rows += [run(run_id, teacher=teacher), figure(run_id, 0, "uus", before, "all")]
        rows += [] if after is None else [figure(run_id, 1, "uus", after, "all")]
        rows += [] if teacher == "rules" else [call(f"c-{run_id}", run_id, cost)]
    rows.append(run("compared", teacher="openai:a", kind="comparison"))
    begun = replace(
        run("begun", teacher="openai:a"), status="stopped", final_model_id="begun-m0"
    )  # as `prepare` has it
    rows += [begun, rec.Round("begun", 1, "begun-m0", START), figure("begun", 0, "uus", 50, "all")]
    rows.append(call("c-begun", "begun", 7.0))
    found = {row["teacher"]: row for row in ask(tmp_path, rows, "spend-per-uu")}
    first = found["openai:a"]
    assert (first["runs"], first["unmeasured"], first["uus_before"], first["uus_removed"]) == (2, 2, 60, 40)
    assert (first["cost_usd"], first["usd_per_uu_removed"], first["calls_per_uu_removed"]) == (4.0, 0.1, 0.05)
    assert (found["rules"]["uus_removed"], found["rules"]["calls_per_uu_removed"]) == (-2, None)
    assert (found["openai:b"]["unpriced"], found["openai:b"]["usd_per_uu_removed"]) == (1, None)
    (alone,) = ask(tmp_path, [], "spend-per-uu", run="two")
    assert (alone["runs"], alone["uus_removed"], alone["usd_per_uu_removed"]) == (1, 10, 0.1)


def taught(teacher: str, texts: Sequence[str], labels: Sequence[str], accepted: Sequence[bool]) -> list[Record]:
    """What a teacher made of as many UUs as there are texts: a hypothesis and a sample about each."""
    rows: list[Record] = []
    for number, (text, label, passed) in enumerate(zip(texts, labels, accepted, strict=True)):
        name = f"{teacher}-{number}"
        rows.append(hypothesis(f"h-{name}", f"u-{number}", text, teacher=teacher))
        rows.append(synthetic(f"y-{name}", f"h-{name}", passed, label=label))
    return rows


def test_agreement_of_two_teachers_is_told_beside_what_chance_gives(tmp_path: Path) -> None:
    rows = [
        run("one", kind="comparison"),
        *taught("a", ["Slang words mislead.", "A name, twice"], ["good", "bad"], [True, False]),
        *taught("b", ["slang WORDS", "a name"], ["good", "good"], [True, True]),
        hypothesis("h-b-9", "u-9", "only b explained this", teacher="b"),
    ]
    (found,) = ask(tmp_path, rows, "teacher-agreement")
    assert (found["teacher_a"], found["teacher_b"], found["uus"], found["samples"]) == ("a", "b", 2, 2)
    assert found["words_shared"] == pytest.approx(2 / 3)
    assert found["words_shared_by_chance"] == 0
    assert (found["same_label"], found["same_label_by_chance"]) == (0.5, 0.5)
    assert (found["same_verdict"], found["same_verdict_by_chance"]) == (0.5, 0.5)


def test_one_uu_leaves_nothing_to_chance_and_a_mitigation_run_has_no_agreement(tmp_path: Path) -> None:
    rows = [
        run("one", kind="comparison"),
        *taught("a", ["x"], ["good"], [True]),
        *taught("b", ["x y"], ["good"], [True]),
        run("two"),
        hypothesis("h-1", "u-1", run_id="two", teacher="a"),
        hypothesis("h-2", "u-1", run_id="two", teacher="b"),
    ]
    (found,) = ask(tmp_path, rows, "teacher-agreement")
    assert (found["run_id"], found["words_shared"], found["words_shared_by_chance"]) == ("one", 0.5, None)


def test_labels_agree_by_chance_as_often_as_over_all_pairings(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows: list[Record] = []
    drawn = {f"run-{number:02d}": rng.integers(0, 3, (2, 1 + number % 7)) for number in range(40)}
    for run_id, labels in drawn.items():
        rows.append(run(run_id, kind="comparison"))
        for teacher, own in zip("ab", labels, strict=True):
            for number, label in enumerate(own):
                name = f"{run_id}-{teacher}-{number}"
                rows.append(hypothesis(f"h-{name}", f"u-{number}", run_id=run_id, teacher=teacher))
                rows.append(synthetic(f"y-{name}", f"h-{name}", True, label=f"l{label}", run_id=run_id))
    found = {row["run_id"]: row for row in ask(tmp_path, rows, "teacher-agreement")}
    for run_id, (ours, theirs) in drawn.items():
        assert found[run_id]["same_label"] == pytest.approx(np.mean(ours == theirs))
        assert found[run_id]["same_label_by_chance"] == pytest.approx(np.mean(ours[:, None] == theirs[None, :]))


def test_attack_success_is_told_by_length_with_wilsons_interval(tmp_path: Path) -> None:
    rows: list[Record] = [run("one"), model("one", 0)]
    rows += [attack(f"a{n}", "flipped" if n < 3 else "failed", 8 + n, 0.9 if n else 0.5) for n in range(8)]
    rows += [attack("long", "failed", 16), attack("wrong", "skipped", 9), attack("broken", "error", 9)]
    first, second = ask(tmp_path, rows, "attack-success-by-length", run="one")
    assert [(row["words_from"], row["words_to"], row["attacked"]) for row in (first, second)] == [
        (8, 15, 8),
        (16, 31, 1),
    ]
    assert (first["flipped"], first["uus"], first["success_rate"], first["queries_per_sample"]) == (3, 2, 0.375, 10)
    assert (first["low"], first["high"]) == pytest.approx(share_interval(3, 8), abs=1e-4)
    assert (second["low"], second["high"]) == pytest.approx(share_interval(0, 1), abs=1e-4)


def test_rejected_samples_are_told_with_what_the_check_measured(tmp_path: Path) -> None:
    def scores(characters: float, bertscore: float) -> dict[str, float]:
        return {"characters": characters, "bertscore": bertscore, "nearest_training": 0.2, "nearest_synthetic": 0.4}

    rows: list[Record] = [
        run("one"),
        uu("u-1"),
        hypothesis("h-1", "u-1"),
        *(synthetic(f"y-{n}", "h-1", True, position=n, scores=scores(60, 0.8)) for n in range(2)),
        synthetic("y-2", "h-1", False, position=2, rejected_by="length", scores=scores(12, 0.7)),
        synthetic("y-3", "h-1", False, position=3, rejected_by="label", scores=scores(70, 0.7)),
        rec.SyntheticSample(
            "y-4", "one", 1, None, 0, {"text": "t"}, "good", "", None, False, "near_duplicate", {}, scores(70, 0.7),
            "recorded",
        ),
    ]  # fmt: skip
    by_method, label, length = ask(tmp_path, rows, "rejected-samples")
    assert (length["rejected_by"], length["samples"], length["share"]) == ("length", 1, 0.25)
    assert (length["measured"], length["measured_of_accepted"], length["example"]) == (12, 60, '{"text": "y-2"}')
    assert (label["rejected_by"], label["measured"]) == ("label", None)
    assert (by_method["teacher"], by_method["kind"], by_method["share"], by_method["measured"]) == (
        "recorded", None, 1, 0.4,
    )  # fmt: skip


def rounds() -> list[Record]:
    """Two rounds; the first trained a model version, so did the second, which was refused."""
    rows: list[Record] = [run("one"), *(model("one", number) for number in range(3))]
    rows += [
        rec.Round("one", 1, "one-m0", START, "one-m1", True),
        rec.Round("one", 2, "one-m1", START, "one-m2", False),
    ]
    rows += [figure("one", number, "accuracy", value) for number, value in enumerate((0.5, 0.75, 0.7))]
    rows += [figure("one", number, "uus", value, "typos") for number, value in enumerate((40, 10, 15))]
    outcomes = {"fixed": (False, True, True), "new": (True, True, False), "never": (True, True, True)}
    for name, each in outcomes.items():
        rows += [sample(name), *(said(f"one-m{number}", name, right) for number, right in enumerate(each))]
    rows += [sample("unsure"), said("one-m0", "unsure", False, 0.6), said("one-m1", "unsure", True)]
    rows += [sample("elsewhere", "validation"), said("one-m0", "elsewhere", False), said("one-m1", "elsewhere", True)]
    rows += [uu("u-1"), hypothesis("h-1", "u-1"), synthetic("y-1", "h-1", True), call("c-1", "one", 0.5)]
    return rows


def test_round_changes_compare_each_round_with_the_one_before(tmp_path: Path) -> None:
    rows = ask(tmp_path, rounds(), "round-changes", run="one")
    found = {(row["first"], row["second"], row["what"], row["recipe"]): row for row in rows}
    assert {key[:2] for key in found} == {(0, 1), (1, 2)}
    first = found[0, 1, "uus", "typos"]
    assert (first["before"], first["after"], first["difference"]) == (40, 10, -30)
    assert found[1, 2, "accuracy", None]["difference"] == pytest.approx(-0.05)
    turned = {key[:3]: row["after"] for key, row in found.items() if row["what"].startswith("UUs that")}
    now, before = "UUs that are now right", "UUs that were right before"
    assert turned == {(0, 1, now): 1, (0, 1, before): 0, (1, 2, now): 0, (1, 2, before): 1}
    done = {row["what"]: (row["before"], row["after"]) for row in rows if row["second"] == 1}
    assert done["hypotheses"] == (None, 1)
    assert (done["samples accepted"], done["cost in US dollars"]) == ((None, 1), (None, 0.5))
    assert found[1, 2, "hypotheses", None]["difference"] == -1


def test_round_changes_compare_the_two_rounds_that_are_asked_for(tmp_path: Path) -> None:
    rows = ask(tmp_path, rounds(), "round-changes", first=0, second=2)
    assert {(row["first"], row["second"]) for row in rows} == {(0, 2)}
    found = {row["what"]: row["after"] for row in rows}
    assert (found["UUs that are now right"], found["UUs that were right before"], found["uus"]) == (1, 1, 15)
    assert {(row["first"], row["second"]) for row in ask(tmp_path, [], "round-changes", first=0)} == {(0, 1), (0, 2)}
