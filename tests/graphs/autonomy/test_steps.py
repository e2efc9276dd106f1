"""What may come next in an autonomous run, whatever the teacher asks for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.agents.teachers.decisions import ARGUMENTS, Choice
from blindspot.graphs.autonomy.steps import (
    NATURAL,
    Facts,
    choice_of,
    hindrance,
    hindrances,
    last_step,
    possible,
    refusal,
    scripted_step,
    settings_for,
)
from blindspot.storage.settings.sections import Settings, check_settings

START = Facts(
    validation=50,
    attacked={"deepwordbug": 0, "pruthi": 0},
    spent={},
    searched=False,
    found={},
    selected={},
    most_selected=8,
    untaught=0,
    taught=False,
    hypotheses=frozenset(),
    unfiltered=0,
    accepted=0,
    trained=False,
    evaluated=False,
    epochs=4.0,
)
SETTINGS = check_settings({"data": {"path": "data"}}, where="test")


@dataclass
class World:
    """A run as the graph carries it out, with every phase's work replaced by a count."""

    facts: Facts = START
    rounds: int = 1
    ended: str = ""
    done: list[str] = field(default_factory=list)  # phases of this round
    history: list[list[str]] = field(default_factory=list)

    def follow(self, choice: Choice, luck: int) -> None:
        """Do a step; luck (0 to 3): how much comes of it."""
        facts, arguments = self.facts, choice.arguments
        self.done.append(choice.step)
        if choice.step == "attack":
            found, attacked = Counter(facts.found), dict(facts.attacked)
            found[NATURAL] = 2
            if arguments["recipe"] != NATURAL:
                attacked[arguments["recipe"]] += min(arguments["samples"], facts.left(arguments["recipe"]))
                found[arguments["recipe"]] = attacked[arguments["recipe"]] * luck // 4
            self.facts = replace(facts, searched=True, found=found, attacked=attacked)
        elif choice.step == "select":
            selected, left = Counter(facts.selected), min(arguments["count"], facts.room)
            for recipe in facts.found if arguments["recipe"] == "any" else [arguments["recipe"]]:
                taken = min(left, facts.selectable(recipe))
                selected[recipe], left = selected[recipe] + taken, left - taken
            gained = selected.total() - sum(facts.selected.values())
            self.facts = replace(facts, selected=selected, untaught=facts.untaught + gained, taught=False)
        elif choice.step in ("teach", "write_more"):
            taught = facts.untaught if luck else 0  # without luck the teacher gives no answer
            names = facts.hypotheses | {f"h{len(facts.hypotheses) + n + 1}" for n in range(taught)}
            written = facts.unfiltered + taught + luck
            left = facts.untaught - taught
            self.facts = replace(facts, untaught=left, taught=True, hypotheses=names, unfiltered=written)
        elif choice.step == "filter":
            self.facts = replace(facts, unfiltered=0, accepted=facts.accepted + facts.unfiltered * luck // 4)
        elif choice.step == "retrain":
            assert facts.accepted
            self.facts = replace(facts, trained=True)
        elif choice.step == "evaluate":
            assert facts.trained
            self.facts = replace(facts, evaluated=True)
        else:
            self.close(choice, kept=luck > 1)

    def close(self, choice: Choice, *, kept: bool) -> None:
        self.history.append(self.done)
        self.done = []
        if choice.step == "stop":
            self.ended = choice.arguments["reason"]
        elif len(self.history) >= self.rounds or not kept:
            self.ended = "guard"
        self.facts = START


def choices() -> st.SearchStrategy[Choice]:
    """Anything that can be read from a reply."""
    recipe = st.sampled_from([NATURAL, "deepwordbug", "pruthi", "any", "textfooler"])
    arguments: dict[str, st.SearchStrategy[dict[str, Any]]] = {
        "attack": st.fixed_dictionaries({"recipe": recipe, "samples": st.integers(1, 80)}),
        "select": st.fixed_dictionaries({"count": st.integers(1, 20), "recipe": recipe}),
        "write_more": st.fixed_dictionaries(
            {
                "hypotheses": st.lists(st.sampled_from(["h1", "h2", "h99"]), min_size=1, max_size=3),
                "samples": st.integers(1, 10),
            }
        ),
        "retrain": st.fixed_dictionaries({"epochs": st.sampled_from([None, 0.5, 2.0, 4.0, 8.0, 100.0])}),
        "stop": st.just({"reason": "enough"}),
    }
    # a teacher that stops at once makes a dull test
    steps = [step for step in ARGUMENTS if step != "stop"] * 4 + ["stop"]
    return st.sampled_from(steps).flatmap(
        lambda step: arguments.get(step, st.just({})).map(lambda values: choice_of(step, **values))
    )


@given(
    asked=st.lists(st.tuples(choices(), st.integers(0, 3)), max_size=60),
    limit=st.integers(5, 40),
    rounds=st.integers(1, 3),
)
def test_whatever_is_chosen_a_run_ends_in_good_order_within_the_limit(
    asked: list[tuple[Choice, int]], limit: int, rounds: int
) -> None:
    world = World(rounds=rounds)
    for choice, luck in asked[:limit]:
        if not world.ended and refusal(choice, world.facts) is None:
            world.follow(choice, luck)
    forced = 0
    while not world.ended:
        world.follow(last_step(world.facts, "the limit"), luck=3)
        forced += 1
    assert forced <= 2
    assert world.ended in ("enough", "guard", "the limit")
    for phases in world.history:
        assert phases.count("retrain") == phases.count("evaluate") <= 1
        if "retrain" in phases:
            assert phases.index("filter") < phases.index("retrain")
            assert phases[phases.index("retrain") :][:2] == ["retrain", "evaluate"]
            assert phases[-1] in ("close_round", "stop")
            assert len(phases) == phases.index("retrain") + 3


@given(asked=st.lists(st.tuples(choices(), st.integers(0, 3)), max_size=30), luck=st.integers(0, 3))
def test_from_anywhere_the_scripted_order_leads_to_the_end_of_the_round(
    asked: list[tuple[Choice, int]], luck: int
) -> None:
    world = World()
    for choice, one in asked:
        if not world.ended and refusal(choice, world.facts) is None:
            world.follow(choice, one)
    for _ in range(8):
        if not world.ended:
            choice = scripted_step(world.facts, samples=12)
            is_end = choice.step == "close_round" and not world.facts.trained
            assert is_end or refusal(choice, world.facts) is None
            world.follow(choice, luck)
    assert world.ended


def test_the_scripted_order_is_that_of_a_scripted_run() -> None:
    world = World()
    while not world.ended:
        world.follow(scripted_step(world.facts, samples=12), luck=2)
    assert world.history == [
        ["attack", "attack", "select", "teach", "filter", "retrain", "evaluate", "close_round"]
    ]  # an attack for each recipe


@given(asked=st.lists(st.tuples(choices(), st.integers(0, 3)), max_size=30))
def test_a_step_is_either_possible_or_there_is_a_reason(asked: list[tuple[Choice, int]]) -> None:
    world = World()
    for choice, luck in asked:
        if not world.ended and refusal(choice, world.facts) is None:
            world.follow(choice, luck)
        offered = possible(world.facts)
        assert offered
        assert set(offered) | set(hindrances(world.facts)) == set(ARGUMENTS)
        assert not set(offered) & set(hindrances(world.facts))


TAUGHT = replace(
    START,
    searched=True,
    found={"deepwordbug": 6, NATURAL: 1},
    selected={"deepwordbug": 6},
    hypotheses=frozenset({"h1", "h2"}),
    attacked={"deepwordbug": 50, "pruthi": 10},
    spent={"pruthi": "100 queries"},
)


@pytest.mark.parametrize(
    ("choice", "facts", "said"),
    [
        (choice_of("retrain"), TAUGHT, "no sample of this round has passed the filter"),
        (choice_of("retrain"), replace(TAUGHT, accepted=2, trained=True), "trains once"),
        (choice_of("retrain", epochs=9), replace(TAUGHT, accepted=2), "choose 2 to 8"),
        (choice_of("attack", recipe="textfooler"), START, "there is no recipe 'textfooler'"),
        (choice_of("attack", recipe="deepwordbug"), replace(TAUGHT, spent={}), "has attacked all 50 samples"),
        (choice_of("attack", recipe="deepwordbug"), TAUGHT, "nothing is left to attack"),
        (choice_of("attack", recipe="pruthi"), replace(TAUGHT, attacked={"deepwordbug": 1, "pruthi": 9}), "100 queri"),
        (choice_of("attack", recipe=NATURAL), replace(TAUGHT, spent={}), "natural UUs of this round are found"),
        (choice_of("select", count=1), START, "attack first"),
        (choice_of("select", count=1, recipe="deepwordbug"), TAUGHT, "no UU of deepwordbug is left"),
        (choice_of("select", count=1, recipe="pruthi2"), TAUGHT, "there is no recipe 'pruthi2'"),
        (choice_of("select", count=1), replace(TAUGHT, most_selected=6), "the most that the settings allow"),
        (choice_of("teach"), TAUGHT, "select UUs first"),
        (choice_of("write_more", hypotheses=["h2", "h7"], samples=1), TAUGHT, "there is no hypothesis h7"),
        (choice_of("write_more", hypotheses=["h1"], samples=1), START, "teach first"),
        (choice_of("filter"), TAUGHT, "teach or write more first"),
        (choice_of("evaluate"), TAUGHT, "retrain first"),
        (choice_of("close_round"), TAUGHT, "nothing to keep or drop"),
        (choice_of("stop", reason="dear"), replace(TAUGHT, trained=True), "evaluate it first"),
        (choice_of("teach"), replace(TAUGHT, trained=True, evaluated=True), "close the round"),
    ],
)
def test_a_refusal_says_why_and_what_is_possible(choice: Choice, facts: Facts, said: str) -> None:
    reason = refusal(choice, facts)
    assert reason is not None
    assert said in reason
    assert reason.startswith(f"{choice.step}: ")
    assert reason.endswith(f"Possible now: {', '.join(possible(facts))}")
    assert hindrance(possible(facts)[0], facts) is None


def test_knobs_take_the_place_of_their_settings_and_of_no_others() -> None:
    attack = settings_for(SETTINGS, "attack", {"recipe": "pruthi", "samples": 7, "goal": "confident"})
    assert (attack.attack.recipes, attack.attack.samples, attack.attack.goal) == (("pruthi",), 7, "confident")
    assert attack.attack.together == SETTINGS.attack.together
    natural = settings_for(SETTINGS, "attack", {"recipe": NATURAL, "samples": 7, "goal": None})
    assert (natural.attack.recipes, natural.attack.goal) == ((), SETTINGS.attack.goal)
    trained = settings_for(SETTINGS, "retrain", {"start": None, "epochs": 3.0, "synthetic_weight": None})
    assert trained.retrain == SETTINGS.retrain.model_copy(update={"epochs": 3.0})
    assert without(trained, "retrain") == without(SETTINGS, "retrain")
    assert settings_for(SETTINGS, "filter", {}) == SETTINGS


def without(settings: Settings, section: str) -> dict[str, Any]:
    return settings.model_dump(exclude={section})
