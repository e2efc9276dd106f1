"""What sets one kind of run apart from the others: one record, which nothing but `kinds.py` picks by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from langgraph.graph import StateGraph

from blindspot.agents.teachers.given import Given
from blindspot.graphs.context import Context, PhasesName, State
from blindspot.graphs.kinds.asked import ASKED
from blindspot.storage.records import Dataset
from blindspot.storage.settings.sections import Settings
from blindspot.storage.words import RunKindName, Split
from blindspot.tools.data.datasets import DataSource


def check_nothing(settings: Settings, source: DataSource, dataset: Dataset) -> None:
    """Take any settings and data."""


@dataclass(frozen=True, slots=True)
class RunKind:
    """A kind of run. Its functions take settings that are valid by themselves, and teachers that are objects."""

    name: RunKindName  # as the rows of runs have it
    build: Callable[[], StateGraph[State, Context, Any, Any]]
    phases: Mapping[PhasesName, tuple[str, ...]]  # in their order, for each course that such a run may take
    splits: Callable[[Settings], tuple[Split, ...]]  # that it reads
    check: Callable[[Settings, Given], None]  # what only such a run needs; raises SettingsError, TeacherError
    phases_of: Callable[[Settings], PhasesName]  # which course it takes
    check_data: Callable[[Settings, DataSource, Dataset], None] = check_nothing  # raises SettingsError, DataError
    settings_for: Callable[[Settings, str], Settings] = lambda settings, _: settings  # as one of its teachers has them
    filters: Callable[[Settings], bool] = lambda _: False  # whether it has samples that the filter judges
    reads_log: bool = True  # and the unlabelled texts of the deployment, beside the data set
    has_rounds: bool = False
    judges: bool = False  # whether a second judge is asked, where the settings name one
    fixed: frozenset[str] = frozenset()  # settings that its rows depend on from the first, and those of other kinds not
    unasked: str = ""  # why it never asks a teacher, with the run as the subject; empty: it may ask one

    def teachers(self, settings: Settings) -> tuple[str, ...]:
        """The specs of those that it asks."""
        return ASKED[self.name](settings)

    def teacher_of(self, settings: Settings) -> str:
        """Who teaches, as the row of a run says it."""
        return ", ".join(self.teachers(settings)) or "none"
