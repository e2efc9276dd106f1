"""The views: the questions analysts ask most, answered in SQL."""

from __future__ import annotations

from blindspot.storage.views.model_views import ATTACK_STATISTICS, CONFIDENCE_HISTOGRAM
from blindspot.storage.views.round_views import ROUND_SUMMARY, UU_REDUCTION
from blindspot.storage.views.teacher_views import HYPOTHESIS_LOG, LINEAGE, RUN_COST, TEACHER_SPEND

VIEWS = (
    HYPOTHESIS_LOG,
    ROUND_SUMMARY,
    UU_REDUCTION,
    CONFIDENCE_HISTOGRAM,
    ATTACK_STATISTICS,
    TEACHER_SPEND,
    RUN_COST,
    LINEAGE,
)
