"""Labels that are probably no classes of their own: rare ones, slips of the pen, and those that are never measured."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping

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
    return lines if more <= 0 else [*lines[:MAX_LABELS], f"{more} more labels are as doubtful"]


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
    found = difflib.get_close_matches(label.casefold(), names, n=1, cutoff=NEAR)
    return [names[name] for name in found] if isinstance(meaning(label), str) else []


def hint(label: str, nearest: Collection[str]) -> str:
    """Name the label that another one may stand for."""
    for other in nearest:
        how = " (data.strip = true takes white space off)" if other.strip() == label.strip() else ""
        return f'; the nearest label is "{plain(other)}"{how}'
    return ""
