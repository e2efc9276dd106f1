"""TextAttack's recipes by name, built so that many samples can be attacked at once with one set of resources."""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindspot.storage.errors import SettingsError
from blindspot.tools.attack.goal import Victim
from blindspot.tools.attack.plan import SentenceEncoderName
from blindspot.tools.attack.resources import check_tagger, prepare_textattack
from blindspot.tools.attack.sentence_encoder import sentence_oracle
from blindspot.tools.data.columns import first_line

SENTENCE_ENCODER = "https://tfhub.dev/google/universal-sentence-encoder/3"  # what TextAttack's recipes name


class SentenceEncoder:
    """What TextAttack's SBERT constraint takes for its model: it hands sentences to an oracle."""

    def __init__(self, ask: Callable[[list[str]], NDArray[Any]]) -> None:
        self.ask = ask

    def encode(self, sentences: list[str]) -> NDArray[np.float32]:
        return self.ask(sentences)


def build_attack(recipe: str, victim: Victim, sentence_encoder: SentenceEncoderName = "minilm") -> Any:
    """Build a recipe around a victim.

    Args:
        recipe: "deepwordbug", "textfooler", …: TextAttack's short name, or the name of the class or of its module.
        sentence_encoder: what compares sentences where the recipe has the Universal Sentence Encoder: MiniLM in its
            place, or TensorFlow's own.
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
        if "invalid model wrapper" in str(error):  # what wants the model's own gradients says so
            raise no_black_box(recipe) from error
        raise resource_error(recipe, error) from error
    from textattack.constraints.grammaticality import PartOfSpeech
    from textattack.constraints.semantics.sentence_encoders import UniversalSentenceEncoder
    from textattack.goal_functions import ClassificationGoalFunction

    if not attack.is_black_box or not isinstance(attack.goal_function, ClassificationGoalFunction):
        raise no_black_box(recipe)
    if any(isinstance(constraint, PartOfSpeech) for constraint in attack.constraints):
        check_tagger()
    choose = universal_encoder_in if sentence_encoder == "use" else minilm_in_place_of
    attack.constraints = [
        choose(constraint) if isinstance(constraint, UniversalSentenceEncoder) else constraint
        for constraint in attack.constraints
    ]
    return attack


def try_recipe(recipe: str, sentence_encoder: SentenceEncoderName = "minilm") -> Any:
    """Build a recipe that attacks nothing, to see that it can be built here.

    Raises: SettingsError, as `build_attack`.
    """

    def refuse(texts: list[tuple[str, ...]]) -> NDArray[Any]:
        raise AssertionError(f"building {recipe} asked about {len(texts)} texts")

    return build_attack(recipe, Victim(refuse), sentence_encoder)


def restrict_fields(attack: Any, field_names: Sequence[str], changeable: Sequence[str]) -> None:
    """Keep an attack from changing other fields than these; what its recipe leaves alone it leaves alone as before.

    Args:
        field_names: all fields of a sample, in order.
        changeable: those that may be changed.
    Raises: SettingsError, when the recipe by itself changes none of them.
    """
    from textattack.constraints.pre_transformation import InputColumnModification

    labels = list(field_names)
    left = set(changeable)
    for constraint in attack.pre_transformation_constraints:
        if isinstance(constraint, InputColumnModification) and constraint.matching_column_labels == labels:
            left -= set(constraint.columns_to_ignore)
    if not left:
        raise SettingsError(
            f"attack.fields: the recipe by itself never changes {', '.join(changeable)} of ({', '.join(labels)}); "
            "name another field, or use another recipe"
        )
    fixed = set(labels) - set(changeable)
    attack.pre_transformation_constraints.append(InputColumnModification(labels, fixed))


def recipe_class(recipe: str) -> Any:
    """Find a recipe of TextAttack's by any of its names.

    Raises: SettingsError, naming those there are.
    """
    prepare_textattack()
    classes = recipe_classes()
    if normalized(recipe) not in classes:
        names = ", ".join(sorted(short_names()))
        raise SettingsError(f'unknown attack recipe "{recipe}"; known: {names}, and the class names of TextAttack')
    return classes[normalized(recipe)]


@cache
def recipe_classes() -> dict[str, Any]:
    """All names of recipes, in lower-case letters and digits only, and their classes."""
    textattack = prepare_textattack()
    base = textattack.attack_recipes.AttackRecipe
    classes = {
        name: value
        for name, value in vars(textattack.attack_recipes).items()
        if isinstance(value, type) and issubclass(value, base) and value is not base
    }
    modules = {value.__module__.rpartition(".")[2]: value for value in classes.values()}
    short = {name: classes[path.rpartition(".")[2]] for name, path in short_names().items()}
    return {normalized(name): value for name, value in (modules | classes | short).items()}


def short_names() -> dict[str, str]:
    """The names on TextAttack's command line -> paths of classes."""
    from textattack.attack_args import ATTACK_RECIPE_NAMES

    return dict(ATTACK_RECIPE_NAMES)


def normalized(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def no_black_box(recipe: str) -> SettingsError:
    """Say that a recipe wants more of a model than its answers."""
    return SettingsError(f'attack recipe "{recipe}" needs gradients or generated text: it cannot attack a classifier')


def resource_error(recipe: str, error: BaseException) -> SettingsError:
    """Say in one line what a recipe lacks."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" *")]
    return SettingsError(
        f'attack recipe "{recipe}" cannot be used here: {" ".join(lines[:4]) or type(error).__name__}; '
        'install or download what it names, or use another recipe ("deepwordbug" needs nothing)'
    )


def minilm_in_place_of(encoder: Any) -> Any:
    """Make a constraint on sentence similarity with the same settings and MiniLM as its encoder."""
    from textattack.constraints.semantics.sentence_encoders import SBERT

    constraint = SBERT.__new__(SBERT)
    constraint.__dict__.update(encoder.__dict__)
    constraint.model = SentenceEncoder(sentence_oracle().ask)
    return constraint


def universal_encoder_in(constraint: Any) -> Any:
    """Check that a constraint's Universal Sentence Encoder is there, and load it.

    Raises: SettingsError, as `load_universal_encoder`.
    """
    constraint.model = load_universal_encoder(constraint._tfhub_url)
    return constraint


@cache
def load_universal_encoder(url: str) -> Any:
    """Load the Universal Sentence Encoder from TensorFlow Hub, or from its cache: once for the process.

    Raises: SettingsError, saying what is missing.
    """
    other = 'or set attack.sentence_encoder = "minilm"'
    try:
        model = importlib.import_module("tensorflow_hub").load(url)
        model(["A sentence."])
    except ImportError as error:
        raise SettingsError(
            f'attack.sentence_encoder = "use" needs TensorFlow: {first_line(error)}; '
            f"pip install tensorflow tensorflow_hub, {other}"
        ) from error
    except Exception as error:  # TensorFlow's own kinds cannot be named without it
        raise SettingsError(
            f"the Universal Sentence Encoder cannot be loaded from {url}: {first_line(error)}; connect to the network "
            f"once, or set TFHUB_CACHE_DIR to a folder that has it, {other}"
        ) from error
    return model
