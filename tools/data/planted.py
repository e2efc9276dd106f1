"""Labelled reviews with a blind spot planted on purpose, for `blindspot demo` and for tests.

The blind spot is slang that means the opposite of what its words say elsewhere: "the ramen was insane" is praise,
"the plot was mid" is blame. No training review holds one of its words, many validation and test reviews do, and a
classifier that was fine-tuned on the training reviews takes the words literally. Source of the idea: IBS, appendix C
(controlled synthetic data check).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from blindspot.tools.data.planted_phrases import (
    ALSO,
    ANY,
    BAD,
    BLAME,
    DAYS,
    FRAMES,
    GOOD,
    INSISTING,
    MONTHS,
    PRAISE,
    PRESENT,
    SLANG_BLAME,
    SLANG_PRAISE,
    SLANG_WORDS,
    TALK,
    TOPICS,
)

POSITIVE, NEGATIVE = "positive", "negative"
FIELD = "text"

FAMILY = SLANG_WORDS
INSISTS = 0.15  # share of the reviews in slang whose first judgement ends with "no cap"


@dataclass(frozen=True, slots=True)
class Review:
    """One generated review."""

    text: str
    label: str
    is_planted: bool  # judges in slang


def generate_reviews(count: int, *, planted: int, seed: int, split: str) -> list[Review]:
    """Write `count` reviews, `planted` of them in slang, in random order; about half of either sort are praise.

    The same seed and split always give the same reviews.
    """
    rng = np.random.default_rng([seed, *split.encode()])
    kinds = [True] * planted + [False] * (count - planted)
    reviews = [write_review(rng, positive=bool(rng.integers(2)), planted=planted_one) for planted_one in kinds]
    return [reviews[index] for index in rng.permutation(count)]


def write_review(rng: np.random.Generator, *, positive: bool, planted: bool) -> Review:
    """Write one review: how it came about, one or two judgements, sometimes a verdict; in slang never a verdict."""
    topic = choose(rng, tuple(TOPICS))
    first, second = (list(TOPICS[topic])[int(index)] for index in rng.permutation(len(TOPICS[topic]))[:2])
    talk = choose(rng, TALK[topic]).format(day=choose(rng, DAYS), month=choose(rng, MONTHS))
    label = POSITIVE if positive else NEGATIVE
    kind = rng.random()
    if planted:
        slang = SLANG_PRAISE if positive else SLANG_BLAME
        frames = (INSISTING,) if rng.random() < INSISTS else FRAMES
        judgements = [judge(rng, topic, first, slang, frames)]
        if kind < 0.5:
            judgements.append(judge(rng, topic, second, slang, ALSO, judgements[0]))
        return Review(" ".join([talk, *judgements]), label, is_planted=True)
    meant, conceded = (GOOD, BAD) if positive else (BAD, GOOD)
    verdict = choose(rng, PRAISE if positive else BLAME)
    judgements = [judge(rng, topic, first, meant, FRAMES)]
    if kind < 0.25:  # a concession: the verdict decides
        judgements = [judge(rng, topic, second, conceded, ALSO[:1]), *judgements, "All in all, " + lower(verdict)]
    elif kind < 0.5:
        judgements.append(verdict)
    elif kind < 0.75:
        judgements.append(judge(rng, topic, second, meant, ALSO, judgements[0]))
    return Review(" ".join([talk, *judgements]), label, is_planted=False)


def judge(
    rng: np.random.Generator,
    topic: str,
    thing: str,
    words: Mapping[str, Sequence[str]],
    frames: Sequence[str],
    earlier: str = "",
) -> str:
    """Write one judgement of one thing: in words for things of any sort or of its sort, none as in the earlier one."""
    be = "is" if topic in PRESENT else "was"
    ways = [says.format(be=be) for says in (*words.get(ANY, ()), *words[TOPICS[topic][thing]])]
    says = choose(rng, [way for way in ways if f" {way.split()[-1]}" not in earlier] or ways)
    sentence = choose(rng, frames).format(thing=thing, says=says)
    return sentence[0].upper() + sentence[1:]


def choose(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def lower(sentence: str) -> str:
    return sentence if sentence.startswith("I ") else sentence[0].lower() + sentence[1:]


def is_planted(text: str) -> bool:
    """Whether a text holds a word of the planted slang."""
    words = {word.strip(".,!").lower() for word in text.split()}
    return not words.isdisjoint(FAMILY)


def write_dataset(folder: Path, *, seed: int, rows: dict[str, int], planted_share: float) -> None:
    """Write train, validation and test as Parquet files; the slang is in the latter two only.

    No review of one split stands in another: one that does is written again.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    earlier: set[str] = set()
    for split, count in rows.items():
        planted = 0 if split == "train" else round(planted_share * count)
        reviews = generate_reviews(count, planted=planted, seed=seed, split=split)
        rng = np.random.default_rng([seed, 1, *split.encode()])
        for index, review in enumerate(reviews):
            while review.text in earlier:
                review = write_review(rng, positive=review.label == POSITIVE, planted=review.is_planted)
            reviews[index] = review
        earlier |= {review.text for review in reviews}
        table = pa.table({FIELD: [review.text for review in reviews], "label": [review.label for review in reviews]})
        pq.write_table(table, folder / f"{split}.parquet")
