"""Hypotheses that say the same are told once, with how many say so and of which UUs; the rows stay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindspot.cli.report.page import build_page
from blindspot.cli.show.hypotheses import merge_alike
from blindspot.storage import records as rec
from blindspot.storage.analysts.results import Results
from blindspot.storage.schema.statement import examples_of, statement_of
from blindspot.storage.schema.tables import Record
from blindspot.storage.store.store import Store
from blindspot.storage.words import HypothesisKind
from support.commands import Cli

KINDS: tuple[HypothesisKind, ...] = ("abstraction", "extrapolation")
START = datetime(2026, 1, 2)
RUN = rec.Run("run-1", "r", "finished", {}, 0, "openai:m", "dat-1", 0.65, {}, START, original_model_id="mdl-0")
READ = "Slang, here {0}, is read literally."


def ask(expression: str, text: str) -> Any:
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT {expression} FROM (SELECT $1 AS text)", [text]).fetchall()[0][0]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Slang is read literally.", "  slang   is read\nliterally", True),
        ("Slang is read literally.", "“Slang” is read - literally!", False),  # the one is about slang, not quoting
        (READ.format("“fire”"), READ.format("“mid”, “sus” and “fire”"), True),
        (READ.format("“fire”"), READ.format('"mid"'), True),
        (READ.format("“fire”"), "Slang, here “fire”, is never read literally.", False),
        ("The word “fire” misleads.", "The word “mid” misleads.", True),
        ("“fire” misleads", "“mid” misleads", False),  # hardly anything is said beside the quotation
        ("More than 5 < 7 words", "More than 5 > 7 words", False),
        ("Ein längeres Wort fehlt", "EIN LÄNGERES WORT FEHLT.", True),
        ("?!", "??", False),
        ("Slang\N{NO-BREAK SPACE}misleads", "slang misleads", True),
    ],
)
def test_hypotheses_say_the_same_up_to_case_space_punctuation_and_what_they_quote(
    one: str, other: str, same: bool
) -> None:
    assert (ask(statement_of("text"), one) == ask(statement_of("text"), other)) == same


def test_examples_are_what_is_quoted_each_once() -> None:
    text = '“fire” and “mid”, "sus", again “fire”, don\'t'
    assert ask(examples_of("text"), text) == ["fire", "mid", "sus"]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.text(min_size=1).map(lambda text: text.replace("\x00", "")), min_size=20))
def test_any_text_has_a_statement_which_says_the_same_as_the_text(texts: list[str]) -> None:
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"SELECT text, {statement_of('text')} FROM (SELECT unnest($1::VARCHAR[]) AS text)", [texts]
        ).fetchall()
        again = connection.execute(
            f"SELECT {statement_of('text')} FROM (SELECT unnest($1::VARCHAR[]) AS text)", [[row[1] for row in rows]]
        ).fetchall()
    for (text, stated), (restated,) in zip(rows, again, strict=True):
        assert stated is not None
        if not set(text) & set('“"«‘`◌'):
            assert restated == stated


def taught(texts: Sequence[tuple[str, str]], *, teacher: str = "openai:m") -> list[Record]:
    """A round about as many UUs as there are (abstraction, extrapolation), the first half of which it repairs."""
    rows: list[Record] = [
        RUN,
        rec.Round("run-1", 1, "mdl-0", START, "mdl-1", True, "took the new model", START),
        *(
            rec.ModelVersion(f"mdl-{i}", "run-1", i, None, "original", f"models/{i}", 1, 0, {}, None, 1.0, START)
            for i in (0, 1)
        ),
    ]
    for number, about in enumerate(texts):
        uu, fields = f"uu-{number}", {"text": f"number {number} was fire"}
        rows += [
            rec.Sample(f"smp-{number}", "dat-1", "validation", number, fields, "pos"),
            rec.Uu(uu, "run-1", 1, "mdl-0", "natural", None, f"smp-{number}", None, fields, "pos", "neg", 0.9, True),
            rec.Prediction(
                "mdl-1", f"smp-{number}", "sample", "pos", "pos" if 2 * number < len(texts) else "neg", 0.9, (0.1, 0.9)
            ),
        ]
        for kind, text in zip(KINDS, about, strict=True):
            key = f"hyp-{teacher}-{number}-{kind}"
            rows += [
                rec.Hypothesis(key, "run-1", 1, uu, kind, None, text, f"because {number}", teacher, None, START),
                rec.SyntheticSample(
                    f"syn-{key}", "run-1", 1, key, 0, {"text": f"sample {key}"}, "pos", "so", None, number != 1
                ),
            ]
    return rows


TEXTS = [
    (READ.format("“fire”"), "Irony may be misread too."),
    (READ.format("“mid”"), "irony may be misread, too"),
    ("Slang, here “mid”, “sus”, is  read literally", "Old words, too."),
    ("Negation is lost.", "Irony may be misread too."),
]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "w") as store:
        store.add(taught(TEXTS))
        store.publish()
    return tmp_path / "w"


def test_analysts_find_each_statement_once_with_its_uus_and_what_came_of_it(workspace: Path) -> None:
    with Results.open(workspace) as results:
        columns, rows = results.query("FROM distinct_hypotheses")
        assert results.query("SELECT count(*) FROM hypotheses")[1] == [(8,)]
    slang, irony = (dict(zip(columns, row, strict=True)) for row in rows[:2])
    assert (slang["kind"], slang["text"], slang["hypotheses"], slang["uus"]) == ("abstraction", TEXTS[0][0], 3, 3)
    assert slang["uu_ids"] == ["uu-0", "uu-1", "uu-2"]
    assert slang["examples"] == ["mid", "fire", "sus"]
    assert (slang["uus_fixed"], slang["samples_written"], slang["samples_accepted"], slang["rounds"]) == (2, 3, 2, [1])
    assert (irony["text"], irony["uu_ids"]) == ("Irony may be misread too.", ["uu-0", "uu-1", "uu-3"])
    assert len(rows) == 4


def test_the_terminal_tells_a_statement_once_and_of_which_uus(cli: Cli, workspace: Path) -> None:
    out = " ".join(cli("hypotheses", "-w", workspace).out.split())
    assert out.count("literally") == 1
    assert "stated 3 times, also with “mid” (2), “sus”; 2 of 3 synthetic samples accepted" in out
    assert "2 more of these UUs: uu-1, uu-2" in out
    assert "run-1: 5 different hypotheses (8 in all)" in out
    few = cli("hypotheses", "-w", workspace, "--limit", "1").out
    assert "run-1: 1 of 5 different hypotheses (8 in all); --limit 5 shows all" in few
    assert "Irony" not in few
    assert len(json.loads(cli("hypotheses", "-w", workspace, "--json").out)) == 8


def test_the_report_tells_a_statement_once_and_keeps_every_uu_and_sample(workspace: Path) -> None:
    with Results.open(workspace) as results:
        page = build_page(results, "run-1")
    section = page.split('<section id="hypotheses">')[1].split("</section>")[0]
    assert section.count("read literally") == 1
    assert "2 more UUs with the same explanation" in section
    assert all(f"number {number} was fire" in section for number in range(4))
    assert section.count("sample hyp-") == 8
    assert section.count("because ") == 8
    assert section.count("<article") == 2


def test_two_teachers_are_not_merged() -> None:
    row = {"kind": "abstraction", "statement": "slang", "text": "Slang.", "examples": [], "reasoning": "", "uu_id": "u"}
    (group,) = merge_alike([row | {"teacher": "a"}, row | {"teacher": "b"}])
    assert [one.teacher for one in group.stated] == ["a", "b"]
    assert [one.repeated for one in group.stated] == ["", ""]
