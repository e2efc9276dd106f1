"""The questions that a run asks: how many of which kind, and how long, judged by the real prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from blindspot.agents.calls.ledger import estimate_tokens, most_tokens
from blindspot.agents.calls.log import Question
from blindspot.agents.teachers.decisions import ARGUMENTS, decision_question
from blindspot.agents.teachers.formal import programs_question
from blindspot.agents.teachers.probing import abstraction_question, extrapolation_question
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
STEPS_PER_ROUND = 12  # of an autonomous run: the seven phases, and some of them again


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
    abstract = mean([size_of(abstraction_question(case, first)) for case in cases])
    extrapolate = mean([size_of(extrapolation_question(case, stated, second)) for case in cases])
    generate = mean([size_of(generation_question(case, stated, "extrapolation", n)) for case in cases])
    text = mean([sum(map(estimate_tokens, case.original.values())) for case in cases]) / BYTES_PER_TOKEN
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
    size = mean([size_of(programs_question(case, hypotheses, n)) for case in cases])
    again = size + EXAMPLES_SHOWN * mean([sum(len(text.encode()) for text in case.original.values()) for case in cases])
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
        found, found_most = turn * (USE_TOKENS + RESULT_TOKENS), turn * (settings.max_tokens + RESULT_TOKENS_MOST)
        tokens_out = USE_TOKENS if turn < likely else EXPLANATION_TOKENS
        asked = count if turn <= likely else 0
        asks.append(Ask(asked, count, size / BYTES_PER_TOKEN + found, size + found_most, tokens_out))
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


def size_of(question: Question) -> int:
    """Bytes of a question without its tools, and so its tokens at most."""
    return most_tokens(question.messages)


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
