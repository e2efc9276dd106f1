"""Starting, resuming and changing a run."""
