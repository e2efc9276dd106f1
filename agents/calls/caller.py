"""One question to a provider: answered from the log, or asked until the answer is usable, and recorded."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from blindspot.agents.calls.admission import Ticket, admit
from blindspot.agents.calls.circuit_breaker import CircuitBreaker
from blindspot.agents.calls.ledger import Ledger, most_tokens
from blindspot.agents.calls.log import DECLINED, MALFORMED, Attempt, CallLog, Question, Recorder, reply_of, transcript
from blindspot.agents.calls.rate_limiter import Load, RateLimiter, Rates, backoff_s, rate_limiter_of
from blindspot.agents.chat import Message, Provider, Reply, Unavailable
from blindspot.agents.prompts.prompting import load_prompt
from blindspot.agents.providers.peer import short_line
from blindspot.agents.providers.wire import named_count, with_plausible_counts
from blindspot.agents.spec import PLACES
from blindspot.storage.errors import BlindspotError, MalformedAnswer, TeacherError, Unanswered
from blindspot.storage.records import TeacherCall

T = TypeVar("T")

PATIENCE = 3  # longest pauses without an answer to anybody, before a provider that only refuses is given up


class Rejected(NamedTuple):
    """A reply that cannot be used, and why."""

    reply: Reply
    reason: str


class Asked(NamedTuple, Generic[T]):
    """A question that the log has no answer to."""

    question: Question
    key: str  # of the log
    check: Callable[[Reply], T]
    tried: Sequence[TeacherCall]  # what it brought before in this round, and would bring again

    def before(self, attempt: Attempt) -> list[TeacherCall]:
        """What the words of an attempt brought before; earlier attempts may have had the same words."""
        prompt = transcript(attempt.messages)
        same = (call for call in self.tried if call.prompt == prompt and call.attempts >= attempt.number)
        return sorted(same, key=lambda call: call.attempts)


def rejected_before(call: TeacherCall) -> Rejected:
    """Read back what became of a question. Raises: Unanswered, where the provider declined it."""
    reply, error = reply_of(call), call.error or ""
    if reply is None or error.startswith(DECLINED):
        raise Unanswered(error.removeprefix(DECLINED))
    return Rejected(reply, error.removeprefix(MALFORMED))


def follow_up(question: Question, rejected: Rejected) -> tuple[Message, ...]:
    """Put the question again, with the reply that would not do and why."""
    reply = rejected.reply.text.strip() or "(nothing)"  # providers refuse an empty turn
    again = load_prompt("again").fill(reason=rejected.reason)
    return (*question.messages, Message("assistant", reply), Message("user", again))


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How fast, how long, how often and at which settings a provider is asked."""

    requests_per_minute: int
    requests_per_second: int
    tokens_per_minute: int
    concurrency: int
    longest_pause_s: float  # however long the provider asks to be left alone
    timeout_s: float  # for one request, from sending it to its last byte
    attempts: int  # requests for one question, whatever made the earlier ones fail; refusals do not count
    temperature: float | None  # None: the provider's default
    max_tokens: int  # of one answer
    use_cache: bool = True  # answers of earlier runs, too
    backoff_s: float = 0.5  # before the second attempt; doubled for each further one

    @property
    def rates(self) -> Rates:
        """What is for the rate limiter."""
        return Rates(
            requests_per_minute=self.requests_per_minute,
            requests_per_second=self.requests_per_second,
            tokens_per_minute=self.tokens_per_minute,
            concurrency=self.concurrency,
            longest_pause_s=self.longest_pause_s,
            backoff_s=self.backoff_s,
        )


class Caller:
    """Asks one provider for one run, through the rate limiter of its account and the ledger of the run.

    A request that was sent is paid for: one cancellation lets it come to its end and be recorded, a second one ends it.
    The log is looked up by the question as it is first put, so an answer that needed a second request is found too.
    What a question brought in vain is not bought again in the same round, also of a resumed run; answers that lie in
    files are read again, since they may have been fixed. Of two equal questions at once the second waits for the
    first one's answer.
    """

    def __init__(self, spec: str, provider: Provider, limits: CallLimits, log: CallLog, ledger: Ledger) -> None:
        self._spec = spec
        self._provider = provider
        self._limits = limits
        self._log = log
        self._ledger = ledger
        self._recorder = Recorder(spec, log)
        self._asked: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by cache key
        self._is_looked_up = spec.partition(":")[0] in PLACES
        self._breaker = CircuitBreaker()
        self._has_warned = False

    def begin_round(self, run_id: str, number: int) -> None:
        """Say whose calls the next ones are."""
        self._recorder.begin_round(run_id, number)

    async def ask(self, question: Question, check: Callable[[Reply], T]) -> tuple[T, str]:
        """Get a usable answer.

        Args:
            check: reads a reply; raises MalformedAnswer with a reason, which is sent to the model.
        Returns: what `check` made of the reply, and the call's id.
        Raises: for this question, MalformedAnswer, when the last attempt brought one; Unanswered, when the provider
            declined it or could not be reached in any attempt; BudgetSpent, when a cap of the ledger is reached;
            Pending, when its answer will lie in a file. For all questions, TeacherError, when the provider refuses
            for good, leaves too many in a row unanswered, or has declined the first ones and never answered.
        """
        run_id = self._recorder.run_id
        if not run_id:
            raise RuntimeError("begin_round comes before the first question")
        key = self._cache_key(question)
        async with self._asked.setdefault(key, asyncio.Lock()):
            reply = await self._log.find(key, None if self._limits.use_cache else run_id)
            if reply is not None:
                with suppress(MalformedAnswer):  # it was recorded under laxer checks: ask again
                    return check(reply), await self._recorder.add_hit(question, key, reply)
            tried = await self._recorder.tried(question, key)
            return await self._buy(Asked(question, key, check, tried))

    async def _buy(self, asked: Asked[T]) -> tuple[T, str]:
        question, jitter = asked.question, random.Random(asked.key)
        attempt = Attempt(1, question.messages)
        outcome: tuple[T, str] | Rejected
        while True:
            before = [] if self._is_looked_up else asked.before(attempt)
            if before:
                attempt, outcome = attempt._replace(number=before[0].attempts), rejected_before(before[0])
            else:
                try:
                    outcome = await self._send(asked, attempt)
                except Unavailable as error:
                    if not error.is_refusal:  # after one, the rate limiter lets nobody pass for a while
                        delay_s = backoff_s(self._limits.backoff_s, attempt.number - 1)
                        await asyncio.sleep(delay_s * jitter.uniform(0.5, 1.0))
                        attempt = attempt.next(attempt.messages)
                    continue
            if not isinstance(outcome, Rejected):
                return outcome
            if self._is_last(attempt):
                raise MalformedAnswer(f"{self._spec}: {question.phase} of {question.uu_id}: {outcome.reason}")
            attempt = attempt.next(follow_up(question, outcome))

    async def _send(self, asked: Asked[T], attempt: Attempt) -> tuple[T, str] | Rejected:
        """Make one request as soon as it may be made, and see it through."""
        self._breaker.asked(asked.key)
        async with admit(self._limiter, self._ledger, self._load(asked.question, attempt)) as ticket:
            return await see_through(self._request(asked, attempt, ticket))

    async def _request(self, asked: Asked[T], attempt: Attempt, ticket: Ticket) -> tuple[T, str] | Rejected:
        """Make one request and record what it brought, unless it failed in a way that may pass and cost nothing."""
        started = time.perf_counter()
        try:
            # the SDKs' own timeouts are between two bytes: a slow drip would never end
            async with asyncio.timeout(self._limits.timeout_s):
                reply = await self._provider.complete(attempt.messages, asked.question.tools)
        except asyncio.CancelledError as error:
            if cost_usd := ticket.failed(error):
                await self._record(asked, attempt._replace(error="stopped before the answer came", cost_usd=cost_usd))
            raise
        except Exception as error:
            late = f"{self._spec}: no answer within {self._limits.timeout_s:g} s"
            failure = Unavailable(late) if isinstance(error, TimeoutError) else error
            raise await self._fail(asked, attempt, failure, ticket.failed(failure)) from None
        reply = await self._with_plausible_counts(reply, asked.question, attempt)
        if reply.refusal is not None:
            raise await self._refused(asked, attempt, reply, ticket, time.perf_counter() - started)
        self._breaker.replied()
        is_counted = any(call.reply == reply.text for call in asked.before(attempt))
        cost_usd = ticket.answered(reply, is_counted=is_counted)
        attempt = attempt._replace(reply=reply, latency_s=time.perf_counter() - started, cost_usd=cost_usd)
        try:
            answer = asked.check(reply)
        except MalformedAnswer as error:
            reason = self._explain(error, reply)
            await self._record(asked, attempt._replace(error=f"{MALFORMED}{reason}"))
            return Rejected(reply, reason)
        return answer, await self._record(asked, attempt)

    async def _with_plausible_counts(self, reply: Reply, question: Question, attempt: Attempt) -> Reply:
        """Replace token counts that cannot be, and warn of it once."""
        load = self._load(question, attempt)
        counted = with_plausible_counts(reply, load.most_in, load.most_out)
        if counted != reply and not self._has_warned:
            self._has_warned = True
            await self._recorder.warn(
                f"{self._spec} counted {named_count(reply.tokens_in)} tokens in a question and "
                f"{named_count(reply.tokens_out)} in its answer, which is impossible: such counts are replaced by "
                f"the most that the request can have used ({load.most_in} and {load.most_out})"
            )
        return counted

    async def _refused(
        self, asked: Asked[T], attempt: Attempt, reply: Reply, ticket: Ticket, latency_s: float
    ) -> TeacherError:
        """Record an answer in which the question is refused: it is paid for, and asked again it would be refused again.

        Returns: what to raise.
        """
        error = Unanswered(f"{self._spec} refused the question: {short_line(reply.refusal or '')}")
        is_counted = any(call.error == f"{DECLINED}{error}" for call in asked.before(attempt))
        cost_usd = ticket.answered(reply, is_counted=is_counted)
        refused = attempt._replace(reply=reply, latency_s=latency_s, cost_usd=cost_usd, error=f"{DECLINED}{error}")
        await self._record(asked, refused)
        if self._is_looked_up:
            return error
        return await self._breaker.declined(asked.key, error, self._recorder.has_answers)

    async def _record(self, asked: Asked[T], attempt: Attempt) -> str:
        return await self._recorder.add(asked.question, asked.key, attempt)

    async def _fail(self, asked: Asked[T], attempt: Attempt, error: Exception, cost_usd: float | None) -> Exception:
        """Record a request without an answer where nothing follows it, or where it may have been billed.

        Returns: what to raise; Unavailable, where another attempt may bring the answer.
        """
        is_final = not isinstance(error, Unavailable) or self._is_final(error, attempt)
        if isinstance(error, (TeacherError, Unavailable)) and (is_final or cost_usd):
            message = f"{DECLINED if isinstance(error, Unanswered) else ''}{error}"
            await self._record(asked, attempt._replace(error=message, cost_usd=cost_usd))
        if isinstance(error, Unavailable) and is_final:
            return self._breaker.unreached(f"{error} (attempt {attempt.number}, the last)")
        if isinstance(error, Unanswered) and not self._is_looked_up:
            return await self._breaker.declined(asked.key, error, self._recorder.has_answers)
        return error

    def _is_final(self, error: Unavailable, attempt: Attempt) -> bool:
        """Whether a question is given up after this.

        Refusals do not use up attempts: they are about all questions, and with many of them in flight a provider may
        refuse the same one again and again. They are bounded by time, in which nobody had an answer.
        """
        if error.is_refusal:
            return self._limiter.refused_for_s >= PATIENCE * self._limits.longest_pause_s
        return self._is_last(attempt)

    def _is_last(self, attempt: Attempt) -> bool:
        return attempt.number >= self._limits.attempts

    @property
    def _limiter(self) -> RateLimiter:
        return rate_limiter_of(self._spec, self._limits.rates)

    def _load(self, question: Question, attempt: Attempt) -> Load:
        most_in = most_tokens(attempt.messages, question.tools)
        return Load(f"{self._spec} {question.phase}", most_in, self._limits.max_tokens)

    def _cache_key(self, question: Question) -> str:
        """Hash everything that the answer depends on."""
        asked: list[object] = [self._spec, self._limits.temperature, self._limits.max_tokens, question.text]
        if question.turns or question.tools:
            asked += [[asdict(message) for message in question.turns], [asdict(tool) for tool in question.tools]]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()

    def _explain(self, error: MalformedAnswer, reply: Reply) -> str:
        cut_off = f"; it was cut off at {self._limits.max_tokens} tokens: be briefer" if reply.cut_off else ""
        return f"{error}{cut_off}"


async def see_through(work: Coroutine[Any, Any, T]) -> T:
    """Await work to its end, also when cancelled; a second cancellation ends it."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(BlindspotError, Unavailable):  # nobody waits for it any more
            await task
        raise
