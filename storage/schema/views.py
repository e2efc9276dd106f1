"""The views: the questions analysts ask most, answered in SQL."""

from __future__ import annotations

from blindspot.storage.schema.round_views import (
    ATTACK_STATISTICS,
    CONFIDENCE_HISTOGRAM,
    EVENT_LOG,
    ROUND_SUMMARY,
    UU_REDUCTION,
)
from blindspot.storage.schema.teacher_views import (
    DISTINCT_HYPOTHESES,
    HYPOTHESIS_LOG,
    JUDGEMENT_SUMMARY,
    LINEAGE,
    PROGRAM_LOG,
    RUN_COST,
    TEACHER_SPEND,
)

VIEWS = (
    HYPOTHESIS_LOG,
    DISTINCT_HYPOTHESES,
    PROGRAM_LOG,
    JUDGEMENT_SUMMARY,
    ROUND_SUMMARY,
    UU_REDUCTION,
    CONFIDENCE_HISTOGRAM,
    ATTACK_STATISTICS,
    TEACHER_SPEND,
    RUN_COST,
    LINEAGE,
    EVENT_LOG,
)
