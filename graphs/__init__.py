"""In what order: the state machines, and starting and resuming them."""
