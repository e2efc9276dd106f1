"""The teacher in a run: its memory, its probes, and pauses until files are answered."""
