"""The UU is defined in two places, one for Python and one for SQL, which agree; nowhere else is the rule written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindspot.storage.records import Attack
from blindspot.storage.schema import uu as sql
from blindspot.storage.words import AttackStatus
from blindspot.tools.metrics.evaluate import uus_matched
from blindspot.tools.metrics.outcomes import Outcomes
from blindspot.tools.uu import are_uus, is_adversarial_uu, is_uu
from support.places import ROOT

LAYERS = ("storage", "tools", "agents", "graphs", "cli")
HOMES = {"tools/uu.py", "storage/schema/uu.py"}
TAU = 0.65

labels = st.sampled_from(["pos", "neg"])
confidences = st.one_of(st.just(TAU), st.sampled_from([0.0, 1.0, float(np.nextafter(TAU, 0))]), st.floats(0, 1))
rows = st.tuples(
    st.sampled_from(["flipped", "failed", "skipped", "error"]),
    labels,
    st.none() | labels,
    st.none() | confidences,
)


def attack(status: AttackStatus, label: str, predicted: str | None, confidence: float | None) -> Attack:
    return Attack(
        "atk", "run", "mdl", "smp", "test", "typos", status, None, label, predicted, confidence, predicted, confidence,
        1, 1, None, None, 0.0,
    )  # fmt: skip


@given(st.lists(rows, min_size=1, max_size=30))
@settings(deadline=None, max_examples=50)  # each opens a database
def test_rows_arrays_and_sql_mark_the_same_uus(drawn: list[tuple[AttackStatus, str, str | None, float | None]]) -> None:
    by_row = [is_uu(label, predicted, confidence, TAU) for _, label, predicted, confidence in drawn]
    adversarial = [is_adversarial_uu(attack(*row), TAU) for row in drawn]
    with duckdb.connect() as database:
        database.execute(
            "CREATE TABLE t (n INTEGER, status VARCHAR, label VARCHAR, predicted VARCHAR, confidence DOUBLE, "
            "original_predicted VARCHAR, original_confidence DOUBLE)"
        )
        for number, row in enumerate(drawn):
            database.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", [number, *row, *row[2:]])
        conditions = (sql.is_uu("t", "$1"), sql.is_adversarial_uu("t", "$1"), sql.is_uu("t", "$1", before="original_"))
        query = f"SELECT {', '.join(f'coalesce({one}, false)' for one in conditions)} FROM t ORDER BY n"
        found = database.execute(query, [TAU]).fetchall()
    assert found == list(zip(by_row, adversarial, by_row, strict=True))
    predicted = [row for row in drawn if row[2] is not None and row[3] is not None]
    wrong = np.array([row[1] != row[2] for row in predicted], dtype=bool)
    marked = are_uus(wrong, np.array([row[3] for row in predicted], dtype=np.float64), TAU)
    assert marked.tolist() == [is_uu(label, said, confidence, TAU) for _, label, said, confidence in predicted]


def test_a_confidence_of_just_tau_makes_a_uu() -> None:
    assert is_uu("pos", "neg", TAU, TAU)
    assert not is_uu("pos", "neg", float(np.nextafter(TAU, 0)), TAU)
    assert not is_uu("pos", "pos", 1.0, TAU)


@given(st.lists(st.tuples(st.booleans(), st.one_of(st.just(TAU), st.floats(0.5, 1))), min_size=1, max_size=30))
def test_uus_at_a_threshold_of_each_resample_are_counted_by_the_same_rule(drawn: list[tuple[bool, float]]) -> None:
    sure = np.array([confidence for _, confidence in drawn])
    truth = np.array([int(not wrong) for wrong, _ in drawn])
    table = np.stack([1 - sure, sure], axis=1)
    texts = Outcomes(tuple(str(n) for n in range(len(drawn))), truth, table, np.zeros(len(drawn), dtype=bool))
    counted = uus_matched(texts, np.ones((1, len(drawn))), np.array([TAU]))
    assert counted[0] == are_uus(texts.wrong, texts.confidence, TAU).sum()


# --- nowhere else ---

RULE = re.compile(r"confidence\w*\s*(>=?|<=?)|(>=?|<=?)\s*(\w+\.)*(tau|confidence\w*)\b")


def written_rules(source: str) -> Iterator[str]:
    """Comparisons with a confidence or a threshold, in code and in strings that are no docstrings."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield from (line.strip() for line in node.value.splitlines() if RULE.search(line))
        if isinstance(node, ast.Compare) and len(node.ops) == 1:  # 0 <= tau <= 1 checks a setting
            is_order = isinstance(node.ops[0], ast.GtE | ast.Gt | ast.LtE | ast.Lt)
            sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
            if is_order and any(re.search(r"(^|\.)(confidence\w*|tau|threshold)$", side) for side in sides):
                yield ast.unparse(node)


@pytest.mark.parametrize(
    "source",
    [
        "wrong & (outcomes.confidence >= threshold)",
        "row.confidence < self.tau",
        "query('SELECT count(*) FILTER (wrong AND confidence >= tau)')",
        "query(f'WHERE a.confidence >= {tau}')",
    ],
)
def test_the_search_finds_the_rule(source: str) -> None:
    assert list(written_rules(source))


def test_the_rule_is_written_nowhere_else() -> None:
    files = [file for layer in LAYERS for file in (ROOT / layer).rglob("*.py")]
    assert {str(file.relative_to(ROOT)) for file in files} >= HOMES
    found = {
        str(file.relative_to(ROOT)): rules
        for file in files
        if str(file.relative_to(ROOT)) not in HOMES and (rules := list(written_rules(file.read_text(encoding="utf-8"))))
    }
    assert found == {}
    templates = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "cli").rglob("*.html"))
    assert not [code for code in re.findall(r"\{[{%].*?[}%]\}", templates) if RULE.search(code)]
