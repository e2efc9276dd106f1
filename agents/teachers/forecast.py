"""What a run's questions will take, before the first one is asked: calls, tokens, money and time. Plain arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from blindspot.agents.calls.ledger import TURN_TOKENS, Price, estimate_tokens, in_dollars
from blindspot.agents.prompts.prompting import load_prompt
from blindspot.agents.teachers.expected_questions import Ask, deciding_ask, teaching_asks
from blindspot.agents.teachers.teacher import Case
from blindspot.storage.settings.sections import TeacherSection

REASON_TOKENS = 500  # why an answer could not be used, at most
LATENCY_S, TOKENS_PER_S = 1.0, 60.0  # assumed of a provider: until the first token of an answer, and from then on


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run's questions will take. Answers that the cache has, and UUs that are not found, make it less."""

    calls: int
    calls_most: int
    tokens_in: int
    tokens_out: int
    usd: float | None  # None: the price is not known
    usd_most: float | None  # None: not known, or not bounded; never more than `teacher.max_usd`
    seconds: float  # of teaching, at the limits of the settings
    is_billed: bool = True  # somebody sends a bill for it, known price or not
    notes: tuple[str, ...] = ()  # what else to know of it

    def __str__(self) -> str:
        calls = f"{self.calls:,}" if self.calls == self.calls_most else f"{self.calls:,} to {self.calls_most:,}"
        tokens = f"about {in_thousands(self.tokens_in)} tokens in and {in_thousands(self.tokens_out)} out"
        minutes = max(1, math.ceil(self.seconds / 60))
        time = f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
        return "; ".join((f"{calls} calls, {tokens}, {self.money}, {time} of teaching", *self.notes))

    def may_pass(self, usd: float) -> bool:
        """Whether the bill may be higher than this, as far as is known."""
        return self.is_billed and (self.usd_most is None or self.usd_most > usd)

    @property
    def money(self) -> str:
        """The money in words."""
        if self.usd is None:
            return "price unknown"
        most = "without an upper bound" if self.usd_most is None else f"at most {in_dollars(self.usd_most)}"
        return f"{in_dollars(self.usd)} if all goes well, {most}"


def forecast(
    cases: Sequence[Case],
    settings: TeacherSection,
    price: Price | None,
    *,
    count: int,
    rounds: int,
    is_billed: bool = True,
) -> Forecast:
    """Add up what a run asks.

    Likely: every UU is explained, nothing is asked twice. At most: every answer is as long as it may be, and has to be
    asked for again until the last attempt; an autonomous teacher may choose to do more than that.

    Args:
        cases: typical ones, of which the real questions are made; at least one.
        price: None where it is unknown.
        count: UUs that are shown, all rounds together, at most.
        is_billed: somebody sends a bill for requests, known price or not.
    """
    asks = teaching_asks(cases, settings, count)
    if settings.autonomy == "autonomous":
        asks.append(deciding_ask(cases[0].task, settings, rounds))
    calls = sum(ask.likely for ask in asks)
    tokens_in = sum(ask.likely * ask.tokens_in for ask in asks)
    tokens_out = sum(ask.likely * min(ask.tokens_out, settings.max_tokens) for ask in asks)
    whole = Forecast(
        calls=calls,
        calls_most=settings.attempts * sum(ask.most for ask in asks),
        tokens_in=round(tokens_in),
        tokens_out=round(tokens_out),
        usd=price.cost(round(tokens_in), round(tokens_out)) if price else None,
        usd_most=usd_most(asks, settings, price) if price else None,
        seconds=teaching_s(calls, tokens_in, tokens_out, settings),
        is_billed=is_billed or price is not None,
        notes=("the teacher may choose to do more",) if settings.autonomy == "autonomous" else (),
    )
    return capped(whole, settings)


def capped(whole: Forecast, settings: TeacherSection) -> Forecast:
    """Bring a forecast under the caps of the settings, and say which of them will end teaching early."""
    caps = {"max_calls": (settings.max_calls, whole.calls), "max_usd": (settings.max_usd, whole.usd)}
    shares = {name: cap / likely for name, (cap, likely) in caps.items() if cap is not None and likely}
    early = tuple(f"teacher.{name} = {caps[name][0]:g} will end teaching early" for name in shares if shares[name] < 1)
    share = min(1.0, *shares.values()) if shares else 1.0
    most = [usd for usd in (whole.usd_most, settings.max_usd) if usd is not None]
    return replace(
        whole,
        calls=math.floor(share * whole.calls),
        calls_most=min(whole.calls_most, settings.max_calls or whole.calls_most),
        tokens_in=round(share * whole.tokens_in),
        tokens_out=round(share * whole.tokens_out),
        usd=None if whole.usd is None else share * whole.usd,
        usd_most=None if whole.usd is None else min(most, default=None),
        seconds=share * whole.seconds,
        notes=(*whole.notes, *early),
    )


def add_up(forecasts: Sequence[Forecast]) -> Forecast:
    """Put the forecasts of teachers that are asked side by side together; at least one."""
    usd = [each.usd for each in forecasts if each.usd is not None]
    usd_most = [each.usd_most if each.is_billed else 0.0 for each in forecasts]
    return Forecast(
        calls=sum(each.calls for each in forecasts),
        calls_most=sum(each.calls_most for each in forecasts),
        tokens_in=sum(each.tokens_in for each in forecasts),
        tokens_out=sum(each.tokens_out for each in forecasts),
        usd=math.fsum(usd) if len(usd) == len(forecasts) else None,
        usd_most=None if None in usd_most else math.fsum(filter(None, usd_most)),
        seconds=max(each.seconds for each in forecasts),
        is_billed=any(each.is_billed for each in forecasts),
        notes=tuple(dict.fromkeys(note for each in forecasts for note in each.notes)),
    )


def usd_most(asks: Sequence[Ask], settings: TeacherSection, price: Price) -> float | None:
    """US dollars if every answer is of full length, and malformed until the last attempt. None: nothing bounds it."""
    again = estimate_tokens(load_prompt("again").text) + REASON_TOKENS + 2 * TURN_TOKENS + settings.max_tokens
    first = [price.cost(round(ask.tokens_in_most), settings.max_tokens) for ask in asks]
    later = [price.cost(round(ask.tokens_in_most + again), settings.max_tokens) for ask in asks]
    pairs = zip(asks, first, later, strict=True)
    whole = math.fsum(ask.most * (once + (settings.attempts - 1) * more) for ask, once, more in pairs)
    if settings.max_calls is not None:
        dearest = settings.max_calls * max(later)
        return dearest if settings.autonomy == "autonomous" else min(whole, dearest)
    return None if settings.autonomy == "autonomous" and whole else whole


def teaching_s(calls: int, tokens_in: float, tokens_out: float, settings: TeacherSection) -> float:
    """Seconds that the tightest of the limits makes of it."""
    if not calls:
        return 0.0
    answer_s = LATENCY_S + tokens_out / calls / TOKENS_PER_S
    rates = (
        60 * calls / settings.requests_per_minute,
        calls / settings.requests_per_second,
        60 * (tokens_in + tokens_out) / settings.tokens_per_minute,
        answer_s * calls / settings.concurrency,
    )
    return answer_s + max(rates)


def in_thousands(tokens: int) -> str:
    return f"{tokens / 1000:,.0f}k" if tokens >= 10_000 else f"{tokens:,}"
