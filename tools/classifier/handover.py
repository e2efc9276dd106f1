"""Hand over: a classifier and synthetic samples as folders that plain `transformers` and `datasets` load."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from blindspot.storage.errors import ModelError, StoreError

CARD = "README.md"
SAMPLES = "synthetic.parquet"


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Make a folder that is there whole or not at all; the block fills what takes its name at the end.

    Raises: StoreError, when something is there already, an empty folder aside, or the disk fails.
    """
    refuse_filled(folder)
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        partial.rename(folder)  # replaces an empty folder, and of no other
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be written ({error.strerror or error}); fix this, or choose another folder"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_filled(folder: Path) -> None:
    """Refuse a place where something is.

    Raises: StoreError.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()) or (folder.is_dir() and any(folder.iterdir())):
        raise StoreError(f"{folder} exists already and is not overwritten; name another folder, or remove it")


def export_classifier(
    source: str, labels: Sequence[str], max_tokens: int, card: str, folder: Path, *, temperature: float = 1.0
) -> None:
    """Write a model version as a whole classifier: an adapter is merged into its base model, classes have names.

    Args:
        source: the version's folder.
        labels: in the order of the logits.
        max_tokens: longer inputs are cut by the written tokenizer, as they were in training.
        card: the text of its README.md.
        temperature: logits are divided by it; the written head gives them so.
    Raises: ModelError, when it cannot be loaded. StoreError, as `new_folder`.
    """
    from peft import PeftModel

    from blindspot.tools.classifier.weights import limit_tokens, load_weights, naming

    refuse_filled(folder)
    model, tokenizer = load_weights(source, labels, fine_tuned=True)
    limit = limit_tokens(model, tokenizer, max_tokens)
    whole: Any = model.merge_and_unload() if isinstance(model, PeftModel) else model
    for name, value in naming(labels).items():
        setattr(whole.config, name, value)
    if temperature != 1:
        cool(whole, tokenizer, temperature)
    tokenizer.model_max_length = limit
    with new_folder(folder) as partial:
        whole.save_pretrained(partial, safe_serialization=True)
        tokenizer.save_pretrained(partial)
        (partial / CARD).write_text(card, encoding="utf-8")


def cool(model: Any, tokenizer: Any, temperature: float) -> None:
    """Divide a classifier's last layer, and so its logits, by a temperature, in place.

    Raises: ModelError, where no linear layer of that kind makes the logits as they come out.
    """
    import torch

    inputs = tokenizer("one text, to see it by", return_tensors="pt")
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    heads = [layer for layer in layers if layer.out_features == model.config.num_labels]
    with torch.inference_mode():
        before = model(**inputs).logits
        for parameter in heads[-1].parameters() if heads else ():
            parameter.div_(temperature)
        after = model(**inputs).logits
    if not torch.allclose(after * temperature, before, rtol=1e-3, atol=1e-5):
        raise ModelError(
            f"{type(model).__name__}: its temperature of {temperature:.3g} cannot be put into its last layer; hand "
            "over the version that it was fitted to"
        )


def export_samples(rows: Sequence[Mapping[str, Any]], card: str, folder: Path) -> None:
    """Write synthetic samples as one Parquet file, and their card.

    Args:
        rows: of the same columns, one row or more; a mapping becomes a struct.
        card: the text of its README.md.
    Raises: StoreError, as `new_folder`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([dict(row) for row in rows])
    texts = [field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in table.schema]
    with new_folder(folder) as partial:
        pq.write_table(table.cast(pa.schema(texts)), partial / SAMPLES)  # else a column without a value has no type
        (partial / CARD).write_text(card, encoding="utf-8")
