"""Everything that can be checked before a run begins, in one order for all that begin one, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from blindspot.agents.teachers.given import NOBODY, Given
from blindspot.graphs.kinds.kind import RunKind
from blindspot.graphs.preflight.source import source_of
from blindspot.graphs.shared.logged import log_source
from blindspot.storage.errors import SettingsError
from blindspot.storage.records import Dataset, Run
from blindspot.storage.settings.sections import Settings
from blindspot.tools.data.datasets import DataSource, inspect
from blindspot.tools.data.logged_errors import inspect_log
from blindspot.tools.data.review import Notice
from blindspot.tools.data.unlabelled import inspect_unlabelled


def check_places(settings: Settings, *, filters: bool) -> None:
    """Check that the models of a run and the device are there.

    Args:
        filters: whether the run has samples that the filter judges, for which it needs an encoder.
    Raises: ModelError.
    """
    from blindspot.tools.classifier.classifier import locate_model, pick_device

    locate_model(settings.classifier.model)
    if filters:
        locate_model(settings.filter.encoder)
    pick_device(settings.classifier.device)


def check_classifier(settings: Settings, labels: Sequence[str]) -> None:
    """Load the classifier once, to see that the run will be able to.

    Raises: ModelError, when it cannot be loaded or its classes are not the labels. SettingsError, when nothing says
        which class stands for which label.
    """
    from blindspot.tools.classifier.classifier import locate_model
    from blindspot.tools.classifier.weights import class_names, load_weights

    classifier = settings.classifier
    model, _ = load_weights(locate_model(classifier.model), labels, fine_tuned=not classifier.fine_tune)
    if class_names(model) is None and not classifier.fine_tune and settings.data.labels is None:
        raise SettingsError(
            f"{classifier.model}: the model's {len(labels)} classes have no names (LABEL_0, …); set data.labels to the "
            f"labels in the order of its classes, e.g. {list(labels)}"
        )


def check_encoder(settings: Settings) -> None:
    """Load the filter's encoder once, to see that the run will be able to.

    Raises: ModelError, when it cannot be loaded.
    """
    from blindspot.tools.text.similarity import BertScorer

    BertScorer(settings.filter.encoder)


def check_recipes(settings: Settings) -> None:
    """Check that every recipe is there once, can be built, can change the fields that it may and reach the goal.

    Raises: SettingsError.
    """
    if not settings.attack.recipes:
        return
    from blindspot.tools.attack.goal import copy_attack
    from blindspot.tools.attack.recipes import recipe_class, restrict_fields, try_recipe

    attack = settings.attack
    names: dict[object, str] = {}
    for recipe in attack.recipes:
        other = names.setdefault(recipe_class(recipe), recipe)
        if other != recipe:
            raise SettingsError(f'attack.recipes: "{recipe}" is the same recipe as "{other}"')
        built = try_recipe(recipe, attack.sentence_encoder)
        if attack.fields is not None:
            restrict_fields(built, settings.data.fields, attack.fields)
        if attack.goal == "confident":
            copy_attack(built, confidence=settings.run.tau)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a run works with: settings and data that were looked at."""

    settings: Settings
    kind: RunKind
    source: DataSource
    dataset: Dataset
    notices: tuple[Notice, ...] = ()  # what is worth knowing about the data, though no error
    teachers: Given = field(default_factory=dict)  # of those that it asks, the objects, by their specs


class Preflight:
    """Checks the settings, data, recipes and models of runs; what several of them share is read and checked once.

    One is made for each thing that a person starts: a run, with its forecast, or a study, with all of its cells.
    """

    def __init__(self, teachers: Given = NOBODY) -> None:
        """Begin with nothing checked.

        Args:
            teachers: those that are objects, by their specs.
        """
        self._teachers = teachers
        self._data: dict[str, tuple[Dataset, tuple[Notice, ...]]] = {}
        self._passed: set[str] = set()

    def check(
        self, settings: Settings, kind: RunKind, *, name: str | None = None, resumed: Run | None = None
    ) -> Checked:
        """Check everything that a run needs, so that it need not fail once it is under way.

        Args:
            name: of the data set; None: the run's.
            resumed: a run that goes on: it needs the data set that it began with, and its recipes were checked then.
        Raises: OperatorError; nothing is written.
        """
        self.check_settings(settings, kind)
        filters, attack = kind.filters(settings), settings.attack
        places = (settings.classifier, filters and settings.filter.encoder)
        self._once(lambda: check_places(settings, filters=filters), "places", places)
        checked = self._read(settings, kind, name=name, reviews=resumed is None)
        labels = checked.dataset.labels
        if resumed and checked.dataset.dataset_id != resumed.dataset_id:
            raise SettingsError(f"{resumed.run_id}: its data set has changed since it began; start a new run")
        kind.check_data(settings, checked.source, checked.dataset)
        if not resumed:
            self._once(lambda: check_recipes(settings), "recipes", attack, settings.data.fields, settings.run.tau)
        classifier = (settings.classifier, settings.data.labels, labels)
        self._once(lambda: check_classifier(settings, labels), "classifier", classifier)
        if filters:
            self._once(lambda: check_encoder(settings), "encoder", settings.filter.encoder)
        return checked

    def read(self, settings: Settings, kind: RunKind) -> Checked:
        """Check the settings of a run and read its data; no model is looked at.

        Raises: OperatorError, where the settings, the data or a teacher are at fault.
        """
        self.check_settings(settings, kind)
        return self._read(settings, kind, name=None, reviews=True)

    def check_settings(self, settings: Settings, kind: RunKind) -> None:
        """Check that a run has what only a run of its kind needs.

        Raises: SettingsError, TeacherError.
        """
        self._once(lambda: kind.check(settings, self._asked(settings, kind)), "settings", kind.name, settings)

    def check_asked(self, names: Collection[str]) -> None:
        """Check that each teacher that was given is asked.

        Args:
            names: the specs of those that are asked, as `RunKind.teachers` has them.
        Raises: SettingsError.
        """
        idle = self._teachers.keys() - set(names)
        if idle:
            raise SettingsError(
                f"teacher: {min(idle)} was given, but no setting names it; the teachers are: "
                f"{', '.join(names) or 'none'}"
            )

    def _asked(self, settings: Settings, kind: RunKind) -> Given:
        """The objects among the teachers of a run."""
        return {name: self._teachers[name] for name in kind.teachers(settings) if name in self._teachers}

    def _read(self, settings: Settings, kind: RunKind, *, name: str | None, reviews: bool) -> Checked:
        """Check the data set and, where there are any that the kind of run reads, the log and the unlabelled texts.

        Args:
            reviews: look for what is not an error and yet worth knowing.
        """
        source = source_of(settings, kind)
        source = replace(source, name=name) if name else source
        log = log_source(settings) if kind.reads_log else None
        key = repr((replace(source, seed=source.seed if source.is_drawn else 0), log, reviews))
        if key not in self._data:
            notices: list[Notice] = []
            dataset = inspect_unlabelled(source, inspect(source, notices if reviews else None))
            dataset = inspect_log(source, log, dataset)[1] if log else dataset
            self._data[key] = dataset, tuple(notices)
        return Checked(settings, kind, source, *self._data[key], self._asked(settings, kind))

    def _once(self, check: Callable[[], None], *depends: object) -> None:
        """Make a check unless it was passed before.

        Args:
            depends: all that its outcome depends on.
        """
        key = repr(depends)
        if key not in self._passed:
            check()
            self._passed.add(key)
