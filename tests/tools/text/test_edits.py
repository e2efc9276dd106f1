"""Changed words between an original and a perturbed text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from blindspot.tools.text.edits import Edit, edits, split_words

words = st.text("abcxyz'-", min_size=1, max_size=6).map(lambda text: text.strip("'-") or "a")
texts = st.lists(words, max_size=12)


def apply_edits(before: list[str], changes: list[Edit]) -> list[str]:
    """Carry edits out on a list of words, from the last to the first."""
    after = list(before)
    for change in reversed(changes):
        width = 1 if change.before else 0
        assert after[change.position : change.position + width] == [change.before][:width]
        after[change.position : change.position + width] = [change.after][: 1 if change.after else 0]
    return after


@given(before=texts, after=texts)
def test_edits_lead_from_the_original_to_the_perturbed_words(before: list[str], after: list[str]) -> None:
    changes = edits({"text": " ".join(before)}, {"text": " ".join(after)})
    assert apply_edits(before, changes) == after
    assert len(changes) <= max(len(before), len(after))


@given(before=st.lists(words, min_size=1, max_size=12), data=st.data())
def test_swapped_words_are_found_where_they_stand(before: list[str], data: st.DataObject) -> None:
    positions = data.draw(st.sets(st.integers(0, len(before) - 1)))
    after = [f"q{word}" if i in positions else word for i, word in enumerate(before)]
    assert edits({"text": ", ".join(before)}, {"text": ", ".join(after)}) == [
        Edit("text", i, before[i], after[i]) for i in sorted(positions)
    ]


def test_fields_are_compared_apart_and_in_order() -> None:
    original = {"sentence1": "The cat sat.", "sentence2": "A dog's bone!"}
    perturbed = {"sentence1": "The caat sat.", "sentence2": "A dog's"}
    assert edits(original, perturbed) == [Edit("sentence1", 1, "cat", "caat"), Edit("sentence2", 2, "bone", "")]
    assert edits(original, original) == []


def test_an_inserted_word_has_nothing_before_it() -> None:
    assert edits({"text": "good film"}, {"text": "good new film"}) == [Edit("text", 1, "", "new")]


def test_punctuation_and_spacing_are_no_words() -> None:
    assert split_words("'Well-known' (it's, so)  — e-mail_me @ 5.5!") == [
        "Well-known",
        "it's",
        "so",
        "e-mail_me",
        "5",
        "5",
    ]
    assert edits({"text": "One, two."}, {"text": "One two"}) == []
