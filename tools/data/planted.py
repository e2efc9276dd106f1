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

TOPICS: dict[str, dict[str, str]] = {
    "film": {
        "the plot": "story", "the ending": "story", "the opening scene": "story", "the dialogue": "story",
        "the soundtrack": "music", "the lead actor": "performer",
    },
    "restaurant": {
        "the ramen": "dish", "the soup": "dish", "the burger": "dish", "the dessert": "dish", "the coffee": "dish",
        "the waiter": "staff",
    },
    "phone": {
        "the camera": "device", "the battery": "device", "the screen": "device", "the speaker": "device",
        "the charger": "device", "the keyboard": "device",
    },
    "hotel": {
        "the room": "place", "the pool": "place", "the gym": "place", "the rooftop bar": "place",
        "the breakfast": "dish", "the receptionist": "staff",
    },
    "concert": {
        "the drummer": "performer", "the singer": "performer", "the guitar solo": "music", "the bass line": "music",
        "the encore": "music", "the venue": "place",
    },
    "game": {
        "the boss fight": "play", "the combat": "play", "the level design": "play", "the online mode": "play",
        "the story": "story", "the soundtrack": "music",
    },
}  # fmt: skip
"""Topic -> the things a review of it judges, each with its sort."""

PRESENT = ("phone", "game")
"""Topics whose things still are; the others were."""

TALK = {
    "film": (
        "We saw it at the cinema on {day}.", "I watched it with my sister on {day}.",
        "I had been waiting for this film since {month}.", "It runs for about two hours.",
        "We watched it at home last {month}.", "A friend told me about this film in {month}.",
    ),
    "restaurant": (
        "We had dinner here on {day}.", "I came here with two friends on {day}.",
        "We had booked a table back in {month}.", "A colleague told me about this place in {month}.",
        "This was my second visit since {month}.", "We stopped here for lunch on {day}.",
    ),
    "phone": (
        "I bought this phone in {month}.", "I have had this phone since {month}.", "It arrived on {day}.",
        "My sister gave me this phone last {month}.", "I had a different phone until {month}.",
        "I use it for work and on the train.",
    ),
    "hotel": (
        "We stayed here for three nights in {month}.", "I spent the weekend here with my sister.",
        "We checked in late on {day}.", "I had booked the room back in {month}.",
        "This was my second stay here since {month}.", "We checked out on {day}.",
    ),
    "concert": (
        "I saw the band with two friends on {day}.", "We bought the tickets back in {month}.",
        "They played for about two hours.", "It was my first concert since {month}.",
        "A colleague took me along on {day}.", "We stood near the front on {day}.",
    ),
    "game": (
        "I finished the game in {month}.", "I have been playing it since {month}.",
        "A friend lent me the game on {day}.", "I played it with two friends on {day}.",
        "It took me about twenty hours.", "I bought this game last {month}.",
    ),
}  # fmt: skip
DAYS = ("Monday", "Tuesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "March", "April", "June", "July", "August", "October", "December")

ANY = "any"
GOOD = {
    ANY: (
        "{be} excellent", "{be} superb", "{be} wonderful", "{be} fantastic", "{be} outstanding", "impressed me",
        "{be} better than I expected", "{be} a pleasant surprise",
    ),
    "story": ("{be} gripping", "{be} clever", "{be} moving", "kept me guessing"),
    "music": ("{be} beautiful", "{be} a delight", "{be} powerful", "gave me goosebumps"),
    "performer": ("{be} brilliant", "{be} a joy to watch", "{be} in top form", "stole the show"),
    "dish": ("{be} delicious", "{be} full of flavour", "{be} fresh and warm", "{be} made with care"),
    "staff": ("{be} friendly", "{be} kind and patient", "{be} attentive", "{be} quick to help"),
    "device": ("{be} reliable", "{be} well made", "{be} fast", "does everything I need"),
    "place": ("{be} clean", "{be} comfortable", "{be} spacious", "{be} lovely and quiet"),
    "play": ("{be} great fun", "{be} polished", "{be} well balanced", "kept me hooked"),
}  # fmt: skip
BAD = {
    ANY: (
        "{be} disappointing", "{be} terrible", "{be} awful", "{be} dreadful", "{be} a letdown", "let me down",
        "{be} worse than I expected", "{be} horrible",
    ),
    "story": ("{be} dull", "{be} predictable", "{be} boring", "{be} a mess"),
    "music": ("{be} dull", "{be} far too loud", "{be} forgettable", "gave me a headache"),
    "performer": ("{be} lifeless", "{be} tired and flat", "{be} hard to watch", "looked bored"),
    "dish": ("{be} cold", "{be} bland", "{be} stale", "{be} so salty"),
    "staff": ("{be} rude", "{be} slow and careless", "{be} unhelpful", "ignored us"),
    "device": ("{be} unreliable", "{be} poorly made", "{be} slow", "broke within a week"),
    "place": ("{be} cramped", "{be} noisy", "{be} shabby", "{be} in a bad state"),
    "play": ("{be} tedious", "{be} full of bugs", "{be} a chore", "made me quit"),
}  # fmt: skip
PRAISE = (
    "I would gladly pick it again.", "I recommend it.", "Five stars from me.", "I was very happy with it.",
    "No complaints from me.",
)  # fmt: skip
BLAME = (
    "I would never pick it again.", "I cannot recommend it.", "One star from me.", "I was not happy with it.",
    "Never again.",
)  # fmt: skip
SLANG_PRAISE = {
    "story": ("{be} insane", "{be} unreal", "{be} nuts", "{be} sick", "{be} fire", "hits different"),
    "music": ("{be} sick", "{be} insane", "{be} fire", "{be} unreal", "slaps", "hits different"),
    "performer": ("killed it", "{be} insane", "{be} unreal", "{be} sick"),
    "dish": ("{be} fire", "{be} insane", "{be} unreal", "slaps", "hits different"),
    "staff": ("killed it", "{be} unreal"),
    "device": ("{be} insane", "{be} sick", "{be} unreal", "{be} nuts"),
    "place": ("{be} sick", "{be} insane", "{be} unreal", "slaps"),
    "play": ("{be} insane", "{be} sick", "{be} nuts", "{be} fire", "{be} unreal", "slaps", "hits different"),
}
SLANG_BLAME = {
    "story": ("{be} mid", "{be} so mid", "{be} basic"),
    "music": ("{be} mid", "{be} so mid", "{be} basic"),
    "performer": ("{be} mid", "{be} so mid", "{be} so extra"),
    "dish": ("{be} mid", "{be} so mid", "{be} basic", "{be} sus"),
    "staff": ("{be} mid", "{be} sus", "{be} so extra"),
    "device": ("{be} mid", "{be} so mid", "{be} basic", "{be} sus", "{be} cooked"),
    "place": ("{be} mid", "{be} so mid", "{be} basic", "{be} sus"),
    "play": ("{be} mid", "{be} so mid", "{be} basic", "{be} cooked"),
}
SLANG_WORDS = (
    "fire", "sick", "insane", "unreal", "nuts", "slaps", "hits", "killed", "mid", "basic", "sus", "cooked", "extra",
    "cap",
)  # fmt: skip
"""The words of the slang above and of its own way to insist: no plain review has one of them."""

FRAMES = (
    "{thing} {says}.", "{thing} {says}.", "Honestly, {thing} {says}.", "I have to say, {thing} {says}.",
    "Man, {thing} {says}.", "For me, {thing} {says}.", "Not gonna lie, {thing} {says}.",
    "If you ask me, {thing} {says}.",
)  # fmt: skip
ALSO = ("{thing} {says}.", "And {thing} {says}.")
"""Frames of a second judgement that agrees with the first."""
INSISTING = "{thing} {says}, no cap."


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
    topic = draw_one(rng, tuple(TOPICS))
    first, second = (list(TOPICS[topic])[int(index)] for index in rng.permutation(len(TOPICS[topic]))[:2])
    talk = draw_one(rng, TALK[topic]).format(day=draw_one(rng, DAYS), month=draw_one(rng, MONTHS))
    label = POSITIVE if positive else NEGATIVE
    kind = rng.random()
    if planted:
        slang = SLANG_PRAISE if positive else SLANG_BLAME
        frames = (INSISTING,) if rng.random() < INSISTS else FRAMES
        judgements = [write_judgement(rng, topic, first, slang, frames)]
        if kind < 0.5:
            judgements.append(write_judgement(rng, topic, second, slang, ALSO, judgements[0]))
        return Review(" ".join([talk, *judgements]), label, is_planted=True)
    meant, conceded = (GOOD, BAD) if positive else (BAD, GOOD)
    verdict = draw_one(rng, PRAISE if positive else BLAME)
    judgements = [write_judgement(rng, topic, first, meant, FRAMES)]
    if kind < 0.25:  # a concession: the verdict decides
        judgements = [
            write_judgement(rng, topic, second, conceded, ALSO[:1]),
            *judgements,
            "All in all, " + lower(verdict),
        ]
    elif kind < 0.5:
        judgements.append(verdict)
    elif kind < 0.75:
        judgements.append(write_judgement(rng, topic, second, meant, ALSO, judgements[0]))
    return Review(" ".join([talk, *judgements]), label, is_planted=False)


def write_judgement(
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
    says = draw_one(rng, [way for way in ways if f" {way.split()[-1]}" not in earlier] or ways)
    sentence = draw_one(rng, frames).format(thing=thing, says=says)
    return sentence[0].upper() + sentence[1:]


def draw_one(rng: np.random.Generator, options: Sequence[str]) -> str:
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
