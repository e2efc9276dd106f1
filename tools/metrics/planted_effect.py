"""What became of the planted blind spot: UUs among the planted test reviews, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blindspot.tools.data.planted import FAMILY, is_planted
from blindspot.tools.metrics.statistics import interval, resample
from blindspot.tools.text.vocabulary import words_of

RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Judged:
    """A test review, and whether it is a UU of either model version."""

    text: str
    was_uu: bool
    is_uu: bool


@dataclass(frozen=True, slots=True)
class PlantedEffect:
    """UUs of the planted family on the test split."""

    reviews: int
    before: int
    after: int
    low: float  # 95 % interval of after - before, paired by review
    high: float
    unseen_reviews: int  # worded only with words that no UU shown to the teacher held
    unseen_before: int
    unseen_after: int

    @property
    def reduction(self) -> float:
        """The share of UUs that is gone, of those there were; 0 where there were none."""
        return 1 - self.after / self.before if self.before else 0.0


def planted_words(texts: Sequence[str]) -> set[str]:
    """The words of the planted family that texts hold."""
    return {word for text in texts for word in words_of(text)} & set(FAMILY)


def measure_planted(judged: Sequence[Judged], shown: Sequence[str], *, seed: int) -> PlantedEffect:
    """Count UUs among the planted reviews.

    Args:
        judged: the test reviews.
        shown: the texts of the UUs that the teacher was shown.
    Raises: ValueError, when no review is planted.
    """
    planted = [review for review in judged if is_planted(review.text)]
    changes = np.array([review.is_uu - review.was_uu for review in planted], dtype=np.float64)
    blocks = resample(np.zeros(len(planted)), resamples=RESAMPLES, seed=[seed])
    low, high = interval(np.concatenate([weights @ changes for weights in blocks]))
    taught = planted_words(shown)
    unseen = [review for review in planted if planted_words([review.text]).isdisjoint(taught)]
    return PlantedEffect(
        reviews=len(planted),
        before=sum(review.was_uu for review in planted),
        after=sum(review.is_uu for review in planted),
        low=low,
        high=high,
        unseen_reviews=len(unseen),
        unseen_before=sum(review.was_uu for review in unseen),
        unseen_after=sum(review.is_uu for review in unseen),
    )
