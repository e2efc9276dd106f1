"""The folder of a run: which file lies where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from blindspot.storage.errors import StoreError


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

    def model(self, model_id: str) -> Path:
        """The folder with one model version's weights."""
        return self.folder / "models" / model_id

    def create(self) -> None:
        """Make the folder, for its owner only; one that holds other things already keeps its permissions.

        Raises: StoreError, when it is a file or cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not any(self.folder.iterdir()):
                self.folder.chmod(0o700)
        except OSError as error:
            raise StoreError(
                f"{self.folder}: no workspace can be made here ({error.strerror}); choose another folder"
            ) from None
