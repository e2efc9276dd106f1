"""A model and its data handed over, each with a card."""
