"""Where things lie in the repository, and beside it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOTS = ROOT / "tests" / "snapshots"
SHARED = ROOT.parent / "shared"  # data and language resources; not in every checkout
