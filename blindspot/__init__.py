"""Finds what a small text classifier gets wrong with confidence, and repairs it with a teacher.

    import blindspot

    settings = blindspot.load_settings("mitigation.toml", {"teacher.spec": "rules"})
    end = blindspot.run(settings)
    with blindspot.open_results(end.workspace) as results:
        frame = results.frame("FROM uu_reduction")

load_settings   read and check the settings of a run: a TOML file or a mapping
run             find UUs, have them explained, retrain and measure
resume          go on with a run that was stopped or killed
attack          TextAttack's recipes against a classifier, and nothing else
compare         the same UUs given to several teachers
study           data sets x classifiers x recipes x methods x seeds
open_results    what a workspace holds, for SQL and as data frames
errors          the module with every error that is raised on purpose

docs/python.md describes them with examples. Importing this package imports none of the libraries that it builds on.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blindspot.api import attack, compare, resume, run, study
    from blindspot.storage import errors
    from blindspot.storage.analysts.results import open_results
    from blindspot.storage.settings.file import load_settings

__all__ = ["attack", "compare", "errors", "load_settings", "open_results", "resume", "run", "study"]

_HOMES = {  # name -> the module that it is in
    "attack": "blindspot.api",
    "compare": "blindspot.api",
    "load_settings": "blindspot.storage.settings.file",
    "open_results": "blindspot.storage.analysts.results",
    "resume": "blindspot.api",
    "run": "blindspot.api",
    "study": "blindspot.api",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for."""
    if name == "errors":
        return import_module("blindspot.storage.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'blindspot' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
