"""What of a folder was handed to batch APIs: remembered in its `batches.json`, so that nothing is bought twice."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, TypeAdapter, ValidationError

from blindspot.agents.batch.answer_files import read_answers, unanswered
from blindspot.agents.batch.question_files import Line, question_key
from blindspot.storage.errors import SettingsError, TeacherError
from blindspot.storage.whole_files import write_whole

RECORD = "batches.json"
MOST_SHOWN = 40  # characters of an id that cannot be used


def check_id(name: str) -> str:
    """Check that an id from outside is a plain name: files are named after it. Raises: ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", name):
        raise ValueError(f"the id {name[:MOST_SHOWN]!r} is not a plain name of letters, digits, '.', '_', ':' and '-'")
    return name


PlainId = Annotated[str, AfterValidator(check_id)]


class Batch(BaseModel):
    """Questions that were handed to a batch API."""

    batch_id: PlainId | None = None  # None: handing over was begun, and what came of it is not known
    teacher: str
    submitted_at: str
    questions: list[str]  # custom_ids
    answers: PlainId | None = None  # the file that they were fetched into


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Keep a second process from handing the same questions over.

    Raises: TeacherError, when one is at it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of the folder itself: let go of by a kill, too
        except BlockingIOError:
            raise TeacherError(f"{folder}: another `blindspot batch` is running here; wait until it ends") from None
        yield
    finally:
        os.close(descriptor)


def read_batches(folder: Path) -> list[Batch]:
    """Read what was handed over before.

    Raises: TeacherError, when the record cannot be read: without it questions would be bought twice.
    """
    path = folder / RECORD
    try:
        return TypeAdapter(list[Batch]).validate_json(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValidationError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise TeacherError(f"{path}: cannot be read ({why}): restore it, or move it away") from None


def write_batches(folder: Path, batches: Sequence[Batch]) -> None:
    """Remember what was handed over."""
    write_whole(folder / RECORD, json.dumps([batch.model_dump() for batch in batches], indent=1) + "\n")


def open_lines(folder: Path, batches: Sequence[Batch]) -> list[Line]:
    """The questions of a folder that have no usable answer and are in none of these batches that is under way."""
    under_way = {question_key(key) for batch in batches if not batch.answers for key in batch.questions}
    questions = unanswered(folder, read_answers(folder).replies)
    return [line for key, (_, line) in questions.items() if key not in under_way]


def settled(folder: Path, *, again: bool = False, adopt: str | None = None) -> list[Batch]:
    """The batches of a folder, with one whose handing over was cut short settled. Nothing is written.

    Args:
        again: forget it: its questions are bought again.
        adopt: the id that the operator found for it at the provider.
    Raises: SettingsError, when there is nothing to adopt. TeacherError, saying how to go on, where it is not settled.
    """
    known = read_batches(folder)
    lost = [batch for batch in known if batch.batch_id is None]
    if again:
        return [batch for batch in known if batch.batch_id]
    if adopt and not lost:
        raise SettingsError(f"--adopt {adopt}: no submit was interrupted in {folder}")
    if adopt:
        try:
            lost.pop(0).batch_id = check_id(adopt)
        except ValueError as error:
            raise SettingsError(f"--adopt: {error}; copy it from the provider's list of batches") from None
    for batch in lost:
        raise TeacherError(
            f"submitting {len(batch.questions)} questions to {batch.teacher} was interrupted at {batch.submitted_at}, "
            "and they may be bought already; look at the provider's list of batches: if the batch is there, take it "
            "over with `blindspot batch submit … --adopt ID`, if not, buy it with `blindspot batch submit … --again`"
        )
    return known
