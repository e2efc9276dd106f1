"""Metrics, intervals, blind spots, the verdict, and the figures of a study."""
