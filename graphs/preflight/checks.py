"""What is looked at before a run begins: models, device and recipes, so that nothing is paid for in vain."""

from __future__ import annotations

from collections.abc import Sequence

from blindspot.storage.errors import SettingsError
from blindspot.storage.settings.sections import Settings


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
