"""Finds what a small text classifier gets wrong with confidence, and repairs it with a teacher."""
