"""How many UUs and rows a round takes, from the settings and the number of training rows."""

from __future__ import annotations

import math

from blindspot.graphs.context import Context
from blindspot.storage.settings.sections import Settings

FILTERED = ("teacher", "recorded")  # methods whose rows the filter judges; a round without any accepted trains nothing


ADDING_NOTHING = ("none", "temperature")

BY_PROGRAMS = ("programs", "random-programs")  # methods whose rows programs give, without a teacher


def budget_rows(settings: Settings, rows_train: int) -> int:
    """How many rows a round adds: a share of the training rows, or as many as a teacher writes about its share of UUs.

    Args:
        rows_train: training rows that are used.
    """
    if settings.method.name in ADDING_NOTHING:
        return 0
    if settings.method.share is not None:
        return max(1, round(settings.method.share * rows_train))
    return 2 * shared_uus(settings, rows_train) * settings.teacher.samples_per_hypothesis


def budget_uus(settings: Settings, rows_train: int) -> int:
    """How many UUs of a round are selected: to be shown to the teacher, or relabelled; other baselines take none."""
    rows, most = budget_rows(settings, rows_train), settings.select.most
    if settings.method.name == "teacher" and settings.teacher.writes == "programs":  # a few give any number of rows
        return shared_uus(settings, rows_train)
    if settings.method.name == "teacher":
        uus = math.ceil(rows / (2 * settings.teacher.samples_per_hypothesis))  # an abstraction and an extrapolation
        return min(uus, most or uus)
    return rows if settings.method.name == "relabel" else 0


def shared_uus(settings: Settings, rows_train: int) -> int:
    """The UUs of a round by `select.share` of the training rows and `select.most`."""
    uus = max(1, round(settings.select.share * rows_train))
    return min(uus, settings.select.most or uus)


def most_selected(context: Context) -> int:
    """How many UUs of a round the settings let a teacher be shown."""
    return budget_uus(context.settings, context.dataset.rows["train"])


def runs_programs(settings: Settings) -> bool:
    """Whether hypotheses are run as programs."""
    by_teacher = settings.method.name == "teacher" and settings.teacher.writes != "samples"
    return by_teacher or settings.method.name in BY_PROGRAMS
