"""The words that rows are written in: kinds, statuses and verdicts, and what stands for several recipes or splits."""

from __future__ import annotations

from typing import Literal

Split = Literal["train", "validation", "test"]
UuKind = Literal["natural", "adversarial"]
HypothesisKind = Literal["abstraction", "extrapolation"]
RunStatus = Literal["running", "waiting", "stopped", "finished", "failed"]
RunKindName = Literal["mitigation", "attack", "comparison", "original"]
StudyStatus = Literal["running", "stopped", "finished", "failed"]
ModelKind = Literal["original", "retrained", "calibrated"]
SubjectKind = Literal["sample", "attack", "synthetic"]
AttackStatus = Literal["flipped", "failed", "skipped", "error"]
Origin = Literal["teacher", "program", "recorded", "relabel", "adversarial", "random", "typos"]
CallPhase = Literal["abstract", "extrapolate", "generate", "formalise", "revise", "judge", "decide"]
ProgramOrigin = Literal["teacher", "rules", "file", "random"]
ProgramVerdict = Literal["confirmed", "refuted", "not applicable", "invalid", "closed", "half closed", "open"]
JudgedKind = Literal["program", "attack"]
ToolCaller = Literal["graph", "teacher"]
BlindSpotStatus = Literal["closed", "shrunk", "open", "grown", "opened"]
Level = Literal["info", "warning", "error"]


POOLED = "all"
"""The recipe of figures over every recipe's texts together; one sample has a row for each recipe that attacked it."""

LOGGED = "logged"
"""The split of the samples that a deployed model's log gave, and the recipe of figures over them."""

REPAIRED = "repaired"
"""The split of figures over the texts that earlier rounds of a run repaired."""

RECALL = "recall: "
"""Begins the metric of an evaluation that is the recall of one class; its label follows."""
