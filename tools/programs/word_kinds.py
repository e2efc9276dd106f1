"""The rules of each kind of word edit: what it finds, and what it writes in its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from blindspot.tools.programs.conditions import NUMBER, name_spans
from blindspot.tools.programs.data import FUNCTION_WORDS, DataDescription, Draw, Neighbours, Ranking, rank_by_label
from blindspot.tools.programs.edit_types import (
    Casing,
    ChangeNames,
    ChangeNumbers,
    ChosenWordsEdit,
    Misspell,
    Negate,
    Register,
    Remove,
    Replace,
    Slip,
    Synonyms,
    WordEdit,
)
from blindspot.tools.programs.edits import Find, WordRules
from blindspot.tools.programs.phrases import Phrases
from blindspot.tools.programs.wordlists import (
    FIRST_NAMES,
    FORMAL,
    KEYBOARD,
    LAST_NAMES,
    LOOK_ALIKES,
    NEGATED,
    NUMBER_WORDS,
    PLACES,
    SMS,
    UNCONTRACTED,
)
from blindspot.tools.text.edits import WORD
from blindspot.tools.text.rewrite import SHORTEST, misspell

NEAREST = 8  # neighbours of a word that a synonym is drawn from
PARTICIPLE = r"\s+(?:\w+ed|\w+en|\w+wn|made|had|gone|done|got|come|become|said|found|left|lost|won|put|set|met)\b"
NEGATABLE = re.compile(
    rf"(?<!\w)(?:(?:has|have|had)(?={PARTICIPLE})|"
    rf"{'|'.join(w for w in (*NEGATED, *UNCONTRACTED) if w not in ('has', 'have', 'had', 'do', 'does', 'did'))})"
    r"(?!\w|['’]|\s+not\b|\s?n['’]t\b|\s+never\b)",
    re.IGNORECASE,
)
NUMBER_OR_WORD = re.compile(rf"{NUMBER.pattern}|(?<!\w)(?:{'|'.join(NUMBER_WORDS)})(?![\w-])", re.IGNORECASE)
AFFIRMATIVE: Mapping[str, tuple[str, ...]] = {
    **{contracted: (word,) for word, contracted in NEGATED.items()},
    **{f"{word} not": (word,) for word in (*NEGATED, *UNCONTRACTED)},
    "cannot": ("can",),
    "ain't": ("is",),
    "not": ("",),
    "never": ("",),
}


def rules_of(edit: WordEdit, data: DataDescription) -> WordRules:
    """Give the rules of a word edit; what it takes from the data is known to be there."""
    match edit:
        case Replace():
            return mapped({swap.old: swap.new for swap in edit.swaps}, case_sensitive=edit.case_sensitive)
        case Remove():
            return mapped(dict.fromkeys(edit.words, ("",)), case_sensitive=edit.case_sensitive)
        case Register():
            return mapped({old: (new,) for old, new in (SMS if edit.to == "sms" else FORMAL).items()})
        case Negate(change="remove"):
            return mapped(AFFIRMATIVE)
        case Negate():
            return WordRules(match_spans(NEGATABLE), partial(negated, contracted=edit.contracted))
        case ChangeNames():
            return WordRules(name_spans, other_name, is_consistent=True)
        case ChangeNumbers():
            return WordRules(match_spans(NUMBER_OR_WORD), other_number, is_consistent=True)
        case ChosenWordsEdit():
            return chosen_rules(edit, data)
    raise TypeError(f"{type(edit).__name__} is no edit of words")


def mapped(table: Mapping[str, Sequence[str]], *, case_sensitive: bool = False) -> WordRules:
    """Replace phrases by what a map gives for them."""
    phrases = Phrases(tuple(table), case_sensitive=case_sensitive)

    def rewrite(old: str, draw: Draw) -> str:
        return draw.one_of(table[phrases.phrase_of(old)])

    return WordRules(phrases.spans, rewrite, keeps_capitals=not case_sensitive)


def chosen_rules(edit: ChosenWordsEdit, data: DataDescription) -> WordRules:
    rank = ranking(data) if edit.which == "telling" else None
    match edit:
        case Synonyms():
            assert data.neighbours is not None
            near = cached_neighbours(data.neighbours)
            find = words_found(edit, lambda word: bool(near(word)))
            return WordRules(find, lambda old, draw: draw.one_of(near(old)), rank)
        case Misspell():
            listed = edit.which == "listed"
            find = words_found(edit, lambda word: listed or (len(word) >= SHORTEST and word.isalpha()))
            return WordRules(find, partial(misspelt, slips=edit.slips), rank, keeps_capitals=False)
        case Casing():
            return WordRules(words_found(edit), partial(recased, to=edit.to), rank, keeps_capitals=False)
    raise TypeError(f"{type(edit).__name__} chooses no words")


def ranking(data: DataDescription) -> Ranking:
    """The ranking that a description gives, or the one by training statistics."""
    if data.telling is not None:
        return data.telling
    assert data.vocabulary is not None
    return rank_by_label(data.vocabulary)


def cached_neighbours(neighbours: Neighbours) -> Callable[[str], Sequence[str]]:
    """Remember the nearest few neighbours of each word, without the word itself."""
    known: dict[str, Sequence[str]] = {}

    def near(word: str) -> Sequence[str]:
        key = word.lower()
        if key not in known:
            known[key] = [other for other in neighbours(key)[: NEAREST + 1] if other != key][:NEAREST]
        return known[key]

    return near


def words_found(edit: ChosenWordsEdit, usable: Callable[[str], bool] = bool) -> Find:
    """Find the words that an edit is about."""
    if edit.which == "listed":
        phrases = Phrases(edit.words)
        return lambda text: (span for span in phrases.spans(text) if usable(text[slice(*span)]))
    content = edit.which == "content"

    def find(text: str) -> Iterator[tuple[int, int]]:
        for match in WORD.finditer(text):
            word = match[0]
            if usable(word) and not (content and word.lower() in FUNCTION_WORDS):
                yield match.span()

    return find


def match_spans(pattern: re.Pattern[str]) -> Find:
    return lambda text: (match.span() for match in pattern.finditer(text))


def other_name(old: str, draw: Draw) -> str:
    """A place for a known place, a first name for a known one, a family name for anything else."""
    names = next((names for names in (PLACES, FIRST_NAMES) if old in names), LAST_NAMES)
    return draw.one_of([name for name in names if name != old])


def other_number(old: str, draw: Draw) -> str:
    if not old[0].isdigit():
        return draw.one_of([word for word in NUMBER_WORDS if word != old.lower()])
    digits = [place for place, character in enumerate(old) if character.isdigit()]
    drawn = list(old)
    for place in digits:
        drawn[place] = str(draw.below(10))
    if drawn[0] == "0" and len(digits) > 1:
        drawn[0] = str(1 + draw.below(9))
    last = digits[-1]
    if "".join(drawn) == old:
        drawn[last] = str((int(drawn[last]) + 1) % 10)
    return "".join(drawn)


def negated(old: str, _: Draw, *, contracted: bool) -> str:
    word = old.lower()
    if contracted and word in NEGATED:
        return NEGATED[word]
    return "cannot" if word == "can" else f"{word} not"


def recased(old: str, draw: Draw, *, to: str) -> str:
    if to == "lower":
        return old.lower()
    if to == "upper":
        return old.upper()
    if to == "title":
        return old[:1].upper() + old[1:].lower()
    return "".join(
        letter.upper() if up else letter.lower() for letter, up in zip(old, coins(len(old), draw), strict=True)
    )


def coins(count: int, draw: Draw) -> list[bool]:
    return [bool(coin) for coin in draw.rng.integers(2, size=count)]


def misspelt(word: str, draw: Draw, *, slips: Sequence[Slip]) -> str:
    """Misspell a word by one of the slips; by a letter too many, where that slip cannot be made in it."""
    slip = slips[draw.below(len(slips))]
    wrong = slipped(word, slip, draw)
    return wrong if wrong != word else misspell(word, "insertion", draw.rng)


def slipped(word: str, slip: Slip, draw: Draw) -> str:
    if slip in ("swap", "deletion", "insertion", "substitution"):
        return misspell(word, slip, draw.rng)
    if slip == "doubled":
        places = [place for place, letter in enumerate(word) if letter.isalpha()]
        return doubled(word, places[draw.below(len(places))]) if places else word
    table = KEYBOARD_NEIGHBOURS if slip == "keyboard" else LOOK_ALIKES
    places = [place for place, letter in enumerate(word) if letter.lower() in table]
    if not places:
        return word
    place = places[draw.below(len(places))]
    other = draw.one_of(table[word[place].lower()])
    return word[:place] + (other.upper() if word[place].isupper() else other) + word[place + 1 :]


def doubled(word: str, place: int) -> str:
    return word[:place] + word[place] + word[place:]


def keyboard_neighbours() -> dict[str, str]:
    """The letters beside, above and below each letter of an English keyboard."""
    neighbours: dict[str, str] = {}
    for number, keys in enumerate(KEYBOARD):
        for place, letter in enumerate(keys):
            beside = keys[max(0, place - 1) : place] + keys[place + 1 : place + 2]
            above = KEYBOARD[number - 1][place : place + 2] if number else ""
            below = KEYBOARD[number + 1][max(0, place - 1) : place + 1] if number + 1 < len(KEYBOARD) else ""
            neighbours[letter] = beside + above + below
    return neighbours


KEYBOARD_NEIGHBOURS: Mapping[str, str] = keyboard_neighbours()
