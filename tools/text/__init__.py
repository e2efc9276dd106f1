"""Words, edits, typos, rewriting, and how similar two texts are."""
