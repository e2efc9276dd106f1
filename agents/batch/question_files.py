"""The files of questions in a folder: JSON lines in the request format of the OpenAI Batch API, written by us only.

NAME.questions.jsonl    one line a question; a question is in one file only
NAME.questions.md       the same for people to read
anything else .jsonl    answers, see `answers.py`; never written by a run
batches.json            what was handed to batch APIs, see `batch`
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from blindspot.storage.errors import Pending, TeacherError
from blindspot.storage.whole_files import write_whole


def readable(lines: Sequence[Mapping[str, Any]], file: str) -> str:
    """Write questions in Markdown.

    Args:
        lines: requests of the OpenAI Batch API.
        file: the name of the file that they are in.
    """
    answers = file.replace(".questions.", ".answers.")
    head = (
        f"# {len(lines)} question{'s' * (len(lines) != 1)}\n\n"
        f"The questions of `{file}`, for people to read. Write answers into `{answers}`, a line for each question:\n\n"
        '    {"custom_id": "…", "answer": …}\n\n'
        "The answer is a text, or the JSON object that the question asks for. blindspot does not read this file.\n"
    )
    return "\n".join([head, *(part for line in lines for part in section(line))])


def section(line: Mapping[str, Any]) -> Iterator[str]:
    """Write one question: its id, which names what is asked about which UU, and the conversation."""
    yield f"## {line['custom_id']}\n"
    for turn in line["body"]["messages"]:
        yield f"**{turn.get('role', 'user')}**\n"
        yield fenced(turn_text(turn)) + "\n"


def turn_text(turn: Mapping[str, Any]) -> str:
    """The text of a turn; questions in files have no other parts."""
    content = turn.get("content")
    return content if isinstance(content, str) else ""


def fenced(text: str) -> str:
    """Put a fence around a text that the text itself cannot close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.encode('utf-8', 'replace').decode()}\n{fence}"


QUESTIONS = ".questions.jsonl"
COMPANION = ".questions.md"
MODEL = "MODEL"  # the format wants a model where a folder names none: whoever hands the questions on fills it in
URL = "/v1/chat/completions"

Line = Mapping[str, Any]
"""One request: custom_id, method, url, body."""


class Body(BaseModel):
    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    max_completion_tokens: int


class RequestLine(BaseModel):
    """What is needed of a question's line."""

    custom_id: Annotated[str, Field(min_length=1)]
    body: Body


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line of a file in the folder."""

    file: str  # its name
    number: int  # from 1

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


class OpenQuestion(Pending):
    """A question that has no answer in its folder yet."""

    def __init__(self, folder: Path, line: Line) -> None:
        super().__init__(f"{line['custom_id']} waits for its answer in {folder}")
        self.folder = folder
        self.line = line

    def name(self, kind: str, uu_id: str) -> None:
        """Have the question's id say what is asked about what; both batch APIs take 64 plain characters."""
        named = f"{kind}-{uu_id}-{self.line['custom_id']}"
        if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", named):
            self.line = {**self.line, "custom_id": named}


def custom_id(conversation: object) -> str:
    """The id of a question: it depends on the conversation alone, not on who answers it or how.

    Args:
        conversation: what JSON can hold.
    """
    return f"q-{hashlib.sha256(json.dumps(conversation, sort_keys=True).encode()).hexdigest()[:24]}"


def question_key(name: str) -> str:
    """What of a question's id depends on its conversation: the same however the id is named."""
    match = re.fullmatch(r"[A-Za-z0-9_-]*-(q-[0-9a-f]{24})", name)
    return match[1] if match else name


def read_lines(path: Path) -> Iterator[tuple[FileLine, str]]:
    """Read the lines of a file that are not empty.

    Raises: TeacherError, when the file cannot be read.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for, a device read without end
        raise TeacherError(f"{path}: is not a regular file; remove it, or save its content to a file")
    try:
        # split at line feeds only: JSON may hold the other separators of splitlines() as they are
        lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    except OSError as error:
        raise TeacherError(f"{path}: cannot be read ({error.strerror})") from None
    for number, text in enumerate(lines, start=1):
        if text.strip():
            yield FileLine(path.name, number), text


def read_questions(folder: Path) -> dict[str, tuple[FileLine, Line]]:
    """Find every question of a folder: its key -> where it stands, and its line.

    Raises: TeacherError, naming the line that is not a question.
    """
    questions: dict[str, tuple[FileLine, Line]] = {}
    for path in sorted(folder.glob(f"*{QUESTIONS}")):
        for place, text in read_lines(path):
            try:
                line = json.loads(text)
                questions.setdefault(question_key(RequestLine.model_validate(line).custom_id), (place, line))
            except (ValueError, RecursionError) as error:
                problem = error.errors()[0] if isinstance(error, ValidationError) else None
                reason = f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" if problem else str(error)
                raise TeacherError(
                    f"{path.parent / str(place)}: is not a question ({reason}): only the run's own files may be named "
                    f"*{QUESTIONS}; give a file of answers another name"
                ) from None
    return questions


def write_questions(questions: Sequence[OpenQuestion], stem: str) -> list[Path]:
    """Write the questions that no file of their folder holds yet into a new one, whole or not at all.

    Args:
        stem: what the file's name begins with; its pass, from 1, is counted on.
    Returns: the files that hold these questions, old ones too, in the order of their names.
    Raises: StoreError, when the disk fails.
    """
    files: set[Path] = set()
    for folder in {question.folder: None for question in questions}:
        lines = [question.line for question in questions if question.folder == folder]
        wanted = {question_key(line["custom_id"]): line for line in lines}
        known = read_questions(folder)
        files |= {folder / place.file for key, (place, _) in known.items() if key in wanted}
        new = [line for key, line in wanted.items() if key not in known]
        if new:
            paths = (folder / f"{stem}-pass{number}{QUESTIONS}" for number in count(1))
            path = next(path for path in paths if not path.exists())
            write_whole(path, json_lines(sorted(new, key=lambda line: str(line["custom_id"]))))
            files.add(path)
    for file in files:
        companion = file.with_name(file.name.replace(QUESTIONS, COMPANION))
        if not companion.exists():
            write_whole(companion, readable([json.loads(text) for _, text in read_lines(file)], file.name))
    return sorted(files)


def json_lines(lines: Iterable[Line]) -> str:
    """Write one line for each mapping, as people read it; halves of characters, which UTF-8 cannot hold, escaped."""
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    return text.encode("utf-8", "backslashreplace").decode()


def waiting_line(questions: Sequence[OpenQuestion], files: Sequence[Path]) -> str:
    """Say how many questions wait in which files, and what to do."""
    held = {folder: read_questions(folder) for folder in {question.folder for question in questions}}
    keys = {(question.folder, question_key(question.line["custom_id"])) for question in questions}
    counts = Counter(str(folder / held[folder][key][0].file) for folder, key in keys)
    if len(files) == 1:
        where = f"{len(keys)} question{'s wait' if len(keys) > 1 else ' waits'} in {files[0]}"
    else:
        where = f"{len(keys)} questions wait: {', '.join(f'{counts[str(file)]} in {file}' for file in files)}"
    folder = files[-1].parent
    answers = files[-1].name.replace(QUESTIONS, ".answers.jsonl")
    return (
        f'{where}; write the answers, as lines {{"custom_id": …, "answer": …}} or as the Batch API\'s responses, into '
        f"{folder / answers}, or buy them with `blindspot batch submit {shlex.quote(str(folder))} --teacher …`; "
        f"to read the questions, open {', '.join(file.name.replace(QUESTIONS, COMPANION) for file in files)}"
    )
