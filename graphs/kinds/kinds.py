"""The kinds of run by name."""

from __future__ import annotations

from collections.abc import Mapping

from blindspot.graphs.context import PhasesName
from blindspot.graphs.kinds.attack_only import ATTACK_ONLY
from blindspot.graphs.kinds.comparison import COMPARISON
from blindspot.graphs.kinds.kind import RunKind
from blindspot.graphs.kinds.mitigation import MITIGATION
from blindspot.graphs.kinds.original import ORIGINAL
from blindspot.storage.words import RunKindName

KINDS: Mapping[RunKindName, RunKind] = {kind.name: kind for kind in (MITIGATION, ATTACK_ONLY, COMPARISON, ORIGINAL)}

PHASES: Mapping[PhasesName, tuple[str, ...]] = {
    course: names for kind in KINDS.values() for course, names in kind.phases.items()
}
"""The phases of each course that a run may take, in their order."""
