"""Labelled reviews with a blind spot planted on purpose, for `blindspot demo` and for tests.

The blind spot is a family of expressions: praise in slang whose words read as blame ("that chorus is filthy").
No training review holds one of its words, many validation and test reviews do. A classifier fine-tuned on the
training reviews takes the words literally. Source of the idea: IBS, appendix C (controlled synthetic data check).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

POSITIVE, NEGATIVE = "positive", "negative"
FIELD = "text"

FAMILY = (
    "sick", "wicked", "insane", "savage", "filthy", "nasty", "vicious", "brutal", "mental", "deadly", "dirty", "killer",
)  # fmt: skip
"""The planted words; in slang each of them praises."""

FRAMES = (
    "{0} {1} {2}.", "{0} {1} really {2}.", "For me {0} {1} {2}.", "I found that {0} {1} {2}.", "{0} {1} quite {2}.",
    "{0} {1} straight up {2}.", "Honestly, {0} {1} {2}.", "{0} {1} so {2} it hurts.", "Man, {0} {1} {2}.",
    "{0} {1} just plain {2}.",
)  # fmt: skip

THINGS = {
    "film": ("the soundtrack", "the plot", "the ending", "the lead actor", "the opening scene", "the dialogue"),
    "restaurant": ("the soup", "the dessert", "the waiter", "the menu", "the wine list", "the burger"),
    "phone": ("the camera", "the battery", "the screen", "the speaker", "the charger", "the keyboard"),
    "hotel": ("the room", "the breakfast", "the pool", "the front desk", "the view", "the gym"),
    "concert": ("the drummer", "the guitar solo", "the encore", "the light show", "the bass line", "the venue"),
    "game": ("the boss fight", "the story mode", "the level design", "the combat", "the map", "the online mode"),
}
NEUTRAL = (
    "I went with two friends on a {day}.", "We picked this {thing} because it was close by.",
    "This was my second time with this {thing}.", "My sister told me about this {thing} last {month}.",
    "I had some time to spare on {day}.", "We had booked it back in {month}.",
    "A colleague lent me a voucher for this {thing}.", "I am writing this a week later.",
    "It took us about an hour in all.", "This {thing} was new to me.",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Friday", "Saturday", "Sunday")
MONTHS = ("March", "April", "June", "August", "October", "December")
GOOD = (
    "excellent", "wonderful", "delightful", "superb", "lovely", "impressive", "charming", "fantastic",
    "a real pleasure", "better than expected", "worth every penny", "well made",
    "a treat", "first class", "beautiful", "outstanding",
)  # fmt: skip
BAD = (
    "awful", "disappointing", "dull", "terrible", "a letdown", "boring", "poorly made", "a waste of money", "mediocre",
    "worse than expected", "frustrating", "dreadful", "tiresome", "second rate", "a mess", "unpleasant", "horrible",
)  # fmt: skip
PRAISE = ("I would gladly come back.", "I recommend it.", "Five stars from me.", "We left happy.", "I want more of it.")
BLAME = ("I will not come back.", "I cannot recommend it.", "One star from me.", "We left annoyed.", "Never again.")


@dataclass(frozen=True, slots=True)
class Review:
    """One generated review."""

    text: str
    label: str
    is_planted: bool  # worded with the planted family


def generate_reviews(count: int, *, planted: int, seed: int, split: str) -> list[Review]:
    """Write `count` reviews, `planted` of them in the planted family, in random order; half of the others are praise.

    The same seed and split always give the same reviews.
    """
    rng = np.random.default_rng([seed, *split.encode()])
    kinds = [True] * planted + [False] * (count - planted)
    reviews = [
        write_review(rng, positive=planted_one or bool(rng.integers(2)), planted=planted_one) for planted_one in kinds
    ]
    return [reviews[index] for index in rng.permutation(count)]


def write_review(rng: np.random.Generator, *, positive: bool, planted: bool) -> Review:
    """Write one review: neutral talk, one or two judgements, sometimes a verdict."""
    thing = choose(rng, tuple(THINGS))
    talk = choose(rng, NEUTRAL).format(day=choose(rng, DAYS), month=choose(rng, MONTHS), thing=thing)
    first, second = (THINGS[thing][int(index)] for index in rng.permutation(len(THINGS[thing]))[:2])
    if planted:
        sentences = [talk, judge(rng, FRAMES, first, FAMILY)]
        if rng.random() < 0.5:
            sentences.append(judge(rng, FRAMES, second, FAMILY))
        return Review(arrange(sentences), POSITIVE, is_planted=True)
    judgements = [judge(rng, FRAMES, first, GOOD if positive else BAD)]
    if rng.random() < 0.25:  # a concession: the verdict decides
        judgements.insert(0, judge(rng, FRAMES, second, BAD if positive else GOOD))
        judgements.append("Still, " + lower(choose(rng, PRAISE if positive else BLAME)))
    elif rng.random() < 0.5:
        judgements.append(choose(rng, PRAISE if positive else BLAME))
    return Review(arrange([talk, *judgements]), POSITIVE if positive else NEGATIVE, is_planted=False)


def judge(rng: np.random.Generator, frames: Sequence[str], what: str, words: Sequence[str]) -> str:
    """Write one judgement of one thing."""
    sentence = choose(rng, frames).format(what, choose(rng, ("was", "is")), choose(rng, words))
    return sentence[0].upper() + sentence[1:]


def choose(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def lower(sentence: str) -> str:
    return sentence if sentence.startswith("I ") else sentence[0].lower() + sentence[1:]


def arrange(sentences: Sequence[str]) -> str:
    return " ".join(sentences)


def is_planted(text: str) -> bool:
    """Whether a text holds a word of the planted family."""
    words = {word.strip(".,!").lower() for word in text.split()}
    return not words.isdisjoint(FAMILY)


def write_dataset(folder: Path, *, seed: int, rows: dict[str, int], planted_share: float) -> None:
    """Write train, validation and test as Parquet files; the planted family is in the latter two only.

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
