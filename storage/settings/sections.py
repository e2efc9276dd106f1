"""The settings of a run: what a TOML file may say, with defaults, bounds and one line for each mistake.

What each setting does is said in cli/mitigation.toml; docs/settings.md is made from both by `make docs`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from blindspot.storage.errors import SettingsError
from blindspot.storage.settings.values import check_plain, rename_settings, shorten
from blindspot.storage.words import Split


def check_unlike(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list that names something twice."""
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f'"{name}" is listed twice')
    return names


def check_threshold(value: object) -> object:
    """Refuse what cannot be a threshold of BERTScore, in one message for both types."""
    if value == "calibrated" or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1):
        return value
    raise ValueError(f'write "calibrated" or a number from 0 to 1, got {value!r}')


def check_length(value: object) -> object:
    """Refuse what cannot be a least length, in one message for both types."""
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1_000_000):
        return value
    raise ValueError(f'write "auto" or a whole number from 0 to 1000000, got {value!r}')


def check_parts(shares: tuple[float, float, float]) -> tuple[float, float, float]:
    """Refuse shares that do not sum to 1."""
    if abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"the shares of training, validation and test sum to {sum(shares):g}; they must sum to 1")
    return shares


Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what the random generators of numpy and scikit-learn take
Rows = Annotated[int, Field(ge=0, le=10**9)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Few = Annotated[int, Field(ge=1, le=1000)]  # rounds, attempts: a larger number is a slip
Many = Annotated[int, Field(ge=1, le=100_000)]  # what is held in memory all at once
Resamples = Annotated[int, Field(ge=100, le=100_000)]
Seconds = Annotated[float, Field(gt=0, le=10**7)]  # at most four months
Usd = Annotated[float, Field(ge=0, le=10**9)]
Epochs = Annotated[float, Field(gt=0, le=1000)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=100)]  # part of names of files
Names = Annotated[tuple[str, ...], AfterValidator(check_unlike)]
Length = Annotated[Literal["auto"] | Annotated[int, Field(ge=0, le=1_000_000)], BeforeValidator(check_length)]
Part = Annotated[float, Field(gt=0, lt=1)]
Parts = Annotated[tuple[Part, Part, Part], AfterValidator(check_parts)]
Threshold = Annotated[Literal["calibrated"] | Share, BeforeValidator(check_threshold)]


class Section(BaseModel):
    """A table of the TOML file; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RunSection(Section):
    name: RunName = "run"
    workspace: str = "blindspot-workspace"
    seed: Seed = 0
    rounds: Few = 1
    tau: Share = 0.65
    publish_s: Seconds = 5.0


class Limit(Section):
    """How many rows of a split are used."""

    train: Count | None = None
    validation: Count | None = None
    test: Count | None = None


class DataSection(Section):
    path: str | None = None
    split: Parts = (0.8, 0.1, 0.1)
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    unlabelled: str | None = None
    fields: Annotated[Names, Field(min_length=1)] = ("text",)
    label: str = "label"
    labels: Names | None = None
    task: str = "text classification"
    strip: bool = False
    limit: Limit = Limit()

    @model_validator(mode="after")
    def check_source(self) -> DataSection:
        files = [self.train, self.validation, self.test]
        if self.path is None and not any(files):  # which ones a run cannot do without is seen when it reads them
            raise ValueError("give `path`, or a file for each split: `train`, `validation` and `test`")
        if self.path is not None and any(files):
            raise ValueError("give either `path` or files for the splits, not both")
        return self

    @model_validator(mode="after")
    def check_label(self) -> DataSection:
        if self.label in self.fields:
            raise ValueError(f'the label\'s column "{self.label}" is one of the fields: the classifier would read it')
        return self


class ErrorsSection(Section):
    file: str | None = None
    fields: Annotated[Names, Field(min_length=1)] | None = None
    label: str | None = None
    predicted: str = "predicted"
    confidence: str = "confidence"


class ClassifierSection(Section):
    model: str = "minilm"
    fine_tune: bool = True
    preset: Literal["minilm", "ibs-bert", "ibs-llama"] = "minilm"
    epochs: Epochs | None = None
    batch_size: Many | None = None
    learning_rate: LearningRate | None = None
    max_tokens: Annotated[int, Field(ge=8, le=8192)] = 256
    device: str = "auto"


class AttackSection(Section):
    recipes: Names = ("deepwordbug",)
    goal: Literal["flip", "confident"] = "flip"
    precision: Literal["fp32", "fast"] = "fp32"
    samples: Rows = 200
    split: Split = "test"
    fields: Annotated[Names, Field(min_length=1)] | None = None
    train_samples: Rows = 0
    sentence_encoder: Literal["minilm", "use"] = "minilm"
    max_queries: Count | None = None
    timeout_s: Seconds | None = 300.0
    stop_uus: Count | None = None
    stop_queries: Count | None = None
    stop_s: Seconds | None = None
    together: Many = 64

    @field_validator("recipes")
    @classmethod
    def check_recipes(cls, recipes: tuple[str, ...]) -> tuple[str, ...]:
        known: dict[str, str] = {}
        for recipe in recipes:
            other = known.setdefault(re.sub(r"[^a-z0-9]", "", recipe.lower()), recipe)
            if other != recipe:
                raise ValueError(f'"{recipe}" is the same recipe as "{other}"')
        return recipes


class MethodSection(Section):
    name: Literal[
        "teacher", "none", "random", "typos", "relabel", "adversarial", "recorded", "temperature", "programs",
        "random-programs",
    ] = "teacher"  # fmt: skip
    share: Annotated[float, Field(gt=0, le=10)] | None = None
    adversarial: Share = 0.0
    file: str | None = None

    @model_validator(mode="after")
    def check_file(self) -> MethodSection:
        if (self.name == "recorded") != (self.file is not None):
            raise ValueError(f'"file" is only for the method "recorded", which needs it; the method is "{self.name}"')
        return self


class SelectSection(Section):
    share: Annotated[float, Field(gt=0, le=1)] = 0.01
    most: Count | None = None


class TeacherSection(Section):
    spec: str = "rules"
    autonomy: Literal["scripted", "probing", "autonomous"] = "scripted"
    probes: Few = 8
    steps: Annotated[int, Field(ge=5, le=10_000)] = 40
    writes: Literal["samples", "programs", "both"] = "samples"
    samples_per_hypothesis: Few = 1
    programs_per_uu: Few = 4
    requests_per_minute: Count = 500
    requests_per_second: Count = 20
    tokens_per_minute: Count = 200_000
    concurrency: Few = 16
    timeout_s: Seconds = 60.0
    longest_pause_s: Seconds = 600.0
    attempts: Few = 8
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=10**7)] = 4000
    max_calls: Count | None = None
    max_usd: Annotated[float, Field(gt=0, le=10**9)] | None = None
    confirm_usd: Usd = 5.0
    usd_per_million_in: Usd | None = None
    usd_per_million_out: Usd | None = None
    cache: bool = True

    @model_validator(mode="after")
    def check_prices(self) -> TeacherSection:
        if (self.usd_per_million_in is None) != (self.usd_per_million_out is None):
            raise ValueError("give both usd_per_million_in and usd_per_million_out, or neither")
        return self


class HypothesesSection(Section):
    file: str | None = None
    random: Few = 60
    test_samples: Rows = 400
    test_train_samples: Rows = 400
    significance: Annotated[float, Field(gt=0, lt=1)] = 0.05
    correction: Literal["holm", "benjamini-hochberg"] = "holm"
    least_effect: Share = 0.05
    least_rows: Count = 30
    revise: bool = True
    dose: Literal["proportional", "bandit", "even"] = "proportional"
    prefer: Literal["fooling", "any"] = "fooling"
    balance: bool = True


class JudgeSection(Section):
    spec: str | None = None
    per_program: Few = 10
    flips: Rows = 50
    least_agreement: Share = 0.8


class CompareSection(Section):
    teachers: Names = ()


class FilterSection(Section):
    min_characters: Length = "auto"
    near_duplicate: Share = 0.9
    near_training: Share = 0.995
    bertscore: Threshold = "calibrated"
    encoder: str = "minilm"
    references: Many = 500


class RetrainSection(Section):
    start: Literal["base", "current"] = "base"
    epochs: Epochs | None = None
    learning_rate: LearningRate | None = None
    synthetic_weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = (
        0.0  # part of a synthetic sample's target spread over all labels
    )
    keep: Literal["all", "round"] = "all"
    consistency: Annotated[float, Field(ge=0, le=1000)] = 0.0
    twins: Literal["attacks", "typos", "programs"] = "attacks"
    choose: Literal["last", "uus"] = "last"
    patience: Few | None = None

    @model_validator(mode="after")
    def check_patience(self) -> RetrainSection:
        if self.patience is not None and self.choose != "uus":
            raise ValueError('patience needs retrain.choose = "uus": without it, epochs are not measured')
        return self


class EvaluateSection(Section):
    samples: Rows = 300
    thresholds: Annotated[tuple[Share, ...], Field(max_length=100)] = (0.65, 0.8, 0.9)
    resamples: Resamples = 2000


class AcceptSection(Section):
    max_accuracy_drop: Share = 0.01
    target_reduction: Share = 0.9
    stop_without_gain: bool = True
    keep_rejected: bool = True


class Settings(Section):
    """A whole mitigation run."""

    run: RunSection = RunSection()
    data: DataSection
    errors: ErrorsSection = ErrorsSection()
    classifier: ClassifierSection = ClassifierSection()
    attack: AttackSection = AttackSection()
    method: MethodSection = MethodSection()
    select: SelectSection = SelectSection()
    teacher: TeacherSection = TeacherSection()
    hypotheses: HypothesesSection = HypothesesSection()
    judge: JudgeSection = JudgeSection()
    compare: CompareSection = CompareSection()
    filter: FilterSection = FilterSection()
    retrain: RetrainSection = RetrainSection()
    evaluate: EvaluateSection = EvaluateSection()
    accept: AcceptSection = AcceptSection()

    @field_validator("errors")
    @classmethod
    def check_columns(cls, errors: ErrorsSection, info: ValidationInfo) -> ErrorsSection:
        data = info.data.get("data")  # absent where it is wrong itself
        if data and errors.fields and len(errors.fields) != len(data.fields):
            raise ValueError(
                f"fields names {len(errors.fields)} columns, but data.fields {len(data.fields)}; name one for each"
            )
        return errors

    @field_validator("attack")
    @classmethod
    def check_fields(cls, attack: AttackSection, info: ValidationInfo) -> AttackSection:
        data = info.data.get("data")  # absent where it is wrong itself
        for name in attack.fields or ():
            if data and name not in data.fields:
                raise ValueError(f'the field "{name}" is not among data.fields ({", ".join(data.fields)})')
        return attack


def check_settings(table: dict[str, Any], *, where: str) -> Settings:
    """Validate a table of settings.

    Raises: SettingsError, naming the first wrong key and how many more there are.
    """
    check_plain(table, where=where)
    table = rename_settings(table, where=where, warn=False)
    try:
        return Settings.model_validate(table)
    except ValidationError as error:
        first, *others = error.errors()
        key = ".".join(str(part) for part in first["loc"]) or "settings"
        more = f" (and {len(others)} more)" if others else ""
        raise SettingsError(f"{where}: {shorten(key)}: {explain_key(dict(first), key)}{more}") from None


def explain_key(problem: dict[str, Any], key: str) -> str:
    """Say in the operator's words what is wrong with one key."""
    if problem["type"] == "extra_forbidden":
        return f"unknown key{suggest(key)}"
    if problem["type"] == "missing":
        return "missing"
    if problem["type"] == "value_error":
        return str(problem["msg"]).removeprefix("Value error, ")
    message = problem["msg"].replace("a valid tuple", "a list")
    return f"{message[0].lower()}{message[1:]}, got {shorten(repr(problem['input']))}"


def suggest(key: str) -> str:
    """Name the known key nearest to an unknown one."""
    import difflib

    section, _, name = key.rpartition(".")
    known: dict[str, Any] = dict(Settings.model_fields)
    for part in section.split(".") if section else ():
        field = known.get(part)
        known = dict(getattr(getattr(field, "annotation", None), "model_fields", {}))
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(known)}"
