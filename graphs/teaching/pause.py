"""Questions that wait for answers in files: telling what is wrong with those that are there, and pausing the run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from langgraph.types import interrupt

from blindspot.agents.batch.question_files import OpenQuestion, waiting_line, write_questions
from blindspot.agents.spec import TeacherSpec, place_of
from blindspot.graphs.context import Context
from blindspot.graphs.teaching.tasks import run_all
from blindspot.storage.errors import BudgetSpent, MalformedAnswer, Pending, Unanswered


async def tell_answers(context: Context, number: int, phase: str, named: str | None = None) -> None:
    """Tell what was taken of the answers in the folder of a `file:` teacher, and what is wrong with the others.

    Nothing is told where this run has put no questions there.

    Args:
        named: whose folder, as a spec; None: the teacher's.
    Raises: TeacherError, when a file cannot be read.
    """
    spec = TeacherSpec.parse(named or context.settings.teacher.spec)
    if spec.provider != "file":
        return
    from blindspot.agents.batch.answer_files import in_one_line, receipt, tell_problems  # imports an SDK

    folder, run = place_of(spec), f"{context.run_id}-round"
    if not any(folder.glob(f"{run}*")):
        return
    taken = await asyncio.to_thread(receipt, folder, stem=f"{run}{number}")
    if taken:
        await asyncio.to_thread(context.tell, number, phase, f"{spec}: {taken}")
    problems = await asyncio.to_thread(lambda: list(tell_problems(folder, stem=run)))
    if problems:
        await asyncio.to_thread(context.tell, number, phase, in_one_line(problems, folder), level="warning")


async def pause(context: Context, number: int, waiting: Sequence[Pending]) -> None:
    """Write questions into the files of their folder and interrupt the graph; a resumed run starts its node again.

    Call it in a node, when nothing is left to do but wait.

    Args:
        number: the round.
        waiting: at least one.
    Raises: GraphInterrupt, with what waits where and what to do. StoreError, when no file can be written.
    """
    interrupt(await asyncio.to_thread(write_down, f"{context.run_id}-round{number}", waiting))


def write_down(stem: str, waiting: Sequence[Pending]) -> str:
    """Write questions into files. Returns: one line that says what waits where, and what to do."""
    lines = list(dict.fromkeys(str(error) for error in waiting if not isinstance(error, OpenQuestion)))
    questions = [error for error in waiting if isinstance(error, OpenQuestion)]
    if questions:
        lines.insert(0, waiting_line(questions, write_questions(questions, stem)))
    return "; ".join(lines)


async def ask_each(
    context: Context,
    number: int,
    phase: str,
    works: Sequence[tuple[str, Callable[[], Awaitable[None]]]],
    report: Callable[[int], None],
) -> tuple[list[Pending], int]:
    """Ask questions side by side; one that gets no usable answer is told of and skipped.

    Args:
        works: what is told where one fails, e.g. "program prg-1 was not revised", and what asks it.
        report: is given how many have ended.
    Returns: those that wait for answers in files, and how many were skipped.
    Raises: TeacherError, when nobody can be asked at all. Cancelled.
    """
    waiting: list[Pending] = []
    ended = skipped = 0

    async def ask_one(what: str, ask: Callable[[], Awaitable[None]]) -> None:
        nonlocal ended, skipped
        try:
            await ask()
        except Pending as error:
            waiting.append(error)
        except (MalformedAnswer, Unanswered, BudgetSpent) as error:
            skipped += 1
            await asyncio.to_thread(context.tell, number, phase, f"{what}: {error}", level="warning")
        ended += 1
        report(ended)

    await run_all([ask_one(*work) for work in works], cancelled=context.cancelled)
    return waiting, skipped


@contextmanager
def named_question(kind: str, uu_id: str) -> Iterator[None]:
    """Have a question that waits in a file say what is asked about which UU."""
    try:
        yield
    except OpenQuestion as error:
        error.name(kind, uu_id)
        raise
