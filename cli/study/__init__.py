"""A study on a terminal: its progress and its tables."""
