"""When questions without an answer say that nobody will answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from blindspot.storage.errors import TeacherError, Unanswered

MOST_UNANSWERED = 5  # questions in a row that nobody was reached for, or the first ones, all of them declined


class CircuitBreaker:
    """Counts the questions of one caller that got no answer, and says when to stop asking.

    One that is declined, as too long or against the provider's rules, says nothing about the others; a server that
    declines all from the first on has another complaint.
    """

    def __init__(self) -> None:
        self._unreached = 0  # questions since the last reply
        self._has_replied = False
        self._first: dict[str, bool] = {}  # the first questions by cache key: whether they were declined

    def asked(self, key: str) -> None:
        """Take note of a question that is put to the provider."""
        if len(self._first) < MOST_UNANSWERED:
            self._first.setdefault(key, False)

    def replied(self) -> None:
        """Take note of a reply, usable or not."""
        self._unreached, self._has_replied = 0, True

    def unreached(self, why: str) -> TeacherError:
        """Count a question that nobody was reached for. Returns: the error to raise, for it or for all of them."""
        self._unreached += 1
        if self._unreached < MOST_UNANSWERED:
            return Unanswered(why)
        return TeacherError(f"{why}; {self._unreached} questions in a row got no answer: fix this, then resume the run")

    async def declined(self, key: str, error: Unanswered, has_answers: Callable[[], Awaitable[bool]]) -> TeacherError:
        """Count a question that was declined.

        Args:
            has_answers: tells whether the run had any before.
        Returns: the error to raise, for it or for all of them.
        """
        if key in self._first:
            self._first[key] = True
        is_only_this = self._has_replied or len(self._first) < MOST_UNANSWERED or not all(self._first.values())
        if is_only_this or await has_answers():
            return error
        return TeacherError(
            f"{error}; the first {MOST_UNANSWERED} questions were all declined: fix this, then resume the run"
        )
