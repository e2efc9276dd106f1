"""Data sets, logs of deployed models, and the planted blind spot of the demo."""
