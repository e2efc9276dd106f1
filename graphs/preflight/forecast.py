"""The forecast of a run's teaching, from its settings and a look at its training samples; nothing is written."""

from __future__ import annotations

from blindspot.agents.calls.prices import UNCHARGED, is_providers_own, price_of
from blindspot.agents.spec import TeacherSpec
from blindspot.agents.teachers.forecast import Forecast, add_up, forecast
from blindspot.agents.teachers.given import NOBODY, Given
from blindspot.agents.teachers.teacher import Case
from blindspot.graphs.kinds.comparison import settings_for
from blindspot.graphs.preflight.kind_checks import check_kind, names_of
from blindspot.graphs.preflight.source import source_of
from blindspot.graphs.shared.budgets import budget_uus
from blindspot.graphs.shared.logged import inspect_data
from blindspot.storage.records import LOGGED, Dataset, Sample
from blindspot.storage.settings.sections import Settings
from blindspot.tools.data.datasets import load_split

LOOKED_AT = 100  # training samples, evenly spread


def forecast_run(settings: Settings, kind: str = "mitigation", teachers: Given = NOBODY) -> Forecast | None:
    """Forecast what the teacher of a mitigation, or the teachers of a comparison, will be asked.

    Args:
        teachers: those that are objects; what they cost is not known here.
    Returns: None, where no request is billed to anybody: of `rules`, `file:` and `replay:`, and of a baseline.
    Raises: OperatorError, as `start_run`, where the settings, the data or a teacher are at fault.
    """
    check_kind(settings, kind, teachers)
    named = map(TeacherSpec.parse, names_of(settings, kind))
    specs = [spec for spec in named if spec.provider not in UNCHARGED]
    if not specs:
        return None
    source = source_of(settings, kind)
    dataset = inspect_data(settings, source, kind)
    samples = load_split(source, dataset, "train")
    cases = [case_like(sample, dataset) for sample in samples[:: -(-len(samples) // LOOKED_AT)]]
    rounds = 1 if kind == "comparison" else settings.run.rounds
    found = []
    for spec in specs:
        own = settings_for(settings, str(spec)) if kind == "comparison" else settings
        count = rounds * most_selected(settings, dataset)
        price = price_of(spec, own.teacher)
        found.append(forecast(cases, own.teacher, price, count=count, rounds=rounds, is_billed=is_providers_own(spec)))
    return add_up(found)


def most_selected(settings: Settings, dataset: Dataset) -> int:
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
