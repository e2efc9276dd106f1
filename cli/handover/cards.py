"""The cards of what is handed over: Markdown with the metadata that model and data hubs read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blindspot.cli.show.change import MetricChange, difference, metric_name, value_in_words
from blindspot.cli.show.summary import headline_changes
from blindspot.cli.show.table import summary_notes
from blindspot.tools.metrics.temperature import in_words as temperature_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blindspot.cli.show.summary import Summary

MINILM_ID = "sentence-transformers/all-MiniLM-L6-v2"
ON_A_HUB = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!&~$])")

COLUMNS = {
    "accepted": "passed every check of the filter: what is trained on",
    "rejected_by": "the first check that it failed",
    "reasoning": "why the teacher wrote it this way",
    "hypothesis": "what the teacher believes to be the cause of the error; the sample was written after it",
    "hypothesis_kind": "abstraction (of the error that was found) or extrapolation (to one that was not seen)",
    "abstraction": "for an extrapolation: the hypothesis that it reasons from",
    "evidence": "what the teacher's own probes showed, as JSON",
    "origin": "teacher, or the baseline that took it: recorded (from a file), relabel (a UU), adversarial (what an "
    "attack made), random (a training sample) or typos (one misspelt)",
    "source_id": "the UU, attack or training sample that a baseline took it from, or file and line",
    "teacher": "who stated the hypothesis and wrote the sample",
    "teacher_model": "the model that answered, as its provider names it",
    "uu_original": "the sample behind the hypothesis, which the classifier got wrong with confidence",
    "uu_perturbed": "the same after an attack changed it; empty where none did",
    "uu_recipe": "the attack",
    "uu_label": "its true label",
    "uu_predicted": "what the classifier predicted",
    "uu_confidence": "how sure the classifier was, in [0, 1]",
    "score_bertscore": "F1 against the nearest training sample",
    "score_nearest_training": "share of characters in common with the nearest training sample",
    "score_nearest_synthetic": "the same with the nearest accepted synthetic sample",
    "score_characters": "characters of all fields",
}


@dataclass(frozen=True, slots=True)
class Made:
    """What the cards tell of a run."""

    summary: Summary
    settings: Mapping[str, Any]
    versions: Mapping[str, str]  # package -> version
    fields: tuple[str, ...]
    labels: tuple[str, ...]
    task: str
    rows: Mapping[str, int]  # split -> rows


def model_card(made: Made, version: Mapping[str, Any]) -> str:
    """Write the card of a model version that a run took."""
    from huggingface_hub import EvalResult, ModelCardData

    summary = made.summary
    right = summary.find("accuracy", None)
    scores = [
        EvalResult(
            task_type="text-classification",
            dataset_type="own",
            dataset_name=f"{summary.run_id}, test split",
            metric_type="accuracy",
            metric_value=round(right.after.value, 4),
        )
    ] if right and right.after else []  # fmt: skip
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["text-classification", "blindspot"],
        base_model=hub_id(made.settings["classifier"]["model"]),
        metrics=["accuracy"],
        model_name=summary.run_id,
        eval_results=scores,
    )
    used = list(made.fields[:1]) if len(made.fields) == 1 else ["text", "text_pair"]
    sample = '"…"' if len(used) == 1 else '{"text": "…", "text_pair": "…"}'
    return f"""---
{data.to_yaml()}
---

# {escaped(summary.run_id)}

A classifier, repaired by blindspot: {escaped(made.task)}. Its labels are {escaped_list(made.labels)}.

```python
from transformers import pipeline

classify = pipeline("text-classification", model="THIS FOLDER")
classify({sample}, truncation=True)
```

It reads {reading(made.fields)}; texts longer than {made.settings["classifier"]["max_tokens"]} tokens is cut.

## How it was made

- run {escaped(summary.run_id)}, model version {escaped(str(summary.final_model_id))}, round {version["round"]}, \
seed {made.settings["run"]["seed"]}
- trained on {version["rows_train"]:,} training samples and {version["rows_synthetic"]:,} synthetic samples, \
starting from {"an earlier model version" if version["parent_id"] else "the base model"}{cooled(version)}
- synthetic samples: {added_by(made)}
- attacks: {escaped_list(made.settings["attack"]["recipes"]) or "none"}
- {", ".join(f"{escaped(name)} {escaped(number)}" for name, number in made.versions.items())}

## What changed

Measured on the test split, which nothing else has read. A UU is a wrong prediction with a confidence of \
{summary.tau:g} or more; intervals are 95 %, paired by sample.

| | before | after | difference |
|---|---|---|---|
{chr(10).join(table_row(change) for change in headline_changes(summary.changes))}

{"".join(f"{escaped(note)}{2 * chr(10)}" for note in summary_notes(summary, headline_changes(summary.changes)))}\
Verdict: {escaped(summary.verdict or "none")}.

## Limits

The figures hold for texts like the test split's and for the attacks named above. The licences of the base model and \
of the training data still apply.
"""


def data_card(made: Made, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Write the card of a run's synthetic samples.

    Args:
        rows: the samples as they were read.
        columns: of the file.
    """
    from huggingface_hub import DatasetCardData

    from blindspot.tools.classifier.handover import SAMPLES

    summary = made.summary
    data = DatasetCardData(
        task_categories=["text-classification"],
        tags=["synthetic", "blindspot"],
        pretty_name=f"Synthetic samples of {summary.run_id}",
        configs=[{"config_name": "default", "data_files": SAMPLES}],
    )
    accepted, filtered = [row for row in rows if row["accepted"]], method_of(made) in ("teacher", "recorded")
    counts = Counter(row["own_label"] for row in accepted)
    described = [f"- {name}: {meaning}" for name, meaning in COLUMNS.items() if name in columns]
    return f"""---
{data.to_yaml()}
---

# Synthetic samples of {escaped(summary.run_id)}

{len(rows):,} samples for the task "{escaped(made.task)}", {added_by(made)}, to repair a classifier's confident \
errors; {len(accepted):,} \
{"passed the filter and can be trained on" if filtered else "are trained on, without a filter"} \
({", ".join(f"{escaped(label)} {counts[label]:,}" for label in made.labels)}).

```python
from datasets import load_dataset

accepted = load_dataset("THIS FOLDER", split="train").filter(lambda row: row["accepted"])
```

## Columns

{escaped_list(made.fields)} and {escaped_list([made.settings["data"]["label"]])} are as in the training data; the \
others tell where a sample comes from. The name of one that would clash with these begins with "blindspot\\_".

{chr(10).join(described)}

{filter_section(made, rows) if filtered else ""}## Limits

Labels are {"the teacher's; nobody has checked them by hand" if filtered else "those of the data"}. \
`uu_original` and `uu_perturbed` hold texts of the data that the run was given: do not give this file to anyone who \
may not see those.
"""


def filter_section(made: Made, rows: Sequence[Mapping[str, Any]]) -> str:
    """Tell of the checks, and of what they rejected."""
    checks = made.settings["filter"]
    least = checks["min_characters"]
    length = "what nearly all real texts reach, 40 characters at most" if least == "auto" else f"{least} characters"
    reasons = Counter(row["rejected_by"] for row in rows if row["rejected_by"])
    return f"""## Filter

- length of at least {length}; similarity of characters below {checks["near_duplicate"]:g} to other \
synthetic samples, below {checks["near_training"]:g} to training samples
- BERTScore against the nearest text of training, of the deployment and of UUs: {checks["bertscore"]} threshold, \
encoder {escaped(hub_id(checks["encoder"]) or "of a local folder")}
- rejected: {", ".join(f"{escaped(name)} {count:,}" for name, count in sorted(reasons.items())) or "none"}

"""


def added_by(made: Made) -> str:
    """Name the teacher, or the baseline in its place."""
    method = method_of(made)
    if method == "teacher":
        return f"written by the teacher {escaped(public(made.summary.teacher))}"
    return f'taken by the baseline "{escaped(method)}"'


def method_of(made: Made) -> str:
    """The method of a run, whose settings an older blindspot may have written."""
    return str(made.settings.get("method", {}).get("name", "teacher"))


def cooled(version: Mapping[str, Any]) -> str:
    """Tell of a temperature other than 1."""
    temperature = version.get("temperature", 1.0)
    if temperature == 1:
        return ""
    return f"; since then only its logits were divided by a temperature ({temperature_in_words(temperature)})"


def hub_id(model: str) -> str | None:
    """A base model's id on the hub; None where it is a folder, whose path concerns nobody."""
    return MINILM_ID if model == "minilm" else model if ON_A_HUB.fullmatch(model) else None


def public(teachers: str) -> str:
    """Name teachers, as specs with ", " between them, without folders and addresses, which concern nobody."""
    return ", ".join(re.sub(r"^(file|replay):.*|@.*", r"\1", spec) for spec in teachers.split(", "))


def escaped(text: object) -> str:
    """Show text that others wrote as it is, on one line: no Markdown, no HTML."""
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def escaped_list(names: Sequence[str]) -> str:
    return ", ".join(map(escaped, names))


def reading(fields: Sequence[str]) -> str:
    """Say how the fields of a sample become the text, or the pair, that the model reads."""
    if len(fields) == 1:
        return f"the field {escaped(fields[0])}"
    first, second, *further = map(escaped, fields)
    rest = f", followed by {', '.join(further)} on lines of their own" if further else ""
    return f"{first} as `text`, {second} as `text_pair`{rest}"


def table_row(change: MetricChange) -> str:
    """One metric before and after."""
    cells = [
        metric_name(change),
        value_in_words(change.metric, change.before),
        value_in_words(change.metric, change.after),
    ]
    return f"| {' | '.join(map(escaped, [*cells, difference(change).plain]))} |"
