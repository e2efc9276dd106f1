"""How the attacks of one recipe went: the rows of IBS, tables 4 to 7."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from blindspot.storage.records import Attack, Evaluation
from blindspot.tools.metrics.figure import Estimate, Scope, evaluation


def attack_statistics(attacks: Sequence[Attack], scope: Scope) -> list[Evaluation]:
    """Measure one recipe's attacks on one model version.

    Over every attacked sample: original accuracy, accuracy under attack (right before and after), words per input.
    Over those that were right before: attack success rate, queries per sample (a sample that is wrong already is not
    attacked). Over the flipped: the share of a text's words that were changed, averaged over texts.
    An attack that broke (status "error") counts nowhere. Shares are in [0, 1].

    Args:
        attacks: of one recipe and one model version, at most one a sample.
    Returns: the figures that have something to be taken over, without intervals.
    Raises: ValueError, when the attacks are of several recipes or model versions.
    """
    if len({(attack.recipe, attack.model_id) for attack in attacks}) > 1:
        raise ValueError("attack statistics are taken of one recipe and one model version at a time")
    known = [attack for attack in attacks if attack.status != "error"]
    tried = [attack for attack in known if attack.status != "skipped"]
    flipped = [attack for attack in tried if attack.status == "flipped"]
    values: dict[str, Sequence[float]] = {
        "original_accuracy": [attack.status != "skipped" for attack in known],
        "accuracy_under_attack": [attack.status == "failed" for attack in known],
        "attack_success_rate": [attack.status == "flipped" for attack in tried],
        "perturbed_words": [
            attack.perturbed_words / attack.words for attack in flipped if attack.perturbed_words and attack.words
        ],
        "words_per_input": [attack.words for attack in known],
        "queries_per_sample": [attack.queries for attack in tried],
    }
    return [
        evaluation(scope, (metric, known[0].recipe, None), Estimate(float(np.mean(each))), len(each), known[0].model_id)
        for metric, each in values.items()
        if each
    ]
