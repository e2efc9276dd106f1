"""Whole runs exported, imported, renamed and deleted."""
