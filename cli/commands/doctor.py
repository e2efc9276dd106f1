"""doctor: what is here, what is missing, and the command that gets it."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from blindspot.cli.terminal import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    print_json,
    progress_console,
    result_console,
)
from blindspot.storage.errors import BlindspotError, StoreError

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
GET_BLINDSPOT = "pip install --force-reinstall blindspot"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str  # what is there, or what is wrong
    needed: bool  # the demo cannot run without
    get: str | None = None  # what gets a missing thing


def doctor(workspace: WorkspaceOption = DEFAULT_WORKSPACE, as_json: JsonOption = False) -> None:
    """Check what works on this machine, and say how to get what does not. Exits with 1 if not even the demo can run."""
    looking = progress_console().status("checking; building the attack recipes takes a while…")
    with redirect_stdout(sys.stderr), looking:
        checks = examine(workspace.expanduser())
    ready = all(check.ok for check in checks if check.needed)
    if as_json:
        table = {"demo_can_run": ready, "checks": [asdict(check) for check in checks]}
        print_json(table)
    else:
        print_checks(checks, ready=ready)
    if not ready:
        raise typer.Exit(1)


def examine(workspace: Path) -> list[Check]:
    """Look at everything, each thing by itself."""
    return [
        probe("python", platform_of, needed=True),
        *packages(),
        probe("device", device, needed=True),
        probe("memory", memory, needed=False),
        probe("workspace", lambda: writable(workspace), needed=True),
        probe("minilm", minilm, needed=True, get=GET_BLINDSPOT),
        probe("attack deepwordbug", lambda: recipe("deepwordbug"), needed=True, get=GET_BLINDSPOT),
        probe("stop words", stop_words, needed=False),
        probe("tagger", tagger, needed=False),
        probe("word vectors", counter_fitted_vectors, needed=False),
        probe("attack textfooler", lambda: recipe("textfooler"), needed=False),
        probe("sentence encoder use", universal_encoder, needed=False),
        *(key(name) for name in KEYS),
    ]


def probe(name: str, look: Callable[[], str], *, needed: bool, get: str | None = None) -> Check:
    """Look at one thing; whatever goes wrong is what was found."""
    try:
        return Check(name, True, look(), needed)
    except BlindspotError as error:  # says itself what to do
        return Check(name, False, str(error), needed)
    except Exception as error:  # a broken installation breaks in any way
        return Check(name, False, f"{type(error).__name__}: {error}", needed, get)


def platform_of() -> str:
    from importlib.metadata import version

    return f"{platform.python_version()}, {platform.system()} {platform.machine()}, blindspot {version('blindspot')}"


def packages() -> list[Check]:
    """The packages that blindspot asks for, as its own metadata list them."""
    from importlib.metadata import PackageNotFoundError, requires, version

    checks = []
    for line in requires("blindspot") or ():
        requirement, _, marker = line.partition(";")
        if "extra" in marker:
            continue
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        try:
            checks.append(Check(name, True, version(name), needed=True))
        except PackageNotFoundError:
            get = f"pip install '{requirement.strip()}'"
            checks.append(Check(name, False, "not installed", needed=True, get=get))
    return checks


def device() -> str:
    import torch

    from blindspot.tools.classifier.classifier import pick_device

    best = pick_device("auto")
    name = f" ({torch.cuda.get_device_name(best)})" if best.type == "cuda" else ""
    return f"{best.type}{name}, torch {torch.__version__}, {torch.get_num_threads()} threads on {os.cpu_count()} cores"


def memory() -> str:
    page = os.sysconf("SC_PAGE_SIZE")
    total = f"{page * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    import torch

    if torch.cuda.is_available():
        free, all_ = torch.cuda.mem_get_info()
        return f"{total}; on the device {free / 2**30:.1f} of {all_ / 2**30:.1f} GiB free"
    return total


def writable(workspace: Path) -> str:
    """Check that files can be made in the workspace, or where it would be made."""
    import tempfile

    folder = workspace.absolute()
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}; choose another folder with --workspace") from None
    return f"{workspace.absolute()} can be written" + ("" if workspace.exists() else ", but does not exist yet")


def minilm() -> str:
    from blindspot.tools.classifier.classifier import locate_model

    folder = Path(locate_model("minilm"))
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} holds no config.json")
    return str(folder)


def recipe(name: str) -> str:
    from blindspot.tools.attack.recipes import try_recipe

    attack = try_recipe(name)
    return f"can be used ({type(attack.transformation).__name__})"


def stop_words() -> str:
    from blindspot.tools.attack.resources import has_stopwords

    return "NLTK's list" if has_stopwords() else "NLTK has none; the list that comes with blindspot is used"


def tagger() -> str:
    from blindspot.tools.attack.resources import check_tagger

    check_tagger()
    return "NLTK's tagger and tag map"


def counter_fitted_vectors() -> str:
    from blindspot.tools.attack.resources import cached_resource

    return cached_resource("word_embeddings/paragramcf")


def universal_encoder() -> str:
    from blindspot.tools.attack.recipes import SENTENCE_ENCODER, load_universal_encoder

    load_universal_encoder(SENTENCE_ENCODER)
    return f'{SENTENCE_ENCODER}, with attack.sentence_encoder = "use"'


def key(name: str) -> Check:
    """Whether a key is in the environment; its value is nobody's business."""
    if os.environ.get(name, "").strip():
        return Check(name, True, "set", needed=False)
    return Check(name, False, "not set; the teacher `rules` needs none", needed=False, get=f"export {name}=…")


def print_checks(checks: list[Check], *, ready: bool) -> None:
    """Print a line for each thing, and below it how to get what is missing."""
    from rich.table import Table
    from rich.text import Text

    console = result_console()
    table = Table.grid(padding=(0, 2))
    for check in checks:
        sign, style = ("✓", "green") if check.ok else ("✗", "red") if check.needed else ("–", "yellow")
        text = Text(check.found)
        if check.get and not check.ok:
            text.append(f"\n{check.get}", style="bold")
        table.add_row(Text(sign, style=style), Text(check.name), text)
    console.print(table)
    console.print(
        Text("the demo can run: blindspot demo" if ready else "the demo cannot run yet: see ✗ above", style="bold")
    )
