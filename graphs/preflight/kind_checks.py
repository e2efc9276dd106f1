"""What a kind of run needs of its settings, and who teaches in it."""

from __future__ import annotations

from collections.abc import Iterable

from blindspot.agents.spec import TeacherSpec
from blindspot.agents.teachers.given import NOBODY, Given
from blindspot.graphs.kinds.attack_only import check_attack
from blindspot.graphs.kinds.comparison import check_comparison, teachers_of
from blindspot.graphs.teaching.teachers import check_teacher
from blindspot.storage.errors import SettingsError
from blindspot.storage.settings.sections import Settings


def check_kind(settings: Settings, kind: str, teachers: Given = NOBODY) -> None:
    """See that a run of this kind has what only such a run needs, and nothing that it has no use for.

    Args:
        teachers: those that are objects.
    Raises: SettingsError, TeacherError.
    """
    check_named(names_of(settings, kind), teachers)
    if kind == "mitigation" and settings.method.name == "teacher":
        check_teacher(settings.teacher, teachers)
    elif kind == "mitigation":
        check_undecided(settings)
    elif kind == "comparison":
        check_comparison(settings, teachers)
    elif kind == "attack":
        check_attack(settings)


def check_undecided(settings: Settings) -> None:
    """See that a method without a teacher leaves no choice to one.

    Raises: SettingsError.
    """
    if settings.teacher.autonomy != "scripted":
        raise SettingsError(
            f'teacher.autonomy = "{settings.teacher.autonomy}": the method "{settings.method.name}" asks no teacher; '
            'set teacher.autonomy = "scripted"'
        )


def check_named(names: Iterable[str], teachers: Given) -> None:
    """See that each teacher that was given is asked for by its spec.

    Args:
        names: who teaches, as settings say it.
    Raises: SettingsError.
    """
    idle = teachers.keys() - {str(TeacherSpec.parse(name)) for name in names}
    if idle:
        raise SettingsError(
            f"teacher: {min(idle)} was given, and no setting names it: these teach: {', '.join(names) or 'none'}"
        )


def names_of(settings: Settings, kind: str) -> tuple[str, ...]:
    """Who teaches in a run of this kind, in the one spelling that rows have."""
    if kind == "comparison":
        return teachers_of(settings)
    teaches = kind == "mitigation" and settings.method.name == "teacher"
    return (str(TeacherSpec.parse(settings.teacher.spec)),) if teaches else ()


def teacher_of(settings: Settings, kind: str) -> str:
    """Who teaches in a run of this kind, as its row says it."""
    return ", ".join(names_of(settings, kind)) or "none"
