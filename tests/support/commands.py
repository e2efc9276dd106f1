"""What the fixture `cli` gives: commands that are run in this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass
class Answer:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


class Cli(Protocol):
    """Runs a command in this process, in a folder of its own."""

    def __call__(self, *arguments: object, stdin: str = "") -> Answer: ...
