"""Every error that blindspot raises on purpose, in one tree with three addressees.

    BlindspotError
    ├── OperatorError          the operator can fix it: one line, exit code 2
    │   ├── SettingsError      a TOML key, an override, an environment variable
    │   ├── DataError          a data set: file, row, column
    │   ├── ModelError         a classifier that cannot be loaded
    │   ├── StoreError         a workspace or database that cannot be used
    │   └── TeacherError       a teacher that cannot be reached, or refuses for good
    │       ├── Unanswered     one question got no answer, the teacher may answer others: its item is skipped
    │       └── BudgetSpent    a cap of the settings is reached: the round goes on with what was bought
    ├── MalformedAnswer        the teacher can fix it: it is asked again with the reason
    ├── Pending                one question waits for its answer in a file: its item goes on in a later pass
    ├── Waiting                all that is left waits for answers in files: exit code 3, the run can be resumed
    └── Cancelled              somebody asked to stop: not a failure, the run can be resumed

Anything else that reaches the terminal is a bug and keeps its traceback.
"""

from __future__ import annotations


class BlindspotError(Exception):
    """Root of the tree."""


class OperatorError(BlindspotError):
    """What the operator can fix; the message says what happened and what to do."""


class SettingsError(OperatorError):
    """A setting is unknown, of the wrong type or out of range."""


class DataError(OperatorError):
    """A data set cannot be read or does not fit the settings."""


class ModelError(OperatorError):
    """A classifier or encoder cannot be loaded."""


class StoreError(OperatorError):
    """A workspace or a database in it cannot be opened or written."""


class TeacherError(OperatorError):
    """A teacher cannot be used: no key, no such model, refused for good."""


class Unanswered(TeacherError):
    """One question was declined, or got no answer in any of its attempts."""


class BudgetSpent(TeacherError):
    """A cap on calls or money is reached; what was bought is kept."""


class MalformedAnswer(BlindspotError):
    """A teacher's answer lacks a field, has an unknown label or is not in the format asked for."""


class Pending(BlindspotError):
    """A question was put into a file and has no answer there yet."""


class Waiting(BlindspotError):
    """A run has stopped until its questions are answered; the message says where they lie and what to do."""


class Cancelled(BlindspotError):
    """A stop was asked for; what is done is kept."""
