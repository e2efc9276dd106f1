"""The question before a run that may cost more than the settings allow unasked."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from blindspot.storage.errors import Cancelled, SettingsError

if TYPE_CHECKING:
    from blindspot.agents.teachers.forecast import Forecast
    from blindspot.storage.settings.sections import Settings
    from blindspot.storage.words import RunKindName

YesOption = Annotated[
    bool,
    typer.Option(
        "--yes", "-y", help="Do not ask for confirmation, even if the run may cost more than teacher.confirm_usd."
    ),
]


def agree_on_spend(settings: Settings, *, yes: bool, kind: RunKindName = "mitigation") -> Forecast | None:
    """Forecast what the teacher will cost, and ask the operator where that may be more than `teacher.confirm_usd`.

    Returns: the forecast; None, where nothing is billed.
    Raises: SettingsError, where it has to be asked and nobody is there to answer. Cancelled, when the answer is no.
        OperatorError, as `start_run`. Nothing is written.
    """
    from blindspot.graphs.kinds.asked import ASKED

    if set(ASKED[kind](settings)) <= {"rules"}:
        return None  # known without loading anything
    from blindspot.graphs.preflight.forecast import forecast_run

    return agree(forecast_run(settings, kind), settings.teacher.confirm_usd, yes=yes)


def agree(forecast: Forecast | None, confirm_usd: float, *, yes: bool) -> Forecast | None:
    """Ask the operator where a forecast may come to more than a limit.

    Raises: SettingsError, where nobody is there to answer. Cancelled, when the answer is no.
    """
    if forecast is None or yes or not forecast.may_pass(confirm_usd):
        return forecast
    limit = f"teacher.confirm_usd = {confirm_usd:g}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingsError(
            f"the teacher may cost more than {limit} ({forecast}): add --yes to start without confirmation; "
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
