"""UUs that count after a second judge has looked: raw counts times the share of perturbed texts with a valid label."""

from __future__ import annotations

from collections.abc import Sequence

from blindspot.storage.records import Evaluation
from blindspot.tools.metrics.agreement import Agreement
from blindspot.tools.metrics.figure import Estimate, Scope, evaluation


def validated_uus(
    measured: Sequence[Evaluation], shared: Agreement, scope: Scope, *, model_id: str, recipe: str
) -> list[Evaluation]:
    """Figures of a judge's agreement with one recipe's perturbed texts, and of the UUs that are valid by it.

    Natural UUs have the data set's own labels and count whole. Of those that the attack made, the share counts that the
    judge confirmed in a random part of them; the interval is that of this share.

    Args:
        measured: the figures of the version, with "uus_natural" and "uus_flipped" of the recipe at tau.
        shared: over the judged texts, all of them UUs that the recipe made of this version.
    Returns: "judge_agreement", "judge_kappa" where it is defined, and "uus_validated" where the UUs were counted.
    """
    share = shared.share
    assert share.low is not None
    assert share.high is not None
    rows = [evaluation(scope, ("judge_agreement", recipe, None), share, shared.n, model_id)]
    if shared.kappa is not None:
        rows.append(evaluation(scope, ("judge_kappa", recipe, None), shared.kappa, shared.n, model_id))
    of_version = [row for row in measured if row.model_id == model_id and row.recipe == recipe]
    at_tau = {row.metric: row for row in of_version if row.threshold == scope.tau}
    if "uus_natural" in at_tau and "uus_flipped" in at_tau:
        natural, flipped = at_tau["uus_natural"].value, at_tau["uus_flipped"].value
        valid = Estimate(*(natural + part * flipped for part in (share.value, share.low, share.high)))
        rows.append(evaluation(scope, ("uus_validated", recipe, scope.tau), valid, at_tau["uus_natural"].n, model_id))
    return rows
