"""The page of a report: one HTML file that holds its styles, script and charts, and asks no network for anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from blindspot.cli.report import charts, tables
from blindspot.cli.report.content import (
    Row,
    Split,
    read_explained,
    read_predictions,
    read_rounds,
    read_run,
    read_troubles,
    read_uus,
)
from blindspot.cli.report.verdict import read_verdicts, rounds_of
from blindspot.cli.show.change import difference, metric_name, value_in_words
from blindspot.cli.show.spend import spend_in_words
from blindspot.cli.show.summary import Summary, headline_changes, read_summary
from blindspot.cli.show.table import summary_notes
from blindspot.cli.terminal import visible
from blindspot.storage.records import Fields
from blindspot.tools.text.edits import WORD, edits
from blindspot.tools.uu import is_confident

if TYPE_CHECKING:
    from blindspot.storage.analysts.results import Results


AROUND = 12  # words shown on either side of a change in a long text
LONG = 60  # words of a text that is shown in part


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text."""

    text: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Marked:
    """One field of a sample, before and after an attack."""

    field: str
    original: tuple[Piece, ...]
    perturbed: tuple[Piece, ...] | None  # None: the attack left this field as it was, or there was none


def mark_pair(original: Fields, perturbed: Fields | None, *, whole: bool = False) -> tuple[Marked, ...]:
    """Mark the words of every field that the other text does not have in their place.

    Args:
        whole: show long texts in full, and not only what stands near a change.
    """
    other = perturbed or {}
    gone, come = changed_positions(original, other), changed_positions(other, original)
    return tuple(
        Marked(
            field,
            cut(original.get(field, ""), gone.get(field, frozenset()), whole=whole),
            cut(other[field], come.get(field, frozenset()), whole=whole)
            if field in other and other[field] != original.get(field)
            else None,
        )
        for field in [*original, *(name for name in other if name not in original)]
    )


def changed_positions(text: Fields, other: Fields) -> dict[str, Set[int]]:
    """Find the words of a text, by field and position, that another text lacks or has something else for."""
    positions: dict[str, set[int]] = {}
    for edit in edits(text, other) if other else ():
        if edit.before:
            positions.setdefault(edit.field, set()).add(edit.position)
    return dict(positions)


def cut(text: str, changed: Set[int], *, whole: bool) -> tuple[Piece, ...]:
    """Cut a text at its changed words; of a long one keep what stands near them, or its beginning."""
    words = list(WORD.finditer(text))
    near = {place for word in changed or {0} for place in range(word - AROUND, word + AROUND + 1)}
    pieces: list[Piece] = []
    plain, end = "", 0
    for index, word in enumerate(words):
        before, end = text[end : word.start()], word.end()
        if not whole and len(words) > LONG and index not in near:
            plain = plain if plain.endswith("… ") else f"{plain} … " if plain or pieces else "… "
            continue
        plain += "" if plain.endswith("… ") else before
        if index not in changed:
            plain += word.group()
            continue
        pieces += [Piece(plain, changed=False)] if plain else []
        pieces.append(Piece(word.group(), changed=True))
        plain = ""
    plain += "" if plain.endswith("… ") else text[end:]
    return (*pieces, *([Piece(plain, changed=False)] if plain else []))


TEMPLATES = Path(__file__).with_name("templates")
TONES = {"green": "good", "red": "bad"}
PAGE_ROWS, PAGE_CARDS = 25, 5  # UUs, and explained UUs, shown at once


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the headline."""

    name: str
    before: str
    after: str | None
    difference: str
    tone: str  # good, bad or ""


def build_page(results: Results, run_id: str) -> str:
    """Build the report of a run, as far as it is published.

    Raises: StoreError, when there is no such run.
    """
    summary = read_summary(results, run_id)
    run = read_run(results, run_id)
    uus = read_uus(results, run_id)
    split = read_predictions(results, summary, run)
    judged = read_verdicts(results, summary, run)
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    return environment().get_template("report.html").render(
        style=Markup(style),
        script=Markup(script),
        policy=policy(style, script),
        summary=summary,
        run=run,
        title=title_of(summary, uus),
        tone="good" if summary.accepted and summary.kind == "mitigation" else "",
        tiles=tiles_of(summary),
        changes=tables.changes_table(summary),
        notes=summary_notes(summary, headline_changes(summary.changes)),
        judged=judged,
        rounds=rounds_of(judged),
        charts=charts_of(results, summary, split),
        statistics=tables.statistics_table(results, summary, run),
        teachers=tables.teachers_table(results, run_id),
        uus=uus,
        explained=read_explained(results, run_id, uus),
        page_rows=PAGE_ROWS,
        page_cards=PAGE_CARDS,
        spend=tables.spend_table(summary),
        spend_words=spend_in_words(summary.spend),
        work=tables.work_table(results, run_id),
        troubles=read_troubles(results, run_id),
        settings=tables.settings_table(run["settings"] or {}),
        versions=tables.versions_table(run["versions"] or {}),
        models=tables.models_table(results, run_id),
    )  # fmt: skip


def environment() -> Environment:
    """Templates that escape every text they are given."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    made.globals["is_confident"] = is_confident
    made.filters["pair"] = pair
    made.filters["evidence"] = evidence_in_words
    made.filters["score"] = score_in_words
    return made


def policy(style: str, script: str) -> str:
    """Forbid the page everything but its own style and script, which stand between their tags as they are here."""

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    own = f"style-src {source(style)}; script-src {source(script)}"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def pair(row: Row, whole: bool = False) -> tuple[Marked, ...]:
    """Mark what an attack changed of a UU's sample."""
    return mark_pair(row["original"] or {}, row["perturbed"], whole=whole)


def evidence_in_words(evidence: Mapping[str, Any] | None) -> str:
    """Say what the teacher's own probes showed."""
    if not evidence:
        return ""
    parts = [f"{evidence.get('uus', 0)} of its {evidence.get('probes', 0)} probes were UUs"]
    if evidence.get("attacks"):
        parts.append(f"{evidence.get('attack_uus', 0)} of its {evidence['attacks']} attacks ended in a UU")
    return ", ".join(parts)


def score_in_words(scores: Mapping[str, float] | None) -> str:
    """Write the filter's scores of a sample."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in (scores or {}).items())


def title_of(summary: Summary, uus: Sequence[Row]) -> str:
    """Say in one sentence how the run ended."""
    if summary.kind == "attack":
        return f"{len(uus):,} UUs found"
    if summary.kind == "comparison":
        return "Several teachers, the same UUs"
    if summary.kind == "original":
        return "The original model, for other runs to repair"
    if summary.accepted is None:
        return "No verdict yet"
    return "The retrained model was taken" if summary.accepted else "The original model was kept"


def tiles_of(summary: Summary) -> list[Tile]:
    """Choose the figures of the headline."""
    shown = headline_changes(summary.changes)
    whole = next((change.recipe for change in reversed(shown) if change.metric == "uus"), None)  # all come last
    places = [("uus", whole), ("uus_matched", whole), ("uus", None), ("accuracy", None), ("ece", None)]
    changes = [summary.find(*place) for place in dict.fromkeys(places)]
    return [
        Tile(
            metric_name(change),
            value_in_words(change.metric, change.before),
            value_in_words(change.metric, change.after) if change.after else None,
            difference(change).plain if change.difference else "",
            TONES.get(str(difference(change).style), ""),
        )
        for change in changes
        if change and change.before
    ]


def charts_of(results: Results, summary: Summary, split: Split) -> dict[str, list[charts.Figure]]:
    """Draw what there is to draw, section by section."""
    places = [("as they are", split.clean), ("under attack", split.attacked)]
    rounds = read_rounds(results, summary) if summary.kind == "mitigation" else []
    wrong = {side: of.confidence[of.wrong] for side, of in split.clean.items()}
    return {
        "rounds": [charts.uus_by_round(rounds)] if rounds else [],
        "histograms": [
            charts.histogram(f"Flipped by {recipe}", sides, summary.tau) for recipe, sides in split.flipped.items()
        ]
        + ([charts.histogram("Wrong as they are", wrong, summary.tau)] if wrong else []),
        "trust": [charts.reliability_diagram(f"Reliability, texts {where}", sides) for where, sides in places if sides],
        "risk": [
            charts.risk_coverage_curve(f"Risk and coverage, texts {where}", sides, summary.tau)
            for where, sides in places
            if sides
        ],
    }
