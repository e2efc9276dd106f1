"""close_round: keep the new model version or the old one, and go on or stop. Plain code, no model."""

from __future__ import annotations

from dataclasses import replace

from blindspot.graphs.context import Context, PhaseResult, State, arguments_of
from blindspot.graphs.shared.attacks import uus_of
from blindspot.graphs.versions.versions import remove_rejected
from blindspot.storage.clock import now
from blindspot.storage.records import BlindSpot, Evaluation, Round, Run
from blindspot.storage.words import POOLED
from blindspot.tools.progress import Report


def open_round(context: Context, state: State, report: Report) -> PhaseResult:
    """Count the next round and record that it began."""
    number = state["round"] + 1
    context.store.add([Round(context.run_id, number, state["model_id"], now())])
    return PhaseResult({"round": number, "new_model_id": None}, {"starts with": state["model_id"]})


def close_round(context: Context, state: State, report: Report) -> PhaseResult:
    """Decide by the paired tests on the test split, and by the stop rules."""
    from blindspot.tools.metrics.verdict import Verdict, judge

    settings, number, new_id = context.settings, state["round"], state["new_model_id"]
    wish = (arguments_of(state, "stop") or {}).get("reason")  # of an autonomous teacher, to end the run here
    if new_id is None:
        verdict = Verdict(False, f"kept the old model: {wish or nothing_new(context, number)}")
    else:
        verdict = judge(
            context.store.rows(Evaluation, run_id=context.run_id),
            model_id=new_id,
            baseline_id=state["model_id"],
            tau=settings.run.tau,
            max_accuracy_drop=settings.accept.max_accuracy_drop,
            blind_spots=context.store.rows(BlindSpot, run_id=context.run_id, round=number),
        )
    model_id = new_id if verdict.accepted and new_id else state["model_id"]
    stop = stop_reason(context, number, accepted=verdict.accepted, model_id=model_id)
    if wish and (stop is None or new_id is None):
        stop = wish
    this_round = context.store.one(Round, run_id=context.run_id, round=number)
    run = context.store.one(Run, run_id=context.run_id)
    assert this_round is not None
    assert run is not None
    context.store.put(
        replace(this_round, new_model_id=new_id, accepted=verdict.accepted, verdict=verdict.text, finished_at=now())
    )
    context.store.put(replace(run, final_model_id=model_id))
    if new_id and not verdict.accepted:
        remove_rejected(context, number, new_id)
    decision = verdict.text.partition(": ")[0]  # the reasons stand in the round's row, and are printed at the end
    return PhaseResult({"model_id": model_id, "stop": stop}, {"verdict": decision, "next": stop or "another round"})


def nothing_new(context: Context, number: int) -> str:
    """Say why a round has trained nothing."""
    why = "no synthetic sample was accepted" if uus_of(context, number) else "no UUs were found"
    return f"{why}, so there was nothing new to train on"


def stop_reason(context: Context, number: int, *, accepted: bool, model_id: str) -> str | None:
    """Say why the run ends here, or None to go on."""
    settings = context.settings
    if number >= settings.run.rounds:
        return f"all {number} rounds are done" if number > 1 else "the round is done"
    if not accepted and (settings.accept.stop_without_gain or not uus_of(context, number)):
        return f"no gain in round {number}"
    before, after = (count_uus(context, version) for version in (context.original_id(), model_id))
    if after <= (1 - settings.accept.target_reduction) * before:
        return f"the target is reached: UUs {before:.0f} -> {after:.0f}"
    return None


def count_uus(context: Context, model_id: str) -> float:
    """UUs of a model version at tau, over all recipes together (natural ones where nothing was attacked)."""
    rows = context.store.rows(
        Evaluation, run_id=context.run_id, model_id=model_id, metric="uus", threshold=context.settings.run.tau
    )
    figures = {row.recipe: row.value for row in rows if row.baseline_id is None}
    return figures.get(POOLED, figures.get(None, 0.0))
