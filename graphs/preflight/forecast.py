"""The forecast of a run's teaching, from its settings and a look at its training samples; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence

from blindspot.agents.calls.prices import UNCHARGED, is_providers_own, price_of
from blindspot.agents.spec import TeacherSpec
from blindspot.agents.teachers.forecast import Forecast, add_up, forecast, judging_ask, sum_up
from blindspot.agents.teachers.given import NOBODY, Given
from blindspot.agents.teachers.judging import TEXTS_PER_QUESTION, JudgedTexts
from blindspot.agents.teachers.teacher import Case
from blindspot.graphs.kinds.kind import RunKind
from blindspot.graphs.kinds.kinds import KINDS
from blindspot.graphs.preflight.preflight import Checked, Preflight
from blindspot.graphs.shared.budgets import budget_uus, runs_programs
from blindspot.storage.records import Dataset, Sample
from blindspot.storage.settings.sections import Settings
from blindspot.storage.words import LOGGED, RunKindName
from blindspot.tools.data.datasets import load_split

LOOKED_AT = 100  # training samples, evenly spread
PROGRAMS_OF_A_FILE = 20  # assumed
VERSIONS_JUDGED = 2  # of a round: the original and the new one


def forecast_run(settings: Settings, kind: RunKindName = "mitigation", teachers: Given = NOBODY) -> Forecast | None:
    """Forecast what the teacher of a mitigation, or the teachers of a comparison, will be asked.

    Args:
        teachers: those that are objects; what they cost is not known here.
    Returns: None, where no request is billed to anybody: of `rules`, `file:` and `replay:`, and of a baseline.
    Raises: OperatorError, as `start_run`, where the settings, the data or a teacher are at fault.
    """
    preflight, of_kind = Preflight(teachers), KINDS[kind]
    preflight.check_asked(of_kind.teachers(settings))
    preflight.check_settings(settings, of_kind)
    is_billed = billed(settings, of_kind) or billed_judge(settings, of_kind)
    return forecast_teaching(preflight.read(settings, of_kind)) if is_billed else None


def billed(settings: Settings, kind: RunKind) -> list[TeacherSpec]:
    """The teachers whose requests are billed to somebody."""
    return [spec for spec in map(TeacherSpec.parse, kind.teachers(settings)) if spec.provider not in UNCHARGED]


def billed_judge(settings: Settings, kind: RunKind) -> TeacherSpec | None:
    """The second judge, where its requests are billed to somebody."""
    spec = TeacherSpec.parse(settings.judge.spec) if settings.judge.spec and kind.judges else None
    return spec if spec and spec.provider not in UNCHARGED else None


def forecast_teaching(checked: Checked) -> Forecast | None:
    """Forecast as `forecast_run`, for a run that was checked."""
    settings, kind, dataset = checked.settings, checked.kind, checked.dataset
    specs, judge = billed(settings, kind), billed_judge(settings, kind)
    if not specs and not judge:
        return None
    samples = load_split(checked.source, dataset, "train")
    cases = [case_like(sample, dataset) for sample in samples[:: -(-len(samples) // LOOKED_AT)]]
    rounds = settings.run.rounds if kind.has_rounds else 1
    count = rounds * most_shown(settings, dataset)
    forecasts = []
    for spec in specs:
        own = kind.settings_for(settings, str(spec)).teacher
        price = price_of(spec, own)
        forecasts.append(forecast(cases, own, price, count=count, rounds=rounds, is_billed=is_providers_own(spec)))
    if judge:
        forecasts.append(forecast_judging(settings, dataset, samples, judge, count=count, rounds=rounds))
    return add_up(forecasts)


def forecast_judging(
    settings: Settings, dataset: Dataset, samples: Sequence[Sample], judge: TeacherSpec, *, count: int, rounds: int
) -> Forecast:
    """Forecast what a second judge is asked.

    Args:
        samples: of the training split.
        count: UUs that a teacher is shown, at most.
    """
    stated = {"teacher": count * settings.teacher.programs_per_uu, "random-programs": settings.hypotheses.random}
    programs = stated.get(settings.method.name, PROGRAMS_OF_A_FILE) if runs_programs(settings) else 0
    attacked = min(settings.judge.flips, settings.evaluate.samples) * len(settings.attack.recipes)
    flips = rounds * VERSIONS_JUDGED * -(-attacked // TEXTS_PER_QUESTION)
    of_programs = -(-programs * settings.judge.per_program // TEXTS_PER_QUESTION)
    texts = [sample.fields for sample in samples[:: -(-len(samples) // TEXTS_PER_QUESTION)]]
    ask = judging_ask(
        JudgedTexts(dataset.task, dataset.labels, texts), likely=flips + of_programs // 2, most=flips + of_programs
    )
    price = price_of(judge, settings.teacher)
    return sum_up([ask], settings.teacher, price, is_billed=is_providers_own(judge))


def most_shown(settings: Settings, dataset: Dataset) -> int:
    """How many UUs of a round the teacher is shown at most: those of the settings, and no more than there can be."""
    rows = dataset.rows["validation"]
    attacked = min(settings.attack.samples, rows) + min(settings.attack.train_samples, dataset.rows["train"])
    there = dataset.rows.get(LOGGED, rows) + attacked * len(settings.attack.recipes)
    return min(budget_uus(settings, dataset.rows["train"]), there)


def case_like(sample: Sample, dataset: Dataset) -> Case:
    """A UU as long as a training sample, with all that one can have."""
    return Case(
        uu_id=sample.sample_id,
        task=dataset.task,
        field_names=dataset.fields,
        labels=dataset.labels,
        original=sample.fields,
        perturbed=sample.fields,
        label=sample.label,
        predicted=dataset.labels[-1],
        confidence=0.99,
        recipe=None,
    )
