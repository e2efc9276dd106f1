"""Does the filter refuse one sort of samples far more than the others?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

from blindspot.storage.records import SyntheticSample

P_BELOW = 0.01  # of one comparison, corrected for how many there are
FAR_MORE = 2.0  # times the others' share


@dataclass(frozen=True, slots=True)
class Refusals:
    """A group of samples that the filter refused far more than the other samples."""

    group: str  # e.g. "label ham"
    rejected: int
    samples: int
    others_rejected: int
    others: int
    check: str  # the one that refused most of the group
    by_check: int  # how many of the group it refused
    p: float

    def __str__(self) -> str:
        return (
            f"{self.group} {self.rejected} of {self.samples} ({self.rejected / self.samples:.0%}; {self.by_check} by "
            f"{self.check}) against {self.others_rejected} of {self.others} ({self.others_rejected / self.others:.0%}) "
            f"of the others, p {self.p:.1g}"
        )


def uneven_refusals(judged: Sequence[SyntheticSample], groupings: Sequence[Mapping[str, str]]) -> list[Refusals]:
    """Find the groups that were refused at least twice as often as the other samples, and beyond chance.

    p: Fisher's exact test, one-sided, times the number of groups compared (Bonferroni); below 0.01.

    Args:
        judged: by the filter.
        groupings: ways to divide the samples, each synthetic_id -> the name of its group; samples that a grouping
            leaves out do not count in it.
    Returns: in the order of the groupings, of a grouping the most refused first.
    """
    sorted_out = [members for grouping in groupings if len(members := divide(judged, grouping)) > 1]
    compared = sum(len(members) for members in sorted_out)
    uneven: list[Refusals] = []
    for members in sorted_out:
        found = [refusals for name in members if (refusals := compare_group(name, members, compared))]
        uneven += sorted(found, key=lambda refusals: (-refusals.rejected / refusals.samples, refusals.group))
    return uneven


def divide(judged: Sequence[SyntheticSample], grouping: Mapping[str, str]) -> dict[str, list[SyntheticSample]]:
    """The samples of each group of a grouping."""
    members: dict[str, list[SyntheticSample]] = {}
    for sample in judged:
        if sample.synthetic_id in grouping:
            members.setdefault(grouping[sample.synthetic_id], []).append(sample)
    return dict(sorted(members.items()))


def compare_group(name: str, members: Mapping[str, Sequence[SyntheticSample]], compared: int) -> Refusals | None:
    """Compare one group with all others of its grouping.

    Args:
        compared: how many such comparisons there are.
    Returns: None, where it is not refused far more.
    """
    own = [sample.rejected_by for sample in members[name] if sample.rejected_by]
    samples, others = len(members[name]), [one for key, some in members.items() if key != name for one in some]
    others_rejected = sum(one.rejected_by is not None for one in others)
    if not own or len(own) / samples < FAR_MORE * others_rejected / len(others):
        return None
    table = [[len(own), samples - len(own)], [others_rejected, len(others) - others_rejected]]
    p = min(1.0, float(stats.fisher_exact(table, alternative="greater").pvalue) * compared)
    if p >= P_BELOW:
        return None
    [(check, by_check)] = Counter(own).most_common(1)
    return Refusals(name, len(own), samples, others_rejected, len(others), check, by_check, p)
