"""Hypotheses as programs in whole runs: tested, revised, given rows, tested again, and the same after a stop."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import blindspot
from blindspot.agents.teachers.teacher import Case, Draft, Explanation, Hypotheses, ProgramDraft, Refutation, Teacher
from blindspot.graphs.programs.dosing import divide_budget, pool_of_others
from blindspot.graphs.programs.trials import try_programs
from blindspot.storage.errors import Cancelled, DataError
from blindspot.storage.records import ProgramTest, Sample
from blindspot.tools.programs.compile import compile_program
from blindspot.tools.programs.data import DataDescription
from blindspot.tools.programs.files import read_programs
from blindspot.tools.programs.vocabulary import parse_program
from support.runs import Table, changed
from support.workspaces import read

# The label that a program names is taken for right: a classifier that still reads "negative" is then wrong.
FOOLS = {"where": [{"kind": "label_is", "labels": ["negative"]}], "label": "positive",
         "edits": [{"kind": "insert", "phrases": ["They have a table by the door."], "at": "end"}]}  # fmt: skip
SAME = {**FOOLS, "where": [{"kind": "label_is", "labels": ["negative", "negative"]}]}
HARMLESS = {"edits": [{"kind": "punctuation", "change": "double_spaces"}]}
RARE = {**HARMLESS, "where": [{"kind": "contains", "words": ["zyzzyva"]}]}
UNKNOWN = {**HARMLESS, "where": [{"kind": "label_is", "labels": ["neutral"]}]}
TEMPLATES = {"templates": [{"texts": [{"field": "text", "text": "The {thing} was {how}, said {name}."}]}],
             "slots": [{"name": "thing", "fillers": ["soup", "cake", "tea"]},
                       {"name": "how", "fillers": ["great", "lovely"]}],
             "label": "negative"}  # fmt: skip
TESTED = """
SELECT g.position, t.verdict, g.problem IS NULL, g.same_as_id IS NULL
FROM programs g LEFT JOIN program_tests t ON t.program_id = g.program_id AND t.model_id = (
    SELECT original_model_id FROM runs) ORDER BY g.position
"""


def settings_of(small: Table, folder: Path, **changes: dict[str, Any]) -> Table:
    table = {name: dict(section) for name, section in small.items()}
    table["run"] |= {"workspace": str(folder), "tau": 0.5}
    table |= {"hypotheses": {"least_rows": 5, "test_samples": 40, "test_train_samples": 40}}
    return changed(table, changes)


def written(folder: Path, programs: Sequence[object]) -> str:
    file = folder / "programs.jsonl"
    file.write_text("\n".join(map(json.dumps, programs)))
    return str(file)


class Formal(Teacher):
    """States one program that fools and one that does not, and revises the latter."""

    spec = "formal"

    def __init__(self) -> None:
        self.refutations: list[Refutation] = []

    def begin_round(self, run_id: str, number: int) -> None:
        pass

    async def abstract(self, case: Case) -> Explanation:
        return Explanation(f"a pattern of {case.uu_id}", "", None)

    async def extrapolate(self, case: Case, abstraction: Explanation) -> Explanation:  # noqa: ARG002
        return Explanation(f"another one of {case.uu_id}", "", None)

    async def generate(self, case: Case, hypothesis: Explanation, kind: str, n: int) -> list[Draft]:  # noqa: ARG002
        raise AssertionError("only programs are wanted")

    async def formalise(self, case: Case, hypotheses: Hypotheses, n: int) -> list[ProgramDraft]:  # noqa: ARG002
        assert set(hypotheses) == {"abstraction", "extrapolation"}
        drafts = [("abstraction", FOOLS), ("extrapolation", HARMLESS)]
        return [ProgramDraft(kind, parse_program(program), "so", None) for kind, program in drafts][:n]  # type: ignore[arg-type]

    async def revise(self, case: Case, refutation: Refutation) -> ProgramDraft | None:  # noqa: ARG002
        self.refutations.append(refutation)
        return ProgramDraft(refutation.kind, parse_program(TEMPLATES), "mended", None)

    async def aclose(self) -> None:
        pass


def test_programs_of_a_file_are_tested_given_rows_and_tested_again(small_run: Table, tmp_path: Path) -> None:
    file = written(tmp_path, [FOOLS, HARMLESS, RARE, UNKNOWN, {"program": SAME}, TEMPLATES])
    table = settings_of(
        small_run, tmp_path / "ws", method={"name": "programs", "share": 0.5}, hypotheses={"file": file}
    )
    ended = blindspot.run(table, show="none")
    assert ended.run.status == "finished"
    assert read(tmp_path / "ws", TESTED) == [
        (0, "confirmed", True, True),
        (1, "refuted", True, True),
        (2, "not applicable", True, True),
        (3, None, False, True),  # a label that is none of the data set's
        (4, None, True, False),  # the same as the first
        (5, "confirmed", True, True),
    ]
    warned = read(tmp_path / "ws", "SELECT message FROM event_log WHERE level = 'warning' AND phase = 'programs'")
    assert ["neutral" in message for (message,) in warned] == [True]
    rows = read(tmp_path / "ws", "SELECT origin, accepted, label, program_id, source_id FROM synthetic_samples")
    assert len(rows) == 40
    assert {(row[0], row[1]) for row in rows} == {("program", True)}
    assert {row[4] is None for row in rows} == {True, False}  # of templates, and of training samples
    again = read(tmp_path / "ws", "SELECT verdict FROM program_tests ORDER BY round DESC")
    left = {verdict for (verdict,) in again} - {"confirmed", "refuted", "not applicable"}
    assert left
    assert left <= {"closed", "half closed", "open"}
    logged = read(tmp_path / "ws", "SELECT effect, low, high FROM program_log WHERE rows_added > 0")
    assert len(logged) == 2
    assert all(low <= effect <= high for effect, low, high in logged)


def test_a_teacher_states_programs_and_revises_refuted_ones_once(small_run: Table, tmp_path: Path) -> None:
    teacher = Formal()
    table = settings_of(
        small_run, tmp_path / "ws", method={"share": 0.25}, teacher={"writes": "programs"}, select={"most": 2}
    )
    ended = blindspot.run(table, teacher=teacher, show="none")
    assert ended.run.status == "finished"
    assert len(teacher.refutations) == 1  # the other UU's program is the same
    assert teacher.refutations[0].counter_examples
    found = read(
        tmp_path / "ws",
        "SELECT p.origin, p.revised_from_id IS NOT NULL, verdict FROM programs p "
        "LEFT JOIN program_tests t ON t.program_id = p.program_id "
        "AND t.model_id = (SELECT original_model_id FROM runs) "
        "WHERE same_as_id IS NULL ORDER BY verdict, 2",
    )
    assert found == [
        ("teacher", False, "confirmed"),
        ("teacher", True, "confirmed"),
        ("teacher", False, "refuted"),
    ]
    verdicts: dict[str, str] = dict(
        read(tmp_path / "ws", "SELECT kind, verdict FROM hypothesis_log WHERE verdict IS NOT NULL")
    )
    assert verdicts == {"abstraction": "confirmed", "extrapolation": "confirmed"}


@pytest.mark.parametrize(
    ("make", "told"),
    [(os.mkfifo, "is not a regular file"), (os.mkdir, "is a folder"), (None, "no such file; hypotheses.file names")],
)
def test_what_is_no_file_of_programs_is_refused_before_it_is_read(
    make: Callable[[Path], None] | None, told: str, tmp_path: Path
) -> None:
    file = tmp_path / "programs.jsonl"
    if make:
        make(file)
    with pytest.raises(DataError, match=told):
        read_programs(file)


def test_revised_programs_are_tried_beside_the_trials_that_were_made(
    small_run: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[list[str]] = []

    def counted(context: Any, version: Any, programs: Any, ground: Any) -> Any:
        tried.append(list(programs))
        return try_programs(context, version, programs, ground)

    monkeypatch.setattr("blindspot.graphs.programs.bench.try_programs", counted)
    table = settings_of(
        small_run, tmp_path / "ws", method={"share": 0.25}, teacher={"writes": "programs"}, select={"most": 2}
    )
    blindspot.run(table, teacher=Formal(), show="none")
    first, second, *_ = tried
    assert first
    assert second
    assert not set(first) & set(second)


def test_random_programs_are_drawn_and_tested(small_run: Table, tmp_path: Path) -> None:
    table = settings_of(
        small_run, tmp_path / "ws", method={"name": "random-programs", "share": 0.25}, hypotheses={"random": 12}
    )
    assert blindspot.run(table, show="none").run.status == "finished"
    assert read(tmp_path / "ws", "SELECT count(*), count(DISTINCT program), min(origin) FROM programs") == [
        (12, 12, "random")
    ]


def test_part_of_the_rows_may_be_perturbed_texts(small_run: Table, tmp_path: Path) -> None:
    file = written(tmp_path, [FOOLS])
    table = settings_of(
        small_run,
        tmp_path / "ws",
        method={"name": "programs", "share": 0.25, "adversarial": 0.1},
        hypotheses={"file": file},
        attack={"samples": 12},
    )
    blindspot.run(table, show="none")
    counts: dict[str, int] = dict(
        read(tmp_path / "ws", "SELECT origin, count(*) FROM synthetic_samples GROUP BY origin")
    )
    assert counts["program"] == 18
    assert counts.get("adversarial", 0) <= 2


def test_a_run_that_is_stopped_ends_with_the_same_rows(small_run: Table, tmp_path: Path) -> None:
    file = written(tmp_path, [FOOLS, HARMLESS, TEMPLATES])

    def table(name: str) -> dict[str, Any]:
        return settings_of(
            small_run, tmp_path / name, method={"name": "programs", "share": 0.25}, hypotheses={"file": file}
        )

    blindspot.run(table("whole"), show="none")
    seen: list[str] = []

    def stopping() -> bool:
        return "programs" in seen

    with pytest.raises(Cancelled):
        blindspot.run(table("stopped"), show=lambda progress: seen.append(progress.phase), cancelled=stopping)
    blindspot.resume(tmp_path / "stopped", show="none")
    for sql in (
        "SELECT * EXCLUDE (problem) FROM programs ORDER BY program_id",
        "SELECT * FROM program_tests ORDER BY program_id, round, verdict",
        "SELECT synthetic_id, fields, label, program_id FROM synthetic_samples ORDER BY synthetic_id",
    ):
        assert read(tmp_path / "stopped", sql) == read(tmp_path / "whole", sql)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no program"),
        ("[1", "not JSON"),
        ('{"edits": []}', "program 1: give either edits or templates"),
        ('{"edits": [{"kind": "explode"}]}', "program 1: edits.0"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_wrong_file_of_programs_is_one_line_before_anything_is_written(
    text: str, told: str, small_run: Table, tmp_path: Path
) -> None:
    file = tmp_path / "programs.jsonl"
    file.write_text(text)
    table = settings_of(small_run, tmp_path / "ws", method={"name": "programs"}, hypotheses={"file": str(file)})
    with pytest.raises(DataError, match=r"programs\.jsonl") as raised:
        blindspot.run(table, show="none")
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "ws" / "store.duckdb").exists()


@pytest.mark.parametrize(
    ("program", "labels"),
    [
        ({**HARMLESS, "where": [{"kind": "label_is", "labels": ["positive"]}]}, {"negative"}),
        ({**HARMLESS, "where": [{"kind": "label_is", "labels": ["positive"]}], "label": "negative"}, set()),
        (HARMLESS, set()),
    ],
)
def test_a_program_about_one_label_that_keeps_it_gives_rows_of_the_others(
    program: dict[str, Any], labels: set[str]
) -> None:
    context: Any = SimpleNamespace(settings=SimpleNamespace(run=SimpleNamespace(seed=0)))
    names = ("negative", "positive")
    samples = [Sample(f"s{k}", "d", "train", k, {"text": f"We sat by door {k}."}, names[k % 2]) for k in range(10)]
    data = DataDescription(("text",), names)
    pool = pool_of_others(context, compile_program(parse_program(program), data), data, samples, 5)
    assert {edited.label for _, edited in pool} == labels
    assert len(pool) == (5 if labels else 0)


def test_templates_get_no_more_than_programs_of_the_same_effect() -> None:
    hypotheses = SimpleNamespace(dose="proportional")
    context: Any = SimpleNamespace(settings=SimpleNamespace(run=SimpleNamespace(seed=0), hypotheses=hypotheses))

    def test_of(key: str, applied: int, rows: int) -> ProgramTest:
        return ProgramTest(key, "m", "r", 1, rows, applied, 0, applied // 2, 0.5, 0.4, 0.6, 0.0, 0.0, "confirmed", 0, 0)

    tests = {"edits": test_of("edits", 100, 800), "texts": test_of("texts", 200, 200)}
    available = {"edits": 10_000, "texts": 10_000}
    assert divide_budget(context, 1, tests, available, 1000, {"texts"}) == {"edits": 500, "texts": 500}
    assert divide_budget(context, 1, {"texts": tests["texts"]}, {"texts": 300}, 1000, {"texts"}) == {"texts": 300}
