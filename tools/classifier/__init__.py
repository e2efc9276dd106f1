"""The classifier under repair: weights, forward passes in three precisions, hand-over."""
