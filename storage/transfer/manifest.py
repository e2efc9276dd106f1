"""The manifest of exported runs: what lies in the folder, and how to tell that it is whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from blindspot.storage.errors import StoreError
from blindspot.storage.schema.migrations import MIGRATIONS

NAME = "manifest.json"
MODELS = "models"


def check_inside(path: str) -> str:
    """Refuse a path that leaves its folder."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise ValueError(f"{path!r} is not a path inside the folder")
    return path


FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
InnerPath = Annotated[str, AfterValidator(check_inside)]


class TableFile(BaseModel):
    """One table: TABLE.parquet."""

    rows: Annotated[int, Field(ge=0)]
    sha256: str


class Manifest(BaseModel):
    """What an export holds."""

    blindspot: str  # the version that wrote it
    schema_version: Annotated[int, Field(ge=1)]  # of the tables: the number of migrations behind them
    exported_at: datetime  # UTC
    runs: tuple[str, ...]  # run_ids; of a run that repairs another's model version, that one too
    tables: dict[FolderName, TableFile]
    models: dict[FolderName, dict[InnerPath, str]] = {}  # folder of weights -> file in it -> SHA-256

    def files(self) -> Iterator[tuple[str, str]]:
        """Every file with its SHA-256, by its path in the folder."""
        for table, file in self.tables.items():
            yield f"{table}.parquet", file.sha256
        for name, inside in self.models.items():
            for path, digest in inside.items():
                yield f"{MODELS}/{name}/{path}", digest


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder, and see that every file is as it was exported.

    Raises: StoreError, when there is none, a newer blindspot wrote it, or a file is missing or another.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        is_workspace = (folder / "results.duckdb").exists()
        hint = f"; it is a workspace: `blindspot export RUN --parquet DIR -w {folder}` writes one" * is_workspace
        raise StoreError(f"{path}: no such file, so {folder} holds no exported runs{hint}") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); export the runs again") from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > len(MIGRATIONS):
        raise StoreError(
            f"{folder} has version {version}, written by blindspot {content.get('blindspot')}; this one knows versions "
            f"up to {len(MIGRATIONS)}: upgrade blindspot"
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise StoreError(f"{path}: {place or 'it'}: {first['msg']}; export the runs again") from None
    check_files(folder, manifest)
    return manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Check that every file is there as it was written.

    Raises: StoreError, naming the first one that is not.
    """
    for name, digest in manifest.files():
        path = folder / name
        try:
            actual = sha256_of(path)
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror}); copy or export the runs again") from None
        if actual != digest:
            raise StoreError(
                f"{path}: has changed since it was exported (SHA-256 differs); copy or export the runs again"
            )
