"""A live display in a Jupyter notebook: one output of the cell, drawn again as a run goes on.

rich's own needs ipywidgets, and what other threads print meanwhile gets lost in its widget.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self

from rich.console import Console, RenderableType

from blindspot.cli.terminal import new_console

COLUMNS = 110
REFRESH_S = 0.5
BLACK = "color: #000000; text-decoration-color: #000000"  # how rich writes "no colour": a notebook may be dark
PRE = '<pre style="white-space: pre; overflow-x: auto; line-height: normal; font-family: monospace">{code}</pre>'


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")


def notebook_console() -> Console:
    """A console that keeps what is printed, for `NotebookLive` to show."""
    console = new_console(io.StringIO(), COLUMNS)
    console.record = True
    return console


class NotebookLive:
    """What was printed on a console, and below it what is redrawn every half second, for as long as the block lasts.

    Args:
        console: a `notebook_console`.
        draw: draws what stands below; called by a thread of its own.
    """

    def __init__(self, console: Console, draw: Callable[[], RenderableType]) -> None:
        self._console, self._draw = console, draw
        self._handle: Any = None
        self._ended = Event()
        self._lock = Lock()
        self._thread = Thread(target=self._refresh, name="blindspot-notebook", daemon=True)

    def __enter__(self) -> Self:
        from IPython.display import display

        self._handle = display(self._page(self._draw()), display_id=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._handle.update(self._page(None))

    def _refresh(self) -> None:
        while not self._ended.wait(REFRESH_S):
            self._handle.update(self._page(self._draw()))

    def _page(self, below: RenderableType | None) -> Any:
        """The output of the cell, for people and as plain text."""
        from IPython.display import HTML

        with self._lock:
            text = self._console.export_html(clear=False, inline_styles=True, code_format="{code}")
            if below is not None:
                drawn = notebook_console()
                drawn.print(below)
                text += drawn.export_html(inline_styles=True, code_format="{code}")
        return HTML(PRE.format(code=text.replace(BLACK, "")))
