"""Blind spots: clusters of the UUs of two model versions, and which of them closed or opened from one to the other.

The UUs of both are clustered together, by what their texts say, and nothing about which of the two has them goes into
the clusters: the tests that follow are not bent by how the clusters were found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

from blindspot.storage.records import BlindSpot
from blindspot.storage.words import BlindSpotStatus
from blindspot.tools.metrics.evaluate import uu_mask
from blindspot.tools.metrics.figure import Scope
from blindspot.tools.metrics.outcomes import ModelOutcomes, Outcomes, paired
from blindspot.tools.metrics.statistics import Floats, Ints, Mask, sign_test
from blindspot.tools.text.vocabulary import ENGLISH, words_of

Encode = Callable[[list[str]], NDArray[Any]]
"""Texts to vectors of length 1, (n, size)."""

LEVEL = 0.05  # of the adjusted sign tests
REMAINDER = 0.1  # the share of its UUs that a closed blind spot may keep
CASES_PER_SPOT = 10  # on average, at least: in fewer the sign test sees nothing
MOST_SPOTS = 20
COMPARED = 2_000  # cases that the silhouette is taken over
STARTS = 3  # of k-means, the best one stays
WORDS = 5  # told of a blind spot
LIFT = 2  # how much more frequent in UUs than in rightly classified texts a word is at least
COMMON = 0.05  # the share of a blind spot's texts that a word is in at least, and 2 texts
DECIMALS = 4  # of a vector: its last bits depend on what was encoded beside it


@dataclass(frozen=True, slots=True)
class Case:
    """A place of the test split where at least one of two model versions has a UU."""

    sample_id: str
    recipe: str | None  # None: the sample as it is; else what this attack made of it
    text: str  # that fools: the old version's where it has a UU here, else the new one's
    was_uu: bool  # of the old version
    was_right: bool
    is_uu: bool  # of the new version


def uu_cases(
    new: ModelOutcomes,
    baseline: ModelOutcomes,
    natural: Mapping[str, str],
    perturbed: Mapping[tuple[str, str, str], str],
    tau: float,
) -> list[Case]:
    """List the UUs of both versions: natural ones of the whole clean split, and of each P those that were perturbed.

    A natural UU stands in each P too; here it counts once.

    Args:
        natural: sample_id -> its text.
        perturbed: (model_id, recipe, sample_id) -> the text that the attack on this version ended with.
    Returns: in the order of recipes and samples.
    Raises: ValueError, when the clean splits are not the same samples.
    """
    new, baseline = paired(new, baseline)
    cases = list(cases_of(None, new.clean, baseline.clean, tau, lambda _, sample_id: natural[sample_id]))
    for recipe in sorted(new.perturbed):

        def text_of(is_old: bool, sample_id: str, recipe: str = recipe) -> str:
            return perturbed[(baseline if is_old else new).model_id, recipe, sample_id]

        cases += cases_of(recipe, new.perturbed[recipe], baseline.perturbed[recipe], tau, text_of)
    return cases


def cases_of(
    recipe: str | None, new: Outcomes, old: Outcomes, tau: float, text_of: Callable[[bool, str], str]
) -> Iterable[Case]:
    """The cases among rows of the same samples in the same order; of a P those that were perturbed."""
    counted = [uu_mask(side, tau) & (side.flipped == (recipe is not None)) for side in (new, old)]
    for row in np.flatnonzero(counted[0] | counted[1]):
        sample_id, was_uu = new.sample_ids[row], bool(counted[1][row])
        text = text_of(was_uu, sample_id)
        yield Case(sample_id, recipe, text, was_uu, not old.wrong[row], bool(counted[0][row]))


def find_blind_spots(cases: Sequence[Case], others: Sequence[str], encode: Encode, scope: Scope) -> list[BlindSpot]:
    """Cluster UUs by what their texts say, and tell what became of each cluster.

    Clusters: k-means over sentence vectors, the number of clusters with the largest silhouette, 10 UUs in each on
    average at least. Words: those that separate UUs from `others` by Fisher's exact test, a word counting once a text.
    p: the exact sign test over samples that have more UUs of the cluster than before, or fewer; adjusted for the number
    of clusters so that of those called anything but open at most 5 % are expected to be so by chance.

    A cluster is called, where that p is below 0.05 (else "open"):
        closed   UUs fell, to a tenth or less
        shrunk   UUs fell, and more than a tenth is left
        grown    UUs rose, and more than a tenth of them was there before
        opened   UUs rose from a tenth or less

    Args:
        others: texts of the split that both versions classify rightly.
        scope: run and round that the blind spots belong to; its seed is of the clusters' first centres.
    Returns: the largest (UUs of both versions) first; none without cases. The same cases give the same blind spots.
    Source: He, Ribeiro, Khani (2023), section 3, for clusters of sentence vectors; Rousseeuw (1987) for the silhouette;
        Fisher (1935) and Tarone (1990) for the words; Benjamini, Hochberg (1995) for the adjustment.
    """
    ordered = sorted(cases, key=lambda case: (case.sample_id, case.recipe or ""))
    if not ordered:
        return []
    vectors: Floats = np.asarray(encode([case.text for case in ordered]), dtype=np.float64)
    labels = clusters(vectors.round(DECIMALS), scope.seed)
    members = [[ordered[row] for row in np.flatnonzero(labels == label)] for label in range(int(labels.max()) + 1)]
    members.sort(key=lambda cluster: (-sum(case.was_uu + case.is_uu for case in cluster), cluster[0].sample_id))
    words = telling_words([[case.text for case in cluster] for cluster in members], others)
    p_values = stats.false_discovery_control([changed_by_chance(cluster) for cluster in members], method="bh")
    return [
        blind_spot(scope, number, cluster, words[number - 1], float(p_values[number - 1]))
        for number, cluster in enumerate(members, start=1)
    ]


def clusters(vectors: Floats, seed: int) -> Ints:
    """Number each row's cluster, (n,), from 0."""
    distinct = len(np.unique(vectors, axis=0))
    most = min(MOST_SPOTS, len(vectors) // CASES_PER_SPOT, distinct)
    sampled = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:COMPARED])
    best, best_score = np.zeros(len(vectors), dtype=np.int64), -np.inf
    with threadpool_limits(1, user_api="openmp"):  # threads add up centres in an order of their own
        for count in range(2, most + 1):
            labels = KMeans(count, random_state=seed, n_init=STARTS).fit_predict(vectors).astype(np.int64)
            if len(np.unique(labels[sampled])) > 1:
                score = silhouette_score(vectors[sampled], labels[sampled])
                if score > best_score:
                    best, best_score = labels, score
    return best


def telling_words(classes: Sequence[Sequence[str]], others: Sequence[str]) -> list[tuple[str, ...]]:
    """The words that separate each class of UUs from rightly classified texts, the strongest first.

    A class's topic separates it too, though other texts of that topic are classified rightly. So a word must separate
    the UUs of all classes together, and be twice as frequent in them. Without `others`, classes are compared with each
    other.
    """
    texts = [text for members in (*classes, others) for text in members]
    split = [sorted(set(words_of(text)) - set(ENGLISH)) for text in texts]
    if not any(split):
        return [() for _ in classes]
    vectorizer = CountVectorizer(analyzer=lambda words: words, binary=True)
    counts = vectorizer.fit_transform(split)
    sizes = [len(members) for members in (*classes, others)]
    ends = np.cumsum([0, *sizes])
    table = np.array([np.asarray(counts[low:high].sum(axis=0)).ravel() for low, high in pairwise(ends)])
    uus, total = table[:-1].sum(axis=0), sum(sizes[:-1])
    frequent = uus * len(others) >= LIFT * table[-1] * total
    if others:
        frequent &= beyond_chance(uus, total, table[-1], len(others))
    names = vectorizer.get_feature_names_out()
    words = []
    for size, row in zip(sizes, table[:-1], strict=False):
        right, rights = (table[-1], len(others)) if others else (uus - row, total - size)
        p_values = more_frequent(row, size, right, rights)
        telling = frequent & (row * rights >= right * size) & (row >= max(2, COMMON * size))
        ranked = sorted(np.flatnonzero(telling), key=lambda word: (p_values[word], names[word]))
        words.append(tuple(str(names[word]) for word in ranked[:WORDS]))
    return words


def more_frequent(ones: Ints, size: int, others: Ints, other_size: int) -> Floats:
    """The one-sided p of Fisher's exact test that words are in more of `size` texts than of `other_size`, (words,).

    Args:
        ones, others: the number of texts that hold each word, (words,).
    """
    p_values: Floats = np.clip(stats.hypergeom.sf(ones - 1, size + other_size, ones + others, size), 0.0, 1.0)
    return p_values


def beyond_chance(ones: Ints, size: int, others: Ints, other_size: int) -> Mask:
    """Mark words that are in more of `size` texts than of `other_size`, one of them wrongly in at most 5 % of cases.

    A topic that leads to somewhat more errors must not name a blind spot, hence no false discovery rate. Of the words
    only those count that could reach significance at all, rare ones cannot.

    Source: Tarone (1990) for the Bonferroni correction of discrete tests.
    """
    both = ones + others
    most = np.minimum(both, size)
    attainable = np.sort(more_frequent(most, size, both - most, other_size))
    numbers = np.arange(1, len(both) + 1)
    counted = numbers[np.searchsorted(attainable, LEVEL / numbers, side="right") <= numbers][0]
    return np.asarray(more_frequent(ones, size, others, other_size) <= LEVEL / counted, dtype=np.bool_)


def changed_by_chance(cases: Sequence[Case]) -> float:
    """The p of the sign test over samples."""
    return sign_test(list(changes(cases).values()))


def changes(cases: Sequence[Case]) -> Mapping[str, int]:
    """How many UUs more than before each sample has."""
    change: Counter[str] = Counter()
    for case in cases:
        change[case.sample_id] += case.is_uu - case.was_uu
    return change


def blind_spot(scope: Scope, number: int, cases: Sequence[Case], words: tuple[str, ...], p_value: float) -> BlindSpot:
    """Count a cluster, and say what became of it."""
    before, after = sum(case.was_uu for case in cases), sum(case.is_uu for case in cases)
    return BlindSpot(
        run_id=scope.run_id,
        round=scope.round,
        number=number,
        words=words,
        uus_before=before,
        uus_after=after,
        fixed=sum(case.was_uu and not case.is_uu for case in cases),
        new=sum(case.is_uu and case.was_right for case in cases),
        status=status_of(before, after) if p_value < LEVEL else "open",
        p_value=p_value,
    )


def status_of(before: int, after: int) -> BlindSpotStatus:
    """Say what became of a cluster that changed beyond chance."""
    if after < before:
        return "closed" if after <= REMAINDER * before else "shrunk"
    if after > before:
        return "opened" if before <= REMAINDER * after else "grown"
    return "open"
