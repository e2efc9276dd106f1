"""The data set of a run as the tools read it, from its settings."""

from __future__ import annotations

from blindspot.graphs.kinds.kind import RunKind
from blindspot.graphs.kinds.mitigation import MITIGATION
from blindspot.storage.settings.sections import Settings
from blindspot.tools.data.datasets import DataSource


def source_of(settings: Settings, kind: RunKind = MITIGATION) -> DataSource:
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
        splits=kind.splits(settings),
        shares=data.split,
        strip=data.strip,
        unlabelled=data.unlabelled if kind.reads_log else None,
    )
