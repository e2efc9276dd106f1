"""A teacher that tests what it suspects: while it explains a UU it may call tools on texts of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace

from blindspot.agents.calls.log import Question
from blindspot.agents.chat import Message, Reply
from blindspot.agents.prompts.prompting import load_prompt, quote
from blindspot.agents.teachers import questions
from blindspot.agents.teachers.answers import ExplanationAnswer, read_explanation
from blindspot.agents.teachers.language_model import LanguageModelTeacher
from blindspot.agents.teachers.questions import fill
from blindspot.agents.teachers.teacher import Case, Draft, Explanation, Hypotheses, ProgramDraft, Refutation
from blindspot.agents.teachers.toolbox import Probes, Talk, Toolbox
from blindspot.storage.errors import MalformedAnswer
from blindspot.storage.words import HypothesisKind


class ProbingTeacher:
    """A language model that explains with tools at hand; see Teacher for what its methods do and raise.

    An explanation that took k turns with tools is k + 1 questions, each of them recorded and remembered like any
    other; the explanation's call is the last one. Samples are written without tools: the filter checks them.

    Args:
        asked: whom the questions go to.
        probes: the tools, on the model version under repair.
        limit: tools it may call for one UU: the abstraction may use the larger half, the extrapolation the other.
    """

    def __init__(self, asked: LanguageModelTeacher, probes: Probes, limit: int) -> None:
        self.spec = asked.spec
        self._asked = asked
        self._probes = probes
        self._limit = limit
        self._run_id, self._round = "", 0

    def begin_round(self, run_id: str, number: int) -> None:
        """Say in which run and round (from 1) the next questions are asked."""
        self._run_id, self._round = run_id, number
        self._asked.begin_round(run_id, number)

    async def abstract(self, case: Case) -> Explanation:
        """Explain this UU by a pattern that covers closely related ones, and that was tested on some."""
        limit = self._limit - self._limit // 2
        return await self._explain(probing_abstraction(case, limit), case, limit)

    async def extrapolate(self, case: Case, abstraction: Explanation) -> Explanation:
        """Name a different pattern that could fool the classifier too, and that was tested."""
        limit = self._limit // 2
        return await self._explain(probing_extrapolation(case, abstraction, limit), case, limit)

    async def generate(self, case: Case, hypothesis: Explanation, kind: HypothesisKind, n: int) -> list[Draft]:
        """Write n samples after a hypothesis of this kind."""
        return await self._asked.generate(case, hypothesis, kind, n)

    async def formalise(self, case: Case, hypotheses: Hypotheses, n: int) -> list[ProgramDraft]:
        """State hypotheses about a UU as n programs, without tools: the programs are tested."""
        return await self._asked.formalise(case, hypotheses, n)

    async def revise(self, case: Case, refutation: Refutation) -> ProgramDraft | None:
        """State a hypothesis anew whose program was refuted."""
        return await self._asked.revise(case, refutation)

    async def aclose(self) -> None:
        """Release connections and models."""
        try:
            await self._asked.aclose()
        finally:
            await self._probes.aclose()

    async def _explain(self, question: Question, case: Case, limit: int) -> Explanation:
        """Converse until the model explains; every turn before that uses up a tool call or more."""
        toolbox = Toolbox(case, self._probes, limit)
        while True:
            question = replace(question, tools=toolbox.offered)
            outcome, call_id = await self._asked.caller.ask(question, reader(question))
            if isinstance(outcome, ExplanationAnswer):
                return Explanation(outcome.hypothesis, outcome.reasoning, call_id, toolbox.evidence())
            asking = Message("assistant", outcome.text, uses=outcome.uses)
            talk = Talk(self._run_id, self._round, (self.spec, question.phase, digest(question, asking)))
            results = [await toolbox.use(use, talk, position) for position, use in enumerate(outcome.uses)]
            last_word = "" if toolbox.left else load_prompt("no_tools_left").fill()
            given = Message("user", last_word, results=tuple(results))
            question = replace(question, turns=(*question.turns, asking, given))


def reader(question: Question) -> Callable[[Reply], Reply | ExplanationAnswer]:
    """Make what reads a reply: one that asks for tools is handed on, as long as there are any to ask for."""

    def read(reply: Reply) -> Reply | ExplanationAnswer:
        if not (reply.uses and question.tools):
            return read_explanation(reply.text)
        if reply.cut_off:  # its last arguments are not whole
            raise MalformedAnswer("it stopped in the middle of a tool call")
        return reply

    return read


def digest(question: Question, asking: Message) -> str:
    """A short text that changes with anything that was said so far."""
    turns = [question.text, *(asdict(message) for message in (*question.turns, asking))]
    return hashlib.blake2b(json.dumps(turns).encode(), digest_size=16).hexdigest()


def probing_abstraction(case: Case, limit: int) -> Question:
    """Ask for a tested hypothesis on this UU."""
    if not limit:
        return questions.abstraction_question(case)
    return fill("abstract", load_prompt("abstraction_probing"), case, limit=str(limit))


def probing_extrapolation(case: Case, abstraction: Explanation, limit: int) -> Question:
    """Ask for a tested hypothesis on an unseen blind spot."""
    if not limit:
        return questions.extrapolation_question(case, abstraction)
    hypothesis = quote({"kind": "abstraction", "hypothesis": abstraction.text})
    return fill("extrapolate", load_prompt("extrapolation_probing"), case, hypothesis=hypothesis, limit=str(limit))
