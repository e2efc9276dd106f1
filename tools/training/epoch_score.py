"""What the epochs of a training are compared by: UUs on texts that stay the same, at the original's coverage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from blindspot.tools.classifier.classifier import Classifier, Text
from blindspot.tools.metrics.coverage import matched_thresholds
from blindspot.tools.metrics.outcomes import Outcomes
from blindspot.tools.uu import are_uus


@dataclass(frozen=True, slots=True)
class KnownTexts:
    """A split as it is, and what attacks have made of it so far."""

    original: Outcomes  # the original model version on the split
    texts: Sequence[Text]  # the same samples, in the same order
    perturbed: Sequence[Text]
    perturbed_labels: Sequence[int]  # true class indices
    tau: float  # the original's threshold

    def count_uus(self, classifier: Classifier) -> float:
        """Count the UUs of a classifier among all these texts, the fewer the better.

        They are counted at the threshold at which it is confident on the same share of the split as the original is
        at tau: a classifier that merely became shy has no fewer. One whose probabilities are no numbers has the most.
        """
        clean = replace(self.original, probabilities=np.asarray(classifier.predict(self.texts), dtype=np.float64))
        if not np.isfinite(clean.probabilities).all():
            return math.inf
        once = np.ones((1, len(clean)))
        threshold = float(matched_thresholds(self.original, clean, once, once, self.tau)[0])
        uus = int(are_uus(clean.wrong, clean.confidence, threshold).sum())
        probabilities = np.asarray(classifier.predict(self.perturbed), dtype=np.float64)
        wrong = probabilities.argmax(axis=1) != np.asarray(self.perturbed_labels, dtype=np.int64)
        return float(uus + are_uus(wrong, probabilities.max(axis=1, initial=0.0), threshold).sum())
