"""What a kind of run needs of its settings, and who teaches in it."""

from __future__ import annotations

from blindspot.agents.spec import TeacherSpec
from blindspot.graphs.kinds.attack_only import check_attack
from blindspot.graphs.kinds.comparison import check_comparison, teachers_of
from blindspot.graphs.teaching.teachers import check_teacher
from blindspot.storage.errors import SettingsError
from blindspot.storage.settings.sections import Settings


def check_kind(settings: Settings, kind: str) -> None:
    """See that a run of this kind has what only such a run needs.

    Raises: SettingsError, TeacherError.
    """
    if kind == "mitigation" and settings.method.name == "teacher":
        check_teacher(settings.teacher)
    elif kind == "mitigation":
        check_undecided(settings)
    elif kind == "comparison":
        check_comparison(settings)
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


def teacher_of(settings: Settings, kind: str) -> str:
    """Who teaches in a run of this kind, as its row says it."""
    if kind == "comparison":
        return ", ".join(teachers_of(settings))
    teaches = kind == "mitigation" and settings.method.name == "teacher"
    return str(TeacherSpec.parse(settings.teacher.spec)) if teaches else "none"
