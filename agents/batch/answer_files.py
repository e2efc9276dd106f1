"""The files of answers in a folder: responses of the OpenAI Batch API, or plain lines that people write. Only read."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from blindspot.agents.batch.question_files import QUESTIONS, FileLine, Line, question_key, read_lines, read_questions
from blindspot.agents.chat import Reply
from blindspot.agents.providers.openai import Completion
from blindspot.agents.providers.peer import short_line, storable
from blindspot.storage.errors import MalformedAnswer

PASSES = 3  # of a round: abstractions; extrapolations, and samples after abstractions; samples after extrapolations
MOST_TOLD = 10  # problems that one message names


class PlainLine(BaseModel):
    """What a person or a script writes."""

    custom_id: Annotated[str, Field(min_length=1)]
    answer: str | dict[str, Any]


class Response(BaseModel):
    status_code: int
    body: dict[str, Any] | None = None


class BatchLine(BaseModel):
    """A line of a batch API's output."""

    custom_id: Annotated[str, Field(min_length=1)]
    response: Response | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What the files of one folder hold."""

    replies: Mapping[str, Reply]  # by the question's key
    problems: tuple[str, ...]  # "file:line: what is wrong"


def read_answers(folder: Path) -> Answers:
    """Read every answer of a folder: files by name, lines from the top, the last usable answer to a question counts.

    Raises: TeacherError, when a file cannot be read.
    """
    questions = read_questions(folder)
    replies: dict[str, tuple[FileLine, Reply]] = {}
    problems: list[str] = []
    refused: dict[str, list[str]] = defaultdict(list)  # of questions that another line may answer
    for path in sorted(folder.glob("*.jsonl")):
        for place, text in () if path.name.endswith(QUESTIONS) else read_lines(path):
            try:
                key, reply = read_answer(text)
            except MalformedAnswer as error:
                problems.append(f"{place}: {error}")
                continue
            key = question_key(key)
            if key not in questions:  # its file may be gone: the answer counts, should the question come again
                problems.append(f"{place}: answers {short_line(key)}, which is not a question of this folder")
            if isinstance(reply, str):
                refused[key].append(f"{place}: {short_line(key)} has no answer: {reply}")
            else:
                if key in replies and replies[key][1] != reply:
                    problems.append(f"{replies[key][0]}: {short_line(key)} is answered again in {place}, which counts")
                replies[key] = place, reply
                if reply.refusal is not None:
                    problems.append(f"{place}: {short_line(key)} was refused: {short_line(reply.refusal)}")
    problems += [line for key, lines in refused.items() if key not in replies for line in lines]
    return Answers({key: reply for key, (_, reply) in replies.items()}, tuple(problems))


def read_answer(text: str) -> tuple[str, Reply | str]:
    """Read one line.

    Returns: the question's custom_id, and the reply, or why there is none.
    Raises: MalformedAnswer, for a line that is neither.
    """
    try:
        # halves of characters are escaped in JSON: they stand alone only once it is read
        line = json.loads(storable(json.dumps(json.loads(text), ensure_ascii=False)))
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer(f"is not JSON ({error})") from None
    if not isinstance(line, dict):
        raise MalformedAnswer("is not a JSON object")
    try:
        if "answer" in line:
            plain = PlainLine.model_validate(line)
            answer = plain.answer
            reply_text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
            return plain.custom_id, Reply(reply_text, model="", tokens_in=0, tokens_out=0)
        if "response" not in line and "error" not in line:
            raise MalformedAnswer('has neither "answer" nor "response"')
        batch = BatchLine.model_validate(line)
        return batch.custom_id, read_response(batch)
    except ValidationError as error:
        problem = error.errors()[0]
        raise MalformedAnswer(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None


def read_response(line: BatchLine) -> Reply | str:
    """Read a batch API's answer. Returns: the reply, or why there is none."""
    response = line.response
    if response is None or response.status_code != 200 or response.body is None:
        reason = short_line(json.dumps(line.error or (response and response.body), ensure_ascii=False))
        return f"status {response.status_code}, {reason}" if response else reason
    try:
        completion = Completion.model_validate(response.body)
    except ValidationError as error:
        problem = error.errors()[0]
        return f"its body is not a chat completion ({'.'.join(map(str, problem['loc']))}: {problem['msg']})"
    return completion.as_reply()


def unanswered(folder: Path, answered: Collection[str], *, stem: str = "") -> dict[str, tuple[FileLine, Line]]:
    """The questions of a folder without a usable answer, of files whose names begin with `stem`."""
    return {
        key: (place, line)
        for key, (place, line) in read_questions(folder).items()
        if key not in answered and place.file.startswith(stem)
    }


def tell_problems(folder: Path, *, stem: str = "") -> Iterator[str]:
    """Say what is wrong with the answers of a folder, line by line: malformed, unknown, refused, missing."""
    answers = read_answers(folder)
    yield from answers.problems
    missing: dict[str, list[int]] = defaultdict(list)
    for place, _ in unanswered(folder, answers.replies, stem=stem).values():
        missing[place.file].append(place.number)
    for file, numbers in sorted(missing.items()):
        lines = ", ".join(map(str, sorted(numbers)[:MOST_TOLD])) + (", …" if len(numbers) > MOST_TOLD else "")
        yield f"{file}: no answer to {len(numbers)} of its questions (line{'s' * (len(numbers) > 1)} {lines})"


def receipt(folder: Path, *, stem: str) -> str | None:
    """Say how many answers of the newest pass are there: "40 of 40 answers taken, pass 2 of 3"; None before the first.

    Args:
        stem: what the names of a round's files begin with.
    """
    of_pass: dict[int, list[str]] = defaultdict(list)
    for key, (place, _) in read_questions(folder).items():
        if match := re.fullmatch(rf"{re.escape(stem)}-pass(\d+){re.escape(QUESTIONS)}", place.file):
            of_pass[int(match[1])].append(key)
    if not of_pass:
        return None
    replies, newest = read_answers(folder).replies, max(of_pass)
    taken = sum(key in replies for key in of_pass[newest])
    again = "" if newest <= PASSES else " (questions asked again)"
    return f"{taken} of {len(of_pass[newest])} answers taken, pass {newest} of {max(PASSES, newest)}{again}"


def in_one_line(problems: Sequence[str], folder: Path) -> str:
    """Put problems into one message; the command that lists all stands where they are many."""
    more = len(problems) - MOST_TOLD
    rest = f"; and {more} more, which `blindspot batch status {folder}` lists" if more > 0 else ""
    return f"answers in {folder}: {'; '.join(problems[:MOST_TOLD])}{rest}"
