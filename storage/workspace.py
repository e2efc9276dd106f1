"""The folder of a run: which file lies where."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from blindspot.storage.errors import StoreError

TRAINED = "mod-"  # begins the names of folders of weights
PARTIAL = ".partial"  # ends the name of a folder that is being filled or removed


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths inside a workspace; nothing is touched until `create`."""

    folder: Path

    @property
    def store(self) -> Path:
        """The run's own database; only the process that writes it may open it."""
        return self.folder / "store.duckdb"

    @property
    def results(self) -> Path:
        """The published copy, for any reader at any moment."""
        return self.folder / "results.duckdb"

    @property
    def checkpoints(self) -> Path:
        """Where the state machine keeps its place."""
        return self.folder / "checkpoints.sqlite"

    @property
    def models(self) -> Path:
        """The folder of all weights that were trained here."""
        return self.folder / "models"

    def model(self, model_id: str) -> Path:
        """The folder with one model version's weights."""
        return self.models / model_id

    def weights(self, folder: str) -> Path | None:
        """The folder of weights that a model version names, where it is one of this workspace's own; else None."""
        path = self.folder / folder
        return path if path.parent == self.models and path.name not in ("", "..") else None

    def locate(self, folder: str) -> str:
        """Where weights are: a folder, given relative to the workspace where it is in it, or a hub's id.

        The workspace's own weights are a folder also when they are gone: no hub has what was trained here.
        """
        inside = self.folder / folder
        own = self.weights(folder)
        is_own = own is not None and own.name.startswith(TRAINED)
        return str(inside) if is_own or inside.is_dir() else folder

    def remove_weights(self, folder: Path) -> None:
        """Remove a folder of weights; a kill leaves the whole of it under its name, or nothing.

        Raises: StoreError, when the disk fails.
        """
        going = folder.with_name(f"{folder.name}{PARTIAL}")
        try:
            if going.exists():
                shutil.rmtree(going)
            if folder.exists():
                folder.rename(going)
                shutil.rmtree(going)
        except OSError as error:
            raise StoreError(f"{folder}: cannot be removed ({error.strerror}); fix this and start again") from None

    def check_path(self) -> None:
        """Check that DuckDB can open files here: it takes what follows a ? for options, and \\ for /.

        Raises: StoreError, also where the working folder is gone.
        """
        try:
            path = os.path.abspath(self.folder)
        except FileNotFoundError:
            raise StoreError(f"{self.folder}: the working folder was deleted; change to one that exists") from None
        wrong = [character for character in ("?", "\\") if os.sep == "/" and character in path]
        if wrong:
            raise StoreError(
                f"{path}: DuckDB cannot open files in a folder with {wrong[0]} in its path; choose another"
            )

    def create(self) -> None:
        """Make the folder, for its owner only; one that holds other things already keeps its permissions.

        Raises: StoreError, when it is a file, cannot be made, or DuckDB takes no path like it.
        """
        self.check_path()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not any(self.folder.iterdir()):
                self.folder.chmod(0o700)
        except OSError as error:
            raise StoreError(
                f"{self.folder}: no workspace can be made here ({error.strerror}); choose another folder"
            ) from None


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 where there is none."""
    if path.is_dir():
        return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.exists() else 0
