"""When an attack has reached its goal: TextAttack's rule, or with confidence, and as a second model judges it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from numpy.typing import NDArray

from blindspot.storage.errors import SettingsError
from blindspot.tools.uu import is_confident

WHOLE_STEP = 1 << 30  # texts in one call of the model: all that a step of the search wants to know
PORTION = 20_000_000  # characters in one call; the words of a very long text are ranked in several

Input = str | tuple[str, ...]  # a text as TextAttack hands it to a model: of one field, or of several


class Victim:
    """What TextAttack takes for the model: it hands texts to an oracle.

    Args:
        ask: texts, as tuples of fields, to (n, classes) probabilities.
    """

    model = None  # TextAttack looks at its class only

    def __init__(self, ask: Callable[[list[tuple[str, ...]]], NDArray[Any]]) -> None:
        self.ask = ask

    def __call__(self, texts: list[Input]) -> torch.Tensor:
        rows = self.ask([(text,) if isinstance(text, str) else tuple(text) for text in texts])
        return torch.from_numpy(rows)


def copy_attack(
    attack: Any, *, max_queries: int | None = None, confidence: float | None = None, judge: Victim | None = None
) -> Any:
    """Copy what an attack changes while it runs (goal, search, caches); share what it only reads (models, vectors).

    Args:
        max_queries: the search ends there, as `query_budget` of TextAttack's goal functions.
        confidence: search on until a wrong class has at least this probability; None: until the label flips.
        judge: has the last word on whether a sample is skipped and the goal is reached.
    Raises: SettingsError, when the recipe's goal cannot be asked for confidence.
    """
    import textattack

    goal = copy.copy(attack.goal_function)
    goal.batch_size = WHOLE_STEP
    goal._call_model_uncached = in_portions(goal._call_model_uncached)
    # TextAttack puts a softmax over rows whose sum is off by a rounding error.
    goal._process_model_outputs = lambda _, rows: rows
    if max_queries is not None:
        goal.query_budget = max_queries
    if confidence is not None:
        demand_confidence(goal, confidence)
    if judge is not None:
        demand_agreement(goal, judge)
    constraints = [*attack.constraints, *attack.pre_transformation_constraints]
    return textattack.Attack(goal, constraints, attack.transformation, copy.copy(attack.search_method))


def in_portions(call: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    """Call the model with some texts at a time where all of a step would fill the memory; the rows are the same."""

    def call_in_portions(texts: list[Any]) -> Any:
        most = max(1, PORTION // max(1, len(texts[0].text))) if texts else 1
        if len(texts) <= most:
            return call(texts)
        return torch.cat([call(texts[start : start + most]) for start in range(0, len(texts), most)])

    return call_in_portions


def demand_confidence(goal: Any, confidence: float) -> None:
    """Make a goal complete only where a wrong class is predicted with so much confidence, among any number of classes.

    What leads the search stays as it is: the probability that the true class has lost. A sample that is wrong before
    the attack is skipped as ever, confident or not.

    Raises: SettingsError, when the recipe's goal is another than to leave the true class.
    """
    from textattack.goal_functions import UntargetedClassification

    if type(goal) is not UntargetedClassification or goal.target_max_score:
        raise SettingsError(f'attack.goal = "confident" does not work with recipes of the goal {type(goal).__name__}')

    def is_wrong(output: torch.Tensor, _: Any) -> bool:
        return bool(output.argmax() != goal.ground_truth_output)

    goal._should_skip = is_wrong
    goal._is_goal_complete = lambda output, text: (
        is_wrong(output, text) and is_confident(float(output.max()), confidence)
    )


def demand_agreement(goal: Any, judge: Victim) -> None:
    """Make a goal complete only where a judge sees it as reached too, and leave it to the judge what is skipped.

    What leads the search stays the goal's own model. The judge is asked when the search looks at the status of a text
    that its own model takes for a success, never about texts that only rank words. What it is asked is not counted as
    queries.
    """
    from textattack.goal_function_results import GoalFunctionResultStatus as Status

    call, status_of = goal._call_model, goal._get_goal_status
    skips, completes = goal._should_skip, goal._is_goal_complete
    step = Step(judge)

    def call_model(texts: list[Any]) -> Any:
        nonlocal step
        step = Step(judge)
        return call(texts)

    def get_goal_status(output: torch.Tensor, text: Any, check_skip: bool = False) -> int | Callable[[], int]:
        if check_skip and goal.allow_skip and skips(step.put(text)(), text):
            return int(Status.SKIPPED)
        status = int(status_of(output, text))
        if status != Status.SUCCEEDED:
            return status
        judged = step.put(text)
        return lambda: int(Status.SUCCEEDED if completes(judged(), text) else Status.SEARCHING)

    goal._call_model = call_model
    goal._get_goal_status = get_goal_status
    goal._goal_function_result_type = result_judged_late


@dataclass(slots=True)
class Step:
    """The texts of one step of a search that the judge may be asked about.

    Most searches look at the best one alone; those that look at a second one look at more.
    """

    judge: Victim
    inputs: list[Input] = field(default_factory=list)
    rows: dict[int, torch.Tensor] = field(default_factory=dict)  # what the judge said, by position

    def put(self, text: Any) -> Callable[[], torch.Tensor]:
        """Add a text; returns what asks the judge about it."""
        position = len(self.inputs)
        self.inputs.append(text.tokenizer_input)

        def ask() -> torch.Tensor:
            if position not in self.rows:
                wanted = (
                    [each for each in range(len(self.inputs)) if each not in self.rows] if self.rows else [position]
                )
                self.rows |= zip(wanted, self.judge([self.inputs[each] for each in wanted]), strict=True)
            return self.rows[position]

        return ask


@cache
def result_judged_late() -> Any:
    """A class of results whose status may be a question, asked when it is looked at for the first time."""
    from textattack.goal_function_results import ClassificationGoalFunctionResult

    class JudgedLate(ClassificationGoalFunctionResult):  # type: ignore[misc]
        @property
        def goal_status(self) -> int:
            if callable(self._status):
                self._status: int = self._status()
            return self._status

        @goal_status.setter
        def goal_status(self, status: Any) -> None:
            self._status = status

    return JudgedLate
