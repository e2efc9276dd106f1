"""Runs many blocking jobs side by side in one thread, and answers their questions in shared batches.

A job is ordinary code that calls `Oracle.ask` and waits for the answer. Each job runs in a greenlet: asking switches
back to the hub, which collects the questions of all jobs, answers them in batches and switches forth again. Jobs that
draw from the global generators of `random` and `numpy.random` each see streams of their own, which they seed first.
"""

from __future__ import annotations

import random
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]
from numpy.random import get_bit_generator, set_bit_generator  # type: ignore[attr-defined]
from numpy.typing import NDArray

from blindspot.storage.errors import BlindspotError, Cancelled
from blindspot.tools.progress import Between, IsCancelled, never, nothing

Q = TypeVar("Q")  # a question: a text, in whatever form its oracle takes
R = TypeVar("R")  # what a job returns
Rows = NDArray[Any]  # answers: one row a question

PATIENCE = 8  # batches of other oracles that a question waits for, at most


class Oracle(Generic[Q]):
    """A function of many questions at once, such as a model, that jobs may ask from inside a greenlet.

    Args:
        answer: takes a list of different questions, returns one row each; the rows depend on nothing else.
        size: a measure of a question's cost; those of like size are answered together.
        batch: questions answered in one call.
        remembered: answers kept, the most recently used ones.
        held: fewer are kept where the sizes of their questions would add up to more.
    """

    def __init__(
        self,
        answer: Callable[[list[Q]], Rows],
        *,
        size: Callable[[Q], int],
        batch: int = 256,
        remembered: int = 20_000,
        held: int = 100_000_000,
    ) -> None:
        self.answer, self.size, self.batch, self.remembered, self.held = answer, size, batch, remembered, held
        self.memory: OrderedDict[Q, Rows] = OrderedDict()
        self.holds = 0  # the sizes of what is in memory, added up
        self.lock = Lock()

    def forget(self) -> None:
        """Drop all answers that are kept."""
        self.memory.clear()
        self.holds = 0

    def ask(self, questions: Sequence[Q]) -> Rows:
        """Get one row for each question; outside a job, or where it knows them all, the oracle answers on the spot."""
        here = getcurrent()
        if not isinstance(here, Seat) or all(question in self.memory for question in questions):
            return self.look_up(list(questions))
        rows: Rows = here.hub.switch(Request(self, list(questions)))
        return rows

    def look_up(self, questions: list[Q], cancelled: IsCancelled = never) -> Rows:
        """Answer from memory, and what is not there in batches of like size.

        Raises: Cancelled, between two batches; whatever `answer` raises, nothing of that batch is remembered then.
        """
        with self.lock:
            known = {question: self.memory[question] for question in questions if question in self.memory}
            new = sorted({question: None for question in questions if question not in known}, key=self.size)
            for start in range(0, len(new), self.batch):
                if cancelled():
                    raise Cancelled("stopped between two batches of questions")
                batch = new[start : start + self.batch]
                rows = self.answer(batch)
                if len(rows) != len(batch):
                    raise ValueError(f"{len(batch)} questions got {len(rows)} answers")
                self.holds += sum(map(self.size, batch))
                for question, row in zip(batch, rows, strict=True):
                    known[question] = self.memory[question] = row.copy()  # a view would keep its whole batch
            for question in known:
                self.memory.move_to_end(question)
            while len(self.memory) > self.remembered or (self.memory and self.holds > self.held):
                self.holds -= self.size(self.memory.popitem(last=False)[0])
        return np.stack([known[question] for question in questions])


@dataclass(slots=True)
class Request:
    """What a job waits for."""

    oracle: Oracle[Any]
    questions: list[Any]
    passed_over: int = 0  # times that another oracle was asked first
    rows: Rows | None = None
    error: Exception | None = None


TIMEOUT = "timeout: "  # how the message of a job that was too slow begins


class OutOfTime(Exception):
    """A job asked after it had used up its seconds."""


class Seat(greenlet):  # type: ignore[misc]
    """A running job: its place in the line, its random streams, what it asked, and the seconds it has used."""

    asked: Request

    def __init__(self, number: int, job: Callable[[], Any]) -> None:
        super().__init__(job)
        self.number = number
        self.hub = getcurrent()
        self.stream: Any = None  # the state of `random`
        self.generator = np.random.MT19937(0)  # swapped in as numpy's own: copying its state takes 100 times as long
        self.result: Any = None
        self.seconds = 0.0

    def go_on(self) -> bool:
        """Run the job, with the answer to what it asked, until it asks again or ends; returns whether it ended."""
        began = time.perf_counter()
        set_bit_generator(self.generator)
        if self.stream is None:
            outcome = self.switch()
        else:
            random.setstate(self.stream)
            outcome = self.throw(self.asked.error) if self.asked.error else self.switch(self.asked.rows)
        self.seconds += time.perf_counter() - began
        if self.dead:
            self.result = outcome
        else:
            self.asked, self.stream = outcome, random.getstate()
        return bool(self.dead)


def run_jobs(
    jobs: Iterable[Callable[[], R]],
    *,
    together: int,
    ahead: int | None = None,
    timeout_s: float | None = None,
    between: Between = nothing,
    cancelled: IsCancelled = never,
) -> Generator[tuple[R, float], None, None]:
    """Run jobs, this many at once, and yield what they return as they end.

    Jobs are taken from the iterable only when a seat is free. All of it happens in the consumer's thread, and one
    iterator must be consumed in one thread; several iterators may run in several threads. The consumer's own random
    state is what it left, whenever it has control.

    Args:
        jobs: a job's exception ends the whole: what is to be isolated it catches itself.
        together: jobs that run side by side.
        ahead: yield in the order of the jobs, and begin none while this many were begun and not yielded.
        timeout_s: a job that has used more, when it asks, gets OutOfTime in place of its answer.
        between: called between two batches of questions, when everything that has ended was yielded.
    Yields: (what a job returned, seconds: its own and its share of the answers).
    Raises: Cancelled, when asked to stop.
    """
    source = enumerate(jobs)
    ready: deque[Seat] = deque()
    waiting: list[Seat] = []  # the one that waits longest first
    ended: dict[int, Seat] = {}  # and not yielded yet
    turn = 0
    try:
        while True:
            busy = len(ready) + len(waiting)
            free = together - busy if ahead is None else min(together - busy, ahead - busy - len(ended))
            with streams_kept():
                ready += [Seat(number, job) for number, job in islice(source, free)]
                while ready:
                    seat = ready.popleft()
                    if seat.go_on():
                        ended[seat.number] = seat
                    elif timeout_s is not None and seat.seconds > timeout_s:
                        seat.asked.error = OutOfTime(f"{TIMEOUT}more than {timeout_s:g} s")
                        ready.append(seat)
                    else:
                        waiting.append(seat)
            none_ended = not ended
            while ended and (ahead is None or turn in ended):
                seat = ended.pop(next(iter(ended)) if ahead is None else turn)
                turn += 1
                yield seat.result, seat.seconds
            between()
            if cancelled():
                raise Cancelled("stopped between two batches of questions")
            if waiting:
                ready, waiting = answer_some(waiting, cancelled)
            elif none_ended:
                return
    finally:
        with streams_kept():
            for seat in [*ready, *waiting]:
                seat.throw()  # GreenletExit: the job's own `finally` blocks run


def answer_some(waiting: list[Seat], cancelled: IsCancelled) -> tuple[deque[Seat], list[Seat]]:
    """Answer about one batch of questions to one oracle, those that wait longest first.

    Returns: (seats that were answered, seats that still wait).
    """
    oracle = choose_oracle([seat.asked for seat in waiting])
    taken: deque[Seat] = deque()
    left: list[Seat] = []
    questions = 0
    for seat in waiting:
        if seat.asked.oracle is oracle and questions < oracle.batch:
            taken.append(seat)
            questions += len(seat.asked.questions)
        else:
            seat.asked.passed_over += seat.asked.oracle is not oracle
            left.append(seat)
    began = time.perf_counter()
    answer_together([seat.asked for seat in taken], oracle, cancelled)
    seconds = time.perf_counter() - began
    for seat in taken:
        seat.seconds += seconds * len(seat.asked.questions) / max(1, questions)
    return taken, left


def choose_oracle(requests: list[Request]) -> Oracle[Any]:
    """Choose whom to ask next: the oracle of most questions, for few at a time are answered slowly.

    Args:
        requests: at least one, the one that waits longest first.
    """
    oldest = requests[0]
    if oldest.passed_over >= PATIENCE:
        return oldest.oracle
    questions: Counter[int] = Counter()
    for request in requests:
        questions[id(request.oracle)] += len(request.questions)
    return max((request.oracle for request in requests), key=lambda oracle: questions[id(oracle)])


def answer_together(requests: list[Request], oracle: Oracle[Any], cancelled: IsCancelled) -> None:
    """Answer requests at once; where that fails, each by itself, so that an error reaches only the job that caused it.

    Raises: BlindspotError, which concerns all jobs.
    """
    try:
        rows = oracle.look_up([question for request in requests for question in request.questions], cancelled)
    except BlindspotError:
        raise
    except Exception as error:
        if len(requests) == 1:
            requests[0].error = error
            return
        for request in requests:
            answer_together([request], oracle, cancelled)
        return
    start = 0
    for request in requests:
        request.rows = rows[start : start + len(request.questions)]
        start += len(request.questions)


STREAMS = Lock()


@contextmanager
def streams_kept() -> Iterator[None]:
    """Have the global generators to oneself among the hubs of all threads, then put them back to where they were."""
    with STREAMS:
        state, generator, numpy_state = random.getstate(), get_bit_generator(), np.random.get_state()
        try:
            yield
        finally:
            random.setstate(state)
            set_bit_generator(generator)
            np.random.set_state(numpy_state)  # swapping loses the second half of a drawn pair of normals
