"""Texts that are made from templates: distinct ones, as many of each template as of any other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from blindspot.storage.errors import MalformedAnswer
from blindspot.storage.records import Fields
from blindspot.tools.programs.vocabulary import SLOT, ParsedProgram, Template
from blindspot.tools.programs.wordlists import BUILT_IN_SLOTS

FEW = 4_096  # combinations of fillers that are listed; of more, some are drawn until they differ
MOST_TRIES = 50  # in a row, for one more text that differs


@dataclass(frozen=True, slots=True)
class FilledTemplate:
    """A template with what goes into it."""

    texts: Mapping[str, str]  # field -> text with slots
    slots: tuple[str, ...]
    fillers: tuple[tuple[str, ...], ...]  # of each slot
    alike: tuple[tuple[int, ...], ...]  # slots that draw from the same fillers, and so should differ

    @property
    def combinations(self) -> int:
        return math.prod(map(len, self.fillers))

    def filled(self, places: Sequence[int]) -> Fields | None:
        """Fill the slots with the fillers at these places; None where two draws of one slot are the same."""
        if any(len({places[slot] for slot in group}) < len(group) for group in self.alike):
            return None
        values = {slot: self.fillers[n][places[n]] for n, slot in enumerate(self.slots)}
        return {field: SLOT.sub(lambda slot: values[slot[1]], text) for field, text in self.texts.items()}

    def draws(self, rng: np.random.Generator) -> Iterator[Sequence[int]]:
        """Draw combinations of fillers: each once in a random order, if they are few; else without an end."""
        sizes = [len(fillers) for fillers in self.fillers]
        if self.combinations <= FEW:
            for number in rng.permutation(self.combinations):
                yield [int(place) for place in np.unravel_index(number, sizes)] if sizes else []
            return
        while True:
            yield [int(place) for place in rng.integers(sizes)]


def filled_template(template: Template, program: ParsedProgram, fields: Sequence[str]) -> FilledTemplate:
    """Find the fillers of a template's slots. Raises: MalformedAnswer."""
    texts = {entry.field: entry.text for entry in template.texts}
    if set(texts) != set(fields) or len(texts) < len(template.texts):
        named = ", ".join(entry.field for entry in template.texts)
        raise MalformedAnswer(f"a template has texts for [{named}]; it needs exactly one for each of {list(fields)}")
    own = {slot.name: slot.fillers for slot in program.slots}
    slots = tuple(dict.fromkeys(name for field in fields for name in SLOT.findall(texts[field])))
    bases = [base_of(slot, own) for slot in slots]
    fillers = tuple(own[base] if base in own else BUILT_IN_SLOTS[base] for base in bases)
    groups = [tuple(n for n, base in enumerate(bases) if base == one) for one in dict.fromkeys(bases)]
    for group in groups:
        if len(group) > len(fillers[group[0]]):
            raise MalformedAnswer(
                f"a template draws {{{bases[group[0]]}}} {len(group)} times, more than it has fillers; give it more"
            )
    ordered = {field: texts[field] for field in fields}
    return FilledTemplate(ordered, slots, fillers, tuple(group for group in groups if len(group) > 1))


def base_of(slot: str, own: Mapping[str, Sequence[str]]) -> str:
    """Which slot's fillers a slot takes: its own, or those of its name without a final number."""
    for name in (slot, slot.rstrip("0123456789")):
        if name in own or name in BUILT_IN_SLOTS:
            return name
    raise MalformedAnswer(
        f"the slot {{{slot}}} has no fillers; give it an entry in slots, or use one of {sorted(BUILT_IN_SLOTS)}"
    )


def distinct_texts(templates: Sequence[FilledTemplate], wanted: int, rng: np.random.Generator) -> list[Fields]:
    """Fill templates in turn, in a random order of templates, until there are `wanted` texts or no more that differ."""
    seen: set[tuple[str, ...]] = set()
    made: list[Fields] = []
    waiting = [new_texts(templates[number], seen, rng) for number in rng.permutation(len(templates))]
    while waiting and len(made) < wanted:
        going_on = []
        for texts in waiting:
            if len(made) < wanted and (text := next(texts, None)) is not None:
                made.append(text)
                going_on.append(texts)
        waiting = going_on
    return made


def new_texts(template: FilledTemplate, seen: set[tuple[str, ...]], rng: np.random.Generator) -> Iterator[Fields]:
    """Fill a template until it gives nothing that was not seen."""
    tries = 0
    for places in template.draws(rng):
        text = template.filled(places)
        key = tuple(text.values()) if text else ()
        if text is not None and key not in seen and all(value.strip() for value in key):
            seen.add(key)
            tries = 0
            yield text
        elif template.combinations > FEW and (tries := tries + 1) > MOST_TRIES:
            return
