"""Attacks samples with a TextAttack recipe, many at once: the same results as one at a time, several times faster."""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from blindspot.storage.errors import BlindspotError, Cancelled
from blindspot.storage.ids import make_id
from blindspot.storage.records import Attack, Sample
from blindspot.tools.attack.engine import Oracle, OutOfTime, run_jobs
from blindspot.tools.attack.goal import Victim, copy_attack
from blindspot.tools.attack.plan import UNLIMITED, AttackPlan, Budget
from blindspot.tools.attack.recipes import build_attack, resource_error, restrict_fields
from blindspot.tools.attack.token_memory import Reader, TokenMemory
from blindspot.tools.progress import Between, IsCancelled, Report, never, nothing, silent
from blindspot.tools.text.edits import split_words

QUERY_BUDGET = "query budget"  # the `error` of an attack that failed because it ran out of queries

Text = tuple[str, ...]
AHEAD = 4  # times as many samples as are attacked at once may have begun without a row, where rows keep an order


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
        words=sum(len(split_words(text)) for text in sample.fields.values()),
        perturbed_words=None,
        error=None,
        seconds=0.0,
    )


def read_result(result: Any, probabilities: NDArray[Any], row: Attack, plan: AttackPlan) -> Attack:
    """Read TextAttack's result into a row; words are counted as its `WordsPerturbed` metric does.

    Args:
        result: a `textattack.AttackResult`.
        probabilities: of the text before and after, (2, classes), as they are to be recorded.
    """
    from textattack.attack_results import SkippedAttackResult

    before, after = probabilities
    original, perturbed = result.original_result.attacked_text, result.perturbed_result.attacked_text
    row = replace(
        row,
        original_predicted=plan.labels[before.argmax()],
        original_confidence=float(before.max()),
        words=len(original.words),
    )
    if isinstance(result, SkippedAttackResult):
        return replace(row, status="skipped")
    row = replace(row, predicted=plan.labels[after.argmax()], confidence=float(after.max()))
    if row.predicted == row.label:
        return replace(row, error=QUERY_BUDGET if row.queries == plan.limits.max_queries else None)
    texts = perturbed.tokenizer_input
    values = (texts,) if isinstance(texts, str) else texts
    return replace(
        row,
        status="flipped",
        fields=dict(zip(plan.field_names, values, strict=True)),
        perturbed_words=len(original.all_words_diff(perturbed)),
    )


class Predictor(Protocol):
    """A classifier as a black box."""

    def predict(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        """Class probabilities, (n, classes), rows sum to 1."""
        ...


@dataclass(frozen=True, slots=True)
class Models:
    """A model version under attack; made once, all recipes share what it has answered."""

    search: Oracle[Text]  # what the attack asks, and what leads it
    judge: Oracle[Text] | None = None  # in full precision, where `search` is not: has the last word, and is recorded


def oracle_of(classifier: Predictor, classes: int, *, batch: int = 256) -> Oracle[Text]:
    """Make an oracle of a classifier; one that shows the tokens that it reads computes the same ones once.

    Args:
        classes: how many probabilities it gives a text.
        batch: texts handed to it in one call.
    """
    predictor: Predictor = TokenMemory(classifier) if isinstance(classifier, Reader) else classifier
    return Oracle(lambda texts: checked(predictor.predict(texts), classes), size=characters, batch=batch)


def attack_samples(
    models: Models,
    samples: Sequence[Sample],
    plan: AttackPlan,
    *,
    budget: Budget = UNLIMITED,
    report: Report = silent,
    between: Between = nothing,
    cancelled: IsCancelled = never,
) -> Iterator[Attack]:
    """Attack each sample, and yield its row as soon as it is done, in no particular order.

    A row is what `textattack.Attack.attack` gives for this sample alone, after `random` and `numpy.random` were seeded
    with `sample_seed`; only `seconds` differs. With a judge, what TextAttack would take for a success counts if the
    judge agrees, else the search goes on; predictions and confidences of the row are the judge's, `queries` are those
    of the search alone. A sample that raises, or passes its time limit, gets status "error", the others go on. The
    iterator must be consumed in one thread.

    Args:
        budget: attacking stops at the first row at which it is spent. With a budget of UUs or queries, rows come in
            the order of the samples, so that the stop depends on nothing else; what had begun beyond it is dropped.
        between: called between two batches of questions, when every row that is done was yielded.

    Raises: SettingsError, for an unknown recipe or one whose resources are missing. Cancelled, when asked to stop:
        what was yielded stays valid.
    """
    if budget.is_spent:
        return
    attacker = Attacker.build(models, plan)
    if budget == UNLIMITED:
        samples = sorted(samples, key=text_length, reverse=True)  # a long one that comes last would be attacked alone
    ends = None if budget.seconds is None else time.monotonic() + budget.seconds

    def time_is_up() -> bool:
        return ends is not None and time.monotonic() >= ends

    def job(sample: Sample) -> Callable[[], Attack]:
        return lambda: attacker.attack(sample)

    ended = run_jobs(
        (job(sample) for sample in samples),
        together=plan.together,
        ahead=AHEAD * plan.together if budget.keeps_order else None,
        timeout_s=plan.limits.timeout_s,
        between=between,
        cancelled=lambda: cancelled() or time_is_up(),
    )
    with closing(ended):
        try:
            for done, (row, seconds) in enumerate(ended, start=1):
                report(done, len(samples))
                timed = replace(row, seconds=seconds)
                budget = budget.less([timed], plan.tau)
                yield timed
                if budget.is_spent:
                    return
        except Cancelled:
            if cancelled() or not time_is_up():
                raise


@dataclass(frozen=True, slots=True)
class Attacker:
    """A recipe around a model version, and copies of it that wait for a sample."""

    plan: AttackPlan
    prototype: Any  # a textattack.Attack
    judge: Victim | None
    idle: list[Any]

    @classmethod
    def build(cls, models: Models, plan: AttackPlan) -> Attacker:
        """Raises: SettingsError, as `build_attack` and `restrict_fields`."""
        prototype = build_attack(plan.recipe, Victim(models.search.ask), plan.sentence_encoder)
        if plan.changeable is not None:
            restrict_fields(prototype, plan.field_names, plan.changeable)
        return cls(plan, prototype, Victim(models.judge.ask) if models.judge else None, [])

    def attack(self, sample: Sample) -> Attack:
        """Attack one sample with an idle copy of the recipe, or a new one, and put it back when it is sound.

        Raises: SettingsError, when a resource of the recipe's is missing.
        """
        plan = self.plan
        attack = self.idle.pop() if self.idle else self.copy()
        attack.goal_function.num_queries = 0
        try:
            fields = OrderedDict((name, sample.fields[name]) for name in plan.field_names)
            truth = plan.labels.index(sample.label)
            random.seed(start := sample_seed(plan.seed, sample.sample_id))
            np.random.seed(start)
            result = attack.attack(fields, truth)
            probabilities = self.probabilities(result)
        except BlindspotError:
            raise
        except Exception as error:
            if isinstance(error, ImportError) or (isinstance(error, LookupError) and "NLTK" in str(error)):
                raise resource_error(plan.recipe, error) from error  # all samples would fail alike
            row = blank_row(sample, plan, attack.goal_function.num_queries)
            reason = str(error) if isinstance(error, OutOfTime) else f"{type(error).__name__}: {error}"
            return replace(row, status="error", error=reason)
        row = read_result(result, probabilities, blank_row(sample, plan, attack.goal_function.num_queries), plan)
        attack.clear_cache()
        self.idle.append(attack)
        return row

    def copy(self) -> Any:
        plan = self.plan
        return copy_attack(
            self.prototype, max_queries=plan.limits.max_queries, confidence=plan.confidence, judge=self.judge
        )

    def probabilities(self, result: Any) -> NDArray[Any]:
        """What is recorded of the texts before and after: (2, classes)."""
        both = (result.original_result, result.perturbed_result)
        if self.judge:
            return self.judge([each.attacked_text.tokenizer_input for each in both]).numpy()
        return np.stack([np.asarray(each.raw_output) for each in both])


def text_length(sample: Sample) -> int:
    return sum(map(len, sample.fields.values()))


def sample_seed(seed: int, sample_id: str) -> int:
    """The seed that `random` and `numpy.random` start from on one sample: a run's result depends on no other sample."""
    return int.from_bytes(blake2b(f"{seed}\x1f{sample_id}".encode(), digest_size=4).digest())


def checked(rows: NDArray[Any], classes: int) -> NDArray[Any]:
    """Refuse what are not probabilities.

    Raises: ValueError.
    """
    if rows.ndim != 2 or rows.shape[1] != classes:
        raise ValueError(f"the classifier gave an array of shape {rows.shape} for {classes} labels")
    if not (np.isfinite(rows).all() and np.allclose(rows.sum(axis=1), 1, atol=1e-3)):
        raise ValueError("the classifier gave rows that are not probabilities")
    return rows


def characters(text: Text) -> int:
    return sum(map(len, text))
