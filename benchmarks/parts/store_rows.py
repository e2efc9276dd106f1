"""Rows of a busy store, made up: runs of several rounds over generated reviews. No model is asked, nothing attacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from blindspot.storage.ids import make_id
from blindspot.storage.records import (
    Attack,
    ChangedWord,
    Dataset,
    Evaluation,
    Event,
    Hypothesis,
    ModelVersion,
    Prediction,
    Round,
    Run,
    Sample,
    SyntheticSample,
    TeacherCall,
    ToolCall,
    Uu,
)
from blindspot.storage.schema.tables import Record
from blindspot.tools.additions.select import adversarial_uus, natural_uus, select_uus
from blindspot.tools.data.planted import FIELD, generate_reviews

SEED = 0
TAU = 0.65
LABELS = ("negative", "positive")
RECIPES = ("deepwordbug", "textfooler")
BEGAN = datetime(2026, 1, 5, 8)
TEACHERS = ("openai:gpt-4o", "rules")
PHASES = ("attack", "select", "teach", "filter", "retrain", "evaluate", "close_round")
PLAIN = ("accuracy", "aurc", "brier", "ece", "mean_confidence", "std_confidence")
COUNTED = ("uus", "uus_flipped", "uus_matched", "uus_natural")
ATTACKED = (
    "original_accuracy",
    "accuracy_under_attack",
    "attack_success_rate",
    "perturbed_words",
    "queries_per_sample",
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is; as it stands, 1,000,000 predictions and 100,000 attacks."""

    runs: int = 10
    rounds: int = 3
    validation: int = 3_750
    test: int = 20_000
    attacks: int = 2_500  # on each model version; half of them flip, and are predicted as well
    taught: int = 50  # UUs of a round that the teacher is shown


def batches(size: Size) -> Iterator[list[Record]]:
    """The rows of a store, as a run would add them; predictions and attacks come in batches of their own."""
    samples = samples_of(size)
    rows = {"validation": size.validation, "test": size.test}
    yield [Dataset("dat-reviews", "reviews", "made up", (FIELD,), LABELS, "sentiment of reviews", rows), *samples]
    for number in range(1, size.runs + 1):
        yield from run_rows(number, size, samples)


def samples_of(size: Size) -> list[Sample]:
    """Reviews of the validation and the test split."""
    return [
        Sample(make_id("smp", split, row), "dat-reviews", split, row, {FIELD: review.text}, review.label)
        for split, count in (("validation", size.validation), ("test", size.test))
        for row, review in enumerate(generate_reviews(count, planted=count // 10, seed=SEED, split=split))
    ]


def run_rows(number: int, size: Size, samples: Sequence[Sample]) -> Iterator[list[Record]]:
    """The rows of one run, a part at a time."""
    rng = np.random.default_rng([SEED, number])
    run_id, began = f"busy-{number}", BEGAN + timedelta(days=number)
    ids = [make_id("mod", run_id, round_number) for round_number in range(size.rounds + 1)]
    settings, versions = {"run": {"tau": TAU}}, {"duckdb": "2"}
    run = Run(
        run_id, "busy", "finished", settings, number, TEACHERS[0], "dat-reviews", TAU, versions, began
    )  # fmt: skip
    yield [replace(run, original_model_id=ids[0], final_model_id=ids[-1], finished_at=began + timedelta(hours=5))]
    for round_number, model_id in enumerate(ids):
        parent, kind = (ids[round_number - 1], "retrained") if round_number else (None, "original")
        folder = f"models/{model_id}"
        yield [
            ModelVersion(
                model_id, run_id, round_number, parent, kind, folder, 3000, 2 * size.taught, {}, 0.1, 60.0, began
            )
        ]
        attacks = attacks_of(run_id, model_id, samples[-size.attacks // 2 :] + samples[: size.attacks // 2], rng)
        predictions = predictions_of(model_id, samples, attacks, rng)
        yield [*attacks]
        yield [*words_of(attacks, samples)]
        yield [*predictions]
        yield [*figures_of(run_id, round_number, model_id, parent, rng)]
        if round_number < size.rounds:
            uus = natural_uus(run_id, round_number + 1, model_id, samples[: size.validation], predictions, TAU)
            uus += adversarial_uus(run_id, round_number + 1, [row for row in attacks if row.split == "validation"], TAU)
            yield [*round_rows(run_id, round_number + 1, ids[round_number : round_number + 2], began)]
            yield taught_rows(uus, size, began)
    compared = replace(run, run_id=f"busy-compared-{number}", kind="comparison", teacher=", ".join(TEACHERS))
    uus = [replace(uu, uu_id=make_id("uu", compared.run_id, uu.uu_id), run_id=compared.run_id) for uu in uus]
    yield [compared, *taught_rows(uus, size, began, TEACHERS)]


def attacks_of(run_id: str, model_id: str, samples: Sequence[Sample], rng: np.random.Generator) -> list[Attack]:
    """Attacks on samples, by each recipe in turn; every other one flips, with a letter less in one word."""
    made = []
    for index, (sample, before, after, place) in enumerate(
        zip(samples, *rng.uniform(0.5, 1, (2, len(samples))), rng.uniform(0, 1, len(samples)), strict=True)
    ):
        words, recipe = sample.fields[FIELD].split(), RECIPES[index % 4 // 2]
        is_flipped, changed = index % 2 == 0, int(place * len(words))
        status = "flipped" if is_flipped else ("failed", "skipped")[index % 3 == 0]
        other = LABELS[sample.label == LABELS[0]]
        perturbed = " ".join([*words[:changed], words[changed][1:], *words[changed + 1 :]])
        made.append(
            Attack(
                attack_id=make_id("atk", run_id, model_id, sample.sample_id, recipe),
                run_id=run_id,
                model_id=model_id,
                sample_id=sample.sample_id,
                split=sample.split,
                recipe=recipe,
                status=status,
                fields={FIELD: perturbed} if is_flipped else None,
                label=sample.label,
                predicted=other if is_flipped else None,
                confidence=float(after) if is_flipped else None,
                original_predicted=other if status == "skipped" else sample.label,
                original_confidence=float(before),
                queries=20 + index % 80,
                words=len(words),
                perturbed_words=1 if is_flipped else None,
                error=None,
                seconds=float(before),
            )
        )
    return made


def words_of(attacks: Sequence[Attack], samples: Sequence[Sample]) -> list[ChangedWord]:
    """The word that each attack that flipped has changed."""
    texts = {sample.sample_id: sample.fields[FIELD].split() for sample in samples}
    made = []
    for row in attacks:
        if row.fields is not None:
            pairs = enumerate(zip(texts[row.sample_id], row.fields[FIELD].split(" "), strict=True))
            place, (old, new) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
            kind = ("noun", "verb", "adjective")[len(old) % 3]
            made.append(ChangedWord(row.attack_id, 0, row.run_id, FIELD, place, old, new, kind))
    return made


def predictions_of(
    model_id: str, samples: Sequence[Sample], attacks: Sequence[Attack], rng: np.random.Generator
) -> list[Prediction]:
    """Predictions of the samples, one in seven wrong, and of the texts that flipped, which mostly are."""
    flipped = [row for row in attacks if row.status == "flipped"]
    subjects = [("sample", row.sample_id, row.label, 1 / 7) for row in samples]
    subjects += [("attack", row.attack_id, row.label, 0.9) for row in flipped]
    confidences = rng.uniform(0.5, 1, len(subjects))
    chances = rng.uniform(0, 1, len(subjects))
    made = []
    for (kind, key, label, share), confidence, chance in zip(subjects, confidences, chances, strict=True):
        predicted = LABELS[label == LABELS[0]] if chance < share else label
        sure = float(confidence)
        probabilities = (sure, 1 - sure) if predicted == LABELS[0] else (1 - sure, sure)
        made.append(Prediction(model_id, key, kind, label, predicted, sure, probabilities))
    return made


def figures_of(
    run_id: str, round_number: int, model_id: str, parent: str | None, rng: np.random.Generator
) -> list[Evaluation]:
    """The figures of a model version and, of a retrained one, their differences to the one before."""
    keys: list[tuple[str, str | None, float | None]] = [
        (name, recipe, None) for name in PLAIN for recipe in (None, "all", *RECIPES)
    ]
    keys += [(name, recipe, t) for name in COUNTED for recipe in (None, "all", *RECIPES) for t in (TAU, 0.8, 0.9)]
    alone: list[tuple[str, str | None, float | None]] = [
        (name, recipe, None) for name in ATTACKED for recipe in RECIPES
    ]
    made = []
    for baseline, of_these in ((None, keys + alone), (parent, keys if parent else ())):
        for name, recipe, threshold in of_these:
            key = make_id("eva", run_id, round_number, model_id, baseline, name, recipe, threshold)
            value = float(rng.integers(100, 1000)) if name in COUNTED else float(rng.uniform())
            made.append(
                Evaluation(
                    key, run_id, round_number, model_id, baseline, name, value, value - 0.1, value + 0.1, None, "test",
                    recipe, threshold, 20_000,
                )
            )  # fmt: skip
    return made


def round_rows(run_id: str, number: int, ids: Sequence[str], began: datetime) -> list[Record]:
    """A round, its tool calls and its events."""
    rows: list[Record] = [
        Round(run_id, number, ids[0], began, ids[1], True, "took the new model: UUs fell", began + timedelta(hours=1))
    ]
    for phase in PHASES:
        key, result = (run_id, number, phase), {"done": 250}
        rows.append(
            ToolCall(make_id("tool", *key), run_id, number, phase, "graph", {"model_id": ids[0]}, result, 1, began)
        )
        rows.append(Event(make_id("evt", *key), run_id, number, began, phase, "info", "done 250 (1.0 s)"))
    return rows


def taught_rows(uus: Sequence[Uu], size: Size, began: datetime, teachers: Sequence[str] = TEACHERS[:1]) -> list[Record]:
    """A round's UUs and what teachers made of some: two hypotheses for each, a sample after each, four calls."""
    chosen = select_uus(uus, count=size.taught, seed=SEED, round_number=uus[0].round)
    selected = {uu.uu_id for uu in chosen}
    rows: list[Record] = [replace(uu, selected=uu.uu_id in selected) for uu in uus]
    return rows + [row for uu in chosen for teacher in teachers for row in explained(uu, teacher, began)]


def explained(uu: Uu, teacher: str, began: datetime) -> Iterator[Record]:
    """What one teacher makes of one UU."""
    text, parent, of_round = uu.fields[FIELD], None, (uu.run_id, uu.round)
    for kind, phase in (("abstraction", "abstract"), ("extrapolation", "extrapolate")):
        calls = [make_id("call", uu.uu_id, teacher, kind, use) for use in ("state", "write")]
        key = make_id("hyp", uu.uu_id, kind, teacher)
        stated = f"To {teacher}, reviews that call it by another word are read as {uu.predicted}, as in: {text}"
        yield Hypothesis(key, *of_round, uu.uu_id, kind, parent, stated, text, teacher, calls[0], began)
        parent = parent or key
        is_good = uu.confidence < 0.95
        written = SyntheticSample(
            make_id("syn", key, 0), *of_round, key, 0, {FIELD: text[::-1]}, uu.label, stated, calls[1]
        )
        yield replace(
            written,
            accepted=is_good,
            rejected_by=None if is_good else "bertscore",
            verdicts={"length": True, "near_duplicate": True, "bertscore": is_good},
            scores={"characters": float(len(text)), "bertscore": uu.confidence},
        )
        for call_id, of_call in zip(calls, (phase, "generate"), strict=True):
            prompt = f"{stated}\n" * 8  # some 1,300 characters
            yield TeacherCall(
                call_id, *of_round, of_call, uu.uu_id, call_id, teacher, prompt, "hash", stated, "m", 320, 80, 0.0016,
                2.5, 1, False, None, began,
            )  # fmt: skip
