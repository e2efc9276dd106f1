"""The words that attacks changed, added once to the store for analysts."""

from __future__ import annotations

from collections.abc import Sequence

from blindspot.storage.records import Attack, ChangedWord, Sample
from blindspot.storage.store.store import Store


def add_changed_words(store: Store, samples: Sequence[Sample], attacks: Sequence[Attack]) -> None:
    """Add the words that attacks changed, where the store has none of an attack yet.

    Args:
        samples: at least those that were attacked.
    """
    known = {
        attack_id
        for run_id in sorted({row.run_id for row in attacks})
        for attack_id in store.values(ChangedWord, "attack_id", run_id=run_id)
    }
    new = [row for row in attacks if row.status == "flipped" and row.attack_id not in known]
    if new:
        from blindspot.tools.text.changed_words import changed_words

        store.add(changed_words(new, {sample.sample_id: sample.fields for sample in samples}))
