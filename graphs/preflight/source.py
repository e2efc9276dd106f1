"""The data set of a run as the tools read it, from its settings."""

from __future__ import annotations

from blindspot.storage.records import Split
from blindspot.storage.settings.sections import Settings
from blindspot.tools.data.datasets import SPLITS, DataSource


def source_of(settings: Settings, kind: str = "mitigation") -> DataSource:
    """Turn the settings of a data set into plain values."""
    data = settings.data
    files = {"train": data.train, "validation": data.validation, "test": data.test}
    return DataSource(
        name=settings.run.name,
        path=data.path,
        files={split: file for split, file in files.items() if file},
        fields=data.fields,
        label=data.label,
        labels=data.labels,
        task=data.task,
        limits=data.limit.model_dump(),
        seed=settings.run.seed,
        splits=splits_of(settings, kind),
        shares=data.split,
        strip=data.strip,
        unlabelled=data.unlabelled if kind != "attack" else None,
    )


def splits_of(settings: Settings, kind: str) -> tuple[Split, ...]:
    """The splits that a run of this kind reads."""
    if kind in ("mitigation", "original"):
        return SPLITS
    if kind == "comparison":
        return ("train", "validation")
    wanted = {settings.attack.split, "train" if settings.classifier.fine_tune else settings.attack.split}
    return tuple(split for split in SPLITS if split in wanted)
