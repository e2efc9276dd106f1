"""What several phases share: attacks, the log of a deployed model, budgets, twins."""
