"""Samples that a teacher wrote for another run, out of a file: one JSON object a line.

A line is a sample (the data's columns), or what a teacher made of one UU:

    {"sentence1": "…", "sentence2": "…", "label": "equivalent"}
    {"perturbed": {"sentence1": …}, "abstraction": "…", "extrapolation": "…",
     "sample_abstraction": {"sentence1": …, "label": …}, "sample_extrapolation": {…}}

Of the latter `perturbed` (`original` for a natural UU) and the two hypotheses may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from blindspot.storage.clock import now
from blindspot.storage.errors import DataError
from blindspot.storage.ids import make_id
from blindspot.storage.records import Fields, Hypothesis, SyntheticSample, Uu
from blindspot.storage.words import HypothesisKind
from blindspot.tools.additions.baselines import Addition, Taken, added
from blindspot.tools.data.columns import DataTable, check_columns, first_line, read_objects, strip
from blindspot.tools.data.datasets import DataSource, find_problem, label_name
from blindspot.tools.data.formats import check_regular

KINDS: tuple[HypothesisKind, ...] = get_args(HypothesisKind)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One sample of a file."""

    line: int
    kind: HypothesisKind | None  # of the hypothesis that it was written after; None: not said
    fields: Fields
    label: str
    hypotheses: Mapping[HypothesisKind, str]  # kind -> text, of its line
    uu: Fields | None  # the text of the UU that they explain

    def source_id(self, name: str) -> str:
        """Where it stands, e.g. "mrpc.jsonl:3:abstraction"."""
        return ":".join([name, str(self.line), *([self.kind] if self.kind else [])])


def read_recorded(path: Path, source: DataSource, labels: Sequence[str]) -> list[Recorded]:
    """Read a file of samples.

    Args:
        source: names the columns.
        labels: those that there are.
    Raises: DataError, with the file, the line, the column, and what is known.
    """
    try:
        check_regular(path)
        rows, lines = read_objects(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; method.file names it") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or first_line(error)}") from None
    if not rows:
        raise DataError(f"{path}: no samples; write one JSON object a line")
    table = DataTable(str(path), {}, lines)
    records = []
    for place, row in enumerate(rows):
        stated = {kind: str(row[kind]) for kind in KINDS if isinstance(row.get(kind), str)}
        about = row.get("perturbed") or row.get("original")
        uu = {name: str(about.get(name)) for name in source.fields} if isinstance(about, dict) else None
        for kind, inner in line_samples(row, table.place(place)):
            within = f"sample_{kind}." if kind else ""
            fields, label = check_sample(inner, source, table, place, within)
            if label not in labels:
                raise DataError(
                    f'{table.place(place)}: column "{within}{source.label}": unknown label "{label}"; the data set has '
                    f"{', '.join(labels)}"
                )
            records.append(Recorded(lines[place], kind, fields, label, stated, uu))
    return records


def check_sample(
    row: Mapping[str, object], source: DataSource, table: DataTable, place: int, within: str
) -> tuple[Fields, str]:
    """Take the texts and the label of a sample, once they are seen to be such.

    Args:
        table, place: of the line.
        within: the column that holds the sample, with a dot; "" where the line is the sample.
    """
    row = {name: strip(value) for name, value in row.items()} if source.strip else row
    named = {f"{within}{name}": value for name, value in row.items()}
    check_columns([within + name for name in (*source.fields, source.label)], list(named), table.place(place))
    for name in source.fields:
        if problem := find_problem(row[name]):
            raise DataError(f'{table.place(place)}: column "{within}{name}" {problem}')
    label = label_name(row[source.label], table, place, within + source.label)
    return {name: str(row[name]) for name in source.fields}, label


def line_samples(row: Mapping[str, object], place: str) -> list[tuple[HypothesisKind | None, dict[str, object]]]:
    """The samples of one line, each with the kind of its hypothesis."""
    named = [(kind, row[f"sample_{kind}"]) for kind in KINDS if row.get(f"sample_{kind}") is not None]
    for kind, inner in named:
        if not isinstance(inner, dict):
            raise DataError(f'{place}: column "sample_{kind}" is not an object with a text and a label: {inner!r:.60}')
    return [(kind, dict(inner)) for kind, inner in named if isinstance(inner, dict)] or [(None, dict(row))]


def recorded_rows(
    chosen: Sequence[Recorded], uus: Sequence[Uu], addition: Addition, name: str
) -> list[SyntheticSample | Hypothesis | Uu]:
    """Make the rows of recorded samples, for the filter to judge.

    A hypothesis becomes a row where this round has found the UU that it explains, which then counts as shown to the
    teacher; elsewhere the sample's reasoning tells it.

    Args:
        uus: of the round.
        name: of the file.
    """
    found_as = {tuple(uu.fields.items()): uu for uu in uus}
    rows: dict[str, SyntheticSample | Hypothesis | Uu] = {}
    for record in chosen:
        uu = found_as.get(tuple(record.uu.items())) if record.uu else None
        reasoning = f"Recorded in {name}, line {record.line}."
        stated_as = record.hypotheses.get(record.kind) if record.kind else None
        hypothesis_id = None
        if uu and stated_as:
            rows[uu.uu_id] = replace(uu, selected=True)
            stated = hypotheses_of(record, uu, f"recorded:{name}", reasoning)
            rows |= {row.hypothesis_id: row for row in stated}
            hypothesis_id = next(row.hypothesis_id for row in stated if row.kind == record.kind)
        elif stated_as:
            reasoning += f" {stated_as}"
        taken = Taken(record.source_id(name), record.fields, record.label, reasoning)
        sample = replace(added(addition, "recorded", taken), hypothesis_id=hypothesis_id, accepted=None)
        rows[sample.synthetic_id] = sample
    return list(rows.values())


def hypotheses_of(record: Recorded, uu: Uu, teacher: str, reasoning: str) -> list[Hypothesis]:
    """The hypotheses of a line about a UU that was found; an extrapolation reasons from the abstraction beside it."""
    ids = {kind: make_id("hyp", uu.uu_id, kind, teacher, record.line) for kind in record.hypotheses}
    return [
        Hypothesis(
            hypothesis_id=ids[kind],
            run_id=uu.run_id,
            round=uu.round,
            uu_id=uu.uu_id,
            kind=kind,
            parent_id=ids.get("abstraction") if kind == "extrapolation" else None,
            text=text,
            reasoning=reasoning,
            teacher=teacher,
            call_id=None,
            created_at=now(),
        )
        for kind, text in record.hypotheses.items()
    ]
