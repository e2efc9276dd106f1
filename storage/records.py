"""The records: one frozen dataclass per table, the words of the project with their types.

A record's id is made from what caused it (`make_id`), never drawn: running a step again gives the same
ids, and adding a row that is there already changes nothing. What each field holds is said in `schema/comments.py`,
where analysts read it too: here stand the types. None is an empty cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from blindspot.storage.words import (
    AttackStatus,
    BlindSpotStatus,
    CallPhase,
    HypothesisKind,
    JudgedKind,
    Level,
    ModelKind,
    Origin,
    ProgramOrigin,
    ProgramVerdict,
    RunKindName,
    RunStatus,
    SubjectKind,
    ToolCaller,
    UuKind,
)

Fields = Mapping[str, str]
"""The text of a sample: field name -> text, e.g. {"sentence1": …, "sentence2": …}."""


@dataclass(frozen=True, slots=True)
class Run:
    """Rounds with one configuration, or attacks on one model version without any round."""

    run_id: str
    name: str
    status: RunStatus
    settings: Mapping[str, Any]
    seed: int
    teacher: str
    dataset_id: str
    tau: float
    versions: Mapping[str, str]
    started_at: datetime
    finished_at: datetime | None = None
    stop_reason: str | None = None
    original_model_id: str | None = None
    final_model_id: str | None = None
    kind: RunKindName = "mitigation"
    method: str = "teacher"
    study_id: str | None = None
    origin_id: str | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """One pass of the loop."""

    run_id: str
    round: int
    model_id: str
    started_at: datetime
    new_model_id: str | None = None
    accepted: bool | None = None
    verdict: str | None = None
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
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled input."""

    sample_id: str
    dataset_id: str
    split: str
    row: int
    fields: Fields
    label: str


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One set of weights of the classifier."""

    model_id: str
    run_id: str
    round: int
    parent_id: str | None
    kind: ModelKind
    folder: str
    rows_train: int
    rows_synthetic: int
    settings: Mapping[str, Any]
    final_loss: float | None
    seconds: float
    created_at: datetime
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one model version says of one text."""

    model_id: str
    subject_id: str
    subject_kind: SubjectKind
    label: str
    predicted: str
    confidence: float
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Attack:
    """One recipe run against one model version on one sample."""

    attack_id: str
    run_id: str
    model_id: str
    sample_id: str
    split: str
    recipe: str
    status: AttackStatus
    fields: Fields | None
    label: str
    predicted: str | None
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
    number: int
    run_id: str
    field: str
    position: int
    before: str
    after: str
    part_of_speech: str | None


@dataclass(frozen=True, slots=True)
class Uu:
    """An unknown unknown: wrong with confidence >= tau."""

    uu_id: str
    run_id: str
    round: int
    model_id: str
    kind: UuKind
    recipe: str | None
    sample_id: str
    attack_id: str | None
    fields: Fields
    label: str
    predicted: str
    confidence: float
    selected: bool = False


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The teacher's explanation of a blind spot."""

    hypothesis_id: str
    run_id: str
    round: int
    uu_id: str
    kind: HypothesisKind
    parent_id: str | None
    text: str
    reasoning: str
    teacher: str
    call_id: str | None
    created_at: datetime
    evidence: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """What a hypothesis says as a program that can be run: where it applies, what it changes, which label results."""

    program_id: str
    run_id: str
    round: int
    hypothesis_id: str | None
    position: int
    origin: ProgramOrigin
    text: str
    program: Mapping[str, Any] | None
    problem: str | None = None
    same_as_id: str | None = None
    revised_from_id: str | None = None
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class ProgramTest:
    """Whether a program finds UUs of one model version: the same samples without it and with it."""

    program_id: str
    model_id: str
    run_id: str
    round: int
    rows: int
    applied: int
    uus_without: int
    uus_with: int
    effect: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    verdict: ProgramVerdict
    elsewhere: int
    right_elsewhere: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a second judge, who was not told the label of a text, takes its label to be."""

    judgement_id: str
    run_id: str
    round: int
    judge: str
    kind: JudgedKind
    subject_id: str
    fields: Fields
    label: str
    judged: str | None
    call_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SyntheticSample:
    """A row that a round adds to the training samples: what the teacher wrote after a hypothesis, with every filter
    verdict, or what a baseline takes in its place."""

    synthetic_id: str
    run_id: str
    round: int
    hypothesis_id: str | None
    position: int
    fields: Fields
    label: str
    reasoning: str
    call_id: str | None
    accepted: bool | None = None
    rejected_by: str | None = None
    verdicts: Mapping[str, bool] | None = None
    scores: Mapping[str, float] | None = None
    origin: Origin = "teacher"
    source_id: str | None = None
    program_id: str | None = None


@dataclass(frozen=True, slots=True)
class TeacherCall:
    """One question to a teacher, its answer and its price."""

    call_id: str
    run_id: str
    round: int
    phase: CallPhase
    uu_id: str
    cache_key: str
    teacher: str
    prompt: str
    prompt_hash: str
    reply: str | None
    model: str | None
    tokens_in: int
    tokens_out: int
    cost_usd: float | None
    latency_s: float
    attempts: int
    cache_hit: bool
    error: str | None
    created_at: datetime
    tool_uses: Mapping[str, Any] | None = None
    cleared: bool = False


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool that the state machine (or a teacher) ran."""

    tool_call_id: str
    run_id: str
    round: int
    tool: str
    caller: ToolCaller
    arguments: Mapping[str, Any]
    result: Mapping[str, Any]
    seconds: float
    created_at: datetime
    uu_id: str | None = None


@dataclass(frozen=True, slots=True)
class TeacherComparison:
    """What one of several teachers made of the same UUs."""

    run_id: str
    teacher: str
    uus: int
    uus_skipped: int
    calls: int
    written: int
    accepted: int
    fooling: int
    near_duplicates: int
    tokens_in: int
    tokens_out: int
    cost_usd: float | None
    latency_s: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One figure, long form."""

    evaluation_id: str
    run_id: str
    round: int
    model_id: str
    baseline_id: str | None
    metric: str
    value: float
    low: float | None
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
    number: int
    words: tuple[str, ...]
    uus_before: int
    uus_after: int
    fixed: int
    new: int
    status: BlindSpotStatus
    p_value: float


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling that happened in a run."""

    event_id: str
    run_id: str
    round: int
    happened_at: datetime
    phase: str
    level: Level
    message: str
