"""The log of a deployed model in a run: its errors are the first round's natural UUs, and measured ever after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from blindspot.graphs.context import Context
from blindspot.graphs.versions.outcomes import outcomes_of
from blindspot.graphs.versions.versions import OnDemand, predict_once
from blindspot.storage.records import Evaluation, Prediction, Sample, Uu
from blindspot.storage.settings.sections import Settings
from blindspot.storage.words import LOGGED
from blindspot.tools.data.logged_errors import LogSource, error_samples, load_log
from blindspot.tools.uu import is_uu

if TYPE_CHECKING:
    from blindspot.tools.data.logged_errors import Log
    from blindspot.tools.metrics.figure import Scope

AGREEING = 0.8  # an original model version that makes a smaller share of the log's errors is hardly the deployed one


def log_source(settings: Settings) -> LogSource | None:
    """Turn the settings of a log into plain values; None where there is no log."""
    errors, data = settings.errors, settings.data
    if errors.file is None:
        return None
    return LogSource(
        file=errors.file,
        fields=errors.fields or data.fields,
        label=errors.label or data.label,
        predicted=errors.predicted,
        confidence=errors.confidence,
        tau=settings.run.tau,
        strip=data.strip,
    )


def logged_samples(context: Context) -> list[Sample]:
    """The log's errors as samples, in its order; none where there is no log."""
    count = context.dataset.rows.get(LOGGED, 0)
    samples = context.store.rows(Sample, dataset_id=context.dataset.dataset_id, split=LOGGED) if count else []
    if len(samples) == count:
        return sorted(samples, key=lambda sample: sample.row)
    samples = error_samples(read_log_again(context), context.dataset)
    context.store.add(samples)
    return samples


def read_log_again(context: Context) -> Log:
    source = log_source(context.settings)
    assert source is not None
    return load_log(context.source, source, context.dataset)


def deployed_predictions(context: Context, model_id: str) -> list[Prediction] | None:
    """What the deployed model said of its errors, in the name of the original model version that stands for it.

    Returns: None for later versions, which speak for themselves, and where there is no log.
    """
    if LOGGED not in context.dataset.rows or model_id != context.original_id():
        return None
    log = read_log_again(context)
    return [
        Prediction(model_id, sample.sample_id, "sample", error.label, error.predicted, error.confidence, ())
        for sample, error in zip(error_samples(log, context.dataset), log.errors, strict=True)
    ]


def tell_agreement(context: Context, number: int, logged: Sequence[Sample], own: Mapping[str, Prediction]) -> None:
    """Tell how many of the deployed model's errors the original model version makes too.

    Args:
        logged: the errors.
        own: what the version itself says of them, by sample.
    """
    predictions = [own[sample.sample_id] for sample in logged]
    tau = context.settings.run.tau
    made = sum(is_uu(own.label, own.predicted, own.confidence, tau) for own in predictions)
    message = f"{made} of the log's {len(logged)} errors are also UUs of the original model version"
    if made < AGREEING * len(logged):
        unlike = "it is probably not the deployed model; name that model in classifier.model, with fine_tune = false"
        context.tell(number, "attack", f"{message}: {unlike}", level="warning")
    else:
        context.tell(number, "attack", message)


def untaught_fixed(context: Context, model_ids: Sequence[str], scope: Scope) -> list[Evaluation]:
    """Measure what model versions make of the log's errors that the teacher was never shown.

    Returns: for each version the share that is right ("known_uus_fixed") and the share that is a UU ("known_uus_left"),
        of the split and recipe "logged"; nothing where none are left.
    """
    from blindspot.tools.metrics.evaluate import known_uus

    shown = {uu.sample_id for uu in context.store.rows(Uu, run_id=context.run_id, selected=True)}
    samples = [sample for sample in logged_samples(context) if sample.sample_id not in shown]
    rows: list[Evaluation] = []
    for model_id in dict.fromkeys(model_ids) if samples else ():
        predictions = predict_once(context, OnDemand(context, model_id), samples, kind="sample")
        rows += known_uus({LOGGED: outcomes_of(context, samples, predictions)}, model_id, replace(scope, split=LOGGED))
    return [row for row in rows if row.recipe == LOGGED]


def fixed_in_words(rows: Sequence[Evaluation], model_id: str) -> dict[str, str]:
    """Say of one version how many of the log's errors that the teacher was never shown it gets right."""
    for row in rows:
        if (row.metric, row.model_id) == ("known_uus_fixed", model_id):
            return {"logged errors fixed, never shown": f"{row.value * row.n:.0f} of {row.n}"}
    return {}
