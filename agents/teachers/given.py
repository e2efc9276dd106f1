"""Teachers that are objects in Python, given to a run in place of a teacher with a name."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from blindspot.agents.providers.peer import short_line, storable
from blindspot.agents.spec import OBJECT, TeacherSpec
from blindspot.agents.teachers.teacher import Case, Draft, Explanation, Hypotheses, ProgramDraft, Refutation, Teacher
from blindspot.storage.errors import MalformedAnswer, SettingsError, TeacherError
from blindspot.storage.words import HypothesisKind
from blindspot.tools.programs.vocabulary import ParsedProgram

METHODS = ("begin_round", "abstract", "extrapolate", "generate", "aclose")

T = TypeVar("T")


class GivenTeacher:
    """A teacher made by somebody else: its answers are checked, and its rows name it by `object:` and its own spec.

    What it raises of the errors that a Teacher may raise is taken as such; any other exception ends the run, with its
    traceback. Calls, tokens and money of its own are not counted.

    Raises: SettingsError, when it lacks a method or a usable spec.
    """

    def __init__(self, teacher: Teacher) -> None:
        missing = [name for name in METHODS if not callable(getattr(teacher, name, None))]
        kind = type(teacher).__name__
        if missing:
            raise SettingsError(
                f"teacher: {kind} has no method {missing[0]}; derive it from blindspot.agents.teachers.teacher.Teacher"
            )
        name = getattr(teacher, "spec", None)
        if not isinstance(name, str):
            raise SettingsError(f'teacher: {kind} has no text `spec`; give it a name, e.g. spec = "my-teacher"')
        self.spec = str(TeacherSpec.parse(name if name.startswith(f"{OBJECT}:") else f"{OBJECT}:{name}"))
        self._teacher = teacher

    def begin_round(self, run_id: str, number: int) -> None:
        """See Teacher."""
        self._teacher.begin_round(run_id, number)

    async def abstract(self, case: Case) -> Explanation:
        """See Teacher."""
        return self._explanation("abstract", await self._answer("abstract", self._teacher.abstract(case)))

    async def extrapolate(self, case: Case, abstraction: Explanation) -> Explanation:
        """See Teacher."""
        answer = await self._answer("extrapolate", self._teacher.extrapolate(case, abstraction))
        return self._explanation("extrapolate", answer)

    async def generate(self, case: Case, hypothesis: Explanation, kind: HypothesisKind, n: int) -> list[Draft]:
        """See Teacher; drafts beyond n are dropped."""
        answer = await self._answer("generate", self._teacher.generate(case, hypothesis, kind, n))
        if not isinstance(answer, Sequence) or not all(isinstance(draft, Draft) for draft in answer):
            raise self._wrong("generate", answer, "a list of Draft")
        return [self._draft(draft, case) for draft in answer[:n]]

    async def formalise(self, case: Case, hypotheses: Hypotheses, n: int) -> list[ProgramDraft]:
        """See Teacher; a teacher without this method states no programs."""
        if not callable(getattr(self._teacher, "formalise", None)):
            return []
        answer = await self._answer("formalise", self._teacher.formalise(case, hypotheses, n))
        if not isinstance(answer, Sequence) or not all(isinstance(draft, ProgramDraft) for draft in answer):
            raise self._wrong("formalise", answer, "a list of ProgramDraft")
        return [self._program("formalise", draft) for draft in answer[:n]]

    async def revise(self, case: Case, refutation: Refutation) -> ProgramDraft | None:
        """See Teacher; a teacher without this method revises nothing."""
        if not callable(getattr(self._teacher, "revise", None)):
            return None
        answer = await self._answer("revise", self._teacher.revise(case, refutation))
        if answer is not None and not isinstance(answer, ProgramDraft):
            raise self._wrong("revise", answer, "a ProgramDraft or None")
        return answer and self._program("revise", answer)

    async def aclose(self) -> None:
        """Do nothing: the teacher is asked again in the next round. See `end`."""

    async def end(self) -> None:
        """Release the teacher's connections, at the end of the run that it was given to."""
        await self._answer("aclose", self._teacher.aclose())

    async def _answer(self, method: str, answer: Awaitable[T]) -> T:
        if not inspect.isawaitable(answer):
            raise TeacherError(f"{self.spec}: {method} is not asynchronous; write `async def {method}`")
        return await answer

    def _explanation(self, method: str, answer: object) -> Explanation:
        if not isinstance(answer, Explanation):
            raise self._wrong(method, answer, "an Explanation")
        text = self._text(method, answer.text, "text")
        if not text.strip():
            raise MalformedAnswer(f"{self.spec}: {method} returned an Explanation without a text")
        reasoning = self._text(method, answer.reasoning, "reasoning")
        return replace(answer, text=text, reasoning=reasoning, call_id=None, evidence=None)

    def _draft(self, draft: Draft, case: Case) -> Draft:
        if not isinstance(draft.fields, Mapping) or set(draft.fields) != set(case.field_names):
            raise MalformedAnswer(f"{self.spec}: a draft's fields are not exactly {list(case.field_names)}")
        if draft.label not in case.labels:
            raise MalformedAnswer(
                f"{self.spec}: a draft has the label {short_line(repr(draft.label))}, "
                f"which is not one of {list(case.labels)}"
            )
        fields = {name: self._text("generate", draft.fields[name], name) for name in case.field_names}
        reasoning = self._text("generate", draft.reasoning, "reasoning")
        return replace(draft, fields=fields, reasoning=reasoning, call_id=None)

    def _program(self, method: str, draft: ProgramDraft) -> ProgramDraft:
        if not isinstance(draft.program, ParsedProgram) or draft.kind not in ("abstraction", "extrapolation"):
            raise self._wrong(method, draft, "a ProgramDraft with a ParsedProgram and the kind of its hypothesis")
        return replace(draft, reasoning=self._text(method, draft.reasoning, "reasoning"), call_id=None)

    def _text(self, method: str, value: object, what: str) -> str:
        if not isinstance(value, str):
            raise self._wrong(method, value, f"a text for {what}")
        return storable(value)

    def _wrong(self, method: str, value: object, wanted: str) -> TeacherError:
        return TeacherError(f"{self.spec}: {method} returned {short_line(repr(value))}, not {wanted}")


Given = Mapping[str, GivenTeacher]
"""The teachers that a run was given, by their specs."""

NOBODY: Given = MappingProxyType({})


def given(teachers: Iterable[Teacher]) -> Given:
    """Take teachers that are objects.

    Raises: SettingsError, when one cannot be used, or two have one spec.
    """
    taken: dict[str, GivenTeacher] = {}
    for teacher in map(GivenTeacher, teachers):
        if teacher.spec in taken:
            raise SettingsError(f"teacher: two objects have the spec {teacher.spec}; give each its own")
        taken[teacher.spec] = teacher
    return taken


def check_given(spec: TeacherSpec, teachers: Given) -> None:
    """Check that a teacher that is an object was given, where a spec names one.

    Raises: TeacherError, saying how to give it.
    """
    if spec.provider == OBJECT and str(spec) not in teachers:
        raise TeacherError(
            f"teacher.spec: {spec} is an object in Python, which was not given; give it (again) with teacher=…, as in "
            "blindspot.run(settings, teacher=…) or blindspot.resume(workspace, teacher=…)"
        )
