"""Who is asked in each kind of run: known from the settings, before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from blindspot.agents.spec import TeacherSpec
from blindspot.storage.settings.sections import Settings
from blindspot.storage.words import RunKindName


def own_teacher(settings: Settings) -> tuple[str, ...]:
    """The teacher of a mitigation, in the one spelling that its rows have; a baseline has none.

    Raises: SettingsError, for a spec that is wrong.
    """
    return (str(TeacherSpec.parse(settings.teacher.spec)),) if settings.method.name == "teacher" else ()


def teachers_of(settings: Settings) -> tuple[str, ...]:
    """The teachers to compare, each in the one spelling that their rows have.

    Raises: SettingsError, for a spec that is wrong.
    """
    return tuple(str(TeacherSpec.parse(spec)) for spec in settings.compare.teachers)


def nobody(settings: Settings) -> tuple[str, ...]:
    """No teacher."""
    return ()


ASKED: Mapping[RunKindName, Callable[[Settings], tuple[str, ...]]] = {
    "mitigation": own_teacher,
    "attack": nobody,
    "comparison": teachers_of,
    "original": nobody,
}
