"""The figures of the teachers' benchmark: one function each, one printed line a number."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import Popen

from parts.teacher_server import Running, Service, right_answer, serving, tokens_of

from blindspot.agents.calls.caller import Caller, CallLimits
from blindspot.agents.calls.ledger import Ledger
from blindspot.agents.calls.log import Question
from blindspot.agents.chat import Message, Provider, Reply, Tool
from blindspot.agents.spec import TeacherSpec
from blindspot.agents.teachers.answers import read_explanation
from blindspot.agents.teachers.opening import open_provider
from blindspot.graphs.teaching.teachers import StoredCalls
from blindspot.storage.errors import BlindspotError
from blindspot.storage.records import TeacherCall
from blindspot.storage.store.store import Store

SEED = 0
LATENCY_S = 2.0
SHARE_GOAL, CPU_GOAL = 0.97, 0.05
LIMITS = CallLimits(  # the defaults of the settings, but for those that the issue gives
    requests_per_minute=500,
    requests_per_second=20,
    tokens_per_minute=60_000,
    concurrency=64,
    longest_pause_s=600.0,
    timeout_s=60.0,
    attempts=5,
    temperature=None,
    max_tokens=400,
)
FAST = replace(LIMITS, requests_per_minute=10_000, requests_per_second=100, tokens_per_minute=10**7)
KILLS = (0.2, 0.5, 0.8)  # when so much is answered
ASKING = "--asking"


def question_of(number: int) -> Question:
    """A question of about 80 tokens that has a number."""
    text = (
        f"This is question {number:05d}. A classifier of reviews took a text for negative that praises its subject by "
        "a double negation, and it did so with a confidence of 0.93. State in one sentence by which pattern it was "
        'misled. Answer with one JSON object and nothing around it: {"reasoning": "…", "hypothesis": "…"}'
    )
    return Question("abstract", f"uu-{number}", text, "benchmark")


@dataclass
class Watched:
    """A provider, and how much time and work passed while it had nothing to do."""

    provider: Provider
    in_flight: int = 0
    asked: int = 0
    idle_s: float = 0.0
    idle_cpu_s: float = 0.0

    async def complete(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> Reply:
        """Ask once; see Provider."""
        self.in_flight += 1
        self.asked += 1
        try:
            return await self.provider.complete(messages, tools)
        finally:
            self.in_flight -= 1

    async def aclose(self) -> None:
        """Release connections."""
        await self.provider.aclose()

    async def watch(self) -> None:
        """Add up the stretches of a quarter of a second in which nothing was sent or in flight."""
        while True:
            at, cpu, asked, busy = time.monotonic(), time.process_time(), self.asked, self.in_flight
            await asyncio.sleep(0.25)
            if not busy and asked == self.asked and asked:
                self.idle_s += time.monotonic() - at
                self.idle_cpu_s += time.process_time() - cpu


async def ask_all(server: Running, provider: str, limits: CallLimits, store: Store, numbers: range) -> Answers:
    """Ask questions all at once, of a teacher whose memory is a store."""
    spec = TeacherSpec.parse(server.spec(provider))
    watched = Watched(open_provider(spec, limits))
    ledger = Ledger(max_calls=None, max_usd=None, price=None, max_tokens=limits.max_tokens)
    caller = Caller(str(spec), watched, limits, StoredCalls(store, str(spec)), ledger)
    caller.begin_round("benchmark-1", 1)

    async def ask(number: int) -> str | None:
        try:
            answer, _ = await caller.ask(question_of(number), lambda reply: read_explanation(reply.text))
        except BlindspotError as error:
            print(f"question {number}: {error}", file=sys.stderr)
            return None
        return answer.hypothesis

    watching = asyncio.create_task(watched.watch())
    began, cpu = time.monotonic(), time.process_time()
    given = dict(zip(numbers, await asyncio.gather(*map(ask, numbers)), strict=True))
    seconds, cpu_s = time.monotonic() - began, time.process_time() - cpu
    watching.cancel()
    await watched.aclose()
    return Answers(given, seconds, cpu_s, watched)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a teacher gave, and what it took."""

    given: dict[int, str | None]  # by question; None: lost
    seconds: float
    cpu_s: float
    watched: Watched

    @property
    def lost(self) -> int:
        """Questions without an answer."""
        return sum(answer is None for answer in self.given.values())

    @property
    def wrong(self) -> int:
        """Answers that are not the right one."""
        return sum(answer not in (None, right_answer(question)) for question, answer in self.given.items())


def shortest_s(limits: CallLimits, numbers: range) -> float:
    """The least time in which any client gets questions answered within the limits, in whatever order.

    Requests are sent as soon as the windows of requests and those in flight let them; the tokens as a whole fill so
    many minutes' allowances, each but the last of which takes a minute. No time for anything else.
    """
    sent: list[float] = []
    for k in range(len(numbers)):
        earlier = (
            (limits.requests_per_minute, 60.0),
            (limits.requests_per_second, 1.0),
            (limits.concurrency, LATENCY_S),
        )
        sent.append(max([0.0, *(sent[k - limit] + wait_s for limit, wait_s in earlier if k >= limit)]))
    minutes = math.ceil(sum(sum(tokens_of(number)) for number in numbers) / limits.tokens_per_minute) - 1
    return max(sent[-1], 60.0 * minutes) + LATENCY_S


def rate(count: int) -> None:
    """Measure how much of the allowed rate is used, and what waiting costs, with everybody waiting from the start."""
    limits, numbers = LIMITS, range(count)
    service = Service(LATENCY_S, limits.requests_per_minute, limits.tokens_per_minute)
    with serving(service) as server, tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        answers = asyncio.run(ask_all(server, "openai", limits, store, numbers))
        over_limit = server.counts()["over_limit"]
    assert not answers.lost, answers.lost
    assert not answers.wrong, answers.wrong
    least_s, watched = shortest_s(limits, numbers), answers.watched
    say(
        "teacher_rate_share",
        f"{least_s / answers.seconds:.3f} (goal {SHARE_GOAL}, {count} calls of {LATENCY_S:g} s in "
        f"{answers.seconds:.1f} s, the least possible {least_s:.1f} s: {limits.requests_per_minute} requests and "
        f"{limits.tokens_per_minute} tokens a minute, {limits.requests_per_second} a second, "
        f"{limits.concurrency} in flight)",
    )
    counted = ", ".join(f"{number} for {name}" for name, number in over_limit.items()) or "none"
    say("teacher_429s", f"{sum(over_limit.values())} (goal 0, of {watched.asked} requests; {counted})")
    say(
        "teacher_cpu_share",
        f"{watched.idle_cpu_s / watched.idle_s:.4f} (goal {CPU_GOAL}, of one core, in {watched.idle_s:.1f} s of "
        f"waiting; {answers.cpu_s / answers.seconds:.3f} over all of the {answers.seconds:.1f} s)",
    )


def faults(count: int, share: float = 0.2) -> None:
    """Count what is lost and what is wrongly accepted among faults, through both SDKs."""
    # by 5 attempts, the default, one question in 13,000 meets a fault other than a refusal every time
    limits = replace(FAST, timeout_s=2.0, attempts=8)

    async def ask_both(server: Running, store: Store) -> list[Answers]:
        providers = ("openai", "anthropic")
        return await asyncio.gather(*(ask_all(server, provider, limits, store, range(count)) for provider in providers))

    service = Service(latency_s=0.05, fault_share=share, seed=SEED)
    with serving(service) as server, tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        both = asyncio.run(ask_both(server, store))
        met = server.counts()["faults"]
    n = f"n {count} calls through each SDK"
    say(
        "teacher_lost",
        f"{sum(answers.lost for answers in both)} (goal 0, {n}, {share:.0%} of requests faulty, "
        f"{limits.attempts} attempts)",
    )
    say("teacher_wrong", f"{sum(answers.wrong for answers in both)} (goal 0, {n})")
    asked = " + ".join(str(answers.watched.asked) for answers in both)
    seconds = max(answers.seconds for answers in both)
    counted = ", ".join(f"{number} x {fault}" for fault, number in sorted(met.items()))
    say("teacher_faults", f"{sum(met.values())} in {asked} requests, {seconds:.0f} s: {counted}")


def kills(count: int) -> None:
    """Kill a process that asks, resume it, and count the answers that were stored and yet asked for again.

    An answer that was on its way, or not yet stored, when its process was killed is lost with it and bought once
    more: nobody can know better. Those have a number of their own.
    """
    stored: Counter[int] = Counter()  # question -> answers, at the last kill after which it was seen stored
    with serving(Service(latency_s=0.3)) as server, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, sys.argv[0], ASKING, folder, server.url, str(count)]
        for share in KILLS:
            with Popen(command) as process:
                while len(server.answered()) < share * count:
                    assert process.poll() is None, "it ended before it was killed"
                    time.sleep(0.02)
                process.send_signal(signal.SIGKILL)
            time.sleep(1.0)  # what is in flight still
            answered = server.answered()
            with Store.open(Path(folder)) as store:
                known = [int(call.uu_id.removeprefix("uu-")) for call in store.rows(TeacherCall, error=None)]
            stored |= {question: answered[question] for question in known if question not in stored}
        with Popen(command) as process:
            assert process.wait() == 0
        answered = server.answered()
    assert len(answered) == count, len(answered)
    twice = sum(answered[question] - before for question, before in stored.items())
    extra = sum(answered.values()) - count
    place = f"n {count} calls, {len(KILLS)} x SIGKILL"
    say("teacher_paid_twice", f"{twice} (goal 0, of {len(stored)} answers that were stored at a kill; {place})")
    say("teacher_lost_in_flight", f"{extra - twice} answers, bought again: not stored when the process was killed")


def ask_until_killed(folder: Path, url: str, count: int) -> None:
    """Ask for `kills`, in a process of its own."""
    with Store.open(folder) as store:
        answers = asyncio.run(ask_all(Running(url), "openai", replace(FAST, concurrency=16), store, range(count)))
    sys.exit(1 if answers.lost or answers.wrong else 0)


def say(name: str, value: str) -> None:
    print(f"{name}: {value}", flush=True)
