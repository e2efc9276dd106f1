"""A second judge: which label texts truly have, asked of somebody who is not told what label they were given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from blindspot.agents.calls.caller import Caller
from blindspot.agents.calls.log import Question
from blindspot.agents.chat import Reply
from blindspot.agents.prompts.prompting import excerpt, load_prompt, quote
from blindspot.agents.teachers.answers import quoted_value, read_object
from blindspot.storage.errors import MalformedAnswer
from blindspot.storage.ids import make_id
from blindspot.storage.records import Fields

TEXTS_PER_QUESTION = 10

UNCLEAR = ("unclear", "cannot tell", "no label is right")
"""What a judge answers where no label is right: the first that is no label of the data set."""


class LabelsAnswer(BaseModel):
    """The answer to the question for labels."""

    labels: list[str]


@dataclass(frozen=True, slots=True)
class JudgedTexts:
    """Texts that a judge labels in one answer, and the task that the labels are for."""

    task: str
    labels: tuple[str, ...]
    texts: Sequence[Fields]

    @property
    def unclear(self) -> str:
        """What the judge answers where no label is right."""
        taken = set(map(folded, self.labels))
        return next(answer for answer in UNCLEAR if answer not in taken)

    @property
    def subject_id(self) -> str:
        """What the texts are called together: the same texts, the same id."""
        return make_id("jdg", *(sorted(text.items()) for text in self.texts))


async def judge_texts(caller: Caller, judged: JudgedTexts) -> tuple[list[str | None], str]:
    """Have texts labelled.

    Returns: for each text its label, or None where the judge cannot tell; and the call's id.
    Raises: as Caller.ask.
    """
    return await caller.ask(judging_question(judged), lambda reply: read_labels(reply, judged))


def judging_question(judged: JudgedTexts) -> Question:
    """Ask for the labels of texts; their own labels, what made them and what was predicted are not shown."""
    prompt = load_prompt("judging")
    shown = [as_shown(number, text) for number, text in enumerate(judged.texts, start=1)]
    text = prompt.fill(
        task=judged.task.rstrip(". "),
        texts=quote(shown),
        labels=quote(judged.labels, indent=None),
        unclear=judged.unclear,
        n=str(len(judged.texts)),
        form=quote({"labels": ["…"] * min(2, len(judged.texts))}, indent=None),
    )
    return Question("judge", judged.subject_id, text, prompt.content_hash)


def as_shown(number: int, text: Fields) -> dict[str, object]:
    """One text with its number; of a long one, which part of it stands there."""
    part = excerpt(text)
    return {"number": number, "text": dict(part.original), **({"shown": part.shown} if part.shown else {})}


def read_labels(reply: Reply, judged: JudgedTexts) -> list[str | None]:
    """Read as many labels as there are texts.

    Raises: MalformedAnswer, with the reason for the model.
    """
    answered = read_object(reply.text, LabelsAnswer.model_validate).labels
    if len(answered) != len(judged.texts):
        raise MalformedAnswer(f"labels: {len(answered)} labels for {len(judged.texts)} texts")
    labels: list[str | None] = []
    for number, answer in enumerate(answered, start=1):
        label = label_meant(answer, judged.labels)
        if label is None and folded(answer) != judged.unclear:
            raise MalformedAnswer(
                f"labels: {quoted_value(answer)} of text {number} is neither {judged.unclear} nor one of "
                f"{', '.join(judged.labels)}"
            )
        labels.append(label)
    return labels


def label_meant(answer: str, labels: Sequence[str]) -> str | None:
    """The label that an answer names; upper and lower case count only where labels differ in nothing else."""
    if answer in labels:
        return answer
    alike = [label for label in labels if folded(label) == folded(answer)]
    exact = [label for label in alike if label.strip() == answer.strip()]
    (meant,) = exact if len(exact) == 1 else alike if len(alike) == 1 else (None,)
    return meant


def folded(label: str) -> str:
    """A label without regard to case and outer white space."""
    return label.strip().casefold()
