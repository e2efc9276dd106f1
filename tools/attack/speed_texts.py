"""What stands in for TextAttack's handling of texts: split, change one word, find where words are.

Used by `speed.py`; a text keeps what was found out about it, since nothing writes to it after it was made.
"""

from __future__ import annotations

import operator
import re
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

LONGEST_CHUNK = 40  # characters; longer ones are rare, and would fill the memory
LONG_TEXT = 8_192  # characters from which a changed text is put together whenever it is read, and not kept
CHINESE = re.compile("[\u4e00-\u9fff]")


def split_by_chunks(stock: Any) -> Any:
    """In place of `words_from_text`: split a text chunk by chunk, and remember the chunks.

    TextAttack too cuts at white space and looks at each chunk by itself, but for a text with Chinese characters.
    """

    @lru_cache(maxsize=100_000)
    def words_of(chunk: str) -> tuple[str, ...]:
        return tuple(stock(chunk))

    def words_from_text(text: str) -> Any:
        if text.isascii():
            if text.isalnum():
                return [text]
        elif CHINESE.search(text):
            return stock(text)
        words: list[str] = []
        for chunk in text.split():
            words += words_of(chunk) if len(chunk) <= LONGEST_CHUNK else stock(chunk)
        return words

    return words_from_text


def replace_in_place(stock: Any) -> Any:
    """In place of `AttackedText.replace_words_at_indices`: cut the text at the one word that changes.

    TextAttack rebuilds the text from all of its words and from what stands between them. Where all of them but one
    stay, and each is found where it is (`spans_of` looks), that copies what was there.
    """
    from textattack.shared import AttackedText, attacked_text

    separator = AttackedText.SPLIT_TOKEN

    def replace_words_at_indices(self: Any, indices: Sequence[int], new_words: Sequence[str]) -> Any:
        if not len(indices) == len(new_words) == 1 or not isinstance(new_words[0], str):
            return stock(self, indices, new_words)
        index, word = operator.index(indices[0]), new_words[0]
        joined, spans, has_separator = cut(self)
        if not 0 <= index < len(spans):
            return stock(self, indices, new_words)
        start, end = spans[index]
        before, after = joined[:start], joined[end:]
        words = attacked_text.words_from_text(word)
        if not words and after:  # the space beside a deleted word goes too
            if index == 0:
                after = after.removeprefix(" ")
            else:
                before = before.removesuffix(" ")
        kind = put_together_late() if len(joined) > LONG_TEXT else AttackedText
        changed = kind.__new__(kind)
        if kind is AttackedText:
            fields = f"{before}{word}{after}".split(separator)
            changed._text_input = OrderedDict(zip(self._text_input, fields, strict=False))
        else:
            changed.parts = joined, len(before), word, len(joined) - len(after), tuple(self._text_input)
            beside = f"{before[-len(separator) :]}{word}{after[: len(separator)]}"
            changed.may_split = has_separator or separator in beside
        changed._words = changed._words_per_input = changed._pos_tags = changed._ner_tags = None
        changed.attack_attrs = changed_attributes(self, index, word, words)
        return changed

    def cut(text: Any) -> tuple[str, list[tuple[int, int]], bool]:
        kept: Any = vars(text)
        if "cuts" not in kept:
            joined = separator.join(text._text_input.values())
            plain = all(len(attacked_text.words_from_text(word)) == 1 for word in text.words)
            kept["cuts"] = (
                joined,
                spans_of(text.words, joined, separator) if plain else [],
                separator in joined,
            )
        return kept["cuts"]  # type: ignore[no-any-return]

    return replace_words_at_indices


@cache
def put_together_late() -> Any:
    """A class of texts that keep what they were made of, in place of themselves.

    An attack on 20,000 words holds as many texts of 100,000 characters, and more, at once.
    """
    from textattack.shared import AttackedText

    class PutTogetherLate(AttackedText):  # type: ignore[misc]
        parts: tuple[str, int, str, int, tuple[str, ...]]  # joined fields, start and end of what gives way to a word
        may_split: bool  # False: it holds no separator

        @property
        def _text_input(self) -> OrderedDict[str, str]:
            joined, start, word, end, names = self.parts
            text = f"{joined[:start]}{word}{joined[end:]}"
            fields = text.split(AttackedText.SPLIT_TOKEN) if self.may_split else [text]
            return OrderedDict(zip(names, fields, strict=False))

        def __hash__(self) -> int:
            kept: Any = vars(self)
            if "hash" not in kept:
                kept["hash"] = super().__hash__()
            return int(kept["hash"])

        def __eq__(self, other: Any) -> bool:
            return self is other or bool(super().__eq__(other))

    return PutTogetherLate


def spans_of(words: Sequence[str], joined: str, separator: str) -> list[tuple[int, int]]:
    """Find the start and end of each word where TextAttack looks for it.

    Args:
        joined: the fields with a separator between them; a word may be found in a separator by mistake, and TextAttack
            then looks for it in the rest of the text without separators.
    Returns: nothing where that leads to another place than the word's.
    """
    spans, at = [], 0
    for word in words:
        start = joined.find(word, at)
        wrong = joined.find(separator, at) if word in separator else -1
        if 0 <= wrong <= start < wrong + len(separator):
            start = joined[at:].replace(separator, "").find(word)
            start = at + start + len(separator) if start >= 0 else -1
        if start < 0 or joined[start : start + len(word)] != word:
            return []
        at = start + len(word)
        spans.append((start, at))
    return spans


def changed_attributes(text: Any, index: int, word: str, words: Sequence[str]) -> dict[str, Any]:
    """What TextAttack notes of a text in which one word gave way to none, one or several.

    Args:
        text: the text before.
        word: what stands at the index now, and the words that TextAttack sees in it.
    """
    old = text.attack_attrs
    modified, places = old["modified_indices"].copy(), old["original_index_map"]  # which TextAttack changes in copies
    if more := len(words) - 1:
        places = places.copy()
        modified = {i + more * (i > index) for i in modified if i != index}
        if more < 0:
            places[places == index] = -1
        places[places > index] += more
        if more > 0 and text.words[index] != words[0]:
            places[places == index] += more
    fresh: set[int] = set()
    if word != text.words[index]:
        for i in range(index, index + len(words)):  # one by one: what a set iterates over first depends on it
            modified.add(i)
            fresh.add(i)
    names = {"label_names": old["label_names"]} if "label_names" in old else {}
    return names | {
        "newly_modified_indices": fresh,
        "previous_attacked_text": text,
        "modified_indices": modified,
        "original_index_map": places,
    }


def find_words_once(stock: Any) -> Any:
    """In place of `AttackedText._text_index_of_word_index`: look for words in the same way, and keep where they are."""

    def text_index_of_word_index(self: Any, index: int) -> Any:
        if index < 0:
            return stock(self, index)
        kept = vars(self)
        starts: list[int] = kept.setdefault("word_starts", [])
        if len(starts) <= index:
            lower = self.text.lower()
            at = starts[-1] + len(self.words[len(starts) - 1]) if starts else 0
            for word in self.words[len(starts) : index + 1]:
                at = lower.find(word.lower(), at) + len(word)
                starts.append(at - len(word))
        return starts[index]

    return text_index_of_word_index
