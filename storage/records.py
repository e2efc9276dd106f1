"""The records: one frozen dataclass per table, the words of the project with their types.

A record's id is made from what caused it (`make_id`), never drawn: running a step again gives the same
ids, and adding a row that is there already changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from blindspot.storage.clock import now as now

Fields = Mapping[str, str]
"""The text of a sample: field name -> text, e.g. {"sentence1": …, "sentence2": …}."""

Split = Literal["train", "validation", "test"]
UuKind = Literal["natural", "adversarial"]
HypothesisKind = Literal["abstraction", "extrapolation"]


POOLED = "all"
"""The recipe of figures over every recipe's texts together; one sample has a row for each recipe that attacked it."""

LOGGED = "logged"
"""The split of the samples that a deployed model's log gave, and the recipe of figures over them."""

REPAIRED = "repaired"
"""The split of figures over the texts that earlier rounds of a run repaired."""

RECALL = "recall: "
"""Begins the metric of an evaluation that is the recall of one class; its label follows."""


def make_id(prefix: str, *causes: object) -> str:
    """Make a short id out of what caused a row: the same causes always give the same id.

    Args:
        prefix: what kind of thing it is, e.g. "atk".
        causes: anything whose `str` identifies it.
    Returns: e.g. "atk-3f9a0c1d2e4b5a69" (64 bits).
    """
    text = "\x1f".join(str(cause) for cause in causes)
    return f"{prefix}-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Run:
    """Rounds with one configuration, or attacks on one model version without any round."""

    run_id: str  # "<name>-<number>"
    name: str
    status: str  # running | waiting (for answers in files) | stopped | finished | failed
    settings: Mapping[str, Any]
    seed: int
    teacher: str  # a spec; "none" in a run that has no teacher
    dataset_id: str
    tau: float
    versions: Mapping[str, str]  # package -> version
    started_at: datetime
    finished_at: datetime | None = None
    stop_reason: str | None = None
    original_model_id: str | None = None
    final_model_id: str | None = None
    kind: str = "mitigation"  # mitigation (rounds) | attack (attacks alone) | comparison (of teachers) | original
    method: str = "teacher"  # where the added rows come from: teacher, or a baseline
    study_id: str | None = None  # the study it is a cell of
    origin_id: str | None = None  # the run of kind "original" whose model version it repairs; None: its own


@dataclass(frozen=True, slots=True)
class Round:
    """One pass of the loop."""

    run_id: str
    round: int  # from 1
    model_id: str  # the model version the round started with
    started_at: datetime
    new_model_id: str | None = None
    accepted: bool | None = None
    verdict: str | None = None  # why it was accepted or not, in words and numbers
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Where samples come from and what they look like."""

    dataset_id: str
    name: str
    source: str
    fields: tuple[str, ...]
    labels: tuple[str, ...]
    task: str
    rows: Mapping[str, int]  # split -> rows used


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled input."""

    sample_id: str
    dataset_id: str
    split: str
    row: int  # position in the source, from 0
    fields: Fields
    label: str


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One set of weights of the classifier."""

    model_id: str
    run_id: str
    round: int  # 0 for the original
    parent_id: str | None  # the weights it was trained from, None for a base model
    kind: str  # original | retrained | calibrated (the weights of its parent, at another temperature)
    folder: str
    rows_train: int
    rows_synthetic: int
    settings: Mapping[str, Any]
    final_loss: float | None
    seconds: float
    created_at: datetime
    temperature: float = 1.0  # logits are divided by it


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one model version says of one text."""

    model_id: str
    subject_id: str  # sample_id, attack_id or synthetic_id
    subject_kind: str  # sample | attack | synthetic
    label: str
    predicted: str
    confidence: float  # largest softmax probability, in [0, 1]
    probabilities: tuple[float, ...]  # in the order of the data set's labels


@dataclass(frozen=True, slots=True)
class Attack:
    """One recipe run against one model version on one sample."""

    attack_id: str
    run_id: str
    model_id: str
    sample_id: str
    split: str
    recipe: str
    status: str  # flipped | failed | skipped (wrong before the attack) | error
    fields: Fields | None  # perturbed text where flipped
    label: str
    predicted: str | None  # after the attack
    confidence: float | None
    original_predicted: str | None
    original_confidence: float | None
    queries: int
    words: int
    perturbed_words: int | None
    error: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class ChangedWord:
    """One word that an attack changed in a sample whose label it flipped."""

    attack_id: str
    number: int  # among the attack's changed words, from 0
    run_id: str  # the attack's
    field: str
    position: int  # of the word in the original field, from 0; of an insertion: of the word that it stands before
    before: str  # "" for an insertion
    after: str  # "" for a deletion
    part_of_speech: str | None  # of the word before, in its sentence; None: inserted, or no tagger was there


@dataclass(frozen=True, slots=True)
class Uu:
    """An unknown unknown: wrong with confidence >= tau."""

    uu_id: str
    run_id: str
    round: int
    model_id: str
    kind: str  # natural | adversarial
    recipe: str | None
    sample_id: str
    attack_id: str | None
    fields: Fields  # the text that fools the model
    label: str
    predicted: str
    confidence: float
    selected: bool = False  # shown to the teacher


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The teacher's explanation of a blind spot."""

    hypothesis_id: str
    run_id: str
    round: int
    uu_id: str
    kind: str  # abstraction | extrapolation
    parent_id: str | None  # the abstraction that an extrapolation reasons from
    text: str
    reasoning: str
    teacher: str
    call_id: str | None
    created_at: datetime
    evidence: Mapping[str, Any] | None = None  # what the teacher's own probes showed; None: it made none


@dataclass(frozen=True, slots=True)
class SyntheticSample:
    """A row that a round adds to the training samples: what the teacher wrote after a hypothesis, with every filter
    verdict, or what a baseline takes in its place."""

    synthetic_id: str
    run_id: str
    round: int
    hypothesis_id: str | None  # None: no teacher wrote it
    position: int  # 0 for a hypothesis's first sample
    fields: Fields
    label: str
    reasoning: str
    call_id: str | None
    accepted: bool | None = None  # None: not yet filtered
    rejected_by: str | None = None  # name of the first check that failed
    verdicts: Mapping[str, bool] | None = None  # check -> passed
    scores: Mapping[str, float] | None = None  # characters, bertscore, nearest_duplicate, …
    origin: str = "teacher"  # teacher | recorded | relabel | adversarial | random | typos: see [method]
    source_id: str | None = None  # the sample_id, uu_id or attack_id, or file and line, that a baseline took it from


@dataclass(frozen=True, slots=True)
class TeacherCall:
    """One question to a teacher, its answer and its price."""

    call_id: str
    run_id: str
    round: int
    phase: str  # abstract | extrapolate | generate | decide
    uu_id: str
    cache_key: str
    teacher: str
    prompt: str
    prompt_hash: str  # content hash of the prompt's template
    reply: str | None
    model: str | None  # as the provider names it
    tokens_in: int
    tokens_out: int
    cost_usd: float | None  # the most it may have been, where no reply came; None: the price is not known
    latency_s: float
    attempts: int
    cache_hit: bool
    error: str | None
    created_at: datetime
    tool_uses: Mapping[str, Any] | None = None  # use_id -> name and arguments of a tool that the answer asks for
    cleared: bool = False  # out of the cache: no longer taken as the answer to its question


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool that the state machine (or a teacher) ran."""

    tool_call_id: str
    run_id: str
    round: int
    tool: str
    caller: str  # graph | teacher
    arguments: Mapping[str, Any]
    result: Mapping[str, Any]
    seconds: float
    created_at: datetime
    uu_id: str | None = None  # the UU that a teacher was working on


@dataclass(frozen=True, slots=True)
class TeacherComparison:
    """What one of several teachers made of the same UUs."""

    run_id: str
    teacher: str  # a spec
    uus: int  # shown to it
    uus_skipped: int  # of them: left without any sample
    calls: int  # answers it gave, from a cache or bought; 0 for one that is no model
    written: int  # synthetic samples
    accepted: int  # of them: passed the filter
    fooling: int  # of the written ones: UUs for the old model version, by the label the teacher gave them
    near_duplicates: int  # of the written ones: rejected as such
    tokens_in: int
    tokens_out: int
    cost_usd: float | None  # None: a price is not known
    latency_s: float | None  # median of the calls; None where it makes none


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One figure, long form."""

    evaluation_id: str
    run_id: str
    round: int
    model_id: str
    baseline_id: str | None  # set where the value is a difference to this model version
    metric: str
    value: float
    low: float | None  # 95 % interval
    high: float | None
    p_value: float | None
    split: str
    recipe: str | None
    threshold: float | None
    n: int


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """A cluster of UUs of the test split, of the model version that a round began with and of the new one."""

    run_id: str
    round: int
    number: int  # from 1, the largest first
    words: tuple[str, ...]  # that tell its texts from others
    uus_before: int
    uus_after: int
    fixed: int  # UUs before that are none now
    new: int  # UUs now that were right before
    status: str  # closed | shrunk | open | grown | opened
    p_value: float  # of the sign test between before and after, adjusted for the number of blind spots


@dataclass(frozen=True, slots=True)
class Study:
    """A matrix of runs: data sets x classifiers x recipes x methods x seeds."""

    study_id: str  # "<name>-<number>"
    name: str
    status: str  # running | stopped | finished | failed (some of its runs did)
    settings: Mapping[str, Any]
    started_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StudyFigure:
    """One figure of a study over its seeds, long form."""

    study_id: str
    dataset: str
    classifier: str
    recipe: str  # those of its runs: "a+b" where they had several, "a+b: a" for one of these; "" without any
    method: str
    metric: str
    threshold: float  # -1: the metric has none
    baseline: str  # the method that the value is a difference to; "" for a figure by itself
    value: float  # mean over seeds
    std: float | None  # over seeds, n - 1; None: one seed
    low: float | None  # 95 % interval, paired over samples and seeds
    high: float | None
    seeds: int
    n: int  # rows of one seed


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling that happened in a run."""

    event_id: str
    run_id: str
    round: int
    happened_at: datetime
    phase: str
    level: str  # info | warning | error
    message: str
