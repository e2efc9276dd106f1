"""What is remembered: records, the store, published results, settings, and the tree of errors."""
