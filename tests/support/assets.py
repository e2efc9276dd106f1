"""Word vectors and a tagger, which some recipes of TextAttack read; they lie outside the repository."""

from __future__ import annotations

import pytest

from blindspot.tools.attack.resources import prepare_textattack
from support.places import SHARED

ASSETS = SHARED / "assets"
needs_assets = pytest.mark.skipif(not ASSETS.exists(), reason="needs word vectors and a tagger in ../shared/assets")


def use_assets(patch: pytest.MonkeyPatch) -> None:
    """Prepare TextAttack, and have it and NLTK find them, where they are there."""
    import nltk

    patch.setenv("TA_CACHE_DIR", str(ASSETS / "textattack_cache"))
    prepare_textattack()  # it adds to NLTK's path itself, which must outlast the patch
    patch.setattr(nltk.data, "path", [*nltk.data.path, str(ASSETS / "nltk_data")])
