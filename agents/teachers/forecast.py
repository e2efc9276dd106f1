"""What a run's questions will take, before the first one is asked: calls, tokens, money and time. Plain arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from blindspot.agents.calls.ledger import TURN_TOKENS, Price, estimate_tokens, in_dollars, most_tokens
from blindspot.agents.calls.log import Question
from blindspot.agents.prompts.prompting import load_prompt
from blindspot.agents.teachers.decisions import ARGUMENTS, decision_question
from blindspot.agents.teachers.formal import programs_question
from blindspot.agents.teachers.judging import JudgedTexts, judging_question
from blindspot.agents.teachers.probing import probing_abstraction, probing_extrapolation
from blindspot.agents.teachers.questions import generation_question
from blindspot.agents.teachers.teacher import Case, Explanation, Hypotheses
from blindspot.agents.teachers.toolbox import offered_tools
from blindspot.storage.settings.sections import TeacherSection

BYTES_PER_TOKEN = 4  # of English; other tongues have more bytes a character and fewer characters a token
HYPOTHESIS = "x" * 300  # as long as those that a large model stated about MRPC, on average
EXPLANATION_TOKENS = 200  # a hypothesis, its reasoning and the JSON around them
PROGRAM_TOKENS = 250  # of a program with its reasoning; templates take more
EXAMPLES_SHOWN = 10  # samples that a refuted program made, in the question for its revision
SAMPLE_TOKENS = 80  # of a written sample beside its text: the reasoning, the label, the JSON
USE_TOKENS = 120  # what a model says to call a tool with a few texts of its own
RESULT_TOKENS = 250  # what the tool gives back
RESULT_TOKENS_MOST = 2_000
STATE_TOKENS = 3_000  # what an autonomous teacher is shown of the state of things
CHOICE_TOKENS = 60  # its choice
LABEL_TOKENS = 6  # of one text, in a judge's answer
STEPS_PER_ROUND = 12  # of an autonomous run: the seven phases, and some of them again

REASON_TOKENS = 500  # why an answer could not be used, at most
LATENCY_S, TOKENS_PER_S = 1.0, 60.0  # assumed of a provider: until the first token of an answer, and from then on


@dataclass(frozen=True, slots=True)
class Ask:
    """Questions of one kind in a whole run."""

    likely: int
    most: int
    tokens_in: float  # of one question
    tokens_in_most: float
    tokens_out: float  # of one answer


def teaching_asks(cases: Sequence[Case], settings: TeacherSection, count: int) -> list[Ask]:
    """The questions about UUs: abstract, extrapolate, and what is written after both."""
    stated, n = Explanation(HYPOTHESIS, "", None), settings.samples_per_hypothesis
    probes = 0 if settings.autonomy == "scripted" else settings.probes
    first, second = probes - probes // 2, probes // 2  # as ProbingTeacher divides them
    abstract = fmean([question_bytes(probing_abstraction(case, first)) for case in cases])
    extrapolate = fmean([question_bytes(probing_extrapolation(case, stated, second)) for case in cases])
    generate = fmean([question_bytes(generation_question(case, stated, "extrapolation", n)) for case in cases])
    text = fmean([sum(map(estimate_tokens, case.original.values())) for case in cases]) / BYTES_PER_TOKEN
    tools = offered_tools(cases[0].field_names, cases[0].labels, recipes=("textfooler",), tau=0.65) if probes else ()
    tools_size = most_tokens((), tools)
    asks = [
        *explaining_asks(abstract + tools_size, settings, count=count, turns=first),
        *explaining_asks(extrapolate + tools_size, settings, count=count, turns=second),
    ]
    if settings.writes != "programs":
        asks.append(Ask(2 * count, 2 * count, generate / BYTES_PER_TOKEN, generate, n * (SAMPLE_TOKENS + text)))
    if settings.writes != "samples":
        asks += program_asks(cases, settings, count)
    return asks


def program_asks(cases: Sequence[Case], settings: TeacherSection, count: int) -> list[Ask]:
    """The questions for programs, and for the revision of refuted ones: likely half of them, at most all."""
    n, stated = settings.programs_per_uu, Explanation(HYPOTHESIS, "", None)
    hypotheses: Hypotheses = {"abstraction": stated, "extrapolation": stated}
    size = fmean([question_bytes(programs_question(case, hypotheses, n)) for case in cases])
    again = size + EXAMPLES_SHOWN * fmean(
        [sum(len(text.encode()) for text in case.original.values()) for case in cases]
    )
    return [
        Ask(count, count, size / BYTES_PER_TOKEN, size, n * PROGRAM_TOKENS),
        Ask(n * count // 2, n * count, again / BYTES_PER_TOKEN, again, PROGRAM_TOKENS),
    ]


def explaining_asks(size: float, settings: TeacherSection, *, count: int, turns: int) -> list[Ask]:
    """The questions for one explanation, and one more for each turn in which tools are called.

    Each question carries what was said and found before it. Likely: half of the turns are taken.

    Args:
        size: of the first question and its tools, bytes.
        turns: that tools may be called in.
    """
    likely = math.ceil(turns / 2)
    asks = []
    for turn in range(turns + 1):
        earlier, earlier_most = turn * (USE_TOKENS + RESULT_TOKENS), turn * (settings.max_tokens + RESULT_TOKENS_MOST)
        tokens_out = USE_TOKENS if turn < likely else EXPLANATION_TOKENS
        asked = count if turn <= likely else 0
        asks.append(Ask(asked, count, size / BYTES_PER_TOKEN + earlier, size + earlier_most, tokens_out))
    return asks


def deciding_ask(task: str, settings: TeacherSection, rounds: int) -> Ask:
    """The questions for an autonomous teacher's next step."""
    question = decision_question(task, {}, list(ARGUMENTS))
    size = most_tokens(question.messages, question.tools)
    return Ask(
        likely=min(settings.steps, STEPS_PER_ROUND * rounds),
        most=settings.steps,
        tokens_in=size / BYTES_PER_TOKEN + STATE_TOKENS,
        tokens_in_most=size + STATE_TOKENS * BYTES_PER_TOKEN,
        tokens_out=CHOICE_TOKENS,
    )


def judging_ask(judged: JudgedTexts, *, likely: int, most: int) -> Ask:
    """The questions of a second judge.

    Args:
        judged: texts like those of one question.
        likely, most: questions.
    """
    size = question_bytes(judging_question(judged))
    return Ask(likely, most, size / BYTES_PER_TOKEN, size, LABEL_TOKENS * len(judged.texts))


def question_bytes(question: Question) -> int:
    """Bytes of a question without its tools, and so its tokens at most."""
    return most_tokens(question.messages)


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
    return sum_up(asks, settings, price, is_billed=is_billed)


def sum_up(asks: Sequence[Ask], settings: TeacherSection, price: Price | None, *, is_billed: bool = True) -> Forecast:
    """Add up questions; see `forecast`."""
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
