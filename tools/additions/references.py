"""What synthetic samples are compared with, and the limits that real texts set: the threshold and the least length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from blindspot.storage.errors import ModelError
from blindspot.storage.records import Fields
from blindspot.tools.classifier.classifier import FloatArray
from blindspot.tools.progress import IsCancelled, Report, never, silent
from blindspot.tools.text.similarity import normalise

ReferenceSource = Literal["training", "deployment", "uu"]

# Share of real texts that a limit may cost. Of 200 held-out ones it is the 4th lowest score, which varies less than the
# lowest two. On MRPC 99 % of a language model's samples passed; at 0.05 it was 96 %.
CALIBRATION_QUANTILE = 0.02
HELD_OUT = 200  # references of each source that the threshold is calibrated on
FEWEST = round(1 / CALIBRATION_QUANTILE)  # texts of a source that have a quantile of their own
IBS_CHARACTERS = 40  # IBS, section 3.3: its least length, and the most that "auto" asks for


@dataclass(frozen=True, slots=True)
class Reference:
    """A text that samples are compared with."""

    text: str
    source: ReferenceSource  # deployment: validation or unlabelled texts; uu: a text that fools the model version
    origin: str  # what it is or was made of, a sample's id; texts of one origin say nothing of each other


class PairScorer(Protocol):
    """Scores every candidate against every reference, (candidates, references); a BertScorer does."""

    def f1(
        self,
        candidates: Sequence[str],
        references: Sequence[str],
        report: Report = silent,
        cancelled: IsCancelled = never,
    ) -> FloatArray: ...


def calibrate(
    scorer: PairScorer,
    references: Sequence[Reference],
    *,
    seed: int,
    report: Report = silent,
    cancelled: IsCancelled = never,
) -> float:
    """Find the threshold that real texts pass: how does a reference score against the others?

    Some references of each source are scored as if they were candidates, against all references but those of their own
    origin; the 2nd percentile is what nearly all of that source reach. The lowest of these percentiles is the
    threshold, so that texts of the deployment pass as often as training samples do, and the other way round. Texts of
    UUs are compared with, never calibrated on: an attack's texts are not real ones.

    Args:
        references: at least two that are not UUs, of different origins. A source of fewer than 50 has no percentile of
            its own, unless there is no larger one: then all count together.
        seed: draws those that are scored.
    Returns: F1; a sample passes at or above it.
    Raises: ModelError, without two such references. Cancelled.
    """
    real = [row for row, reference in enumerate(references) if reference.source != "uu"]
    if len({references[row].origin for row in real}) < 2:
        raise ModelError("BERTScore cannot be calibrated on fewer than two texts; set filter.bertscore to a number")
    held = held_out(references, real, seed)
    texts = [reference.text for reference in references]
    scores = scorer.f1([texts[row] for row in held], texts, report, cancelled)
    origins = np.array([reference.origin for reference in references])
    own = origins[held][:, None] == origins[None, :]
    best = np.where(own, -np.inf, scores).max(axis=1)
    return lowest_quantile([best[rows] for rows in by_source(references, held)])


def held_out(references: Sequence[Reference], real: Sequence[int], seed: int) -> list[int]:
    """Draw the references to score: their places, in order."""
    rng = np.random.default_rng([seed, len(references)])
    rows = np.asarray(real)
    drawn = [rng.permutation(rows[group])[:HELD_OUT] for group in by_source(references, real)]
    return sorted(int(row) for rows in drawn for row in rows)


def by_source(references: Sequence[Reference], rows: Sequence[int]) -> list[list[int]]:
    """Group places in `rows` by the source of the reference that each names."""
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(references[row].source, []).append(place)
    return list(groups.values())


def lowest_quantile(sources: Sequence[FloatArray]) -> float:
    """The lowest 2nd percentile of several sources' values; small sources count together."""
    large = [values for values in sources if len(values) >= FEWEST]
    small = [values for values in sources if len(values) < FEWEST]
    if small and (not large or sum(map(len, small)) >= FEWEST):
        large.append(np.concatenate(small))
    return min(float(np.quantile(values, CALIBRATION_QUANTILE, method="lower")) for values in large)


def characters_of(fields: Fields) -> int:
    """Count the characters of all fields together, white space squeezed."""
    return sum(len(normalise(value)) for value in fields.values())


def least_characters(sources: Sequence[Sequence[int]]) -> int:
    """The least length that nearly all real texts have: the lowest 2nd percentile, at most the 40 characters of IBS.

    Args:
        sources: lengths of training samples, and of texts of the deployment; empty ones do not count.
    """
    values = [np.asarray(lengths, dtype=np.float32) for lengths in sources if len(lengths)]
    return max(1, min(IBS_CHARACTERS, int(lowest_quantile(values)))) if values else IBS_CHARACTERS


def least_like(least: int, imitated: Fields) -> int:
    """The least length of a sample that imitates a UU: half the UU's own length, where that is less."""
    return max(1, min(least, characters_of(imitated) // 2))


def count_sources(references: Sequence[Reference]) -> Mapping[str, int]:
    """Count the references of each source."""
    return {source: len(rows) for source, rows in named_sources(references).items()}


def named_sources(references: Sequence[Reference]) -> Mapping[str, list[Reference]]:
    groups: dict[str, list[Reference]] = {}
    for reference in references:
        groups.setdefault(reference.source, []).append(reference)
    return groups
