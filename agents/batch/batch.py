"""Moving a folder's questions through a batch API and its answers back, at the API's lower price."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from blindspot.agents.batch.answer_files import read_answers
from blindspot.agents.batch.batch_api import TIMEOUT_S, BatchApi, BatchState
from blindspot.agents.batch.batch_record import Batch, one_at_a_time, open_lines, read_batches, settled, write_batches
from blindspot.agents.batch.question_files import Line, json_lines, question_key
from blindspot.agents.calls.ledger import estimate_tokens
from blindspot.agents.calls.prices import BATCH_SHARE, is_listed, price_of_model
from blindspot.agents.chat import Unavailable
from blindspot.agents.spec import LANGUAGE_MODELS, TeacherSpec, place_of
from blindspot.storage.clock import now
from blindspot.storage.errors import SettingsError, TeacherError
from blindspot.storage.whole_files import write_whole

MOST_QUESTIONS = 20_000  # of one batch: OpenAI takes 50,000 or 200 MB, Anthropic 100,000 or 256 MB

T = TypeVar("T")


def batch_spec(text: str) -> TeacherSpec:
    """Read the spec of a teacher that has a batch API.

    Raises: SettingsError.
    """
    spec = TeacherSpec.parse(text)
    if spec.provider not in LANGUAGE_MODELS:
        raise SettingsError(
            f"--teacher {spec.provider}: only openai:MODEL[@BASE_URL] and anthropic:MODEL[@BASE_URL] have a batch API"
        )
    return spec


def folder_of(text: str) -> Path:
    """Find the folder that is named by its path, or by the spec of its teacher.

    Raises: SettingsError, when it is not there.
    """
    folder = place_of(TeacherSpec.parse(text if text.startswith("file:") else f"file:{text}"))
    if not folder.is_dir():
        raise SettingsError(f"{folder}: no such folder; a run with teacher.spec = file:FOLDER creates it")
    return folder


@asynccontextmanager
async def open_api(spec: TeacherSpec) -> AsyncIterator[BatchApi]:
    """Open the batch API of a teacher; its errors reach the operator in one line. Raises: TeacherError."""
    api: BatchApi
    if spec.provider == "anthropic":
        from blindspot.agents.batch.batch_anthropic import AnthropicBatches

        api = AnthropicBatches(spec)
    else:
        from blindspot.agents.batch.batch_openai import OpenAIBatches

        api = OpenAIBatches(spec)
    try:
        yield api
    except Unavailable as error:
        raise TeacherError(f"{error}: try again later") from None
    finally:
        await api.aclose()


async def in_time(work: Awaitable[T]) -> T:
    """Await one request. Raises: Unavailable, when it takes too long: the SDKs' own timeouts miss a slow drip."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await work
    except TimeoutError:
        raise Unavailable(f"no answer within {TIMEOUT_S:g} s") from None


def most_usd(questions: Sequence[Line], spec: TeacherSpec) -> float | None:
    """An upper bound of what questions cost through a batch API, in US dollars; None: the price is not known."""
    price = price_of_model(spec.model or "") if is_listed(spec) else None
    if price is None:
        return None
    tokens_in = sum(estimate_tokens(json.dumps(line["body"], ensure_ascii=False)) for line in questions)
    return BATCH_SHARE * price.cost(tokens_in, sum(line["body"]["max_completion_tokens"] for line in questions))


async def submit(folder: Path, spec: TeacherSpec, *, again: bool = False, adopt: str | None = None) -> list[Batch]:
    """Hand the open questions of a folder over. Returns: the batches that were begun, none where nothing is open.

    Args:
        again, adopt: what to do about an earlier call that was cut short, see `settled`.
    Raises: TeacherError, and what `settled` does.
    """
    with one_at_a_time(folder):
        known = settled(folder, again=again, adopt=adopt)
        if again or adopt:
            write_batches(folder, known)
        questions = open_lines(folder, known)
        async with open_api(spec) as api:
            return [
                await hand_over(folder, spec, api, questions[start : start + MOST_QUESTIONS])
                for start in range(0, len(questions), MOST_QUESTIONS)
            ]


async def hand_over(folder: Path, spec: TeacherSpec, api: BatchApi, questions: Sequence[Line]) -> Batch:
    """Begin one batch, and remember it: before it is bought that it may be, and then its id."""
    uploaded = await in_time(api.upload(questions))
    keys = [str(line["custom_id"]) for line in questions]
    batch = Batch(teacher=str(spec), submitted_at=f"{now():%Y-%m-%d %H:%M:%S} UTC", questions=keys)
    known = read_batches(folder)
    write_batches(folder, [*known, batch])
    try:
        batch.batch_id = await in_time(api.buy(uploaded))
    except (Unavailable, TeacherError) as error:
        if not may_be_begun(error):
            write_batches(folder, known)
        raise
    write_batches(folder, [*known, batch])
    return batch


def may_be_begun(error: Unavailable | TeacherError) -> bool:
    """Whether a batch may have been begun all the same: a server that fails may do so after it took the batch."""
    if isinstance(error, TeacherError) or error.status == 429:
        return False
    return error.status is not None or error.may_be_billed


async def look(folder: Path) -> list[tuple[Batch, BatchState | None]]:
    """See how far the batches of a folder are; those that are fetched are not asked about."""
    states: list[tuple[Batch, BatchState | None]] = []
    for batch in read_batches(folder):
        if batch.answers or batch.batch_id is None:
            states.append((batch, None))
            continue
        async with open_api(TeacherSpec.parse(batch.teacher)) as api:
            states.append((batch, await in_time(api.look(batch.batch_id))))
    return states


async def fetch(folder: Path) -> list[tuple[Batch, int, int]]:
    """Write the answers of the batches that are over into files of the folder.

    Returns: each such batch, with how many of its questions are answered and how many failed or expired.
    """
    fetched = []
    with one_at_a_time(folder):
        known = read_batches(folder)
        for batch in known:
            lines = await lines_of(batch)
            if lines is None:
                continue
            path = folder / f"{batch.batch_id}.answers.jsonl"
            write_whole(path, json_lines(lines))
            batch.answers = path.name
            write_batches(folder, known)
            usable = read_answers(folder).replies
            answered = sum(question_key(key) in usable for key in batch.questions)
            fetched.append((batch, answered, len(batch.questions) - answered))
    return fetched


async def lines_of(batch: Batch) -> list[Line] | None:
    """Get a line for each question of a batch; None where it is not over, or is fetched already."""
    if batch.answers or batch.batch_id is None:
        return None
    async with open_api(TeacherSpec.parse(batch.teacher)) as api:
        state = await in_time(api.look(batch.batch_id))
        if not state.is_over:
            return None
        lines = await in_time(api.fetch(batch.batch_id))
    there = {line.get("custom_id") for line in lines}
    lost = {"message": f"batch {batch.batch_id} ended without it ({state.status})"}
    return lines + [{"custom_id": key, "response": None, "error": lost} for key in batch.questions if key not in there]
