"""Folders in the temporary directory: those of processes that are gone are removed, and no others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blindspot.tools.attack.scratch_folder import LOCK, ScratchFolder

HOLD = """
from blindspot.tools.attack.scratch_folder import ScratchFolder
folder = ScratchFolder()
(folder.path / "nltk_data").mkdir()
(folder.path / "nltk_data" / "words").write_text("the")
print(folder.path, flush=True)
input()
"""


@pytest.fixture
def holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process with a folder of its own in a temporary directory that this process uses too."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD], env=env, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_the_folder_of_a_killed_process_goes_with_the_next_start(holder: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = holder
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / "nltk_data" / "words").exists()
    ScratchFolder().close()
    assert not folder.exists()


def test_the_folder_of_a_living_process_stays(holder: tuple[subprocess.Popen[str], Path]) -> None:
    _, folder = holder
    ScratchFolder().close()
    assert (folder / "nltk_data" / "words").read_text() == "the"


def test_what_is_not_ours_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "blindspot-workspace").mkdir()  # an operator's own
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / LOCK).touch()
    (tmp_path / "blindspot-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "blindspot-other").mkdir()
    (tmp_path / "blindspot-other" / LOCK).symlink_to(tmp_path / "elsewhere" / LOCK)
    (tmp_path / "blindspot-file").touch()
    before = sorted(tmp_path.rglob("*"))
    ScratchFolder().close()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_is_gone_when_its_process_ends(holder: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = holder
    process.communicate("\n")
    assert process.returncode == 0
    assert not folder.exists()
