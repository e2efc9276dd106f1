"""What is looked at before a run begins: models, device and recipes, so that nothing is paid for in vain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from blindspot.graphs.shared.budgets import FILTERED
from blindspot.storage.errors import SettingsError
from blindspot.storage.settings.sections import Settings

if TYPE_CHECKING:
    from blindspot.storage.records import Dataset
    from blindspot.tools.data.datasets import DataSource


def check_places(settings: Settings, kind: str = "mitigation") -> None:
    """See that the models of a kind of run and the device are there, before the data are read.

    Raises: ModelError.
    """
    from blindspot.tools.classifier.classifier import locate_model, pick_device

    locate_model(settings.classifier.model)
    if filters(settings, kind):
        locate_model(settings.filter.encoder)
    pick_device(settings.classifier.device)


def check_method(settings: Settings, source: DataSource, dataset: Dataset, kind: str = "mitigation") -> None:
    """See that a mitigation's method and levers have what they learn of: a file that can be read, attacks to be made.

    Raises: DataError, for a recorded sample that is wrong. SettingsError.
    """
    attack, method = settings.attack, settings.method
    if kind != "mitigation":
        return
    if method.name == "recorded" and method.file:
        from blindspot.tools.additions.recorded import read_recorded

        read_recorded(Path(method.file), source, dataset.labels)
    if method.name == "adversarial" and not (attack.recipes and attack.samples + attack.train_samples):
        raise SettingsError(
            'method.name = "adversarial": nothing is attacked; name a recipe in attack.recipes, and samples to attack'
        )
    takes_attacks = bool(settings.retrain.consistency) and settings.retrain.twins == "attacks"
    if takes_attacks and method.name != "temperature" and not (attack.recipes and attack.train_samples):
        raise SettingsError(
            'retrain.twins = "attacks": no training sample is attacked, so none has a twin; set attack.train_samples, '
            'or retrain.twins = "typos"'
        )


def check_models(settings: Settings, labels: Sequence[str], kind: str = "mitigation") -> None:
    """Load the classifier and, where samples are filtered, its encoder once, to see that the run will be able to.

    Raises: ModelError, when one cannot be loaded or the classifier's classes are not the labels. SettingsError, when
        nothing says which class stands for which label.
    """
    from blindspot.tools.classifier.classifier import locate_model
    from blindspot.tools.classifier.weights import class_names, load_weights
    from blindspot.tools.text.similarity import BertScorer

    classifier = settings.classifier
    model, _ = load_weights(locate_model(classifier.model), labels, fine_tuned=not classifier.fine_tune)
    if class_names(model) is None and not classifier.fine_tune and settings.data.labels is None:
        raise SettingsError(
            f"{classifier.model}: the model's {len(labels)} classes have no names (LABEL_0, …); set data.labels to the "
            f"labels in the order of its classes, e.g. {list(labels)}"
        )
    del model  # two large models need not fit at once
    if filters(settings, kind):
        BertScorer(settings.filter.encoder)


def filters(settings: Settings, kind: str) -> bool:
    """Whether a kind of run has samples that the filter judges, for which it needs an encoder."""
    return kind == "comparison" or (kind == "mitigation" and settings.method.name in FILTERED)


def check_recipes(settings: Settings) -> None:
    """See that every recipe can be built here, can change the fields that it may and reach the goal, and is there once.

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
