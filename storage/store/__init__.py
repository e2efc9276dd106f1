"""The open store of one writer, the results it publishes, and vacuuming."""
