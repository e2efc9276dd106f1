"""The report: one page that asks no network for anything, in which text from data stays text."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from blindspot.cli.report.page import TEMPLATES, Piece, build_page, mark_pair
from blindspot.cli.show.summary import read_summary
from blindspot.cli.show.table import print_summary
from blindspot.storage import records as rec
from blindspot.storage.analysts.results import Results
from blindspot.storage.ids import make_id
from blindspot.storage.schema.tables import Record
from blindspot.storage.store.store import Store
from blindspot.storage.words import AttackStatus, RunKindName
from blindspot.tools.metrics.curves import reliability, risk_coverage
from blindspot.tools.metrics.evaluate import ECE_BINS, aurc, ece
from blindspot.tools.metrics.outcomes import Outcomes
from support.commands import Cli

START = datetime(2026, 1, 2, 3, 4, 5)
BREAKOUT = "</script></title></style><script>window.pwned = 1</script>"
HANDLER = '"><img src=x onerror="window.pwned = 2"> {{ 7 * 7 }} \x1b]0;gotcha'
LABELS = ("<b>neg</b>", "pos")


def run_of(name: str, kind: RunKindName = "mitigation", **changes: Any) -> rec.Run:
    settings = {"classifier": {"model": "minilm"}, "attack": {"recipes": ["typos"], "split": "test"}, "x": HANDLER}
    run = rec.Run(
        name, "run", "finished", settings, 7, "openai:m", "dat-1", 0.65, {"torch": "2.13"}, START,
        finished_at=START + timedelta(minutes=4), stop_reason=f"the round is done {BREAKOUT}",
        original_model_id="mdl-0", final_model_id="mdl-1", kind=kind,
    )  # fmt: skip
    return replace(run, **changes)


def figure(run_id: str, metric: str, sides: tuple[float, float], recipe: str | None) -> list[Record]:
    """A metric of both model versions and the difference, with intervals."""
    values = {("mdl-0", None): sides[0], ("mdl-1", None): sides[1], ("mdl-1", "mdl-0"): sides[1] - sides[0]}
    threshold = 0.65 if metric.startswith("uus") else None
    return [
        rec.Evaluation(
            make_id("ev", run_id, metric, recipe, *owner), run_id, int(owner[0][-1]), owner[0], owner[1], metric,
            value, value - 1, value + 1, None, "test", recipe, threshold, 40,
        )
        for owner, value in values.items()
    ]  # fmt: skip


def found(run_id: str, number: int, *, adversarial: bool, words: str) -> list[Record]:
    """A UU and the sample that it was made from."""
    text = {"text": f"number{number} {words} soup"}
    hard = {"text": f"number{number} {words} suop"} if adversarial else text
    key = f"{run_id}-{number}"
    return [
        rec.Sample(f"smp-{key}", "dat-1", "validation", number, text, LABELS[1]),
        rec.Uu(
            f"uu-{key}", run_id, 1, "mdl-0", "adversarial" if adversarial else "natural",
            "typos" if adversarial else None, f"smp-{key}", f"atk-{key}" if adversarial else None, hard,
            LABELS[1], LABELS[0], 0.99 - number / 100_000, number < 8,
        ),
    ]  # fmt: skip


def judgements(run_id: str) -> list[Record]:
    """What two model versions say of 40 test samples, as they are and attacked by a recipe with a hostile name."""
    rng = np.random.default_rng(0)
    rows: list[Record] = [rec.Sample(f"tst-{i}", "dat-1", "test", i, {"text": "t"}, "pos") for i in range(40)]
    for model in ("mdl-0", "mdl-1"):
        for i in range(40):
            sure, is_right = float(rng.uniform(0.5, 1)), bool(rng.random() < 0.8)
            predicted = "pos" if is_right else LABELS[0]
            rows.append(rec.Prediction(model, f"tst-{i}", "sample", "pos", predicted, sure, (1 - sure, sure)))
            status: AttackStatus = ("flipped" if i % 3 else "failed") if is_right else "skipped"
            after = float(rng.uniform(0.5, 1)) if status == "flipped" else None
            rows.append(
                rec.Attack(
                    f"atk-{run_id}-{model}-{i}", run_id, model, f"tst-{i}", "test", f"typos {BREAKOUT}", status,
                    {"text": "u"} if after else None, "pos", LABELS[0], after, predicted, sure, 9, 5, 1, None, 0.1,
                )
            )  # fmt: skip
    return rows


def taught(run_id: str) -> list[Record]:
    """Hypotheses about the first two UUs, with evidence and samples."""
    rows: list[Record] = []
    for number in range(2):
        uu = f"uu-{run_id}-{number}"
        hypothesis = rec.Hypothesis(
            f"hyp-{number}", run_id, 1, uu, "abstraction", None, f"slang is read literally {HANDLER}", BREAKOUT,
            "openai:m", None, START, {"probes": 8, "uus": 3, "attacks": 2, "attack_uus": 1},
        )  # fmt: skip
        sample = rec.SyntheticSample(
            f"syn-{number}", run_id, 1, f"hyp-{number}", 0, {"text": HANDLER}, "pos", "so", None, True, None, {},
            {"bertscore": 0.7},
        )  # fmt: skip
        rejected = replace(
            sample, synthetic_id=f"syn-{number}-1", position=1, accepted=False, rejected_by="near_duplicate"
        )
        after = rec.Prediction("mdl-1", f"atk-{run_id}-{number}", "attack", "pos", "pos", 0.8, (0.2, 0.8))
        rows += [hypothesis, sample, rejected, after]
    return rows


def whole_run(run_id: str = "run-1", *, uus: int = 60, **changes: Any) -> list[Record]:
    """A finished mitigation with a bit of everything in it."""
    return [
        run_of(run_id, **changes),
        rec.Dataset("dat-1", "d", f"/data/{HANDLER}", ("text",), LABELS, BREAKOUT, {"train": 1000, "test": 40}),
        rec.Round(run_id, 1, "mdl-0", START, "mdl-1", True, f"took the new model {HANDLER}", START),
        *(
            rec.ModelVersion(f"mdl-{i}", run_id, i, None, "original", f"models/mdl-{i}", 9, i, {}, None, 1.0, START)
            for i in range(2)
        ),
        *(
            row
            for number in range(uus)
            for row in found(run_id, number, adversarial=True, words="the good" if number % 2 else HANDLER)
        ),
        *judgements(run_id),
        *taught(run_id),
        *figure(run_id, "accuracy", (0.8, 0.82), None),
        *figure(run_id, "uus", (12, 5), None),
        *figure(run_id, "uus", (30, 20), f"typos {BREAKOUT}"),
        rec.TeacherCall(
            "call-1", run_id, 1, "abstract", "uu-1", "k", "openai:m", "?", "h", "!", "m", 10, 5, 0.25, 1.0, 1, False,
            None, START,
        ),
        rec.ToolCall("tool-1", run_id, 1, "attack", "graph", {}, {}, 12.5, START),
        rec.Event("evt-1", run_id, 1, START, "teach", "warning", f"one UU was skipped {BREAKOUT}"),
    ]  # fmt: skip


def publish(folder: Path, rows: list[Record]) -> Path:
    with Store.open(folder) as store:
        store.add(rows)
        store.publish()
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("workspace"), whole_run())


@pytest.fixture(scope="module")
def page(workspace: Path) -> str:
    with Results.open(workspace) as results:
        return build_page(results, "run-1")


class Reader(HTMLParser):
    """Reads a page as a browser does: its elements with their attributes, and the text of each element's name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "img", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(parts) for tag, parts in self.texts.items() if tag not in ("script", "style"))


def test_a_page_asks_for_nothing_outside_of_itself(page: str) -> None:
    reader = Reader(page)
    assert not {tag for tag, _ in reader.elements} & {"link", "img", "iframe", "object", "embed", "base", "form"}
    for tag, attributes in reader.elements:
        assert not {"src", "srcset", "action", "style"} & set(attributes), (tag, attributes)
        assert (attributes.get("href") or "#").startswith("#")
    policies = [found["content"] for _, found in reader.elements if found.get("http-equiv")]
    assert [(policy or "").split(";")[0] for policy in policies] == ["default-src 'none'"]
    assert "url(" not in page
    assert "@import" not in page


def test_text_from_data_stays_text_wherever_it_stands(page: str) -> None:
    reader = Reader(page)
    assert [tag for tag, _ in reader.elements].count("script") == 1
    assert reader.texts["script"] == [(TEMPLATES / "report.js").read_text()]
    assert not [(tag, name) for tag, found in reader.elements for name in found if name.startswith("on")]
    assert not {"img", "b>neg</b"} & {tag for tag, _ in reader.elements}
    assert reader.text.count("<script>window.pwned = 1</script>") >= 6
    assert "{{ 7 * 7 }}" in reader.text
    assert LABELS[0] in reader.text
    assert "\x1b" not in page


def test_hostile_names_of_recipes_and_runs_reach_the_charts_as_text(tmp_path: Path) -> None:
    name = f"r {BREAKOUT}"
    folder = publish(tmp_path, whole_run(name, uus=2))
    with Results.open(folder) as results:
        reader = Reader(build_page(results, name))
    assert [tag for tag, _ in reader.elements].count("script") == 1
    assert any(text.startswith("typos </script>") for text in reader.texts["text"])  # a legend, cut where it is long
    assert BREAKOUT in "".join(reader.texts["title"])


def test_a_page_tells_verdict_figures_evidence_effect_spend_and_settings(page: str) -> None:
    text = " ".join(Reader(page).text.split())
    for wanted in (
        "The retrained model was taken", "took the new model", "UUs by round", "Flipped by typos", "Wrong as they are",
        "Reliability, texts under attack", "Risk and coverage, texts as they are", "accuracy (40)", "80.0 %",
        "6 of its 16 probes were UUs, 2 of its 4 attacks ended in a UU", "2 of 4 samples accepted",
        "rejected: near_duplicate", "bertscore 0.7", "fixed", "1 call, $0.25", "12.5", "classifier.model", "torch",
        "one UU was skipped",
    ):  # fmt: skip
        assert wanted in text, wanted


def compared(run_id: str, number: int, metric: str, sides: tuple[float, float, float, float]) -> list[Record]:
    """A metric before and after a round, and the difference with its interval, (before, after, low, high)."""
    old, new = f"mdl-{number - 1}", f"mdl-{number}"
    before, after, low, high = sides
    threshold = None if metric == "accuracy" else 0.65
    figures = {(old, None): before, (new, None): after, (new, old): after - before}
    return [
        rec.Evaluation(
            make_id("ev", run_id, number, metric, *owner), run_id, number, owner[0], owner[1], metric, value,
            low if owner[1] else None, high if owner[1] else None, 0.001 if owner[1] else None, "test", None,
            threshold, 40,
        )
        for owner, value in figures.items()
    ]  # fmt: skip


def judged_run(run_id: str = "run-1") -> list[Record]:
    """Two rounds with all that their verdicts rest on: the first closes a blind spot, the second forgets."""
    verdict = "took the new model: natural UUs 30 -> 12 (-18); accuracy 80.0 % -> 80.5 %; 2 blind spots: 1 closed "
    verdict += "(lens tripod zoom 20 -> 1, and nothing else changed beyond chance)"
    kept = rec.Evaluation(
        "ev-kept", run_id, 2, "mdl-2", None, "repaired_kept", 0.75, 0.6, 0.9, None, "repaired", None, None, 24
    )
    rows: list[Record] = [
        run_of(run_id, final_model_id="mdl-1"),
        rec.Round(run_id, 1, "mdl-0", START, "mdl-1", True, verdict, START),
        rec.Round(
            run_id, 2, "mdl-1", START, "mdl-2", False, "kept the old model: natural UUs 12 -> 12, no change", START
        ),
        rec.BlindSpot(run_id, 1, 1, ("lens", HANDLER), 20, 1, 19, 0, "closed", 0.0004),
        rec.BlindSpot(run_id, 1, 2, (), 10, 11, 0, 1, "open", 1.0),
        kept,
    ]
    for number, counts in ((1, (30, 12, -25, -10)), (2, (12, 12, -3, 3))):
        rows += compared(run_id, number, "uus", counts)
        rows += compared(run_id, number, "uus_matched", counts)
        rows += compared(run_id, number, "uus_calibrated", (20, counts[1] - 1, -14, -2))
        rows += compared(run_id, number, "uus_calibrated_matched", counts)
        rows += compared(run_id, number, "accuracy", (0.8, 0.805, -0.01, 0.02))
    return rows


def test_the_evidence_of_each_round_is_laid_out_with_blind_spots_and_what_was_forgotten(tmp_path: Path) -> None:
    with Results.open(publish(tmp_path, judged_run())) as results:
        page = build_page(results, "run-1")
    reader = Reader(page)
    text = " ".join(reader.text.split())
    assert [tag for tag, _ in reader.elements].count("script") == 1
    for wanted in (
        "Round 1, taken", "Round 2, refused", "natural UUs at matched coverage", "-18 (-25 to -10)",
        "natural UUs at matched coverage, old model calibrated or not",
        "At matched coverage, the threshold is moved until",
        "held, McNemar p = 0.001", "closed", "0.0004", "30 to 12", "18 of 24 (75.0 %)",
        "texts repaired earlier (24), now right", "2 blind spots: 1 closed",
    ):  # fmt: skip
        assert wanted in text, wanted
    assert HANDLER.replace("\x1b", "\N{REPLACEMENT CHARACTER}") in reader.text


def test_a_run_whose_figures_do_not_make_a_verdict_has_no_section_of_evidence(page: str) -> None:
    assert "took the new model" in page
    assert 'id="evidence"' not in page


def test_the_terminal_tells_each_reason_in_a_line_of_its_own_at_80_columns(tmp_path: Path) -> None:
    with Results.open(publish(tmp_path, judged_run())) as results:
        summary = read_summary(results, "run-1")
    text = io.StringIO()
    print_summary(Console(file=text, width=80, markup=False, highlight=False), summary)
    lines = text.getvalue().splitlines()
    start = lines.index("round 1: took the new model")
    assert [line.rstrip() for line in lines[start + 1 : start + 5]] == [
        " - natural UUs 30 -> 12 (-18)",
        " - accuracy 80.0 % -> 80.5 %",
        " - 2 blind spots: 1 closed (lens tripod zoom 20 -> 1, and nothing else changed",
        "   beyond chance)",
    ]
    assert "round 2: kept the old model: natural UUs 12 -> 12, no change" in lines
    assert max(map(len, lines[start : start + 5])) <= 80


def test_attacks_that_another_run_made_on_a_shared_original_are_shown(tmp_path: Path) -> None:
    rows = whole_run()
    shared = [
        replace(row, run_id="run-0") if isinstance(row, rec.Attack) and row.model_id == "mdl-0" else row for row in rows
    ]
    pages = []
    origin = run_of("run-0", kind="original")
    for name, own in (("alone", rows), ("shared", [origin, *shared])):
        with Results.open(publish(tmp_path / name, own)) as results:
            pages.append(build_page(results, "run-1").replace(f"/{name}/models", "/models"))
    assert pages[0] == pages[1]


def test_every_uu_is_in_the_page_and_only_the_first_are_shown(page: str) -> None:
    (body,) = re.findall(r"<tbody data-items>(.*?)</tbody>\s*</table>", page, flags=re.DOTALL)
    rows = re.findall(r"<tr( hidden)?>", body)
    assert (len(rows), rows.count("")) == (60, 25)


def test_a_chart_has_a_name_and_its_numbers_beside_it(page: str) -> None:
    figures = re.findall(r"<figure>(.*?)</figure>", page, flags=re.DOTALL)
    assert len(figures) == 7
    for one in figures:
        assert re.search(r'role="img" aria-label="[^"]{20,}"', one)
        assert one.count("<td>") >= 4
        assert "var(--" in one  # the page colours it, light or dark
        assert not re.search(r'(fill|stroke)="(black|#000|#000000)"', one)


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"kind": "attack", "final_model_id": "mdl-0"}, "3 UUs found"),
        ({"kind": "comparison"}, "Several teachers, the same UUs"),
        ({"kind": "original"}, "The original model, for other runs to repair"),
        ({"final_model_id": "mdl-0"}, "The original model was kept"),
    ],
)
def test_every_kind_of_run_gets_a_page(tmp_path: Path, changes: dict[str, Any], title: str) -> None:
    folder = publish(tmp_path, whole_run(uus=3, **changes))
    with Results.open(folder) as results:
        assert f"<h1>{title}</h1>" in build_page(results, "run-1")


def test_samples_that_an_earlier_run_brought_under_another_data_set_are_in_the_charts(tmp_path: Path) -> None:
    def charts(name: str, rows: list[Record]) -> int:
        with Results.open(publish(tmp_path / name, rows)) as results:
            return build_page(results, "run-1").count("<figure>")

    rows = whole_run(uus=3)
    moved = [
        replace(row, dataset_id="dat-0") if isinstance(row, rec.Sample) and row.split == "test" else row for row in rows
    ]
    other = rec.Dataset("dat-0", "reviews", "/data", ("text",), LABELS, "sentiment", {"test": 40})
    assert charts("other", [*moved, other]) == charts("same", rows)


def test_a_model_of_a_hub_is_named_as_it_is(tmp_path: Path) -> None:
    rows = [replace(row, folder="hub/model") if isinstance(row, rec.ModelVersion) else row for row in whole_run(uus=3)]
    with Results.open(publish(tmp_path, rows)) as results:
        assert "<code>hub/model</code>" in build_page(results, "run-1")


def test_a_run_that_has_just_begun_gets_a_page(tmp_path: Path) -> None:
    begun = run_of("run-1", status="running", stop_reason=None, original_model_id=None, final_model_id=None)
    with Results.open(publish(tmp_path, [begun])) as results:
        page = build_page(results, "run-1")
    assert "No verdict yet" in page
    assert "<svg" not in page
    assert "None" not in Reader(page).text


def test_the_command_writes_the_newest_run_where_it_says(cli: Cli, tmp_path: Path) -> None:
    later = run_of("run/2", started_at=START + timedelta(days=1), original_model_id=None)
    folder = publish(tmp_path / "w", [run_of("run-1", original_model_id=None), later])
    answer = cli("report", "-w", folder)
    assert (answer.code, answer.out) == (0, f"{folder}/report-run_2.html\n"), answer.err
    assert "run/2" in (folder / "report-run_2.html").read_text()
    out = tmp_path / "new" / "page.html"
    assert cli("report", "run-1", "-w", folder, "--out", out).code == 0
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]


def test_the_command_refuses_in_one_line(cli: Cli, tmp_path: Path) -> None:
    folder = publish(tmp_path / "w", [run_of("run-1", original_model_id=None)])
    for arguments, reason in (
        (["report", "run-9", "-w", folder], "no run run-9; there are: run-1"),
        (["report", "-w", tmp_path / "nowhere"], "nothing is published"),
        (
            ["report", "-w", publish(tmp_path / "empty", [rec.Event("e", "r", 1, START, "p", "info", "m")])],
            "no run yet",
        ),
        (["report", "-w", folder, "--out", folder], "cannot be written"),
    ):
        answer = cli(*arguments)
        assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
        assert reason in answer.err


def test_other_commands_do_not_import_what_draws_charts() -> None:
    code = (
        "import sys, blindspot.cli.main; print(sorted({'altair', 'vl_convert', 'jinja2', 'numpy'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def changed(pieces: tuple[Piece, ...] | None) -> list[str]:
    return [piece.text for piece in pieces or () if piece.changed]


def test_changed_words_are_marked_on_both_sides() -> None:
    original = {"a": "it was a good, good film", "b": "same"}
    (a, b) = mark_pair(original, {"a": "it was a goood, good flim", "b": "same"})
    assert (changed(a.original), changed(a.perturbed)) == (["good", "film"], ["goood", "flim"])
    assert b.perturbed is None
    (longer, _) = mark_pair(original, {"a": "it was a really good, good film", "b": "same"})
    assert (changed(longer.original), changed(longer.perturbed)) == ([], ["really"])


def test_a_long_text_is_shown_near_its_changes() -> None:
    words = [f"w{i}" for i in range(300)]
    other = [*words[:150], "typo", *words[151:]]
    (marked,) = mark_pair({"text": " ".join(words)}, {"text": " ".join(other)})
    shown = "".join(piece.text for piece in marked.original)
    assert shown == f"… {' '.join(words[138:163])} … "
    (natural,) = mark_pair({"text": " ".join(words)}, None)
    assert "".join(piece.text for piece in natural.original) == f"{' '.join(words[:13])} … "


TEXTS = st.text(st.sampled_from("ab cd,.'\n…"), max_size=60)


@given(TEXTS, TEXTS)
def test_the_pieces_of_a_whole_text_are_the_text(original: str, perturbed: str) -> None:
    (marked,) = mark_pair({"text": original}, {"text": perturbed}, whole=True)
    assert "".join(piece.text for piece in marked.original) == original
    if marked.perturbed is not None:
        assert "".join(piece.text for piece in marked.perturbed) == perturbed


JUDGED = st.lists(st.tuples(st.integers(50, 100), st.booleans()), min_size=1, max_size=40)


def outcomes(judged: list[tuple[int, bool]]) -> Outcomes:
    """Outcomes of a binary task with these confidences (percent), wrong where it says so."""
    sure = np.array([percent / 100 for percent, _ in judged])
    truth = np.array([int(is_wrong) for _, is_wrong in judged])
    n = len(judged)
    return Outcomes(tuple(map(str, range(n))), truth, np.stack([sure, 1 - sure], axis=1), np.zeros(n, dtype=np.bool_))


@given(JUDGED)
def test_the_reliability_diagram_shows_the_calibration_error(judged: list[tuple[int, bool]]) -> None:
    of = outcomes(judged)
    bins = reliability(of.confidence, of.wrong, bins=ECE_BINS)
    assert sum(one.n for one in bins) == len(of)
    gap = sum(one.n * abs(one.confidence - one.accuracy) for one in bins) / len(of)
    assert gap == pytest.approx(float(ece(of, np.ones((1, len(of))))[0]))


@given(st.lists(st.booleans(), min_size=2, max_size=40))
def test_the_risk_coverage_curve_has_the_area_that_is_reported(wrong: list[bool]) -> None:
    of = outcomes([(99 - place, is_wrong) for place, is_wrong in enumerate(wrong)])
    points = risk_coverage(of.confidence, of.wrong, most=len(of))
    assert np.mean([point.risk for point in points]) == pytest.approx(float(aurc(of, np.ones((1, len(of))))[0]))


@given(JUDGED, st.integers(2, 10))
def test_a_risk_coverage_curve_ends_at_the_error_of_all_texts(judged: list[tuple[int, bool]], most: int) -> None:
    of = outcomes(judged)
    points = risk_coverage(of.confidence, of.wrong, most=most)
    assert len(points) <= most
    assert points[-1].coverage == 1
    assert points[-1].risk == pytest.approx(of.wrong.mean())
    assert all(point.risk == pytest.approx(of.wrong[of.confidence >= point.confidence].mean()) for point in points)


def test_no_texts_have_no_curve() -> None:
    assert risk_coverage(np.array([]), np.array([], dtype=np.bool_), most=5) == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser without a network."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if path is None:
        pytest.skip("no Chromium here; `apt-get install chromium` gets one")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path)
        yield opened
        opened.close()


def visit(browser: Any, path: Path, **options: Any) -> tuple[Any, list[str]]:
    """Open a page. Returns: it, and what it complained of or asked for besides itself."""
    shown = browser.new_context(offline=True, **options).new_page()
    troubles: list[str] = []
    shown.on("console", lambda message: troubles.append(message.text))
    shown.on("pageerror", lambda error: troubles.append(str(error)))
    shown.on("request", lambda request: troubles.append(request.url) if request.url != path.as_uri() else None)
    shown.goto(path.as_uri())
    return shown, troubles


@pytest.mark.browser
def test_a_browser_opens_it_without_a_network_and_runs_nothing_hostile(browser: Any, page: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page)
    for width in (1280, 390):
        shown, troubles = visit(browser, path, viewport={"width": width, "height": 800})
        assert troubles == []
        assert shown.evaluate("window.pwned") is None
        assert shown.evaluate("document.scripts.length") == 1
        assert shown.evaluate("document.images.length") == 0
        assert shown.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_a_browser_blocks_what_our_own_escaping_might_have_missed(browser: Any, page: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page.replace("<main>", f"<main>{BREAKOUT}{HANDLER}<p onclick='1'>"))
    shown, troubles = visit(browser, path)
    assert shown.evaluate("window.pwned") is None
    assert any("Content Security Policy" in trouble for trouble in troubles)


@pytest.mark.browser
def test_a_page_is_legible_in_light_and_dark(browser: Any, page: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page)
    backgrounds = {}
    for scheme in ("light", "dark"):
        shown, _ = visit(browser, path, color_scheme=scheme)
        backgrounds[scheme] = light = luminance(shown, "document.body", "backgroundColor")
        for what in ("document.body", "document.querySelector('.soft')", "document.querySelector('.good')"):
            text = luminance(shown, what, "color")
            assert (max(light, text) + 0.05) / (min(light, text) + 0.05) >= 4.5, (scheme, what)  # WCAG 2, AA
        assert luminance(shown, "document.querySelector('svg text')", "fill") != light
    assert backgrounds["dark"] < 0.05 < 0.95 < backgrounds["light"]


def luminance(shown: Any, element: str, name: str) -> float:
    """The relative luminance of an element's colour, in [0, 1], as WCAG 2 defines it."""
    colour = shown.evaluate(f"getComputedStyle({element}).{name}")
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (int(found) / 255 for found in re.findall(r"\d+", colour)[:3])
    ]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.browser
def test_ten_thousand_uus_are_paged_and_searched(browser: Any, tmp_path: Path) -> None:
    rows = [
        row for number in range(10_000) for row in found("run-1", number, adversarial=number % 5 > 0, words="it was")
    ]
    with Results.open(publish(tmp_path, [run_of("run-1"), *rows])) as results:
        page = build_page(results, "run-1")
    path = tmp_path / "page.html"
    path.write_text(page)
    shown, troubles = visit(browser, path)
    section = shown.locator("#uus")
    rows_shown = "[...document.querySelectorAll('#uus tbody tr')].filter(row => row.checkVisibility())"
    assert shown.evaluate(f"{rows_shown}.length") == 25
    section.get_by_role("button", name="Next").click()
    assert section.get_by_role("status").inner_text() == "26 to 50 of 10,000 UUs"
    assert "number25 " in shown.evaluate(f"{rows_shown}[0].textContent")
    section.get_by_role("searchbox").fill("NUMBER9999 ")
    assert shown.evaluate(f"{rows_shown}.length") == 1
    assert section.get_by_role("status").inner_text() == "1 to 1 of 1 found of 10,000 UUs"
    section.get_by_role("searchbox").fill("no such word")
    assert section.get_by_role("status").inner_text() == "nothing found among 10,000 UUs"
    assert troubles == []
