"""The question before a run that may cost more than the settings allow unasked."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from blindspot.storage.errors import Cancelled, SettingsError

if TYPE_CHECKING:
    from blindspot.agents.forecast import Forecast
    from blindspot.storage.settings import Settings

YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask before a run that may cost more than teacher.confirm_usd.")
]


def agree_on_spend(settings: Settings, *, yes: bool, kind: str = "mitigation") -> Forecast | None:
    """Forecast what the teacher will cost, and ask the operator where that may be more than `teacher.confirm_usd`.

    Returns: the forecast; None, where nothing is billed.
    Raises: SettingsError, where it has to be asked and nobody is there to answer. Cancelled, when the answer is no.
        OperatorError, as `start_run`. Nothing is written.
    """
    from blindspot.agents.teacher import TeacherSpec

    named = settings.compare.teachers if kind == "comparison" else (settings.teacher.spec,)
    if {TeacherSpec.parse(spec).provider for spec in named} <= {"rules"}:
        return None  # known without loading anything
    from blindspot.graphs.forecast import forecast_run

    forecast = forecast_run(settings, kind)
    if forecast is None or yes or not forecast.may_pass(settings.teacher.confirm_usd):
        return forecast
    limit = f"teacher.confirm_usd = {settings.teacher.confirm_usd:g}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingsError(
            f"the teacher may cost more than {limit} ({forecast}): --yes goes on unasked, "
            "--set teacher.max_usd=… caps what is spent"
        )
    typer.echo(f"The teacher may cost more than {limit}: {forecast}.", err=True)
    try:
        with redirect_stdout(sys.stderr):  # the prompt's last blank must not stand before the results
            agreed = typer.confirm("Go on?")
    except typer.Abort:
        agreed = False
    if not agreed:
        raise Cancelled("stopped before the run began: nothing was asked or written")
    return forecast
