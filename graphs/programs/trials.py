"""Programs tried on samples: what they make of them, and what a model version says of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from blindspot.graphs.context import Context
from blindspot.graphs.shared.draws import draw_samples
from blindspot.graphs.versions.outcomes import outcomes_of
from blindspot.graphs.versions.versions import OnDemand, predict_once
from blindspot.storage.errors import Cancelled
from blindspot.storage.records import ProgramTest, Sample
from blindspot.tools.metrics.program_tests import (
    EditedOutcomes,
    JudgedProgram,
    TemplateOutcomes,
    compare_retests,
    judge_programs,
)
from blindspot.tools.programs.apply import applies, edit_rows, fill_templates
from blindspot.tools.programs.compile import Compiled
from blindspot.tools.programs.data import DataDescription, Edited
from blindspot.tools.text.vocabulary import Vocabulary
from blindspot.tools.uu import Mask, are_uus, is_confident

STILL_OPEN = ("confirmed", "open", "half closed")
"""Verdicts after which a program is given rows, and the next round tests it again."""

FIRST = ("confirmed", "refuted", "not applicable", "invalid")
"""Verdicts of the model version that a program was first tested on."""

TEMPLATE_TEXTS = 200  # made of the templates of one program
PREDICTED_TOGETHER = 512  # texts, between two looks at whether to stop


def first_tests(
    context: Context, number: int, model_id: str, trials: Mapping[str, Trial], ground: Ground
) -> dict[str, ProgramTest]:
    """The tests of programs on the version that a round repairs: program_id -> test.

    One that was tested on this version before, when an earlier round had made it, keeps that verdict.
    """
    rows = context.store.rows(ProgramTest, model_id=model_id, run_id=context.run_id)
    known = {row.program_id: row for row in rows if row.program_id in trials and row.round < number}
    new = {key: trial for key, trial in trials.items() if key not in known}
    tested = judge_trials(context, new, ground)
    return known | {key: row_of(context, number, model_id, trials[key], tested[key], ground) for key in new}


def repeated_tests(
    context: Context,
    number: int,
    model_id: str,
    trials: Mapping[str, Trial],
    ground: Ground,
    before: Mapping[str, ProgramTest],
) -> list[ProgramTest]:
    """The tests of repaired programs on a retrained version, with what is left of each.

    Args:
        before: program_id -> its test on the version before.
    """
    tested = judge_trials(context, trials, ground)
    earlier = [replace(tested[key], effect=before[key].effect, verdict="confirmed") for key in trials]
    left = compare_retests(earlier, list(tested.values()), alpha=context.settings.hypotheses.significance)
    outcomes = {each.program_id: each.outcome for each in left}
    rows = [row_of(context, number, model_id, trials[key], tested[key], ground) for key in trials]
    return [replace(row, verdict=outcomes[row.program_id]) for row in rows]


def judge_trials(context: Context, trials: Mapping[str, Trial], ground: Ground) -> dict[str, JudgedProgram]:
    """Judge trials together, as the settings say: program_id -> figures and verdict."""
    settings = context.settings.hypotheses
    tested = judge_programs(
        [tested_outcomes(key, trial, ground) for key, trial in trials.items()],
        alpha=settings.significance,
        least_effect=settings.least_effect,
        least_rows=settings.least_rows,
        correction=settings.correction,
    )
    return {one.program_id: one for one in tested}


def tested_outcomes(program_id: str, trial: Trial, ground: Ground) -> EditedOutcomes | TemplateOutcomes:
    """What the statistics are taken of."""
    if trial.uus_without is None:
        return TemplateOutcomes(program_id, trial.uus_with, ground.uus[ground.on_validation])
    return EditedOutcomes(program_id, trial.uus_without, trial.uus_with, len(ground.samples))


def row_of(
    context: Context, number: int, model_id: str, trial: Trial, tested: JudgedProgram, ground: Ground
) -> ProgramTest:
    """The row of one test; of one that could not be made, an interval that rules nothing out."""
    without = trial.uus_without
    return ProgramTest(
        program_id=tested.program_id,
        model_id=model_id,
        run_id=context.run_id,
        round=number,
        rows=len(trial.edited) if without is None else len(ground.samples),
        applied=trial.applied,
        uus_without=0 if without is None else int(np.sum(without)),
        uus_with=int(np.sum(trial.uus_with)),
        effect=tested.effect or 0.0,
        low=-1.0 if tested.low is None else tested.low,
        high=1.0 if tested.high is None else tested.high,
        p_value=1.0 if tested.p_value is None else tested.p_value,
        p_adjusted=1.0 if tested.adjusted_p is None else tested.adjusted_p,
        verdict=tested.verdict,
        elsewhere=int(np.sum(trial.elsewhere)),
        right_elsewhere=int(np.sum(ground.right & trial.elsewhere)),
    )


def newest_tests(rows: Sequence[ProgramTest]) -> dict[str, ProgramTest]:
    """The newest test of each program: program_id -> test."""
    newest: dict[str, ProgramTest] = {}
    for row in sorted(rows, key=lambda row: (row.round, row.verdict not in FIRST)):
        newest[row.program_id] = row
    return newest


@dataclass(frozen=True, slots=True)
class Ground:
    """The samples that programs are tried on, and what one model version makes of them as they are."""

    samples: Sequence[Sample]  # of training and validation
    uus: Mask  # (n,)
    right: Mask  # (n,)

    @property
    def on_validation(self) -> Mask:
        """Which of the samples are of the validation split, (n,)."""
        return np.array([sample.split == "validation" for sample in self.samples], dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Trial:
    """One program on the ground."""

    compiled: Compiled
    edited: Sequence[Edited | None]  # of each sample; of templates, the texts that they gave
    uus_with: Mask  # of the texts that are not None, (applied,)
    right_with: Mask  # (applied,)
    uus_without: Mask | None  # of the same samples as they are; None: templates have none
    elsewhere: Mask  # samples of validation that it does not apply to, (n,)

    @property
    def applied(self) -> int:
        return len(self.uus_with)


def describe_data(context: Context) -> DataDescription:
    """What programs may speak of in this run's data set; telling words are those of its training split."""
    from blindspot.tools.attack.neighbours import nearest_words

    samples = context.samples("train")
    vocabulary = Vocabulary((sample.label, "\n".join(sample.fields.values())) for sample in samples)
    return DataDescription(
        fields=tuple(context.dataset.fields),
        labels=tuple(context.dataset.labels),
        vocabulary=vocabulary,
        neighbours=nearest_words(),
    )


def ground_of(context: Context, version: OnDemand) -> Ground:
    """Draw the samples, the same for each model version, and have this one predict them."""
    settings = context.settings.hypotheses
    drawn = draw_samples(context.samples("validation"), settings.test_samples, seed=context.settings.run.seed)
    drawn += draw_samples(context.samples("train"), settings.test_train_samples, seed=context.settings.run.seed)
    outcomes = outcomes_of(context, drawn, predict_once(context, version, drawn, kind="sample"))
    uus = are_uus(outcomes.wrong, outcomes.confidence, context.settings.run.tau)
    return Ground(drawn, uus, ~outcomes.wrong)


def try_programs(
    context: Context, version: OnDemand, programs: Mapping[str, Compiled], ground: Ground
) -> dict[str, Trial]:
    """Run programs on the ground and have a model version predict what they make.

    Args:
        programs: program_id of a row -> what runs it.
    Returns: program_id -> trial.
    Raises: Cancelled.
    """
    seed = context.settings.run.seed
    made: dict[str, Sequence[Edited | None]] = {}
    for key, compiled in programs.items():
        made[key] = (
            fill_templates(compiled, TEMPLATE_TEXTS, seed=seed)
            if compiled.templates
            else edit_rows(compiled, ground.samples, seed=seed)
        )
    texts = [edited for rows in made.values() for edited in rows if edited is not None]
    wrong, confident = predict_edited(context, version, texts)
    trials, start = {}, 0
    for key, compiled in programs.items():
        rows = made[key]
        places = [place for place, edited in enumerate(rows) if edited is not None]
        end = start + len(places)
        uus, right = wrong[start:end] & confident[start:end], ~wrong[start:end]
        start = end
        untouched = np.array([not applies(compiled, sample) for sample in ground.samples], dtype=np.bool_)
        trials[key] = Trial(
            compiled=compiled,
            edited=rows,
            uus_with=uus,
            right_with=right,
            uus_without=None if compiled.templates else ground.uus[places],
            elsewhere=(untouched | bool(compiled.templates)) & ground.on_validation,
        )
    return trials


def predict_edited(context: Context, version: OnDemand, texts: Sequence[Edited]) -> tuple[Mask, Mask]:
    """Have a version predict texts that programs made; nothing is stored.

    Returns: which are wrong, which are confident, (n,) each.
    Raises: Cancelled.
    """
    wrong = np.zeros(len(texts), dtype=np.bool_)
    confidence = np.zeros(len(texts))
    for start in range(0, len(texts), PREDICTED_TOGETHER):
        if context.cancelled():
            raise Cancelled("stopped while programs were tried")
        batch = texts[start : start + PREDICTED_TOGETHER]
        predicted, confidences, _ = version.classifier.predict_labels(
            [tuple(edited.fields[name] for name in context.dataset.fields) for edited in batch]
        )
        part = slice(start, start + len(batch))
        wrong[part] = [label != edited.label for label, edited in zip(predicted, batch, strict=True)]
        confidence[part] = confidences
    return wrong, is_confident(confidence, context.settings.run.tau)
