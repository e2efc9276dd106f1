"""Changes to the whole process that libraries force on us, and their undoing.

Loggers, progress bars, environment variables, the global random generators and functions of TextAttack's belong to
everybody in a process. What changes one of them does so by `change`, each time that it relies on it; a run in somebody
else's process stands in `process_restored`.
"""

from __future__ import annotations

import logging
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import RLock

Undo = Callable[[], None]

_lock = RLock()
_undo: dict[str, Undo] = {}  # by the name of the change, in the order in which they were made
_before: frozenset[str] = frozenset()  # changes made before the outermost block
_blocks = 0  # that are open


def change(name: str, make: Callable[[], Undo]) -> None:
    """Make a change to the process, unless it is made already.

    Args:
        make: makes it, and returns what undoes it.
    """
    with _lock:
        if name not in _undo:
            _undo[name] = make()


@contextmanager
def process_restored() -> Iterator[None]:
    """Undo the changes that were made in the block, at its end; of blocks that overlap, at the end of the last one."""
    global _before, _blocks
    with _lock:
        if not _blocks:
            _before = frozenset(_undo)
            change("generators", keep_generators)
        _blocks += 1
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            for name in [] if _blocks else [name for name in reversed(_undo) if name not in _before]:
                _undo.pop(name)()


def keep_generators() -> Undo:
    """Keep the state of the global random generators; torch's only where somebody may have seeded it yet."""
    import numpy as np

    plain, array = random.getstate(), np.random.get_state()
    torch = sys.modules.get("torch")
    tensor = torch.get_rng_state() if torch else None

    def undo() -> None:
        random.setstate(plain)
        np.random.set_state(array)
        if torch and tensor is not None:
            torch.set_rng_state(tensor)

    return undo


def keep_errors_only(loggers: Iterable[str]) -> Undo:
    """Let loggers pass errors alone."""
    levels = {name: logging.getLogger(name).level for name in loggers}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)

    def undo() -> None:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)

    return undo


def set_default(variable: str, value: str) -> Undo:
    """Set an environment variable that is not set."""
    if variable in os.environ:
        return lambda: None
    os.environ[variable] = value

    def undo() -> None:
        os.environ.pop(variable, None)

    return undo


def one_after_another(undos: Iterable[Undo]) -> Undo:
    """What undoes several changes, the last one first."""
    steps = list(undos)

    def undo() -> None:
        for step in reversed(steps):
            step()

    return undo
