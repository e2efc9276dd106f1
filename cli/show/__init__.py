"""What a run does and changed, on a terminal."""
