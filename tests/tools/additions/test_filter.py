"""The quality checks on synthetic samples keep or reject; they change nothing and do not depend on the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.storage.errors import Cancelled
from blindspot.storage.records import Sample, SyntheticSample
from blindspot.tools.additions.filter import CHECKS, FilterContext, FilterPlan, filter_samples
from blindspot.tools.classifier.classifier import FloatArray
from blindspot.tools.progress import IsCancelled, Report
from blindspot.tools.text.similarity import BertScorer

PLAN = FilterPlan(
    field_names=("a", "b"),
    labels=("yes", "no"),
    min_characters=40,
    near_duplicate=0.9,
    bertscore=0.3,
    near_training=0.95,
)
TRAINING = [
    ("The company said it would pay a dividend this year.", "It will pay shareholders, the firm said."),
    ("A storm closed the airport on Sunday night.", "Flights stopped when the weather turned."),
    ("The council raised the price of bus tickets.", "Going by bus is to cost more from May."),
]
GOOD = ("The bank said that it would cut its dividend.", "Shareholders will get less, said the bank.")


class SharedWords:
    """Scores a text by the share of its words that its best reference has too."""

    def best_f1(
        self, candidates: Sequence[str], references: Sequence[str], report: Report, cancelled: IsCancelled
    ) -> FloatArray:
        if cancelled():
            raise Cancelled("stopped")
        report(len(candidates), len(candidates))
        words = [set(reference.lower().split()) for reference in references]
        return np.array(
            [max(len(set(c.lower().split()) & w) / max(len(c.split()), 1) for w in words) for c in candidates],
            dtype=np.float32,
        )


def sample(row: int, texts: tuple[str, str]) -> Sample:
    return Sample(f"ds:train:{row}", "ds", "train", row, {"a": texts[0], "b": texts[1]}, "yes")


def draft(name: str, texts: tuple[str, ...] = GOOD, label: str = "yes") -> SyntheticSample:
    return SyntheticSample(name, "r", 1, "hyp", 0, dict(zip("abc", texts, strict=False)), label, "because", None)


def context(plan: FilterPlan = PLAN, accepted: Sequence[SyntheticSample] = ()) -> FilterContext:
    training = [sample(row, texts) for row, texts in enumerate(TRAINING)]
    return FilterContext(plan, SharedWords(), ["\n".join(texts) for texts in TRAINING], training, accepted=accepted)


def judge(*drafts: SyntheticSample, accepted: Sequence[SyntheticSample] = ()) -> list[str | None]:
    return [result.rejected_by for result in filter_samples(drafts, context(accepted=accepted))]


def test_a_good_sample_passes_every_check() -> None:
    [result] = filter_samples([draft("s1")], context())
    assert result.accepted
    assert result.rejected_by is None
    assert result.verdicts == dict.fromkeys(CHECKS, True)
    assert result.scores is not None
    assert result.scores["characters"] == sum(len(text) for text in GOOD)
    assert 0.3 < result.scores["nearest_training"] < 0.9
    assert result.scores["nearest_synthetic"] == 0.0


@pytest.mark.parametrize(
    ("bad", "check"),
    [
        (draft("s", GOOD[:1]), "fields"),
        (draft("s", (*GOOD, "one more")), "fields"),
        (draft("s", (GOOD[0], " ")), "fields"),
        (draft("s", ()), "fields"),
        (draft("s", label="Yes"), "label"),
        (draft("s", ("The dividend", "said " + " " * 60)), "length"),
        (draft("s", (TRAINING[0][0].upper(), "  " + TRAINING[0][1])), "exact_duplicate"),
        (draft("s", (TRAINING[0][0].replace("dividend", "dividned"), TRAINING[0][1])), "near_duplicate"),
        (draft("s", ("asdf jkl qwer uiop zxcv bnm", "hjkl yuio vbnm dfgh rtzu")), "bertscore"),
    ],
)
def test_each_check_rejects_what_it_is_for(bad: SyntheticSample, check: str) -> None:
    [result] = filter_samples([bad], context())
    assert result.accepted is False
    assert result.rejected_by == check
    assert result.verdicts is not None
    assert list(result.verdicts) == list(CHECKS)
    assert not result.verdicts[check]


def test_later_checks_are_scored_when_an_earlier_one_fails() -> None:
    [result] = filter_samples([draft("s", ("xyzzy", ""), "maybe")], context())
    assert result.verdicts == {
        "fields": False, "label": False, "length": False, "exact_duplicate": True, "near_duplicate": True,
        "bertscore": False,
    }  # fmt: skip
    assert set(result.scores or {}) == {"characters", "nearest_training", "nearest_synthetic", "bertscore"}


def test_of_two_copies_the_one_with_the_higher_id_loses() -> None:
    near = (GOOD[0].replace("bank", "bnak"), GOOD[1])
    assert judge(draft("s2", near), draft("s1"), draft("s3", GOOD)) == [None, "near_duplicate", "exact_duplicate"]


def test_a_sample_that_is_rejected_takes_no_other_with_it() -> None:
    assert judge(draft("s1", label="maybe"), draft("s2")) == ["label", None]


def test_samples_of_earlier_rounds_count_as_known() -> None:
    earlier = draft("s0", (GOOD[0], GOOD[1].upper()))
    assert judge(draft("s1"), accepted=[earlier]) == ["exact_duplicate"]
    assert judge(draft("s0"), accepted=[earlier]) == [None]  # itself, filtered again


def test_a_threshold_of_one_on_training_samples_lets_edits_of_them_pass() -> None:
    edit = draft("s", (TRAINING[0][0].replace("dividend", "dividned"), TRAINING[0][1]))
    copy = draft("t", TRAINING[0])
    results = filter_samples([edit, copy], context(replace(PLAN, near_training=1.0)))
    assert [result.rejected_by for result in results] == [None, "exact_duplicate"]
    [result] = filter_samples([edit], context(replace(PLAN, near_training=None)))
    assert result.rejected_by == "near_duplicate"


def test_a_copy_of_a_text_that_the_teacher_was_shown_is_refused_and_another_wording_is_not() -> None:
    shown = replace(context(), shown=["\n".join(GOOD).upper()])
    other = (GOOD[0].replace("cut", "halve"), GOOD[1])
    results = filter_samples([draft("s1"), draft("s2", other)], shown)
    assert [result.rejected_by for result in results] == ["exact_duplicate", None]


def test_a_sample_has_the_length_that_its_hypothesis_asks_for() -> None:
    short = ("The bank will pay", "a dividend")
    for least, expected in ((len("".join(short)), None), (len("".join(short)) + 1, "length")):
        [result] = filter_samples([draft("s1", short)], replace(context(), least={"hyp": least}))
        assert result.rejected_by == expected
    [result] = filter_samples([draft("s1", short)], replace(context(), least={"another": 1}))
    assert result.rejected_by == "length"


def test_bertscore_itself_does_the_scoring() -> None:
    texts = ["A cat sat on the mat, said the firm.", "asdf jkl qwer uiop zxcv bnm hjkl yuio vbnm"]
    plan = FilterPlan(("a",), ("yes",), 10, 0.9, 0.3)
    training = [Sample("ds:train:0", "ds", "train", 0, {"a": "The firm said that cats sat on its mats."}, "yes")]
    drafts = [draft(f"s{row}", (text,)) for row, text in enumerate(texts)]
    results = filter_samples(drafts, FilterContext(plan, BertScorer(), [training[0].fields["a"]], training))
    assert [result.rejected_by for result in results] == [None, "bertscore"]


def test_a_filter_reports_can_be_cancelled_and_given_nothing() -> None:
    assert filter_samples([], context()) == []
    told: list[tuple[int, int]] = []
    filter_samples([draft("s")], context(), report=lambda done, total: told.append((done, total)))
    assert told == [(1, 1), (1, 1)]  # near duplicates, then BERTScore
    with pytest.raises(Cancelled):
        filter_samples([draft("s")], context(), cancelled=lambda: True)


words = st.sampled_from(["The bank", "said", "it would pay", "a dividend", "this year.", "zxcv", "A storm", " "])
sentences = st.lists(words, max_size=9).map(" ".join)
drafts_of = st.lists(
    st.tuples(st.lists(sentences, max_size=3), st.sampled_from(["yes", "no", "maybe"])), min_size=1, max_size=8
).map(lambda rows: [draft(f"s{row}", tuple(texts), label) for row, (texts, label) in enumerate(rows)])


@given(drafts=drafts_of, data=st.data())
def test_a_filter_only_removes_and_the_order_does_not_matter(
    drafts: list[SyntheticSample], data: st.DataObject
) -> None:
    results = filter_samples(drafts, context())
    unjudged = [replace(r, accepted=None, rejected_by=None, verdicts=None, scores=None) for r in results]
    assert unjudged == drafts
    assert all(result.accepted == all((result.verdicts or {"": False}).values()) for result in results)
    assert filter_samples(data.draw(st.permutations(drafts)), context()) == results
    kept = [result for result in results if result.accepted]
    assert [result.accepted for result in filter_samples(kept, context())] == [True] * len(kept)
