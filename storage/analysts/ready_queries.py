"""The ready queries, in the order in which they are listed. They read tables and views of the newest version."""

from __future__ import annotations

from collections.abc import Mapping

from blindspot.storage.analysts.attack_queries import ATTACK_SUCCESS_BY_LENGTH, UUS_BY_PART_OF_SPEECH
from blindspot.storage.analysts.ready_query import ReadyQuery
from blindspot.storage.analysts.round_queries import ROUND_CHANGES
from blindspot.storage.analysts.teacher_queries import (
    REJECTED_SAMPLES,
    SPEND_PER_UU,
    TEACHER_AGREEMENT,
    WORKING_HYPOTHESES,
)

QUERIES = (
    WORKING_HYPOTHESES,
    UUS_BY_PART_OF_SPEECH,
    SPEND_PER_UU,
    TEACHER_AGREEMENT,
    ATTACK_SUCCESS_BY_LENGTH,
    REJECTED_SAMPLES,
    ROUND_CHANGES,
)
READY: Mapping[str, ReadyQuery] = {query.name: query for query in QUERIES}
