"""One metric before and after, and the words and numbers it is told in."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from blindspot.storage.words import LOGGED, POOLED, RECALL

SHOWN = (
    "accuracy",
    "majority_share",
    "balanced_accuracy",
    "recall",  # of each class
    "uus",
    "uus_validated",
    "uus_matched",
    "uus_calibrated_matched",
    "mean_confidence",
    "ece",
    "known_uus_fixed",
    "repaired_kept",
    "judge_agreement",
    "judge_kappa",
)
LOWER_IS_BETTER = ("uus", "uus_validated", "uus_matched", "uus_calibrated_matched", "ece")
SHARES = (
    "accuracy",
    "majority_share",
    "balanced_accuracy",
    "recall",
    "known_uus_fixed",
    "repaired_kept",
    "judge_agreement",
)


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A figure with its 95 % interval, where it has one."""

    value: float
    low: float | None
    high: float | None
    p_value: float | None
    n: int


@dataclass(frozen=True, slots=True)
class MetricChange:
    """One metric of the original model version, of the one it is compared with, and their difference."""

    metric: str  # one of SHOWN; of a class's recall with its label, as in evaluations
    recipe: str | None  # None: the clean test split, "all": every recipe's texts together
    threshold: float | None
    before: MetricValue | None
    after: MetricValue | None
    difference: MetricValue | None

    @property
    def sort(self) -> str:
        """Which of SHOWN it is."""
        return sort_of(self.metric)

    @property
    def figures(self) -> tuple[float | None, ...]:
        """What the table shows of it: before, after, and the difference with its interval."""
        sides, of = (self.before, self.after), self.difference
        return (*(side and side.value for side in sides), *((of.value, of.low, of.high) if of else ()))


def sort_of(metric: str) -> str:
    """The sort of a metric: the recalls of all classes are one."""
    return "recall" if metric.startswith(RECALL) else metric


def metric_name(change: MetricChange) -> str:
    """What a row of the table is about, and over how many texts."""
    recipes = {None: "natural", POOLED: "all attacks", LOGGED: "logged, not shown"}
    recipe = recipes.get(change.recipe, change.recipe)
    where = "clean" if change.recipe is None else recipe
    names = {
        "accuracy": "accuracy",
        "majority_share": "accuracy of always naming the majority class",
        "balanced_accuracy": "balanced accuracy",
        "recall": f"recall, {change.metric.removeprefix(RECALL)}",
        "uus": f"UUs, {recipe}",
        "uus_validated": f"UUs that a second judge confirms, {recipe}",
        "uus_matched": f"UUs at matched coverage, {recipe}",
        "uus_calibrated_matched": f"UUs at matched coverage, original calibrated, {recipe}",
        "mean_confidence": f"mean confidence, {where}",
        "ece": f"ECE, {where}",
        "known_uus_fixed": f"known UUs fixed, {recipe}",
        "repaired_kept": "repaired earlier, still right",
        "judge_agreement": f"attacked texts whose label the judge shares, {recipe}",
        "judge_kappa": f"Cohen's kappa of the judge, {recipe}",
    }
    estimate = change.before or change.after
    return f"{names[change.sort]} ({estimate.n:,})" if estimate else names[change.sort]


def value_in_words(metric: str, estimate: MetricValue | None) -> str:
    """A figure in its unit."""
    if estimate is None:
        return "–"
    if sort_of(metric) in SHARES:
        return f"{100 * estimate.value:.1f} %"
    return f"{estimate.value:,.0f}" if metric.startswith("uus") else f"{estimate.value:.3f}"


def difference(change: MetricChange) -> Text:
    """The difference with its interval; in colour where the interval leaves 0 out."""
    estimate = change.difference
    if estimate is None:
        return Text("–")
    scale, digits = (100, 1) if change.sort in SHARES else (1, 0 if change.metric.startswith("uus") else 3)
    low, high = estimate.low, estimate.high

    def signed(value: float) -> str:
        text = f"{scale * value:+,.{digits}f}"
        return text if float(text.replace(",", "")) else text[1:]

    if low is None or high is None:
        return Text(signed(estimate.value))
    better = high < 0 if change.metric in LOWER_IS_BETTER else low > 0
    worse = low > 0 if change.metric in LOWER_IS_BETTER else high < 0
    tells = change.metric != "mean_confidence"  # neither more nor less of it is better
    style = "green" if better and tells else "red" if worse and tells else ""
    return Text(f"{signed(estimate.value)} ({signed(low)} to {signed(high)})", style=style)
