"""What words a set of labelled texts is made of, and which of them speak for which label."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from blindspot.tools.text import edits

DETERMINERS = "a an the this that these those each few both all any some such other no own same more most"
PRONOUNS = """
    i me my mine myself we us our ours ourselves you your yours yourself yourselves
    he him his himself she her hers herself it its itself they them their theirs themselves
    who whom whose which what
"""
PREPOSITIONS = """
    of to in for on with at by from up about into over after against between through during
    before above below under down out off until
"""
CONJUNCTIONS = "and but or nor if because as while than so when where why how"
AUXILIARIES = """
    am is are was were be been being have has had having do does did doing can will should
    don't doesn't didn't isn't aren't wasn't weren't haven't hasn't hadn't won't wouldn't shouldn't couldn't
    mustn't mightn't needn't shan't it's she's you're you've you'll you'd that'll should've
"""
ADVERBS = "not only very too just then once here there now again further"
CLIPPED = "s t d m o y ll re ve don isn aren wasn weren haven hasn hadn doesn didn won wouldn shouldn couldn"

ENGLISH: tuple[str, ...] = tuple(
    sorted(set(f"{DETERMINERS} {PRONOUNS} {PREPOSITIONS} {CONJUNCTIONS} {AUXILIARIES} {ADVERBS} {CLIPPED}".split()))
)


SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def words_of(text: str) -> list[str]:
    """Split a text into words, lower case, without punctuation."""
    return [word.lower() for word in edits.split_words(text)]


def split_sentences(text: str) -> list[str]:
    """Split a text after full stops, exclamation and question marks."""
    return [sentence for sentence in SENTENCE_END.split(text.strip()) if sentence]


class Vocabulary:
    """Word counts of labelled texts.

    Args:
        texts: (label, text) pairs; a word counts once a text.
    """

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        self.texts_with: Counter[str] = Counter()
        self.texts_with_label: dict[str, Counter[str]] = {}
        self.texts_of: Counter[str] = Counter()
        for label, text in texts:
            words = set(words_of(text))
            self.texts_with.update(words)
            self.texts_with_label.setdefault(label, Counter()).update(words)
            self.texts_of[label] += 1

    def unseen(self, text: str) -> list[str]:
        """The words of a text that no counted text holds, in order, each once."""
        return list(dict.fromkeys(word for word in words_of(text) if word not in self.texts_with))

    def weight(self, word: str, label: str) -> float:
        """How much a word speaks for a label: the log ratio of its shares in texts with and without that label.

        Add-one smoothing; 0 for a word that says nothing, positive where it speaks for the label.
        """
        inside, texts_inside = self.texts_with_label.get(label, Counter())[word], self.texts_of[label]
        outside, texts_outside = self.texts_with[word] - inside, self.texts_of.total() - texts_inside
        return math.log((inside + 1) / (texts_inside + 2)) - math.log((outside + 1) / (texts_outside + 2))

    def words_for(self, label: str) -> list[str]:
        """The words that tell a label from the others in the most texts: by weight times texts of the label."""
        counts = self.texts_with_label.get(label, Counter())
        gains = {word: count * self.weight(word, label) for word, count in counts.items()}
        return sorted((word for word, gain in gains.items() if gain > 0), key=lambda word: (-gains[word], word))

    def telling(self, text: str, label: str) -> list[str]:
        """The words of a text, the most telling for a label first; ties in alphabetical order."""
        return sorted(set(words_of(text)), key=lambda word: (-self.weight(word, label), word))


def overlap(texts: Sequence[str]) -> float:
    """The share of common words of two texts (Jaccard index), in [0, 1]; 0 for a single text."""
    if len(texts) < 2:
        return 0.0
    first, second = set(words_of(texts[0])), set(words_of(" ".join(texts[1:])))
    return len(first & second) / max(1, len(first | second))
