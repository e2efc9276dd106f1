"""What the graph remembers between steps (State), what every node is given (Context) and gives back (PhaseResult)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from blindspot.agents.teachers.given import Given
from blindspot.storage.clock import now
from blindspot.storage.ids import make_id
from blindspot.storage.records import Dataset, Event, ModelVersion, Run, Sample
from blindspot.storage.settings.sections import Settings
from blindspot.storage.store.store import Store
from blindspot.storage.words import Level, RunKindName, Split
from blindspot.storage.workspace import Workspace
from blindspot.tools.data.datasets import DataSource, load_split


class StateChanges(TypedDict, total=False):
    """The values of the state (see `context.State`) that a phase sets again."""

    round: int
    model_id: str
    new_model_id: str | None
    stop: str | None
    step: int
    chosen: str
    knobs: Mapping[str, Any]


class PhaseResult(NamedTuple):
    """What came of a phase."""

    changes: StateChanges
    summary: Mapping[str, Any]  # what is told of it, and recorded in its row: name -> figure or words


PhasesName = Literal[RunKindName, "autonomous", "baseline", "programs"]
"""Which phases a run has, for a display: those of its kind; of a mitigation there are two further courses."""


class State(TypedDict):
    """Ids, counters and the phase; rows live in the store. Saved whole at every step."""

    run_id: str
    round: int  # from 1; 0 while the original model is prepared
    model_id: str  # the model version under repair
    new_model_id: str | None  # what this round trained
    stop: str | None  # why the run ends, once it does
    step: NotRequired[int]  # of an autonomous run: how many it has been asked for so far, refused ones too
    chosen: NotRequired[str]  # the step that was chosen last
    knobs: NotRequired[Mapping[str, Any]]  # its arguments, in plain JSON values


def arguments_of(state: State, step: str) -> Mapping[str, Any] | None:
    """The arguments of a step that was chosen; None where it comes by the scripted order."""
    return state.get("knobs") if state.get("chosen") == step else None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a phase is, for a display."""

    run_id: str
    round: int
    phase: str
    done: int
    total: int
    message: str = ""
    level: Level = "info"  # of the message
    kind: PhasesName = "mitigation"  # which phases there are


def samples_of(store: Store, source: DataSource, dataset: Dataset, split: Split) -> list[Sample]:
    """Read a split, in its order, and see that its samples are in the store.

    A sample is one row for all data sets that have it, under the first that came: others that differ in a limit or in
    another split are read from their files again.
    """
    samples = store.rows(Sample, dataset_id=dataset.dataset_id, split=split)
    if len(samples) == dataset.rows[split]:
        return sorted(samples, key=lambda sample: sample.row)
    samples = load_split(source, dataset, split)
    store.add(samples)
    return samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What nodes work with; made again when a run is resumed."""

    run_id: str
    settings: Settings
    store: Store
    workspace: Workspace
    source: DataSource
    dataset: Dataset
    cancelled: Callable[[], bool]
    show: Callable[[Progress], None]
    phases: PhasesName = "mitigation"
    has_many_teachers: bool = False  # the settings' teacher is one of several that are asked about the same UUs
    skip_unanswered: bool = False  # give up on questions that wait for answers in files
    teachers: Given = field(default_factory=dict)  # those that are objects, by their specs

    def samples(self, split: Split) -> list[Sample]:
        """Read a split, and see that its samples are in the store.

        Of a mitigation's nodes the test split is for `evaluate` alone; tests hold the others to it.
        """
        return samples_of(self.store, self.source, self.dataset, split)

    def model(self, model_id: str) -> ModelVersion:
        """Read a model version that must be there."""
        version = self.store.one(ModelVersion, model_id=model_id)
        assert version is not None, model_id
        return version

    def owner_of(self, model_id: str) -> str:
        """The id of the run that made a model version: attacks on the version are that run's, whoever makes them."""
        return self.model(model_id).run_id

    def original_id(self) -> str:
        """The id of the run's original model version."""
        run = self.store.one(Run, run_id=self.run_id)
        assert run is not None
        assert run.original_model_id is not None
        return run.original_model_id

    def event(
        self, round_number: int, phase: str, message: str, *, level: Level = "info", cause: str | None = None
    ) -> Event:
        """Make the row of something worth telling.

        Args:
            cause: what tells it from all else where the message does not, as one with a time in it: a phase that a kill
                makes run again tells of it once.
        """
        event_id = make_id("evt", self.run_id, round_number, phase, cause or message)
        return Event(event_id, self.run_id, round_number, now(), phase, level, message)

    def tell(
        self, round_number: int, phase: str, message: str, *, level: Level = "info", cause: str | None = None
    ) -> None:
        """Record something worth telling, and show it; see `event`."""
        self.store.add([self.event(round_number, phase, message, level=level, cause=cause)])
        self.show(Progress(self.run_id, round_number, phase, 0, 0, message, level, self.phases))
