"""What is not an error in a data set, yet spoils its figures or misleads a teacher: reported as a run begins."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from blindspot.storage.words import Level
from blindspot.tools.data.columns import DataTable
from blindspot.tools.data.copies import copy_key
from blindspot.tools.data.formats import plain

RARE_ROWS = 10  # a label with fewer training rows,
RARE_SHARE = 0.1  # and at most this share of the mean label's, is rare
NEAR = 0.75  # similarity of two labels, of which the rarer may be a slip of the pen
MAX_LABELS = 5  # that are told one by one


def doubtful_labels(counts: Mapping[str, Counter[str]], places: Mapping[str, str]) -> list[str]:
    """Say which labels of the training split are probably no classes, and which label each may stand for.

    Args:
        counts: split -> label -> rows; "train" is among the splits.
        places: label -> where it occurs first.
    Returns: one line a label, the rarest first, and one for those beyond MAX_LABELS.
    """
    train = counts["train"]
    mean = sum(train.values()) / len(train)
    lines = []
    for label in sorted(train, key=lambda name: (train[name], name)):
        commoner = [other for other in train if (train[other], other) > (train[label], label)]
        alike = [other for other in commoner if meaning(other) == meaning(label)]
        missing = [split for split in counts if not counts[split][label]]
        is_rare = train[label] < RARE_ROWS and train[label] <= RARE_SHARE * mean
        if alike or missing or is_rare:
            occurs = f"occurs in {train[label]} row{'' if train[label] == 1 else 's'} of the training split"
            absent = f", and never in the {' or '.join(missing)} split" if missing else ""
            lines.append(
                f'label "{plain(label)}" {occurs}{absent} (first in {places[label]}); it is trained as a class of its '
                f"own{hint(label, alike or near(label, commoner))}; correct these rows, or list the labels that you "
                "mean in data.labels"
            )
    more = len(lines) - MAX_LABELS
    return lines if more <= 0 else [*lines[:MAX_LABELS], f"{more} more labels are just as doubtful"]


def meaning(label: str) -> object:
    """What labels share that differ only in case, white space, hyphens or the way in which a number is written."""
    text = unicodedata.normalize("NFKC", label).strip().casefold()
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    return number if math.isfinite(number) else " ".join(re.split(r"[\s_-]+", text)) or text


def near(label: str, others: Collection[str]) -> list[str]:
    """The label nearest to one, if it is so near that it may be a slip of the pen; numbers are not slips."""
    names = {other.casefold(): other for other in others if isinstance(meaning(other), str)}
    closest = difflib.get_close_matches(label.casefold(), names, n=1, cutoff=NEAR)
    return [names[name] for name in closest] if isinstance(meaning(label), str) else []


def hint(label: str, nearest: Collection[str]) -> str:
    """Name the label that another one may stand for."""
    for other in nearest:
        how = " (data.strip = true removes white space)" if other.strip() == label.strip() else ""
        return f'; the nearest label is "{plain(other)}"{how}'
    return ""


MAX_EXAMPLES = 3
FEW = 0.001  # of the texts of every split: what no more have is told, but not as a warning


@dataclass(frozen=True, slots=True)
class Artefact:
    """A trace that an export or import leaves in texts."""

    name: str
    cure: str
    is_in: Callable[[str], bool]


def having(pattern: str, mark: str) -> Callable[[str], bool]:
    """Make a test whether a text has a pattern; without the mark, which is looked for first, it cannot."""
    search = re.compile(pattern).search
    return lambda text: mark in text and search(text) is not None


MISREAD = re.compile("â€|Ã[\x80-\xbf]|Â[\x80-\xbf]")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
ARTEFACTS = (
    Artefact("white space at an end, such as a tab", "data.strip = true removes it", lambda text: text != text.strip()),
    Artefact(
        'doubled quotation marks ("")',
        "a CSV file seems to have been quoted twice, so write it again",
        lambda text: '""' in text,
    ),
    Artefact(
        "HTML entities, such as &amp;",
        "replace them by their characters",
        having(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,6}|#x[0-9a-fA-F]{2,5});", "&"),
    ),
    Artefact(
        "HTML tags, such as <br />",
        "remove them",
        having(r"</?(?:br|p|div|span|i|b|em|strong|a|li|ul)(?:\s[^<>]{0,200})?/?>", "<"),
    ),
    Artefact("written-out line breaks (\\n)", "replace them by real ones", having(r"\\[nr](?![a-z])", "\\")),
    Artefact(
        "control characters",
        "remove them",
        lambda text: not text.isprintable() and CONTROL.search(text) is not None,
    ),
    Artefact(
        "the sign that replaces unreadable bytes (U+FFFD)",
        "read the source in its own encoding",
        lambda text: "\ufffd" in text,
    ),
    Artefact(
        "UTF-8 that was read in another encoding, such as Ã©",
        "read the source as UTF-8",
        lambda text: not text.isascii() and MISREAD.search(text) is not None,
    ),
)


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that an operator should know about a data set."""

    message: str
    level: Level = "warning"


@dataclass(slots=True)
class Examples:
    """How often something occurs, and where it does so first."""

    count: int = 0
    places: list[str] = field(default_factory=list)
    by_split: Counter[str] = field(default_factory=Counter)

    def add(self, place: str, split: str) -> None:
        self.count += 1
        self.by_split[split] += 1
        if self.count <= MAX_EXAMPLES:
            self.places.append(place)

    def __str__(self) -> str:
        return "; ".join([*self.places, *(["…"] if self.count > MAX_EXAMPLES else [])])


class First(NamedTuple):
    """Where a text occurs first."""

    split: str
    row: int
    label: str


class DataReview:
    """Looks at the splits of a data set one after the other; it keeps a hash of each text, and no text.

    Args:
        listed: whether the operator has listed the labels, who then knows of each of them.
    """

    def __init__(self, *, listed: bool) -> None:
        self.listed = listed
        self.tables: dict[str, DataTable] = {}  # split -> its table, without its columns
        self.first: dict[bytes, First] = {}
        self.copies: dict[tuple[str, str], Examples] = {}  # (split, earlier split) -> rows of the former
        self.contradicted: set[bytes] = set()
        self.contradictions = Examples()
        self.artefacts: dict[Artefact, Examples] = {}
        self.labels: dict[str, Counter[str]] = {}
        self.label_places: dict[str, str] = {}

    def add(self, split: str, table: DataTable, texts: Sequence[tuple[str, ...]], labels: Sequence[str]) -> None:
        """Look at a split; the training split comes first."""
        self.tables[split] = replace(table, columns={})
        self.labels[split] = Counter(labels)
        for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
            self.compare(copy_key(text), First(split, row, label))
            if label not in self.label_places:
                self.label_places[label] = self.place(split, row)
            for artefact in ARTEFACTS:
                if any(map(artefact.is_in, text)):
                    self.artefacts.setdefault(artefact, Examples()).add(self.place(split, row), split)

    def compare(self, key: bytes, here: First) -> None:
        """Compare a row with the first one of the same text."""
        first = self.first.setdefault(key, here)
        both = f"{self.place(first.split, first.row)} and {self.place(here.split, here.row)}"
        if first.split != here.split:
            self.copies.setdefault((here.split, first.split), Examples()).add(both, here.split)
        if first.label != here.label and key not in self.contradicted:
            self.contradicted.add(key)
            self.contradictions.add(f'"{plain(first.label, 30)}" and "{plain(here.label, 30)}" in {both}', here.split)

    def place(self, split: str, row: int) -> str:
        return f"{split} {self.tables[split].number(row)}"

    def notices(self) -> list[Notice]:
        """All that there is to tell of the splits that were looked at."""
        return [*map(Notice, [*self.about_copies(), *self.about_labels()]), *self.about_artefacts()]

    def about_copies(self) -> list[str]:
        lines = [
            f"{examples.count} of the {sum(self.labels[split].values())} rows of the {split} split have a text that "
            f"the {other} split also has, so what is measured there looks better than it is; remove them from one of "
            f"the two: {examples}"
            for (split, other), examples in self.copies.items()
        ]
        if self.contradictions.count:
            lines.append(
                f"texts that occur with two labels: {self.contradictions.count}; no classifier can be right about "
                f"both, so correct or remove one: {self.contradictions}"
            )
        return lines

    def about_labels(self) -> list[str]:
        if self.listed or "train" not in self.labels:
            return []
        return doubtful_labels(self.labels, self.label_places)

    def about_artefacts(self) -> list[Notice]:
        rows = {split: sum(counts.values()) for split, counts in self.labels.items()}
        return [
            Notice(
                f"{examples.count} of {sum(rows.values())} texts "
                f"({', '.join(f'{split} {examples.by_split[split]}' for split in rows)}) contain {artefact.name}, "
                f"which a teacher may mistake for the cause of an error; {artefact.cure}: {examples}",
                "warning" if any(examples.by_split[split] > FEW * rows[split] for split in rows) else "info",
            )
            for artefact, examples in self.artefacts.items()
        ]
