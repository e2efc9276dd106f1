"""Language models, rules, probing teachers, and their tools."""
