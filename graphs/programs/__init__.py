"""Hypotheses as programs in a run: tried on samples, tested, and given a share of the rows that are added."""
