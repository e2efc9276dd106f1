"""The words that attacks changed: each found where it stands, with its part of speech where a tagger is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nltk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.graphs.shared.attacks import store_changed_words
from blindspot.storage.records import Attack, ChangedWord, Fields, Sample
from blindspot.storage.store.store import Store
from blindspot.storage.words import AttackStatus
from blindspot.tools.text.edits import PARTS_OF_SPEECH, TOKEN, changed_words, split_words
from support.assets import ASSETS

TAGGER = ASSETS / "nltk_data"
ORIGINAL = {"first": "The good film never ended, did it?", "second": "We liked two scenes."}


@pytest.fixture
def _tagger(monkeypatch: pytest.MonkeyPatch) -> None:
    if not TAGGER.is_dir():
        pytest.skip("needs a tagger from ../shared/assets")
    monkeypatch.setattr(nltk.data, "path", [str(TAGGER)])


@pytest.fixture
def _no_tagger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nltk.data, "path", [])
    nltk.tag._get_tagger.cache_clear()


def attack(attack_id: str, fields: Fields | None) -> Attack:
    status: AttackStatus = "flipped" if fields else "failed"
    after, sure = ("good", 0.9) if fields else (None, None)
    return Attack(
        attack_id, "run-1", "mod-1", "smp-1", "test", "typos", status, fields, "bad", after, sure, "bad", 0.8, 9, 11,
        None, None, 0.5,
    )  # fmt: skip


CHANGED = attack("atk-1", {"first": "The goood film nver ended, did it?", "second": "We lked two new scenes."})


@pytest.mark.usefixtures("_tagger")
def test_each_changed_word_has_its_part_of_speech_in_its_sentence() -> None:
    found = changed_words([attack("atk-0", None), CHANGED], {"smp-1": ORIGINAL})
    assert found == [
        ChangedWord("atk-1", 0, "run-1", "first", 1, "good", "goood", "adjective"),
        ChangedWord("atk-1", 1, "run-1", "first", 3, "never", "nver", "adverb"),
        ChangedWord("atk-1", 2, "run-1", "second", 1, "liked", "lked", "verb"),
        ChangedWord("atk-1", 3, "run-1", "second", 3, "", "new", None),
    ]


@pytest.mark.usefixtures("_tagger")
def test_the_same_word_is_another_part_of_speech_elsewhere() -> None:
    texts = {"a": {"t": "They can watch a bird."}, "b": {"t": "The watch was new."}}
    attacks = [
        replace(attack(f"atk-{name}", {"t": fields["t"].replace("watch", "wtach")}), sample_id=name)
        for name, fields in texts.items()
    ]
    assert [word.part_of_speech for word in changed_words(attacks, texts)] == ["verb", "noun"]


@pytest.mark.usefixtures("_no_tagger")
def test_without_a_tagger_the_words_are_told_and_their_parts_of_speech_are_not() -> None:
    found = changed_words([CHANGED], {"smp-1": ORIGINAL})
    assert [word.before for word in found] == ["good", "never", "liked", ""]
    assert {word.part_of_speech for word in found} == {None}


@given(st.text("abz'’-_@ .,!?;1é\n“”", max_size=40))
def test_the_tagger_reads_the_words_that_edits_are_counted_in(text: str) -> None:
    tokens = list(TOKEN.finditer(text))
    assert [token[1] for token in tokens if token[1]] == split_words(text)
    assert all(len(token[0]) == 1 for token in tokens if not token[1])


def test_every_universal_tag_has_a_word() -> None:
    assert len(set(PARTS_OF_SPEECH.values())) == len(PARTS_OF_SPEECH) == 12


@pytest.mark.usefixtures("_no_tagger")
def test_changed_words_are_added_once(tmp_path: Path) -> None:
    sample = Sample("smp-1", "dat-1", "test", 0, ORIGINAL, "bad")
    with Store.open(tmp_path) as store:
        store_changed_words(store, [sample], [attack("atk-0", None)])
        assert store.count(ChangedWord) == 0
        for _ in range(2):
            store_changed_words(store, [sample], [CHANGED])
            assert [row.number for row in store.rows(ChangedWord)] == [0, 1, 2, 3]
        store_changed_words(store, [sample], [CHANGED, attack("atk-2", {**ORIGINAL, "second": "We liked two secnes."})])
        assert [row.after for row in store.rows(ChangedWord, attack_id="atk-2")] == ["secnes"]
        assert store.count(ChangedWord) == 5
