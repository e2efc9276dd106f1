"""Hypotheses that can be run: small programs that edit texts or fill templates, in a closed vocabulary."""
