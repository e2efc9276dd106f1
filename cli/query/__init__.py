"""Answers to queries: names for completion, formats, where the output goes."""
