"""A filter that refuses one sort of samples far more than the others says so, with numbers; else it is quiet."""

from __future__ import annotations

from blindspot.storage.records import SyntheticSample
from blindspot.tools.additions.filter import uneven_refusals


def judged(label: str, samples: int, rejected: int, check: str = "bertscore") -> list[SyntheticSample]:
    return [
        SyntheticSample(
            f"{label}-{number}", "r", 1, "hyp", 0, {"text": "x"}, label, "", None,
            accepted=number >= rejected, rejected_by=check if number < rejected else None,
        )
        for number in range(samples)
    ]  # fmt: skip


def by_label(rows: list[SyntheticSample]) -> dict[str, str]:
    return {row.synthetic_id: f"label {row.label}" for row in rows}


def test_a_label_that_is_refused_far_more_is_named_with_its_numbers() -> None:
    rows = judged("ham", 276, 124) + judged("spam", 44, 0)
    [uneven] = uneven_refusals(rows, [by_label(rows)])
    text = "label ham 124 of 276 (45%; 124 by bertscore) against 0 of 44 (0%) of the others, p 8e-11"
    assert str(uneven).rpartition(", p ")[0] == text.rpartition(", p ")[0]
    assert 0 < uneven.p < 1e-6


def test_equal_shares_small_numbers_and_less_than_twice_as_many_are_no_reason_to_warn() -> None:
    for rows in (
        judged("ham", 200, 60) + judged("spam", 200, 60),
        judged("ham", 4, 3) + judged("spam", 4, 0),
        judged("ham", 2000, 1000) + judged("spam", 2000, 700),
        judged("ham", 200, 200),
        judged("ham", 200, 0) + judged("spam", 200, 0),
        [],
    ):
        assert uneven_refusals(rows, [by_label(rows)]) == []


def test_more_comparisons_ask_for_more_and_a_grouping_may_leave_samples_out() -> None:
    rows = judged("ham", 12, 7) + judged("spam", 12, 0)
    grouping = by_label(rows)
    assert len(uneven_refusals(rows, [grouping])) == 1
    assert uneven_refusals(rows, [grouping] * 5) == []
    assert uneven_refusals(rows, [{key: name for key, name in grouping.items() if "ham" in name}]) == []
