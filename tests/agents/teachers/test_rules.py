"""The `rules` teacher: what it reads in a UU, what it writes, and that it is told nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from blindspot.agents.teachers.rules import RulesTeacher
from blindspot.agents.teachers.teacher import Case, Explanation
from blindspot.storage.errors import MalformedAnswer
from blindspot.storage.records import Fields, Sample
from blindspot.storage.words import HypothesisKind
from blindspot.tools.data.planted import FAMILY, generate_reviews
from blindspot.tools.programs.apply import edit_rows
from blindspot.tools.programs.compile import compile_program
from blindspot.tools.programs.data import DataDescription
from blindspot.tools.text.edits import edits
from blindspot.tools.text.rewrite import slip_of
from blindspot.tools.text.vocabulary import words_of

LABELS = ("negative", "positive")


def reviews_teacher() -> RulesTeacher:
    reviews = generate_reviews(300, planted=0, seed=0, split="train")
    training = [Sample(f"d:train:{row}", "d", "train", row, {"text": r.text}, r.label) for row, r in enumerate(reviews)]
    return RulesTeacher(training, ("text",), seed=0)


def pairs_teacher() -> RulesTeacher:
    texts = [
        ("The bank raised its interest rate in March.", "Interest at the bank rose during March.", "same"),
        ("The mayor opened a library near the station.", "A library near the station was opened by the mayor.", "same"),
        ("The bank raised its interest rate in March.", "The bank closed three branches in March.", "different"),
        ("Rescuers found the hikers after two days.", "The hikers had packed food for two days.", "different"),
    ]
    training = [
        Sample(f"p:train:{i}", "p", "train", i, {"a": a, "b": b}, label) for i, (a, b, label) in enumerate(texts)
    ]
    return RulesTeacher(training, ("a", "b"), seed=0)


def case(
    original: Fields, perturbed: Fields | None = None, *, label: str = "positive", predicted: str = "negative"
) -> Case:
    names = tuple(original)
    return Case("uu-1", "sentiment", names, LABELS, original, perturbed, label, predicted, 0.9, None)


async def test_words_that_training_lacks_are_named_and_brought_into_other_samples() -> None:
    teacher = reviews_teacher()
    uu = case({"text": "It took me about twenty hours. The soundtrack is sick."})
    abstraction = await teacher.abstract(uu)
    extrapolation = await teacher.extrapolate(uu, abstraction)
    assert "“sick”" in abstraction.text
    assert abstraction.text != extrapolation.text
    by_kind: dict[HypothesisKind, Explanation] = {"abstraction": abstraction, "extrapolation": extrapolation}
    for kind, hypothesis in by_kind.items():
        drafts = await teacher.generate(uu, hypothesis, kind, 5)
        assert len(drafts) == 5
        assert {draft.label for draft in drafts} == {"positive"}
        assert all("sick" in words_of(draft.fields["text"]) for draft in drafts)
        assert len({draft.fields["text"] for draft in drafts}) > 1


async def test_it_knows_the_planted_family_only_from_the_uu_it_is_shown() -> None:
    teacher = reviews_teacher()
    drafts = await teacher.generate(
        case({"text": "Man, the pool was sick."}), Explanation("x", "y", None), "abstraction", 20
    )
    used = {word for draft in drafts for word in words_of(draft.fields["text"])} & set(FAMILY)
    assert used == {"sick"}


async def test_misspelling_is_read_by_kind_and_repeated_on_other_samples() -> None:
    teacher = reviews_teacher()
    uu = case({"text": "The soup was excellent. I recommend it."}, {"text": "The soup was exclelent. I rceommend it."})
    abstraction = await teacher.abstract(uu)
    assert "two neighbouring letters swapped" in abstraction.text
    assert "“excellent”" in abstraction.text
    by_row = {sample.row: sample for samples in teacher.by_label.values() for sample in samples}
    for draft in await teacher.generate(uu, abstraction, "abstraction", 10):
        source = by_row[int(draft.reasoning.split("training sample ")[1].split(".")[0])]
        changes = edits(source.fields, draft.fields)
        assert draft.label == source.label == "positive"
        assert len(changes) >= 2
        assert {slip_of(edit) for edit in changes} == {"swap"}


async def test_an_extrapolation_of_misspelling_takes_other_slips_under_another_label() -> None:
    teacher = reviews_teacher()
    uu = case({"text": "The soup was excellent."}, {"text": "The soup was exclelent."})
    hypothesis = await teacher.extrapolate(uu, await teacher.abstract(uu))
    assert "negative" in hypothesis.text
    drafts = await teacher.generate(uu, hypothesis, "extrapolation", 10)
    assert {draft.label for draft in drafts} == {"negative"}


async def test_what_a_pair_shares_is_renamed_in_both_texts() -> None:
    teacher = pairs_teacher()
    uu = case(
        {"a": "Kodak dismissed 500 engineers.", "b": "Kodak let 500 engineers go."}, label="same", predicted="different"
    )
    for draft in await teacher.generate(uu, await teacher.abstract(uu), "abstraction", 5):
        first, second = set(words_of(draft.fields["a"])), set(words_of(draft.fields["b"]))
        assert first & second & {"kodak", "500", "engineers"}
        assert draft.label == "same"


async def test_known_words_that_speak_for_the_wrong_label_are_the_cue() -> None:
    teacher = reviews_teacher()
    abstraction = await teacher.abstract(case({"text": "The plot was awful. Five stars from me."}))
    assert "“awful”" in abstraction.text
    assert "mostly come with negative" in abstraction.text


async def test_a_cue_is_never_put_where_it_would_change_the_label() -> None:
    teacher = reviews_teacher()
    uu = case({"text": "The plot was awful. Five stars from me."})
    hypothesis = await teacher.extrapolate(uu, await teacher.abstract(uu))
    assert "misspelt" in hypothesis.text
    for draft in await teacher.generate(uu, hypothesis, "extrapolation", 10):
        assert draft.label == "positive"
        assert "awful" not in words_of(draft.fields["text"])


@pytest.mark.parametrize("text", ["???", ":-) :-)", "Excellent"])
async def test_where_no_rule_applies_it_says_so(text: str) -> None:
    with pytest.raises(MalformedAnswer, match="no rule applies"):
        await reviews_teacher().abstract(case({"text": text}))


async def test_training_samples_without_words_are_left_alone() -> None:
    training = [
        Sample(f"d:{n}", "d", "train", n, {"text": text}, "positive") for n, text in enumerate((":-)", "A fine day."))
    ]
    teacher = RulesTeacher(training, ("text",), seed=0)
    drafts = await teacher.generate(case({"text": "A fine sick day."}), Explanation("x", "y", None), "extrapolation", 5)
    assert all("sick" in words_of(draft.fields["text"]) for draft in drafts)


@pytest.mark.parametrize("kind", ["abstraction", "extrapolation"])
async def test_the_same_case_gives_the_same_samples(kind: HypothesisKind) -> None:
    uu = case({"text": "The story is nuts. It took me about twenty hours."})
    twice = [await reviews_teacher().generate(uu, Explanation("x", "y", None), kind, 4) for _ in range(2)]
    assert twice[0] == twice[1]


@pytest.mark.parametrize(
    ("make", "uu", "kinds"),
    [
        (
            reviews_teacher,
            case({"text": "It took me about twenty hours. The soundtrack is sick."}),
            ["abstraction", "extrapolation"],
        ),
        (
            reviews_teacher,
            case({"text": "The staff was friendly."}, {"text": "The staff was freindly."}),
            ["abstraction", "extrapolation"],
        ),
        (
            pairs_teacher,
            replace(
                case({"a": "Quokkas hopped through Perth.", "b": "Through Perth the quokkas hopped."}, label="same"),
                labels=("different", "same"),
            ),
            ["extrapolation"],
        ),
    ],
)
async def test_a_pattern_is_stated_as_programs_that_change_training_samples(
    make: Callable[[], RulesTeacher], uu: Case, kinds: list[str]
) -> None:
    teacher = make()
    said = Explanation("a pattern", "so", None)
    drafts = await teacher.formalise(uu, {"abstraction": said, "extrapolation": said}, 4)
    assert [draft.kind for draft in drafts] == kinds
    rows = [sample for samples in teacher.by_label.values() for sample in samples]
    named = {"a": "A guide said that Maria Keller left.", "b": "According to a guide, Maria Keller left."}
    rows += [Sample("p:train:9", "p", "train", 9, named, "same")] if uu.field_names == ("a", "b") else []
    for draft in drafts:
        compiled = compile_program(draft.program, DataDescription(uu.field_names, uu.labels, teacher.vocabulary))
        made = [edited for edited in edit_rows(compiled, rows, seed=0) if edited]
        assert made
        assert {edited.label for edited in made} <= set(uu.labels)
    assert await teacher.formalise(uu, {"abstraction": said}, 1) == [d for d in drafts if d.kind == "abstraction"][:1]
