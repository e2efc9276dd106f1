"""Attacks samples with a TextAttack recipe, many at once: the same results as one at a time, several times faster."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from blindspot.storage.errors import BlindspotError
from blindspot.storage.records import Attack, Sample, make_id
from blindspot.tools.attack_engine import Oracle, run_jobs
from blindspot.tools.attack_recipes import Victim, build_attack, copy_attack, resource_error
from blindspot.tools.edits import words_of
from blindspot.tools.progress import IsCancelled, Report, never, silent

Text = tuple[str, ...]
UNCONFIRMED = (
    "not confirmed in full precision"  # the `error` of an attack that the search and the judge see differently
)
QUERY_BUDGET = "query budget"  # the `error` of an attack that failed because it ran out of queries


class Predictor(Protocol):
    """A classifier as a black box."""

    def predict(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        """Class probabilities, (n, classes), rows sum to 1."""
        ...


@dataclass(frozen=True, slots=True)
class AttackPlan:
    """What is attacked, and how."""

    run_id: str
    model_id: str
    recipe: str
    seed: int
    max_queries: int | None  # a sample's attack ends there; None: no limit
    together: int  # samples attacked side by side; changes the speed, not the results
    field_names: tuple[str, ...]  # in the order of the predictor's texts
    labels: tuple[str, ...]  # in the order of the predictor's columns
    confidence: float | None = None  # search on until a wrong class has this much; None: until the label flips


def sample_seed(seed: int, sample_id: str) -> int:
    """The seed that `random` and `numpy.random` start from on one sample: a run's result hangs on no other sample."""
    return int.from_bytes(blake2b(f"{seed}\x1f{sample_id}".encode(), digest_size=4).digest())


def attack_samples(
    classifier: Predictor,
    samples: Sequence[Sample],
    plan: AttackPlan,
    *,
    judge: Predictor | None = None,
    report: Report = silent,
    cancelled: IsCancelled = never,
) -> Iterator[Attack]:
    """Attack each sample, and yield its row as soon as it is done, in no particular order.

    Args:
        judge: the classifier in full precision, where the one that is searched with is not: what the search found
            counts only as far as the judge agrees.

    A row is what `textattack.Attack.attack` gives for this sample alone, after `random` and `numpy.random` were seeded
    with `sample_seed`; only `seconds` differs. A sample that raises gets status "error", the others go on. The
    iterator must be consumed in one thread.

    Raises: SettingsError, for an unknown recipe or one whose resources are missing. Cancelled, when asked to stop:
        what was yielded stays valid.
    """
    oracle = Oracle(lambda texts: checked(classifier.predict(texts), len(plan.labels)), size=characters)
    prototype = build_attack(plan.recipe, Victim(oracle.ask))
    idle: list[Any] = []
    samples_by_id = {sample.sample_id: sample for sample in samples}

    def job(sample: Sample) -> Callable[[], Attack]:
        return lambda: attack_sample(sample, plan, prototype, idle)

    ended = run_jobs((job(sample) for sample in samples), together=plan.together, cancelled=cancelled)
    for done, (row, seconds) in enumerate(ended, start=1):
        report(done, len(samples))
        confirmed = confirm(row, samples_by_id[row.sample_id], plan, judge) if judge else row
        yield replace(confirmed, seconds=seconds)


def confirm(row: Attack, sample: Sample, plan: AttackPlan, judge: Predictor) -> Attack:
    """See what a classifier says of a sample and of its perturbed text, and correct the row by it.

    A flip that it does not see is a failed attack; a sample that it gets wrong as it is was none to attack.
    """
    if row.status == "error":
        return row
    texts = [tuple(fields[name] for name in plan.field_names) for fields in (sample.fields, row.fields) if fields]
    probabilities = checked(judge.predict(texts), len(plan.labels))
    said = [
        (plan.labels[best], float(each.max()))
        for best, each in zip(probabilities.argmax(axis=1), probabilities, strict=True)
    ]
    row = replace(row, original_predicted=said[0][0], original_confidence=said[0][1])
    if said[0][0] != row.label:
        return replace(
            row, status="skipped", fields=None, predicted=None, confidence=None, perturbed_words=None, error=None
        )
    if row.status == "skipped":
        return replace(row, status="failed", error=UNCONFIRMED)
    if row.fields is None:
        return row
    row = replace(row, predicted=said[1][0], confidence=said[1][1])
    if row.predicted == row.label:
        return replace(row, status="failed", fields=None, perturbed_words=None, error=UNCONFIRMED)
    return row


def attack_sample(sample: Sample, plan: AttackPlan, prototype: Any, idle: list[Any]) -> Attack:
    """Attack one sample with an idle copy of the recipe, or a new one, and put it back when it is sound.

    Raises: SettingsError, when a resource of the recipe's is missing.
    """
    attack = idle.pop() if idle else copy_attack(prototype, plan.max_queries, plan.confidence)
    attack.goal_function.num_queries = 0
    try:
        fields = OrderedDict((name, sample.fields[name]) for name in plan.field_names)
        truth = plan.labels.index(sample.label)
        random.seed(start := sample_seed(plan.seed, sample.sample_id))
        np.random.seed(start)
        result = attack.attack(fields, truth)
    except BlindspotError:
        raise
    except Exception as error:
        if isinstance(error, ImportError) or (isinstance(error, LookupError) and "NLTK" in str(error)):
            raise resource_error(plan.recipe, error) from error  # all samples would fail alike
        row = blank_row(sample, plan, attack.goal_function.num_queries)
        return replace(row, status="error", error=f"{type(error).__name__}: {error}")
    row = read_result(result, blank_row(sample, plan, attack.goal_function.num_queries), plan)
    attack.clear_cache()
    idle.append(attack)
    return row


def blank_row(sample: Sample, plan: AttackPlan, queries: int) -> Attack:
    """What is known of an attack without its result."""
    return Attack(
        attack_id=make_id("atk", plan.run_id, plan.model_id, plan.recipe, sample.sample_id),
        run_id=plan.run_id,
        model_id=plan.model_id,
        sample_id=sample.sample_id,
        split=sample.split,
        recipe=plan.recipe,
        status="failed",
        fields=None,
        label=sample.label,
        predicted=None,
        confidence=None,
        original_predicted=None,
        original_confidence=None,
        queries=queries,
        words=sum(len(words_of(text)) for text in sample.fields.values()),
        perturbed_words=None,
        error=None,
        seconds=0.0,
    )


def read_result(result: Any, row: Attack, plan: AttackPlan) -> Attack:
    """Read TextAttack's result into a row; words are counted as its `WordsPerturbed` metric does."""
    from textattack.attack_results import SkippedAttackResult

    original, perturbed = result.original_result, result.perturbed_result
    row = replace(
        row,
        original_predicted=plan.labels[original.output],
        original_confidence=float(original.raw_output.max()),
        words=len(original.attacked_text.words),
    )
    if isinstance(result, SkippedAttackResult):
        return replace(row, status="skipped")
    row = replace(row, predicted=plan.labels[perturbed.output], confidence=float(perturbed.raw_output.max()))
    if row.predicted == row.label:
        return replace(row, error=QUERY_BUDGET if row.queries == plan.max_queries else None)
    texts = perturbed.attacked_text.tokenizer_input
    values = (texts,) if isinstance(texts, str) else texts
    return replace(
        row,
        status="flipped",
        fields=dict(zip(plan.field_names, values, strict=True)),
        perturbed_words=len(original.attacked_text.all_words_diff(perturbed.attacked_text)),
    )


def checked(rows: NDArray[Any], classes: int) -> NDArray[Any]:
    """Refuse what are no probabilities.

    Raises: ValueError.
    """
    if rows.ndim != 2 or rows.shape[1] != classes:
        raise ValueError(f"the classifier gave an array of shape {rows.shape} for {classes} labels")
    if not (np.isfinite(rows).all() and np.allclose(rows.sum(axis=1), 1, atol=1e-3)):
        raise ValueError("the classifier gave rows that are no probabilities")
    return rows


def characters(text: Text) -> int:
    return sum(map(len, text))
