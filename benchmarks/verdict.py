"""How often does the verdict take which model? Simulated pairs of models whose difference is known, judged by the rule.

A sample has a margin, the same for both models up to the noise of training again, which moves each model's margin by
itself; the sign is right or wrong, the size gives the confidence. 600 clean rows, 200 of them attacked: an attack takes
away a part of the margin and stops where it has changed the sign, so about half of its finds are UUs. What "better" and
"shy" mean in numbers stands in `MODELS`. One line a model: the share that is taken by the rule as it is (natural UUs of
the clean split and UUs under attack, either may fall), and by the first rule of UUs under attack alone.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.special import expit

from blindspot.storage.records import Evaluation
from blindspot.storage.words import POOLED
from blindspot.tools.metrics.coverage import matched_thresholds
from blindspot.tools.metrics.evaluate import accuracy, own_weights, strata_of, uus, uus_by_sample, uus_matched
from blindspot.tools.metrics.figure import Key, Scope, bootstrap, evaluation
from blindspot.tools.metrics.outcomes import ModelOutcomes, Outcomes, by_recipe, columns_of
from blindspot.tools.metrics.statistics import Floats, Mask, mcnemar, share_interval, sign_test
from blindspot.tools.metrics.verdict import judge

ROWS, ATTACKED, RESAMPLES, TAU, DROP = 600, 200, 500, 0.65, 0.01
RETRAINED = 0.5  # standard deviation of what training again does to a margin; that of the samples is 2


@dataclass(frozen=True, slots=True)
class Model:
    """How a new model differs from the old one, besides the noise of training again."""

    gain: float = 0.0  # added to every clean margin
    defence: float = 1.0  # what an attack takes away, times this
    sureness: float = 1.0  # margins as confidence sees them, times this


MODELS: Mapping[str, Model] = {
    "no different": Model(),
    "merely shy": Model(sureness=0.5),
    "better": Model(gain=0.25, defence=0.8),
    "better and shy": Model(gain=0.25, defence=0.8, sureness=0.5),
    "merely bold": Model(sureness=2.0),
    "better on clean texts alone": Model(gain=0.4, defence=1.15),
    "better under attack alone": Model(defence=0.6),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 repetitions in place of 150")
    parser.add_argument("--repetitions", type=int, default=150)
    options = parser.parse_args()
    repetitions = 20 if options.quick else options.repetitions
    for name, model in MODELS.items():
        taken = np.array([decide(model, [number, seed_of(name)]) for number in range(repetitions)])
        shares = [share_text(int(rule.sum()), repetitions) for rule in taken.T]
        print(f"verdict_taken, {name}: {shares[0]} by two counts, {shares[1]} by UUs under attack alone", flush=True)
    print(f"n = {repetitions} pairs each, {ROWS} rows, {ATTACKED} attacked, {RESAMPLES} resamples, tau {TAU}")


def seed_of(name: str) -> int:
    return list(MODELS).index(name)


def share_text(count: int, total: int) -> str:
    low, high = share_interval(count, total)
    return f"{count / total:.0%} (95 % interval {low:.0%} to {high:.0%})"


def decide(model: Model, seed: list[int]) -> tuple[bool, bool]:
    """Make a pair of models and judge it. Returns: whether it is taken by two counts, and by one."""
    generator = np.random.default_rng(seed)
    margins, force = generator.normal(2.0, 2.0, ROWS), generator.gamma(2.0, 1.2, ATTACKED)
    old = drawn("old", margins, force, Model(), generator)
    new = drawn("new", margins, force, model, generator)
    rows = evaluations(new, old, seed)
    verdict = judge(rows, model_id="new", baseline_id="old", tau=TAU, max_accuracy_drop=DROP)
    assert verdict.parts is not None
    _, attacked = verdict.parts.counts
    first = attacked.at_tau.fell() and attacked.matched.fell() and verdict.parts.accuracy_held
    return verdict.accepted, first


def drawn(name: str, margins: Floats, force: Floats, model: Model, generator: np.random.Generator) -> ModelOutcomes:
    """Draw what one model says of the clean rows, and of the attacked ones after the attack."""
    own = margins + model.gain + generator.normal(0, RETRAINED, ROWS)
    hit, beyond = own[:ATTACKED], generator.exponential(0.9, ATTACKED)
    flipped = (hit > 0) & (hit < model.defence * force)
    after = np.where(flipped, -beyond, hit)
    nothing = np.zeros(ROWS, dtype=bool)
    return ModelOutcomes(
        name,
        outcomes(model.sureness * own, nothing),
        {"attack": outcomes(model.sureness * after, flipped)},
    )


def outcomes(margins: Floats, flipped: Mask) -> Outcomes:
    """Of a binary task in which class 1 is always the true one."""
    right = expit(margins)
    ids = tuple(f"s{row:03d}" for row in range(len(margins)))
    return Outcomes(ids, np.ones(len(margins), dtype=np.int64), np.stack([1 - right, right], axis=1), flipped)


def evaluations(new: ModelOutcomes, old: ModelOutcomes, seed: list[int]) -> list[Evaluation]:
    """The figures that the rule reads, and no others: `evaluate.py` takes all metrics and 50 times as long."""
    scope = Scope("run-1", 1, TAU, (), RESAMPLES, seed[0])
    rows = [
        evaluation(scope, key, estimate, ROWS, model.model_id)
        for model in (new, old)
        for key, estimate in bootstrap(
            partial(measured, model, old.clean), strata_of(model), replace(scope, resamples=1)
        ).items()
    ]

    def change(weights: Floats) -> dict[Key, Floats]:
        before = measured(old, old.clean, weights)
        return {key: value - before[key] for key, value in measured(new, old.clean, weights).items()}

    sides = [by_recipe(model.clean, model.perturbed) for model in (new, old)]
    columns = columns_of(new.clean.sample_ids)
    for key, estimate in bootstrap(change, strata_of(new), scope).items():
        if key[0] == "accuracy":
            estimate = replace(estimate, p_value=mcnemar(~new.clean.wrong, ~old.clean.wrong))
        elif key[0] == "uus":
            counts = [uus_by_sample(side[key[1]], TAU, columns) for side in sides]
            estimate = replace(estimate, p_value=sign_test(counts[0] - counts[1]))
        rows.append(evaluation(scope, key, estimate, ROWS, "new", "old"))
    return rows


def measured(model: ModelOutcomes, original: Outcomes, weights: Floats) -> dict[Key, Floats]:
    """Accuracy, UUs at tau and at matched coverage, in each resample."""
    matched = matched_thresholds(original, model.clean, weights, weights, TAU)
    values: dict[Key, Floats] = {("accuracy", None, None): accuracy(model.clean, weights)}
    columns = columns_of(model.clean.sample_ids)
    for recipe, rows in by_recipe(model.clean, model.perturbed).items():
        if recipe in (None, POOLED):
            own = own_weights(rows, weights, columns)
            values["uus", recipe, TAU] = uus(rows, own, TAU)
            values["uus_matched", recipe, TAU] = uus_matched(rows, own, matched)
    return values


if __name__ == "__main__":
    main()
