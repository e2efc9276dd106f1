"""What may come next in an autonomous run: pure functions of counts, so that any course of a run can be tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blindspot.agents.teachers.decisions import ARGUMENTS, Choice
from blindspot.storage.settings.sections import Settings

NATURAL = "natural"
EPOCHS = (0.5, 2.0)  # bounds of a choice, as shares of the epochs of a scripted run


@dataclass(frozen=True, slots=True)
class Facts:
    """Where a round is, in counts; none of them is of the test split."""

    validation: int  # samples that each recipe may attack
    attacked: Mapping[str, int]  # recipe of the settings -> samples attacked of the model version under repair
    spent: Mapping[str, str]  # recipe -> the limit of the settings that its attacks have reached
    searched: bool  # whether this round has looked for UUs, natural ones among them
    found: Mapping[str, int]  # "natural" or recipe -> UUs of this round
    selected: Mapping[str, int]  # "natural" or recipe -> of them selected
    most_selected: int  # in a round, by the settings
    untaught: int  # selected UUs that lack a hypothesis or samples
    taught: bool  # whether the selected ones were taught about as far as they could be
    hypotheses: frozenset[str]  # names of this round's
    unfiltered: int  # samples written in this round that no filter saw
    accepted: int  # samples of this round that passed
    trained: bool
    evaluated: bool
    epochs: float  # of a scripted run

    @property
    def room(self) -> int:
        """How many more UUs may be selected."""
        return max(0, self.most_selected - sum(self.selected.values()))

    @property
    def epoch_bounds(self) -> tuple[float, float]:
        """The fewest and the most epochs that may be chosen."""
        low, high = EPOCHS
        return low * self.epochs, high * self.epochs

    def left(self, recipe: str) -> int:
        """How many samples a recipe may still attack."""
        return 0 if recipe in self.spent else self.validation - self.attacked[recipe]

    def selectable(self, recipe: str) -> int:
        """How many UUs found by a recipe ("any" for all of them) are not selected."""
        recipes = self.found if recipe == "any" else (recipe,)
        return sum(self.found.get(name, 0) - self.selected.get(name, 0) for name in recipes)


def hindrances(facts: Facts) -> dict[str, str]:
    """Say of each step that makes no sense now why, in the order of the steps."""
    reasons = {step: hindrance(step, facts) for step in ARGUMENTS}
    return {step: reason for step, reason in reasons.items() if reason}


def possible(facts: Facts) -> list[str]:
    """The steps that make sense now; there is always one."""
    return [step for step in ARGUMENTS if hindrance(step, facts) is None]


def hindrance(step: str, facts: Facts) -> str | None:
    """Why a step makes no sense now, whatever its arguments; None: it does."""
    if facts.trained:
        return after_training(step, evaluated=facts.evaluated)
    reasons = {
        "attack": facts.searched and not any(map(facts.left, facts.attacked)) and "nothing is left to attack",
        "select": nothing_to_select(facts, "any"),
        "teach": not facts.untaught and "every selected UU has been explained; select UUs first",
        "write_more": not facts.hypotheses and "this round has no hypotheses yet; teach first",
        "filter": not facts.unfiltered and "no sample waits for the filter; teach or write more first",
        "retrain": not facts.accepted
        and "no sample of this round has passed the filter, so there is nothing to train on",
        "evaluate": "this round has trained nothing; retrain first",
        "close_round": "this round has trained nothing to keep or drop; retrain and evaluate, or stop to end the run",
    }
    return reasons.get(step) or None


def after_training(step: str, *, evaluated: bool) -> str | None:
    """Why a step makes no sense once a round has trained: what is left is to measure and to decide."""
    if step in ("close_round", "stop"):
        return None if evaluated else "the new model version is not evaluated yet; evaluate it first"
    if step == "evaluate":
        return "the new model version is evaluated already; close the round" if evaluated else None
    done = "evaluated; close the round" if evaluated else "to be evaluated next"
    return f"a round trains once, and this one's model version is {done}"


def nothing_to_select(facts: Facts, recipe: str) -> str | None:
    if not facts.selectable(recipe):
        return "no UU is left to select; attack first" if recipe == "any" else f"no UU of {recipe} is left to select"
    if not facts.room:
        return f"{facts.most_selected} UUs are selected, the most that the settings allow in a round"
    return None


def refusal(choice: Choice, facts: Facts) -> str | None:
    """Why a choice cannot be followed, and what can; None: it can."""
    reason = hindrance(choice.step, facts) or knobs_refusal(choice, facts)
    return reason and f"{choice.step}: {reason}. Possible now: {', '.join(possible(facts))}"


def knobs_refusal(choice: Choice, facts: Facts) -> str | None:
    """Why a step that makes sense cannot be done with these arguments."""
    arguments = choice.arguments
    if choice.step == "attack":
        return attack_refusal(arguments["recipe"], facts)
    if choice.step == "select":
        known = ("any", NATURAL, *facts.attacked)
        if arguments["recipe"] not in known:
            return f"there is no recipe {arguments['recipe']!r}; known here: {', '.join(known)}"
        return nothing_to_select(facts, arguments["recipe"])
    if choice.step == "write_more":
        unknown = [name for name in arguments["hypotheses"] if name not in facts.hypotheses]
        return f"there is no hypothesis {', '.join(unknown)}" if unknown else None
    if choice.step == "retrain" and arguments["epochs"] is not None:
        low, high = facts.epoch_bounds
        return (
            None
            if low <= arguments["epochs"] <= high
            else f"epochs = {arguments['epochs']:g}: choose {low:g} to {high:g}"
        )
    return None


def attack_refusal(recipe: str, facts: Facts) -> str | None:
    if recipe == NATURAL:
        return "the natural UUs of this round are found already" if facts.searched else None
    if recipe not in facts.attacked:
        return f"there is no recipe {recipe!r}; known here: {', '.join((NATURAL, *facts.attacked))}"
    if recipe in facts.spent:
        return f"the attacks of {recipe} have reached {facts.spent[recipe]}, their limit in the settings"
    return None if facts.left(recipe) else f"{recipe} has attacked all {facts.validation} samples"


def scripted_step(facts: Facts, samples: int) -> Choice:
    """What the scripted order would do next: for a teacher that cannot decide.

    Args:
        samples: how many a scripted run attacks with each recipe.
    """
    untried = [recipe for recipe, count in facts.attacked.items() if not count and facts.left(recipe) and samples]
    if facts.trained:
        return choice_of("close_round" if facts.evaluated else "evaluate")
    if untried:
        return choice_of("attack", recipe=untried[0], samples=samples)
    if not facts.searched:
        return choice_of("attack", recipe=NATURAL)
    if not sum(facts.selected.values()) and hindrance("select", facts) is None:
        return choice_of("select", count=facts.room)
    if facts.untaught and not facts.taught:
        return choice_of("teach")
    if facts.unfiltered:
        return choice_of("filter")
    return choice_of("retrain" if facts.accepted else "close_round")


def last_step(facts: Facts, why: str) -> Choice:
    """What is left to do once no step may be chosen any more: measure what was trained, then end the run."""
    return choice_of("evaluate") if facts.trained and not facts.evaluated else choice_of("stop", reason=why)


def choice_of(step: str, **arguments: Any) -> Choice:
    return Choice(step, ARGUMENTS[step].model_validate(arguments).model_dump(mode="json"))


def settings_for(settings: Settings, step: str, arguments: Mapping[str, Any]) -> Settings:
    """The settings of a run with the arguments of one step in the places of their own."""
    changed: dict[str, Any] = {}
    if step == "attack":
        recipes = () if arguments["recipe"] == NATURAL else (arguments["recipe"],)
        attack = {
            "recipes": recipes,
            "samples": arguments["samples"],
            "goal": arguments["goal"] or settings.attack.goal,
        }
        changed["attack"] = settings.attack.model_copy(update=attack)
    if step == "retrain":
        given = {name: value for name, value in arguments.items() if value is not None}
        changed["retrain"] = settings.retrain.model_copy(update=given)
    return settings.model_copy(update=changed)
