"""Reads what TextAttack found on a sample into a row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from blindspot.storage.records import Attack, Sample, make_id
from blindspot.tools.attack.plan import AttackPlan
from blindspot.tools.text.edits import words_of

QUERY_BUDGET = "query budget"  # the `error` of an attack that failed because it ran out of queries


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
