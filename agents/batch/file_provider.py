"""The provider `file:FOLDER`: questions go into files, and answers come out of files, whoever wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from blindspot.agents.batch.answer_files import read_answers
from blindspot.agents.batch.question_files import MODEL, URL, Line, OpenQuestion, custom_id
from blindspot.agents.chat import Endpoint, Message, Reply, Tool
from blindspot.agents.providers.openai import turns_of
from blindspot.storage.errors import SettingsError


class FileProvider:
    """Answers what the folder's files answer; they are read once, here.

    Raises: SettingsError, when the folder is something else. TeacherError, when a file cannot be read.
    """

    def __init__(self, folder: Path, endpoint: Endpoint) -> None:
        if folder.exists() and not folder.is_dir():
            raise SettingsError(f"teacher.spec: file:{folder} is not a folder; name a folder or an unused path")
        self._folder = folder
        self._endpoint = endpoint
        self._replies = read_answers(folder).replies

    async def complete(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> Reply:  # noqa: ARG002
        """Look the answer up; tools are not told of, since nobody could run them between two lines of a file.

        Raises: OpenQuestion, where there is not an answer.
        """
        line = question_line(messages, self._endpoint)
        reply = self._replies.get(line["custom_id"])
        if reply is None:
            raise OpenQuestion(self._folder, line)
        return reply

    async def aclose(self) -> None:
        """Nothing is open."""


def question_line(messages: Sequence[Message], endpoint: Endpoint) -> Line:
    """Write a conversation as a request of the OpenAI Batch API; its model is left for whoever hands it on."""
    turns = [turn for message in messages for turn in turns_of(message)]
    body = {"model": MODEL, "messages": turns, "max_completion_tokens": endpoint.max_tokens}
    if endpoint.temperature is not None:
        body["temperature"] = endpoint.temperature
    return {"custom_id": custom_id(turns), "method": "POST", "url": URL, "body": body}
