"""The charts of a report: SVG that needs no script, coloured by the page, and the numbers behind each.

Colours are the page's custom properties, so that one drawing serves light and dark.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from markupsafe import Markup

from blindspot.cli.report.content import NEW, ORIGINAL, Predictions, Row
from blindspot.tools.metrics.curves import reliability, risk_coverage
from blindspot.tools.metrics.evaluate import ECE_BINS
from blindspot.tools.metrics.statistics import Floats
from blindspot.tools.uu import is_confident

WIDTH, HEIGHT = 380, 220  # pixels; the page lets a chart shrink
BINS = 20  # of the confidence histograms, over [0, 1]
CURVE_POINTS = 200
COLOURS = {ORIGINAL: "var(--original)", NEW: "var(--new)"}
DASHES = alt.StrokeDash("model:N", scale=alt.Scale(domain=[ORIGINAL, NEW], range=[[5, 3], [1, 0]]), legend=None)
PALETTE = [f"var(--series-{number})" for number in range(1, 7)]
PERCENT = alt.Axis(format=".0%", tickCount=6)


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, what it says in words, and its numbers."""

    title: str
    words: str
    svg: Markup
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def draw_svg(chart: Any) -> Markup:
    """Draw a chart; the library escapes every text in it."""
    text = io.StringIO()
    chart.properties(width=WIDTH, height=HEIGHT, background="transparent", padding=4).configure(
        font="system-ui, sans-serif"
    ).configure_axis(
        labelColor="var(--soft)",
        titleColor="var(--soft)",
        titleFontWeight="normal",
        labelFontSize=11,
        titleFontSize=12,
        gridColor="var(--line)",
        domainColor="var(--line)",
        tickColor="var(--line)",
    ).configure_view(stroke=None).configure_legend(
        labelColor="var(--ink)", labelFontSize=12, columnPadding=18, symbolOpacity=1, symbolStrokeWidth=3
    ).save(text, format="svg")
    return Markup(text.getvalue())


def legend_of(symbol: str) -> Any:
    """A legend above a chart, of "square" or "stroke" symbols."""
    fill = "transparent" if symbol == "stroke" else alt.Undefined
    return alt.Legend(title=None, orient="top", symbolType=symbol, symbolFillColor=fill)


def colour(sides: Mapping[str, Any], symbol: str) -> Any:
    """Tell the model versions apart; one alone needs no legend."""
    legend = legend_of(symbol) if len(sides) > 1 else None
    scale = alt.Scale(domain=list(sides), range=[COLOURS[side] for side in sides])
    return alt.Color("model:N", scale=scale, legend=legend)


def by_side(sides: Mapping[str, str]) -> str:
    """Say something of each model version; of one alone without its name."""
    return "; ".join(f"{side}: {words}" if len(sides) > 1 else words for side, words in sides.items())


def values(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Hand rows to a chart."""
    return {"values": [dict(row) for row in rows]}


def histogram(title: str, sides: Mapping[str, Floats], tau: float) -> Figure:
    """Draw how confident each model version is of what it gets wrong, side by side in each bin.

    Args:
        sides: "original" and "new" -> the confidences, (n,).
        tau: where UUs begin; marked.
    Source: IBS, figures 4 and 5.
    """
    edges = np.linspace(0, 1, BINS + 1)
    counts = {side: np.histogram(confidence, edges)[0] for side, confidence in sides.items()}
    first = next((place for place in range(BINS) if any(bins[place] for bins in counts.values())), BINS // 2)
    first = min(first, BINS // 2)
    bar = (edges[1] - edges[0]) * 0.9 / max(1, len(counts))
    bars = [
        {"model": side, "from": low, "to": low + bar, "texts": int(counts[side][place]), "base": 0}
        for place in range(first, BINS)
        for offset, side in enumerate(counts)
        for low in [float(edges[place]) + 0.05 * (edges[1] - edges[0]) + offset * bar]
    ]
    across = alt.X(
        "from:Q", title="confidence", axis=PERCENT, scale=alt.Scale(domain=[float(edges[first]), 1], nice=False)
    )
    most = max((int(bins.max()) for bins in counts.values()), default=0)
    up = alt.Y("texts:Q", title="texts", axis=alt.Axis(tickCount=min(6, max(1, most)), format="d"))
    drawn = (
        alt.Chart(values(bars)).mark_bar().encode(x=across, x2="to:Q", y=up, y2="base:Q", color=colour(sides, "square"))
    )
    rule = alt.Chart(values([{"tau": tau}])).mark_rule(color="var(--soft)", strokeDash=[2, 2]).encode(x="tau:Q")
    words = {side: f"{is_confident(of, tau).sum():,} of {len(of):,} at {tau:g} or more" for side, of in sides.items()}
    rows = [
        (f"{edges[place]:.2f} to {edges[place + 1]:.2f}", *(f"{bins[place]:,}" for bins in counts.values()))
        for place in range(first, BINS)
    ]
    return Figure(title, by_side(words), draw_svg(drawn + rule), ("confidence", *counts), tuple(rows))


def reliability_diagram(title: str, sides: Mapping[str, Predictions]) -> Figure:
    """Draw how often each model version is right where it is how confident; on the diagonal it can be believed."""
    rows: list[Row] = [
        {"model": side, "confidence": one.confidence, "accuracy": one.accuracy, "texts": one.n,
         "bin": f"{one.low:.2f} to {one.high:.2f}"}
        for side, of in sides.items()
        for one in reliability(of.confidence, of.wrong, bins=ECE_BINS)
    ]  # fmt: skip
    low = min([row["confidence"] for row in rows], default=0.5)
    start = min(0.5, np.floor(10 * low) / 10)
    across = alt.X(
        "confidence:Q", title="confidence, mean of a bin", axis=PERCENT, scale=alt.Scale(domain=[start, 1], nice=False)
    )
    up = alt.Y("accuracy:Q", title="accuracy", axis=PERCENT, scale=alt.Scale(domain=[0, 1]))
    base = alt.Chart(values(rows))
    ends = [{"confidence": start, "accuracy": start}, {"confidence": 1.0, "accuracy": 1.0}]
    ideal = alt.Chart(values(ends)).mark_line(color="var(--soft)", strokeWidth=1, strokeDash=[2, 2])
    color = colour(sides, "stroke")
    lines = base.mark_line(strokeWidth=1).encode(x=across, y=up, color=color, strokeDash=DASHES)
    size = alt.Size("texts:Q", legend=None, scale=alt.Scale(range=[15, 220]))
    dots = base.mark_point(filled=True, opacity=1).encode(x=across, y=up, color=color, size=size)
    chart = ideal.encode(x=across, y=up) + lines + dots
    words = {side: f"{len(of):,} texts, {1 - of.wrong.mean():.1%} right" for side, of in sides.items()}
    cells = [
        (row["model"], row["bin"], f"{row['texts']:,}", f"{row['confidence']:.3f}", f"{row['accuracy']:.3f}")
        for row in rows
    ]
    columns = ("model", "confidence", "texts", "mean confidence", "accuracy")
    return Figure(title, by_side(words), draw_svg(chart), columns, tuple(cells))


def risk_coverage_curve(title: str, sides: Mapping[str, Predictions], tau: float) -> Figure:
    """Draw the error among the most confident texts as more are answered; a dot is where a version stands at tau."""
    curves = {side: risk_coverage(of.confidence, of.wrong, most=CURVE_POINTS) for side, of in sides.items()}
    rows = [
        {"model": side, "coverage": point.coverage, "risk": point.risk} for side, of in curves.items() for point in of
    ]
    at_tau = [
        {"model": side, "coverage": float(sure.mean()), "risk": float(of.wrong[sure].mean())}
        for side, of in sides.items()
        for sure in [is_confident(of.confidence, tau)]
        if sure.any()
    ]
    across = alt.X("coverage:Q", title="share of texts answered", axis=PERCENT, scale=alt.Scale(domain=[0, 1]))
    up = alt.Y("risk:Q", title="wrong among them", axis=PERCENT)
    color = colour(sides, "stroke")
    lines = alt.Chart(values(rows)).mark_line().encode(x=across, y=up, color=color, strokeDash=DASHES)
    dots = alt.Chart(values(at_tau)).mark_point(filled=True, size=70, opacity=1).encode(x=across, y=up, color=color)
    words = {
        str(row["model"]): f"{row['risk']:.1%} wrong of the {row['coverage']:.1%} of texts at {tau:g} or more"
        for row in at_tau
    }
    shown = {side: of[:: max(1, len(of) // 20)] for side, of in curves.items()}
    cells = [
        (side, f"{point.coverage:.1%}", f"{point.risk:.1%}", f"{point.confidence:.3f}")
        for side, of in shown.items()
        for point in of
    ]
    columns = ("model", "answered", "wrong among them", "least confidence")
    return Figure(title, by_side(words), draw_svg(lines + dots), columns, tuple(cells))


def uus_by_round(rounds: Sequence[Row]) -> Figure:
    """Draw the UUs on the test split after each round, with 95 % intervals; a hollow dot is a model that was refused.

    Args:
        rounds: of `read_rounds`.
    """
    last = max(row["round"] for row in rounds)
    order = list(dict.fromkeys(row["recipe"] for row in rounds))
    rows = [
        {name: row[name] for name in ("recipe", "round", "uus", "low", "high")}
        | {"fill": PALETTE[order.index(row["recipe"]) % len(PALETTE)] if row["taken"] else "var(--page)"}
        for row in rounds
    ]
    ticks = alt.Axis(values=list(range(last + 1)), format="d", grid=False)
    across = alt.X("round:Q", title="round (0: original)", axis=ticks, scale=alt.Scale(domain=[-0.2, last + 0.2]))
    up = alt.Y("uus:Q", title="UUs on the test split", scale=alt.Scale(zero=True))
    legend = legend_of("stroke")
    color = alt.Color("recipe:N", sort=order, scale=alt.Scale(domain=order, range=PALETTE), legend=legend)
    base = alt.Chart(values(rows))
    known = alt.Chart(values([row for row in rows if row["low"] is not None and row["high"] is not None]))
    ends = alt.Y("low:Q", title="UUs on the test split")
    bars = known.mark_rule(opacity=0.6).encode(x=across, y=ends, y2="high:Q", color=color)
    lines = base.mark_line().encode(x=across, y=up, color=color)
    fill = alt.Fill("fill:N", scale=None)
    dots = base.mark_point(size=70, opacity=1, strokeWidth=2).encode(x=across, y=up, color=color, fill=fill)
    cells = [
        (row["recipe"], str(row["round"]), "taken" if row["taken"] else "refused", f"{row['uus']:,.0f}",
         "–" if row["low"] is None or row["high"] is None else f"{row['low']:,.0f} to {row['high']:,.0f}",
         f"{row['n']:,}")
        for row in rounds
    ]  # fmt: skip
    columns = ("attack", "round", "model", "UUs", "95 % interval", "texts")
    words = "Lines through every model that was trained; a hollow dot is one that was refused."
    return Figure("UUs by round", words, draw_svg(lines + bars + dots), columns, tuple(cells))
