"""The attack engine around TextAttack: many samples at once, the results of one at a time."""
