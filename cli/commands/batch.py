"""batch: move the questions of a `file:` teacher's folder through a batch API, and the answers back."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from blindspot.cli.terminal import result_console, visible
from blindspot.storage.errors import Cancelled, SettingsError
from blindspot.storage.settings.sections import TeacherSection

app = typer.Typer(
    help="Send the questions of a file:FOLDER teacher to a batch API, at half the price.",
    no_args_is_help=True,
)

FolderArgument = Annotated[str, typer.Argument(metavar="FOLDER", help="The folder of the teacher file:FOLDER.")]


@app.command("submit")
def submit(
    folder: FolderArgument,
    teacher: Annotated[
        str, typer.Option("--teacher", metavar="SPEC", help="openai:MODEL[@BASE_URL] or anthropic:MODEL[@BASE_URL].")
    ],
    again: Annotated[
        bool, typer.Option("--again", help="Submit again what an interrupted submit may already have bought.")
    ] = False,
    adopt: Annotated[
        str | None, typer.Option(metavar="ID", help="The id of the batch that an interrupted submit created.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation above $5.")] = False,
) -> None:
    """Submit the questions that have no answer and are not in a batch yet. Nothing is bought twice."""
    from blindspot.agents.batch import batch, batch_record
    from blindspot.agents.calls.prices import is_providers_own

    place, spec = batch.folder_of(folder), batch.batch_spec(teacher)
    if again and adopt:
        raise SettingsError("--again and --adopt cannot be combined; give one of them")
    questions = batch_record.open_lines(place, batch_record.settled(place, again=again, adopt=adopt))
    usd = batch.most_usd(questions, spec)
    if questions and not yes and is_providers_own(spec):
        agree_on_price(usd)
    begun = asyncio.run(batch.submit(place, spec, again=again, adopt=adopt))
    for one in begun:
        print_line(f"{one.batch_id}: {len(one.questions)} questions, to {one.teacher}")
    if not begun:
        print_line("nothing to submit: every question is answered, or is in a batch in progress")
    else:
        print_line(f"{price_in_words(usd)}; `blindspot batch fetch {place}` fetches the answers when they are ready")


def agree_on_price(usd: float | None) -> None:
    """Ask before questions are bought that may cost more than `teacher.confirm_usd` is by default.

    Raises: SettingsError, where nobody is there to answer. Cancelled, when the answer is no.
    """
    if usd is not None and usd <= TeacherSection().confirm_usd:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingsError(f"nothing was submitted, {price_in_words(usd)}; add --yes to submit without confirmation")
    if not typer.confirm(f"Price of the questions: {price_in_words(usd)}. Submit them?", err=True):
        raise Cancelled("nothing was submitted")


def price_in_words(usd: float | None) -> str:
    return "the price is not known" if usd is None else f"at most {usd:.2f} US dollars"


@app.command("status")
def status(folder: FolderArgument) -> None:
    """Show the state of each batch, how many questions are open, and what is wrong with answers, line by line."""
    from blindspot.agents.batch import answer_files, batch, batch_record, question_files

    place = batch.folder_of(folder)
    for one, state in asyncio.run(batch.look(place)):
        how = f"fetched into {one.answers}" if one.answers else "interrupted; it may have been bought"
        if state is not None:
            how = f"{state.status} ({state.answered} answered, {state.failed} failed)"
        print_line(f"{one.batch_id or 'unknown batch'}: {len(one.questions)} questions, to {one.teacher}: {how}")
    asked, usable = question_files.read_questions(place), answer_files.read_answers(place).replies
    answered = sum(key in usable for key in asked)
    left = len(batch_record.open_lines(place, batch_record.read_batches(place)))
    print_line(f"{len(asked)} questions, {answered} answered, {left} neither answered nor in a batch")
    for problem in answer_files.tell_problems(place):
        print_line(problem)


@app.command("fetch")
def fetch(folder: FolderArgument) -> None:
    """Write the answers of finished batches into the folder; `blindspot resume` then continues the run."""
    from blindspot.agents.batch import batch, batch_record

    place = batch.folder_of(folder)
    fetched = asyncio.run(batch.fetch(place))
    for one, answered, failed in fetched:
        lost = f", {failed} failed or expired: `blindspot batch submit` submits them again" if failed else ""
        print_line(f"{one.answers}: {answered} of {len(one.questions)} questions answered{lost}")
    under_way = sum(one.answers is None for one in batch_record.read_batches(place))
    if under_way or not fetched:
        print_line(f"{under_way} batch{'es' * (under_way != 1)} in progress")


def print_line(text: str) -> None:
    """Print a line of the result."""
    result_console().print(visible(text), soft_wrap=True)
