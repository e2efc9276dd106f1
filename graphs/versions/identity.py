"""Which model version a round has, and what it is called: by what it was trained on, so that others have other ids."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from blindspot.graphs.context import Context
from blindspot.storage.errors import ModelError
from blindspot.storage.ids import make_id
from blindspot.storage.records import ModelVersion
from blindspot.storage.transfer.manifest import sha256_of

if TYPE_CHECKING:
    from blindspot.tools.training.retrain import Example, Training

WEIGHTS = (".safetensors", ".bin", ".pt")


def recorded_version(context: Context, round_number: int) -> ModelVersion | None:
    """The model version that a round of the run has in the store, whatever it is called; round 0 is the original."""
    return context.store.one(ModelVersion, run_id=context.run_id, round=round_number)


def version_id(context: Context, round_number: int, *causes: object) -> str:
    """The id of the model version that a round makes; one that is made once more keeps the id that its rows refer to.

    Args:
        causes: all that its weights depend on, as texts or numbers.
    """
    recorded = recorded_version(context, round_number)
    return recorded.model_id if recorded else make_id("mod", context.run_id, round_number, *causes)


def trained_on(
    context: Context, source: str, parent: ModelVersion | None, examples: Sequence[Example], training: Training
) -> tuple[object, ...]:
    """What the weights of a trained version depend on.

    Args:
        source: folder or hub id of the weights that it starts from.
        parent: the version those belong to; None for a base model.
    """
    rows = hashlib.blake2b(digest_size=16)
    for example in examples:
        rows.update(repr(example).encode("utf-8", "surrogatepass"))
    settings = context.settings
    sections = (  # without places: what lies there is among the examples and in the fingerprint
        settings.method.model_dump_json(exclude={"file"}),
        settings.classifier.model_dump_json(exclude={"model"}),
        settings.retrain.model_dump_json(),
        settings.attack.model_dump_json(),  # an epoch may be chosen by UUs
    )
    start = parent.model_id if parent else fingerprint(source)
    return start, rows.hexdigest(), training, *sections


def fingerprint(source: str) -> str:
    """What tells the weights of a folder from others, by their bytes; of a hub's model its id.

    Raises: ModelError, where they cannot be read.
    """
    folder = Path(source)
    if not folder.is_dir():
        return source
    files = sorted(path for path in folder.iterdir() if path.suffix in WEIGHTS and path.is_file())
    try:
        return " ".join(f"{path.name}:{sha256_of(path)}" for path in files)
    except OSError as error:
        raise ModelError(f"{folder}: its weights cannot be read ({error.strerror}); fix that, then go on") from None
