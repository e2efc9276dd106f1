"""The verdict of a report: what it rests on, laid out; judged again from the published figures by the same rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blindspot.cli.report.content import Row
from blindspot.cli.report.tables import ReportTable
from blindspot.cli.show.summary import RoundEnd, Summary, rows_of
from blindspot.storage.records import BlindSpot, Evaluation
from blindspot.storage.settings.sections import AcceptSection
from blindspot.tools.metrics.verdict import judge
from blindspot.tools.metrics.verdict_parts import Change, Count, Parts, Turnover, end, percent, signed

if TYPE_CHECKING:
    from blindspot.storage.analysts.results import Results

BESIDE = "{name}, old model calibrated and nothing else"
MATCHED_EITHER = "{name} at matched coverage, old model calibrated or not"
BESIDE_MATCHED = "{name} at matched coverage, old model calibrated"


@dataclass(frozen=True, slots=True)
class RoundVerdict:
    """A round that trained a model version, and what its verdict rests on."""

    ended: RoundEnd
    parts: Parts

    @property
    def evidence(self) -> ReportTable:
        """A row for each figure that was weighed."""
        rows = [row for count in self.parts.counts for row in rows_of_count(count)]
        return ReportTable(("", "before", "after", "difference (95 %)", ""), (*rows, *rows_of_rest(self.parts)))

    @property
    def blind_spots(self) -> ReportTable | None:
        """A row for each blind spot; None where there are none."""
        rows = [
            (str(spot.number), " ".join(spot.words) or "–", spot.status, f"{spot.uus_before:,}", f"{spot.uus_after:,}",
             f"{spot.fixed:,}", f"{spot.new:,}", f"{spot.p_value:.2g}")
            for spot in self.parts.blind_spots
        ]  # fmt: skip
        heads = ("blind spot", "words", "now", "UUs before", "after", "fixed", "new", "p")
        return ReportTable(heads, tuple(rows), left=3) if rows else None


def read_verdicts(results: Results, summary: Summary, run: Row) -> list[RoundVerdict]:
    """Read what each round's verdict rests on; an older blindspot did not measure all that a verdict needs."""
    rounds = rows_of(results, "FROM rounds WHERE run_id = ? ORDER BY round", [summary.run_id])
    began = {row["round"]: row["model_id"] for row in rounds}
    evaluations = [Evaluation(**row) for row in rows_of(results, "FROM evaluations WHERE run_id = ?", [summary.run_id])]
    spots = read_blind_spots(results, summary.run_id)
    accept = AcceptSection.model_validate(run["settings"].get("accept", {}))
    judged = []
    for ended in summary.rounds:
        if not ended.verdict or not ended.new_model_id:
            continue
        try:
            verdict = judge(
                evaluations,
                model_id=ended.new_model_id,
                baseline_id=began[ended.round],
                tau=summary.tau,
                max_accuracy_drop=accept.max_accuracy_drop,
                blind_spots=[spot for spot in spots if spot.round == ended.round],
            )
        except ValueError:
            continue  # its sentence is told all the same
        if verdict.parts:
            judged.append(RoundVerdict(ended, verdict.parts))
    return judged


def read_blind_spots(results: Results, run_id: str) -> list[BlindSpot]:
    if not rows_of(results, "SELECT 1 FROM duckdb_tables() WHERE table_name = 'blind_spots'"):
        return []  # an older blindspot published this
    rows = rows_of(results, "FROM blind_spots WHERE run_id = ? ORDER BY round, number", [run_id])
    return [BlindSpot(**row | {"words": tuple(row["words"])}) for row in rows]


def rounds_of(judged: Sequence[RoundVerdict]) -> ReportTable | None:
    """Lay out what several rounds measured, each against the version that it began with, and what was forgotten."""
    if len(judged) < 2:
        return None
    sorts = [count.name for count in judged[-1].parts.counts]
    rows = []
    for one in judged:
        kept = one.parts.kept
        counted = [f"{count.at_tau.before:,.0f} to {count.at_tau.after:,.0f}" for count in one.parts.counts]
        closed = [sum(spot.status == status for spot in one.parts.blind_spots) for status in ("closed", "opened")]
        right_still = f"{kept.value * kept.n:,.0f} of {kept.n:,} ({percent(kept.value)})" if kept else "–"
        decision = "taken" if one.ended.accepted else "refused"
        rows.append((str(one.ended.round), decision, *counted, *map(str, closed), right_still))
    return ReportTable(
        ("round", "model", *sorts, "closed", "opened", "repaired earlier, still right"), tuple(rows), left=2
    )


def rows_of_count(count: Count) -> list[tuple[str, ...]]:
    """UUs of one sort: at tau, at matched coverage, beside calibration alone, and which came and went."""
    fell, rose = count.at_tau.fell(count.level), count.at_tau.rose()
    matched = counted(f"{count.name} at matched coverage", count.matched, fewer_or_not(count.matched))
    rows = [
        counted(count.name, count.at_tau, "fewer" if fell else "more" if rose else count.tell_undecided()),
        matched,
    ]
    if count.calibrated_matched:
        beside = counted(
            BESIDE_MATCHED.format(name=count.name), count.calibrated_matched, fewer_or_not(count.calibrated_matched)
        )
        if beside[1:] == matched[1:]:
            rows[-1] = (MATCHED_EITHER.format(name=count.name), *matched[1:])
        else:
            rows.append(beside)
    elif count.calibrated:  # an older blindspot measured it at tau alone
        high = end(count.calibrated.difference.high)
        remark = (
            "fewer than calibration alone gives" if high < 0 else "not shown to be fewer than calibration alone gives"
        )
        rows.append(counted(BESIDE.format(name=count.name), count.calibrated, remark))
    if count.turnover:
        rows += [
            (f"{count.name}: {name}", "", f"{row.value:,.0f}", f"{end(row.low):,.0f} to {end(row.high):,.0f}", "")
            for name, row in sorts_of(count.turnover)
            if row
        ]
    return rows


def sorts_of(turnover: Turnover) -> list[tuple[str, Evaluation | None]]:
    """Name the sorts of UUs that came and went; those that are None were not measured."""
    return [
        ("gone", turnover.fixed),
        ("gone, but still wrong, below tau", turnover.less_confident),
        ("new, right before", turnover.new),
        ("new, wrong before, below tau", turnover.more_confident),
    ]


def rows_of_rest(parts: Parts) -> list[tuple[str, ...]]:
    """Accuracy, and what the new model makes of texts that fooled earlier ones."""
    accuracy, held = parts.accuracy.difference, "held" if parts.accuracy_held else "fell more than allowed"
    points = in_points(accuracy)
    p_value = "" if accuracy.p_value is None else f", McNemar p = {accuracy.p_value:.2g}"
    rows: list[tuple[str, ...]] = [
        ("accuracy", percent(parts.accuracy.before), percent(parts.accuracy.after), points, f"{held}{p_value}"),
    ]
    if parts.balanced:
        sides = (percent(parts.balanced.before), percent(parts.balanced.after))
        rows.append(("balanced accuracy", *sides, in_points(parts.balanced.difference), ""))
    if parts.majority is not None:
        rows.append(("majority class", percent(parts.majority), percent(parts.majority), "", "always naming it"))
    for name, row in (("texts that fooled the original", parts.known_fixed), ("texts repaired earlier", parts.kept)):
        if row:
            interval = f"{percent(end(row.low))} to {percent(end(row.high))}"
            rows.append((f"{name} ({row.n:,}), now right", "", percent(row.value), interval, ""))
    return rows


def fewer_or_not(change: Change) -> str:
    return "fewer" if change.fell() else "not fewer"


def in_points(row: Evaluation) -> str:
    """A difference of shares with its interval, in percentage points."""
    return f"{100 * row.value:+.1f} ({100 * end(row.low):+.1f} to {100 * end(row.high):+.1f})"


def counted(name: str, change: Change, remark: str) -> tuple[str, ...]:
    row = change.difference
    interval = f"{signed(row.value)} ({signed(end(row.low))} to {signed(end(row.high))})"
    return name, f"{change.before:,.0f}", f"{change.after:,.0f}", interval, remark
