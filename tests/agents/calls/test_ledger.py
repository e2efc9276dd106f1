"""The ledger: its caps hold with any number of requests in flight, and prices are known or said to be unknown."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.agents.calls.ledger import Hold, Ledger, Price, estimate_tokens, most_tokens
from blindspot.agents.calls.prices import check_price, open_ledger, price_of, price_of_model, table
from blindspot.agents.chat import Message, Reply, Tool, ToolUse
from blindspot.agents.spec import TeacherSpec
from blindspot.storage.errors import BudgetSpent, SettingsError
from blindspot.storage.settings.sections import TeacherSection

PRICE = Price(10.0, 40.0)
MAX_TOKENS = 100
WORST = PRICE.cost(50, MAX_TOKENS)  # of a question of 50 tokens: $0.0045


def make_ledger(**caps: Any) -> Ledger:
    return Ledger(**{"max_calls": None, "max_usd": None, "price": PRICE, "max_tokens": MAX_TOKENS} | caps)


def reply(tokens_in: int = 50, tokens_out: int = 10, model: str = "m") -> Reply:
    return Reply("!", model, tokens_in, tokens_out)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hold", "hold", "settle", "drop", "refuse"]),
        st.integers(1, 200),  # tokens of a question at most
        st.floats(0, 1),  # share of that, and of max_tokens, that is used
        st.integers(0, 100),  # which one in flight
    ),
    max_size=80,
)


@given(STEPS, st.floats(0.0001, 0.05), st.integers(1, 12), st.integers(0, 3), st.floats(0, 0.02))
def test_no_order_of_requests_and_answers_passes_a_cap(
    steps: list[tuple[str, int, float, int]], max_usd: float, max_calls: int, calls: int, usd: float
) -> None:
    ledger = make_ledger(max_usd=max_usd, max_calls=max_calls)
    ledger.begin(calls, usd)
    in_flight: list[tuple[Hold, int]] = []
    billed, bought = usd, calls
    for what, tokens, share, which in steps:
        if what == "hold":
            try:
                in_flight.append((ledger.hold(tokens), tokens))
            except BudgetSpent:
                continue
        elif in_flight:
            hold, most = in_flight.pop(which % len(in_flight))
            used = round(share * most), round(share * MAX_TOKENS)
            if what == "settle":
                cost = ledger.settle(hold, reply(*used))
                assert cost is not None
                billed, bought = billed + cost, bought + 1
            else:
                ledger.release(hold, may_be_billed=what == "drop")
                billed += PRICE.cost(*used) if what == "drop" else 0  # unseen, but on the provider's bill
        if usd <= max_usd:
            assert billed <= max_usd + 1e-12
        assert bought + len(in_flight) <= max(max_calls, calls)
        assert billed <= ledger.spent_usd + 1e-12
    assert ledger.calls == bought


def test_a_request_holds_its_worst_case_until_it_is_settled() -> None:
    ledger = make_ledger(max_usd=2.5 * WORST)
    first, _ = ledger.hold(50), ledger.hold(50)
    with pytest.raises(BudgetSpent):
        ledger.check(50)
    assert ledger.settle(first, reply(50, 10)) == PRICE.cost(50, 10)
    ledger.hold(50)
    assert ledger.spent_usd == PRICE.cost(50, 10)


def test_a_request_that_may_have_been_billed_stays_counted_as_money_and_not_as_a_call() -> None:
    ledger = make_ledger(max_usd=WORST, max_calls=1)
    assert ledger.release(ledger.hold(50), may_be_billed=False) == 0
    assert ledger.release(ledger.hold(50), may_be_billed=True) == WORST
    assert (ledger.calls, ledger.spent_usd) == (0, WORST)
    with pytest.raises(BudgetSpent, match="max_usd"):
        ledger.hold(50)


def test_what_a_resumed_run_bought_before_counts() -> None:
    ledger = make_ledger(max_calls=5, max_usd=1.0)
    ledger.begin(4, 1.0 - WORST)
    ledger.settle(ledger.hold(50), reply())
    with pytest.raises(BudgetSpent, match=r"teacher\.max_calls = 5 is reached"):
        ledger.check(50)
    ledger.begin(0, 1.0)
    with pytest.raises(BudgetSpent, match=r"teacher\.max_usd = 1 .*resume it with --set teacher\.max_usd=…"):
        ledger.check(50)


async def test_a_request_waits_where_only_others_in_flight_stand_in_its_way() -> None:
    ledger = make_ledger(max_usd=1.5 * WORST, max_calls=3)
    first = ledger.hold(50)
    waiting = [asyncio.create_task(ledger.wait_to_hold(50)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    ledger.settle(first, reply(5, 1))
    outcomes: list[str] = []
    for task in waiting:
        try:
            ledger.settle(await asyncio.wait_for(task, 1), reply(5, 1))
            outcomes.append("bought")
        except BudgetSpent as error:
            outcomes.append(str(error)[:17])
    assert outcomes == ["bought", "bought", "teacher.max_calls"]


def test_an_answer_without_a_count_of_tokens_is_taken_at_the_worst_case() -> None:
    ledger = make_ledger()
    assert ledger.settle(ledger.hold(50), reply(0, 0)) == WORST


def test_without_a_price_calls_are_counted_and_money_cannot_be_capped() -> None:
    ledger = make_ledger(price=None, max_calls=1)
    assert ledger.settle(ledger.hold(50), reply()) is None
    with pytest.raises(BudgetSpent):
        ledger.hold(50)
    with pytest.raises(ValueError, match="price"):
        make_ledger(price=None, max_usd=1.0)


@given(st.text(), st.text())
def test_the_estimate_is_an_upper_bound_that_adds_up(first: str, second: str) -> None:
    assert estimate_tokens(first + second) == estimate_tokens(first) + estimate_tokens(second)
    assert estimate_tokens(first) >= len(first)


def test_turns_and_tools_add_to_the_estimate() -> None:
    question = Message("user", "why?")
    asked = Message("assistant", "", uses=(ToolUse("u1", "classify", '{"texts": ["a long text"]}'),))
    plain, longer = most_tokens([question]), most_tokens([question, asked])
    assert len("why?") < plain < longer
    assert most_tokens([question], [Tool("classify", "says what", {"type": "object"})]) > plain + 300


@pytest.mark.parametrize(
    ("spec", "price"),
    [
        ("openai:gpt-4o-mini", Price(0.15, 0.6)),
        ("openai:gpt-4o-mini-2024-07-18", Price(0.15, 0.6)),
        ("openai:gpt-4o-2024-05-13", Price(5.0, 15.0)),
        ("openai:gpt-4o@https://api.openai.com/v1", Price(2.5, 10.0)),
        ("openai:gpt-4o@https://eu.api.openai.com/v1", None),
        ("anthropic:claude-sonnet-4-20250514", Price(3.0, 15.0)),
        ("anthropic:claude-opus-4-5-20251101", Price(5.0, 25.0)),
        ("anthropic:claude-3-5-haiku-latest", Price(0.8, 4.0)),
        ("openai:gpt-4o-audio-preview", None),  # a variant at a price of its own
        ("openai:gpt-5.9", None),
        ("openai:gpt-4o@http://127.0.0.1:8000/v1", None),  # whoever serves it may ask anything
        ("anthropic:gpt-4o", None),
        ("rules", Price(0.0, 0.0)),
    ],
)
def test_a_price_is_that_of_the_model_itself_or_unknown(spec: str, price: Price | None) -> None:
    assert price_of(TeacherSpec.parse(spec), TeacherSection(spec=spec)) == price


def test_prices_of_the_settings_come_first() -> None:
    settings = TeacherSection(usd_per_million_in=1.0, usd_per_million_out=0.0)
    for spec in ("openai:gpt-4o", "openai:mine@http://127.0.0.1:8000/v1"):
        assert price_of(TeacherSpec.parse(spec), settings) == Price(1.0, 0.0)


def test_the_built_in_table_is_dated_and_holds_usable_prices() -> None:
    assert table()["as_of"] >= "2025-11"
    prices = [price_of_model(name) for provider in ("openai", "anthropic") for name in table()[provider]]
    assert all(price and 0 < price.usd_in < price.usd_out for price in prices)


def test_capped_money_without_a_price_is_refused_in_one_line() -> None:
    spec = TeacherSpec.parse("openai:mine@http://127.0.0.1:8000/v1")
    with pytest.raises(SettingsError, match=r"usd_per_million_in and teacher\.usd_per_million_out") as found:
        check_price(spec, TeacherSection(max_usd=1.0))
    assert "\n" not in str(found.value)
    check_price(spec, TeacherSection())
    check_price(spec, TeacherSection(max_usd=1.0, usd_per_million_in=0, usd_per_million_out=0))


def test_answers_out_of_files_cost_half_when_a_batch_gave_them_and_are_never_held_back() -> None:
    settings = TeacherSection(max_usd=0.001)
    ledger = open_ledger(TeacherSpec("file", "questions"), settings)
    assert ledger.settle(ledger.hold(10**6), reply(10**6, 10**6, "gpt-4o-2024-08-06")) == 6.25
    assert ledger.settle(ledger.hold(10**6), reply(0, 0, "")) == 0
    assert ledger.settle(ledger.hold(10**6), reply(5, 5, "whose")) is None
